from typing import Any

from trigger_lite.sdk.options import TaskOptions
from trigger_lite.sdk.registry import TaskRegistry
from trigger_lite.sdk.registry import registry as the_registry
from trigger_lite.sdk.task import Task


def one() -> None: ...
def two() -> None: ...


def made_of(fn: Any, options: TaskOptions) -> Task[..., Any]:
    return Task(fn, options)


def test_tasks_are_kept_in_the_order_they_were_defined() -> None:
    registry = TaskRegistry()
    tasks = [made_of(two, TaskOptions()), made_of(one, TaskOptions())]
    for made in tasks:
        registry.add(made)
    assert registry.tasks() == tuple(tasks)
    assert registry.find("one") is tasks[1]
    assert registry.find("three") is None


def test_a_second_task_of_the_same_id_is_kept_apart_with_both_places() -> None:
    registry = TaskRegistry()
    first, second = made_of(one, TaskOptions(id="same")), made_of(two, TaskOptions(id="same"))
    registry.add(first)
    registry.add(second)
    assert registry.tasks() == (first,)
    (duplicate,) = registry.duplicates()
    assert (duplicate.first, duplicate.second) == (first, second)
    assert f"{__file__}:{first.line} and {__file__}:{second.line}" in str(duplicate)


def test_the_same_function_defined_again_replaces_the_first() -> None:
    registry = TaskRegistry()
    again = made_of(one, TaskOptions())
    registry.add(made_of(one, TaskOptions()))
    registry.add(again)
    assert registry.tasks() == (again,)
    assert not registry.duplicates()


def test_clearing_forgets_tasks_and_duplicates() -> None:
    registry = TaskRegistry()
    registry.add(made_of(one, TaskOptions(id="same")))
    registry.add(made_of(two, TaskOptions(id="same")))
    registry.clear()
    assert registry.tasks() == ()
    assert registry.duplicates() == ()


def test_the_decorator_fills_the_registry() -> None:
    from trigger_lite import task

    made = task(id="only-in-this-test")(one)
    assert the_registry.find("only-in-this-test") is made

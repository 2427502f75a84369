import asyncio
import inspect
from dataclasses import dataclass
from typing import Any

import pytest

from trigger_lite import Ctx, DefinitionError, OutsideRun, Queue, Retry, UnknownOption, current, queue, task
from trigger_lite.protocol.manifest import MachineManifest, QueueManifest
from trigger_lite.sdk.task import AsyncTask, Task


@dataclass
class Point:
    x: int
    y: int = 0


def test_a_task_called_directly_runs_the_function() -> None:
    @task
    def double(number: int) -> int:
        """Twice as much.

        And not a bit more.
        """
        return 2 * number

    assert double(21) == 42
    assert double(number=21) == 42
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        double()  # type: ignore[call-arg]


def test_a_direct_call_checks_and_copies_nothing() -> None:
    @task
    def same(value: list[int]) -> object:
        return value

    given = ["not", "ints"]
    assert same(given) is given  # type: ignore[arg-type]


def test_an_async_task_called_directly_gives_a_coroutine() -> None:
    @task
    async def double(number: int) -> int:
        return 2 * number

    assert isinstance(double, AsyncTask)
    assert asyncio.run(double(21)) == 42


def test_a_direct_call_outside_a_run_gets_a_context_of_no_run() -> None:
    @task
    def first(ctx: Ctx, x: int, y: int = 1) -> tuple[str, int]:
        ctx.metadata.set("x", x)
        ctx.tags.add("t")
        return ctx.run.id, ctx.metadata.get("x") + y

    @task
    def last(x: int, ctx: Ctx) -> str:
        return ctx.task.id

    assert first(1) == ("run_local", 2)
    assert last(1) == "last"
    with pytest.raises(OutsideRun):
        current()


def test_a_context_may_be_given_to_a_direct_call() -> None:
    @task
    def which(x: int, ctx: Ctx) -> Ctx:
        return ctx

    given = which(1)
    assert which(1, given) is given  # type: ignore[call-arg]
    assert which(1, ctx=given) is given  # type: ignore[call-arg]


def test_a_task_looks_like_its_function() -> None:
    def fn(a: int, ctx: Ctx) -> None:
        """Do it."""

    made = task(fn)
    assert (made.__name__, made.__doc__, made.__module__) == ("fn", "Do it.", __name__)
    assert made.__wrapped__ is fn
    assert inspect.signature(made).parameters.keys() == {"a", "ctx"}
    assert made.file_path == __file__
    assert made.line == fn.__code__.co_firstlineno
    assert repr(made).startswith("<task 'fn' from ")


def test_options_may_be_given_in_steps() -> None:
    crm = queue("crm", concurrency=5)
    crm_task = task(queue=crm, retry=Retry(5))

    @crm_task(retry=Retry(2))
    def sync() -> None: ...

    assert sync.options == {"queue": crm, "retry": Retry(2)}


def test_the_manifest_tells_everything() -> None:
    @task(
        id="points/draw",
        description="Draw it",
        retry=Retry(5, min="2s", max="2m", factor=3, randomize=False),
        queue=queue("draw", concurrency=2),
        max_duration="10m",
        machine="small-2x",
        ttl="1h",
    )
    def draw(p: Point) -> None: ...

    manifest = draw.manifest()
    assert (manifest.id, manifest.description, manifest.max_duration, manifest.ttl) == (
        "points/draw",
        "Draw it",
        600,
        3600,
    )
    assert manifest.queue == QueueManifest(name="draw", concurrency_limit=2)
    assert manifest.machine == MachineManifest(preset="small-2x")
    assert manifest.retry == Retry(5, min="2s", max="2m", factor=3, randomize=False).config()
    assert manifest.payload_schema["required"] == ["x"]
    assert manifest.file_path == "tests/sdk/test_task.py"
    assert manifest.export_name == "test_the_manifest_tells_everything.<locals>.draw"


def test_the_manifest_of_a_bare_task_has_the_default_retry_and_the_docstrings_first_line() -> None:
    @task
    def nightly() -> None:
        """Tidy up.

        Every night.
        """

    manifest = nightly.manifest()
    assert manifest.description == "Tidy up."
    assert manifest.retry == Retry(3).config()
    assert (manifest.queue, manifest.machine, manifest.max_duration, manifest.ttl) == (None, None, None, None)


def test_concurrency_alone_limits_the_tasks_own_queue() -> None:
    @task(concurrency=3)
    def one() -> None: ...

    assert one.manifest().queue == QueueManifest(concurrency_limit=3)  # of no name: a shared queue has one
    assert one.queue_name == "task/one"


def test_a_queue_may_be_named() -> None:
    @task(queue="crm")
    def one() -> None: ...

    assert one.manifest().queue == QueueManifest(name="crm")
    assert one.queue_name == "crm"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": 3}, "@task has no option 'retries'; did you mean 'retry'?"),
        ({"xyz": 3}, "@task has no option 'xyz'; there is concurrency, debounce, description, "),
    ],
)
def test_an_unknown_option_names_the_nearest(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownOption) as caught:
        task(**options)
    assert str(caught.value).startswith(message)
    assert caught.value.name in options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": ""}, "'' is no name"),
        ({"id": "x" * 257}, "is no name"),
        ({"retry": 3}, r"retry must be Retry\(…\), not 3"),
        ({"max_duration": "soon"}, "max_duration: 'soon' is not a duration"),
        ({"ttl": -1}, "ttl: -1 is not a duration"),
        ({"priority": "later"}, "priority: 'later' is not a duration"),
        ({"machine": "small"}, "there is no machine 'small'; did you mean 'small-"),
        ({"tags": ["x" * 129]}, "a tag has at most 128 characters"),
        ({"tags": [str(n) for n in range(11)]}, "a run has at most 10 tags, not 11"),
        ({"queue": "a queue"}, "queue name 'a queue'"),
        ({"queue": Queue("q"), "concurrency": 1}, "give the concurrency to the queue"),
        ({"concurrency": -1}, "concurrency must be 0 or more"),
    ],
)
def test_a_wrong_option_is_said_at_the_decorator(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):

        @task(**options)
        def one() -> None: ...


@pytest.mark.parametrize("value", [3, Point, print, "name"])
def test_only_a_function_becomes_a_task(value: Any) -> None:
    with pytest.raises(DefinitionError, match="makes a task of a function, not of"):
        task(value)


def test_a_lambda_needs_an_id() -> None:
    with pytest.raises(DefinitionError, match="give one"):
        task(lambda number: number)
    assert isinstance(task(id="named")(lambda number: number), Task)

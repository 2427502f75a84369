"""Defining hooks: for one task, and for all."""

import functools
from typing import Any

import pytest

from trigger_lite import Ctx, DefinitionError, Hooks, hooks, task
from trigger_lite.sdk.hooks import hooks_of

EVENTS = (
    "on_start", "on_wait", "on_resume", "on_success", "on_failure", "on_cancel", "on_complete", "catch",
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
def test_a_decorated_function_stays_what_it_is_and_is_heard_by_every_task(event: str) -> None:
    def listen(*given: Any) -> None: ...

    assert getattr(hooks, event)(listen) is listen

    @task
    def anything() -> None: ...

    assert list(hooks_of(anything, event)) == [listen]


@pytest.mark.parametrize("event", EVENTS)
def test_a_function_that_cannot_take_what_it_is_given_is_refused_at_once(event: str) -> None:
    def none() -> None: ...

    names = "ctx" if event in ("on_start", "on_wait", "on_resume", "on_cancel") else ".+, ctx"
    for define in (getattr(hooks, event), lambda fn: Hooks(**{event: fn})):
        with pytest.raises(DefinitionError, match=rf"{event}: .*; write `def {event}\({names}\)`"):
            define(none)
        with pytest.raises(DefinitionError, match=f"{event}: 'tell' is no function"):
            define("tell")


def test_any_callable_that_fits_will_do() -> None:
    def tell(channel: str, error: Exception, ctx: Ctx) -> None: ...

    class Teller:
        def __call__(self, error: Exception, ctx: Ctx) -> None: ...

    for fn in (functools.partial(tell, "#ops"), Teller(), print):
        assert Hooks(on_failure=fn).on_failure is fn


def test_hooks_of_a_task_have_their_type() -> None:
    with pytest.raises(DefinitionError, match=r"@task made: hooks must be Hooks\(…\), not 3"):

        @task(hooks=3)  # type: ignore[call-overload, untyped-decorator]
        def made() -> None: ...


def test_two_hooks_made_by_one_function_are_both_kept() -> None:
    def telling(channel: str) -> Any:
        return lambda error, ctx: channel

    hooks.on_failure(telling("#ops"))
    hooks.on_failure(telling("#dev"))
    assert [fn(ValueError(), None) for fn in hooks.all("on_failure")] == ["#ops", "#dev"]

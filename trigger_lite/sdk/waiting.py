"""How a run waits: one thing at a time, in its own process, until its end or the run's cancellation."""

import time
from typing import TYPE_CHECKING, Final

from trigger_lite.sdk.context import Ctx, find_context
from trigger_lite.sdk.errors import ApiError, ConnectionFailed, OutsideRun, RunCanceled

if TYPE_CHECKING:
    from trigger_lite.sdk.channel import Awaited
    from trigger_lite.sdk.transport import KeepTrying

PATIENCE_SECONDS: Final = 600.0
"""How long a run goes on asking a server that does not answer to let it wait."""


def running(call: str) -> Ctx:
    """Return the context of the run that makes this `call`; raises OutsideRun where there is none."""
    context = find_context()
    if context is None:
        raise OutsideRun(f"{call} works only inside a run; in a test, run the task by run_inline(…)")
    return context


def wait_in_run(context: Ctx, awaited: "Awaited") -> None:
    """Let the run wait until `awaited` is over.

    Raises ConcurrentWait while it waits for something else (WP-11), RunCanceled once it is cancelled,
    ParkedMemoryFull when its worker cannot keep it that long, and what asking the server raises.
    """
    with context.waits.one():
        try:
            context.channel.wait(awaited)
        except (ApiError, ConnectionFailed) as error:
            if context.canceled:  # the server says no because of it
                raise canceled(context) from error
            raise
    if context.canceled:
        raise canceled(context)


def sleep_in_run(context: Ctx, seconds: float) -> None:
    """Sleep; raises RunCanceled as soon as the run is cancelled."""
    world = context.channel.world
    if world is not None:
        world.now += seconds
    elif context.channel.canceled.wait(seconds):
        raise canceled(context)


def canceled(context: Ctx) -> RunCanceled:
    """Return what ends a wait of a run that was cancelled."""
    from trigger_lite.protocol.run_errors import StringError

    reason = StringError("it was cancelled while it waited")
    return RunCanceled(context.run.id, task=context.task.id, status="CANCELED", error=reason)


def until_canceled(context: Ctx) -> "KeepTrying":
    """Return how long to ask a server that does not answer: through a restart, not past a cancellation."""
    deadline = time.monotonic() + PATIENCE_SECONDS

    def go_on(seconds: float) -> bool:
        return not context.channel.canceled.wait(seconds) and time.monotonic() < deadline

    return go_on

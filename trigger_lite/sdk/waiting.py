"""How a run waits: one thing at a time, in its own process, until its end or the run's cancellation."""

import time
from typing import TYPE_CHECKING, Final

from trigger_lite.sdk.context import Ctx, find_context
from trigger_lite.sdk.errors import ApiError, ConnectionFailed, OutsideRun, ParkedMemoryFull

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
    from trigger_lite.sdk.lifecycle import cancel_error, resumed, waiting

    with context.waits.one():
        waiting(context)
        refused: Exception | None = None
        try:
            _wait(context, awaited)
        except (ApiError, ConnectionFailed, ParkedMemoryFull) as error:
            refused = error
        if context.canceled:  # a server that refuses does so because of it
            raise cancel_error(context) from refused
        resumed(context)
    if refused is not None:
        raise refused
    if not awaited.is_over:
        raise OutsideRun("the attempt that began this wait is over")


def _wait(context: Ctx, awaited: "Awaited") -> None:
    began = time.monotonic()
    try:
        context.channel.wait(awaited)
    finally:
        context.waits.seconds += time.monotonic() - began


def sleep_in_run(context: Ctx, seconds: float) -> None:
    """Sleep; raises RunCanceled as soon as the run is cancelled."""
    from trigger_lite.sdk.lifecycle import cancel_error

    world = context.channel.world
    if world is not None:
        world.now += seconds
    elif context.channel.canceled.wait(seconds):
        raise cancel_error(context)


def until_canceled(context: Ctx) -> "KeepTrying":
    """Return how long to ask a server that does not answer: through a restart, not past a cancellation."""
    deadline = time.monotonic() + PATIENCE_SECONDS

    def go_on(seconds: float) -> bool:
        return not context.channel.canceled.wait(seconds) and time.monotonic() < deadline

    return go_on

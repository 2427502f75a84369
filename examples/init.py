"""What all tasks of this folder share. A worker imports `init.py` before the other files."""

import time
from collections.abc import Iterator

from trigger_lite import Ctx, get_logger, hooks, middleware

log = get_logger()


@middleware
def timing(ctx: Ctx) -> Iterator[None]:
    """Log how long each attempt took; what follows the `yield` runs however the attempt ended."""
    started = time.monotonic()
    try:
        yield
    finally:
        log.info("attempt over", number=ctx.attempt.number, seconds=round(time.monotonic() - started, 3))


@hooks.on_failure
def tell_somebody(error: Exception, ctx: Ctx) -> None:
    """Called once a run has failed for good, after a crash or a timeout too; a mail would go here."""
    log.error("a run failed for good", task=ctx.task.id, run=ctx.run.id, reason=str(error))

"""An environment as a whole: how many runs it may hold, and whether it starts any."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from trigger_lite.protocol.queues import MOST_CONCURRENCY

MOST_BURST: Final = 10.0


class EnvironmentLoad(msgspec.Struct, frozen=True, rename="camel"):
    """`concurrency_limit` bounds each queue, `concurrency_limit` x `burst` the runs of all of them."""

    slug: str
    paused: bool
    running: int
    concurrency_limit: int
    burst: float


class PauseEnvironment(msgspec.Struct, frozen=True):
    action: Literal["pause", "resume"]


class LimitEnvironment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    concurrency_limit: Annotated[int, Meta(ge=1, le=MOST_CONCURRENCY)]
    burst: Annotated[float, Meta(ge=1, le=MOST_BURST)] | None = None

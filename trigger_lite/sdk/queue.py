"""What task code says of a queue: how many runs go on at once, wait in line, and start in a time."""

import re
from typing import TYPE_CHECKING, Final

import msgspec

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.protocol.tasks import MAX_QUEUE_NAME
from trigger_lite.sdk.errors import DefinitionError

if TYPE_CHECKING:
    from trigger_lite.protocol.manifest import QueueManifest
    from trigger_lite.protocol.rates import RateConfig

_NAME: Final = re.compile(rf"[A-Za-z0-9_/-]{{1,{MAX_QUEUE_NAME}}}")


class _Counted(msgspec.Struct, frozen=True):
    count: int


class Rate(_Counted, frozen=True, kw_only=True):
    """How many runs may start in a time, evenly spread.

    At most `burst` of them start at once: as many as fit into a tenth of a second unless given, at least one.
    In no span of time do more start than burst + rate x span.

    >>> Rate(10, per="1s", burst=5).config().burst
    5
    """

    per: Duration = "1s"
    burst: int | None = None

    def __post_init__(self) -> None:
        try:
            config = self.config()
        except (ValueError, OverflowError) as error:
            raise DefinitionError(f"Rate: per: {error}") from None
        problem = config.problem()
        if problem is not None:
            raise DefinitionError(f"Rate({self.count}, per={self.per!r}, burst={self.burst}): {problem}")

    def config(self) -> "RateConfig":
        """Return what a worker registers for this rate.

        >>> Rate(100, per="1m").config().period_ms
        60000
        """
        from trigger_lite.protocol.rates import RateConfig, default_burst

        period_ms = round(duration_seconds(self.per) * 1000)
        burst = default_burst(self.count, max(1, period_ms)) if self.burst is None else self.burst
        return RateConfig(self.count, period_ms, burst)


class _Named(msgspec.Struct, frozen=True):
    name: str


class Queue(_Named, frozen=True, kw_only=True):
    """A named queue. Make one with `queue()`.

    >>> Queue("crm", concurrency=5).name
    'crm'
    """

    concurrency: int | None = None
    max_length: int | None = None
    rate: Rate | str | None = None
    per_key_rate: Rate | str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"queue name {self.name!r}: write 1 to {MAX_QUEUE_NAME} of the letters a-z and A-Z, "
                f"digits, '_', '-' and '/'"
            )
        for option in ("concurrency", "max_length"):
            number = getattr(self, option)
            if number is not None and number < 0:
                raise DefinitionError(f"queue {self.name!r}: {option} must be 0 or more")
        for option in ("rate", "per_key_rate"):
            _rate_config(self.name, option, getattr(self, option))

    def manifest(self) -> "QueueManifest":
        """Return what a worker registers for this queue.

        >>> Queue("crm", concurrency=5).manifest().concurrency_limit
        5
        """
        from trigger_lite.protocol.manifest import QueueManifest

        return QueueManifest(
            name=self.name,
            concurrency_limit=self.concurrency,
            max_length=self.max_length,
            rate=_rate_config(self.name, "rate", self.rate),
            key_rate=_rate_config(self.name, "per_key_rate", self.per_key_rate),
        )


def _rate_config(queue_name: str, option: str, rate: Rate | str | None) -> "RateConfig | None":
    if rate is None:
        return None
    if isinstance(rate, Rate):
        return rate.config()
    from trigger_lite.protocol.rates import parse_rate

    parsed = parse_rate(rate)
    if parsed is None:
        raise DefinitionError(
            f'queue {queue_name!r}: {option}: {rate!r} is not a rate; write for example "10/s" or "1000/h"'
        )
    return parsed


def queue(
    name: str,
    *,
    concurrency: int | None = None,
    max_length: int | None = None,
    rate: Rate | str | None = None,
    per_key_rate: Rate | str | None = None,
) -> Queue:
    """Return a queue that several tasks may share.

    At most `concurrency` of their runs go on at once, for each concurrency key if they have one. A trigger is
    refused with QueueFull while `max_length` runs wait. Runs start at a `rate` such as "10/s", those of one
    concurrency key at `per_key_rate`; starts count, not retries within the worker.

    >>> crm = queue("crm", concurrency=5, max_length=1000, rate="10/s", per_key_rate=Rate(2, per="1s"))
    >>> @task(queue=crm)
    ... def sync_contacts(org: str) -> None: ...
    """
    return Queue(name, concurrency=concurrency, max_length=max_length, rate=rate, per_key_rate=per_key_rate)

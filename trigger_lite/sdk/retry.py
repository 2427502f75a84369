"""When a failed attempt is made again (engine-behaviours 4d)."""

from typing import TYPE_CHECKING, Final

import msgspec

from trigger_lite.protocol.durations import Duration, duration_seconds
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import MAX_ATTEMPTS
from trigger_lite.sdk.errors import DefinitionError, suggest

if TYPE_CHECKING:
    from trigger_lite.protocol.manifest import RetryConfig


class _Attempts(msgspec.Struct, frozen=True):
    attempts: int = 3


class Retry(_Attempts, frozen=True, kw_only=True):
    """How often and when a failed attempt is made again.

    `attempts` counts the first one. The delay before attempt k + 1 is `min · factor^(k-1)`, times a random
    number from 1 to 2 when `randomize` is on, and at most `max`. Delays are durations such as "1s".

    An attempt that runs out of memory is made again on `out_of_memory_machine`, a larger preset, and not at
    all without one.

    >>> Retry(5, min="1s", max="2m", randomize=False).delay_seconds(3)
    4.0
    >>> Retry(3, out_of_memory_machine="large-1x").config().out_of_memory.machine
    'large-1x'
    """

    min: Duration = "1s"
    max: Duration = "1m"
    factor: float = 2.0
    randomize: bool = True
    out_of_memory_machine: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise DefinitionError(f"Retry(attempts={self.attempts}): attempts must be 1 to {MAX_ATTEMPTS}")
        if self.factor <= 0:
            raise DefinitionError(f"Retry(factor={self.factor}): factor must be more than 0")
        try:
            shortest, longest = duration_seconds(self.min), duration_seconds(self.max)
        except ValueError as error:
            raise DefinitionError(f"Retry: {error}") from None
        if shortest > longest:
            raise DefinitionError(f"Retry(min={self.min!r}, max={self.max!r}): min is more than max")
        machine = self.out_of_memory_machine
        if machine is not None and machine not in PRESETS:
            raise DefinitionError(
                f"Retry(out_of_memory_machine={machine!r}): there is no machine {machine!r}; "
                f"{suggest(machine, PRESETS)}"
            )

    def delay_seconds(self, attempt: int, jitter: float = 0.0) -> float:
        """Return seconds between `attempt` (from 1) and the next; `jitter` is a random number from 0 to 1.

        >>> Retry(min="1s", max="3s").delay_seconds(2, jitter=0.25)
        2.5
        """
        spread = 1 + jitter if self.randomize else 1.0
        longest = duration_seconds(self.max)
        try:
            grown = float(self.factor) ** (attempt - 1)
        except OverflowError:
            return longest
        return min(longest, spread * duration_seconds(self.min) * grown)

    def config(self) -> "RetryConfig":
        """Return these settings as a worker registers them.

        >>> Retry(2).config().max_attempts
        2
        """
        from trigger_lite.protocol.manifest import OutOfMemory, RetryConfig

        machine = self.out_of_memory_machine
        return RetryConfig(
            max_attempts=self.attempts,
            factor=self.factor,
            min_timeout_in_ms=duration_seconds(self.min) * 1000,
            max_timeout_in_ms=duration_seconds(self.max) * 1000,
            randomize=self.randomize,
            out_of_memory=None if machine is None else OutOfMemory(machine),
        )


DEFAULT_RETRY: Final = Retry()

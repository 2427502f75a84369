"""Many triggers, one run: it starts once they have ceased (engine-behaviours 2c)."""

import math
from typing import Final, Literal

import msgspec

from trigger_lite.protocol.durations import Duration, duration_seconds, format_duration
from trigger_lite.protocol.tasks import MAX_DEBOUNCE_KEY, DebounceOption
from trigger_lite.sdk.errors import DefinitionError

_MODES: Final = ("leading", "trailing")


class Debounce(msgspec.Struct, frozen=True):
    """Triggers of one key become one run that starts `delay` after the last of them.

    The run has the payload of the first trigger, or with `mode="trailing"` that of the last. With `max_delay`
    it starts no later than that after the first, however many follow. Times are whole seconds.

    >>> reindex = resize.with_(debounce=Debounce("user_7", "5s", mode="trailing", max_delay="1m"))
    >>> handle = reindex.trigger("https://example.com/cat.png", 100)
    """

    key: str
    delay: Duration
    mode: Literal["leading", "trailing"] = "leading"
    max_delay: Duration | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not 1 <= len(self.key) <= MAX_DEBOUNCE_KEY:
            raise DefinitionError(f"Debounce: key must have 1 to {MAX_DEBOUNCE_KEY} characters")
        if self.mode not in _MODES:
            raise DefinitionError(f'Debounce: mode must be "leading" or "trailing", not {self.mode!r}')
        delay = _whole_seconds("delay", self.delay)
        if self.max_delay is not None and _whole_seconds("max_delay", self.max_delay) <= delay:
            raise DefinitionError(
                f"Debounce: max_delay {self.max_delay!r} must be longer than delay {self.delay!r}"
            )

    def option(self) -> DebounceOption:
        """Return this as a trigger sends it.

        >>> Debounce("user_7", 5).option().delay
        '5s'
        """
        longest = None if self.max_delay is None else _whole_seconds("max_delay", self.max_delay)
        return DebounceOption(
            key=self.key,
            delay=format_duration(_whole_seconds("delay", self.delay)),
            mode=self.mode,
            max_delay=None if longest is None else format_duration(longest),
        )


def _whole_seconds(name: str, value: Duration) -> int:
    """Return seconds, rounded up; raises DefinitionError for what is no duration of a second or more."""
    try:
        seconds = math.ceil(duration_seconds(value))
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"Debounce: {name}: {error}") from None
    if seconds < 1:
        raise DefinitionError(f"Debounce: {name} must be a second or more, not {value!r}")
    return seconds

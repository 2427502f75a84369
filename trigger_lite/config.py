"""Every setting, in one frozen class, read once from flags and the environment.

A setting `x_y` is the flag `--x-y` of `trigger-lite serve` and the variable `TRIGGER_LITE_X_Y`.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from trigger_lite.protocol.durations import parse_duration_ms

PREFIX: Final = "TRIGGER_LITE_"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
DEFAULT_DATA: Final = Path("trigger-lite-data")
# Variables of clients, workers and runs: not settings of the server, and not mistakes either.
NOT_SETTINGS: Final = frozenset(
    {
        "URL",
        "KEY",
        "RUN_ID",
        "VERSION",
        "MODE",
        "DEBUG",
        "DEV_RETRIES",
        "ATTEMPT",
        "ENVIRONMENT",
        "PARKED_MEMORY",
    }
)
FOR_EVER: Final = "off"
"""The value of a `keep_…` setting that removes nothing."""
_LONGEST_MS: Final = 100 * 365 * 86_400_000
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)(MB|GB|TB)")
_BYTES: Final = {"MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}


class SettingError(Exception):
    """A setting has a name or a value that cannot be used; the message says which and what would be right."""


def _setting(
    default: Any,
    help_text: str,
    *,
    at_least: float = 0,
    at_most: float = float("inf"),
    begins: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
    kind: str = "",
) -> Any:
    """A setting; a number has a range, an address one of some beginnings, a word is one of some.

    `kind` is `age` or `size` for a text that says how long or how much is kept.
    """
    limits = {"at_least": at_least, "at_most": at_most, "begins": begins, "words": words, "kind": kind}
    return field(default=default, metadata={"help": help_text, **limits})


def _timeout(default: float, help_text: str) -> Any:
    """Seconds, from a tenth of one to a week."""
    return _setting(default, help_text, at_least=0.1, at_most=604_800)


def _age(default: str, help_text: str) -> Any:
    return _setting(default, help_text, kind="age")


@dataclass(frozen=True, slots=True)
class Keep:
    """What retention leaves alone: ages in ms, the size of all data in bytes; None is without limit."""

    logs: int | None
    payloads: int | None
    runs: int | None
    failures: int | None
    data: int | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings; durations in seconds."""

    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 for every network.")
    port: int = _setting(3040, "Port to listen on; 0 chooses a free one.", at_most=65_535)
    data: Path = _setting(DEFAULT_DATA, "Folder of the whole installation.")  # noqa: RUF009 - a field, and a Path is immutable
    database_url: str | None = _setting(
        None,
        "PostgreSQL URL; without it, SQLite in the data folder.",
        begins=("postgresql://", "postgres://"),
    )
    public_url: str | None = _setting(
        None, "Address at which browsers and workers reach the server.", begins=("http://", "https://")
    )
    concurrency: int = _setting(100, "Runs one environment may execute at once.", at_least=1, at_most=100_000)
    queue_length: int = _setting(
        0, "Runs that may wait in a queue; more are refused. 0: any number.", at_most=1_000_000_000
    )
    start_timeout: float = _timeout(60.0, "A run handed to a worker must start within this.")
    run_timeout: float = _timeout(60.0, "A running attempt whose worker is silent for this long has failed.")
    cancel_timeout: float = _timeout(60.0, "A cancel not confirmed within this is finished.")
    stall_timeout: float = _timeout(
        5.0, "New work is refused while the database has not answered for this long."
    )
    inbox: int = _setting(2000, "Writes that may wait before requests are answered 503.", at_least=1)
    keep_logs: str = _age("14d", "Log lines are kept this long; off keeps them.")
    keep_payloads: str = _age("30d", "Payloads, outputs and metadata are kept this long after a run's end.")
    keep_runs: str = _age("90d", "Runs are kept this long after their end.")
    keep_failures: str = _age("180d", "Runs that failed are kept this long after their end.")
    keep_data: str = _setting(
        "4GB", "Above this size the oldest data goes early: logs, then payloads, then runs.", kind="size"
    )
    log_level: str = _setting(
        "info", "What the server says: debug, info, warning or error.", words=LOG_LEVELS
    )

    @property
    def heartbeat_seconds(self) -> float:
        """How often workers say that their runs are alive: four times within the timeout."""
        return min(15.0, self.run_timeout / 4)

    @property
    def keep(self) -> Keep:
        """What the `keep_…` settings say."""
        return Keep(
            logs=age_ms(self.keep_logs),
            payloads=age_ms(self.keep_payloads),
            runs=age_ms(self.keep_runs),
            failures=age_ms(self.keep_failures),
            data=size_bytes(self.keep_data),
        )


def age_ms(text: str) -> int | None:
    """Return how long something is kept, or None for ever. Raises ValueError with what would be right."""
    if text == FOR_EVER:
        return None
    milliseconds = parse_duration_ms(text)
    if not milliseconds:
        raise ValueError(f'a duration such as "14d" or "12h", or "{FOR_EVER}"')
    return min(milliseconds, _LONGEST_MS)


def size_bytes(text: str) -> int | None:
    """Return how much is kept, or None without limit. Raises ValueError with what would be right."""
    if text == FOR_EVER:
        return None
    match = _SIZE.fullmatch(text.upper().replace(" ", ""))
    if match is None or not float(match[1]):
        raise ValueError(f'a size such as "500MB" or "4GB", or "{FOR_EVER}"')
    return int(float(match[1]) * _BYTES[match[2]])


def setting_names() -> list[str]:
    return [f.name for f in fields(Settings)]


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Return the settings: a flag wins over the environment, which wins over the default.

    Raises SettingError for a `TRIGGER_LITE_…` variable that is no setting, or a value that does not fit.
    """
    values: dict[str, Any] = {}
    for name in environment:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in NOT_SETTINGS:
            _check_known(name)
    for setting in fields(Settings):
        variable = PREFIX + setting.name.upper()
        given, origin = flags.get(setting.name), "--" + setting.name.replace("_", "-")
        if given is None:
            given, origin = environment.get(variable), variable
        if given is not None:
            values[setting.name] = _convert(given, setting, origin)
    return Settings(**values)


def _check_known(variable: str) -> None:
    names = [PREFIX + name.upper() for name in setting_names()]
    if variable not in names:
        near = difflib.get_close_matches(variable, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else f". Settings are: {', '.join(names)}"
        raise SettingError(f"{variable} is not a setting{hint}")


def _convert(given: Any, setting: "Field[Any]", origin: str) -> Any:
    if setting.type is Path:
        return Path(given)
    if setting.type in (int, float):
        return _number(given, setting, origin)
    begins, words = setting.metadata["begins"], setting.metadata["words"]
    kind = setting.metadata["kind"]
    if kind:
        _check_kept(str(given), kind, origin)
    if begins and not str(given).startswith(begins):
        start = str(given).partition("://")[0][:20]  # the rest may hold a password
        raise SettingError(f"{origin} begins with {start!r}, but must begin with {' or '.join(begins)}")
    if words and given not in words:
        raise SettingError(f"{origin} is {given!r}, but must be one of {', '.join(words)}")
    return str(given)


def _check_kept(given: str, kind: str, origin: str) -> None:
    try:
        age_ms(given) if kind == "age" else size_bytes(given)
    except ValueError as error:
        raise SettingError(f"{origin} is {given!r}, but must be {error}") from None


def _number(given: Any, setting: "Field[Any]", origin: str) -> Any:
    kind: Any = setting.type
    try:
        number = kind(given)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number of seconds"
        raise SettingError(f"{origin} is {given!r}, but must be {wanted}") from None
    least, most = setting.metadata["at_least"], setting.metadata["at_most"]
    if not number >= least:  # so that NaN is refused, too
        raise SettingError(f"{origin} is {given}, but must be at least {least:g}")
    if number > most:
        raise SettingError(f"{origin} is {given}, but must be at most {most:g}")
    return number

"""Options that several commands share, and the types of their values."""

import difflib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trigger_lite.protocol.durations import duration_seconds, parse_duration_ms

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


class Collected(click.Option):
    """An option whose value goes into a group of values, asked for by `collected`, and not to the command."""

    def __init__(
        self,
        group: str,
        *names: str,
        help_text: str,
        type: click.ParamType[Any] = click.STRING,
        metavar: str | None = None,
        multiple: bool = False,
    ) -> None:
        def collect(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
            if value is not None and value != ():
                ctx.meta.setdefault(f"trigger_lite.{group}", {})[param.name] = value
            return value

        super().__init__(
            list(names),
            help=help_text,
            type=type,
            metavar=metavar,
            multiple=multiple,
            expose_value=False,
            callback=collect,
        )


def collected(ctx: click.Context, group: str) -> dict[str, Any]:
    """Return the values given for the options of a group."""
    return dict(ctx.meta.get(f"trigger_lite.{group}", {}))


def with_options(options: Iterable[click.Option]) -> Callable[[F], F]:
    """Decorate a command's function with ready-made options, in the order of the help text."""

    def decorate(function: F) -> F:
        parameters = getattr(function, "__click_params__", [])
        function.__click_params__ = [*parameters, *reversed(list(options))]  # type: ignore[attr-defined]
        return function

    return decorate


class NearestChoice(click.ParamType[str]):
    """One of some words, in any case; a wrong one is answered with the nearest."""

    name = "word"

    def __init__(self, words: Iterable[str], what: str) -> None:
        self._words = {word.lower(): word for word in words}
        self._what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = self._words.get(str(value).lower().replace("cancelled", "canceled"))
        if word is None:
            near = difflib.get_close_matches(str(value).lower(), self._words, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self._words)}"
            self.fail(f"{value!r} is not {self._what}; {hint}", param, ctx)
        return word

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in self._words if word.startswith(incomplete.lower())]


class DurationType(click.ParamType[str]):
    """A duration, kept as the text it was written as."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        try:
            duration_seconds(f"{text}s" if text.isascii() and text.isdigit() else text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return f"{text}s" if text.isdigit() else text


class MomentType(click.ParamType[datetime]):
    """A time: a duration from now, or an ISO-8601 date or time, read in this machine's zone without one."""

    name = "duration|time"

    def __init__(self, *, in_past: bool) -> None:
        self._sign = -1 if in_past else 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        milliseconds = parse_duration_ms(str(value))
        if milliseconds is not None:
            return datetime.now(UTC) + self._sign * timedelta(milliseconds=milliseconds)
        try:
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        except (ValueError, OverflowError):
            example = "2026-11-23T08:00" if self._sign > 0 else "2026-11-22"
            self.fail(
                f'{value!r} is neither a duration such as "90s" or "2h" nor a time such as {example}',
                param,
                ctx,
            )


class Id(click.ParamType[str]):
    """An id with this prefix, of `what`; `shown_by` is the command that lists them."""

    def __init__(self, prefix: str, what: str, shown_by: str) -> None:
        self.name = prefix
        self._prefix = prefix
        self._what = what
        self._shown_by = shown_by

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from trigger_lite.protocol.ids import is_id

        text = str(value).strip()
        if not is_id(self._prefix, text):
            self.fail(
                f"{text!r} is not {self._what}'s id; ids begin with {self._prefix}_ "
                f"and '{self._shown_by}' shows them",
                param,
                ctx,
            )
        return text


class RunId(Id):
    """The id of a run."""

    def __init__(self) -> None:
        super().__init__("run", "a run", "trigger-lite runs list")


def server_options() -> list[click.Option]:
    """Return the options that say which server a command talks to, and in which environment."""
    return [
        Collected(
            "server",
            "--env",
            type=NearestChoice(["dev", "prod"], "an environment"),
            metavar="dev|prod",
            help_text="Environment of a local server.  [default: prod]",
        ),
        Collected(
            "server", "--url", metavar="URL", help_text="Address of the server, instead of the local one."
        ),
        Collected(
            "server", "--key", metavar="KEY", help_text="Key of the environment; better set TRIGGER_LITE_KEY."
        ),
        data_option(),
    ]


def data_option() -> click.Option:
    """Return the option that names the data folder of a local server."""
    return Collected(
        "server",
        "--data",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help_text="Data folder of a local server.  [default: TRIGGER_LITE_DATA or ./trigger-lite-data]",
    )

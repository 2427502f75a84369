"""The options that say which runs a command is for, and what they say in words."""

from typing import Any, Final, cast

import click

from trigger_lite.cli.options import Collected, MomentType, NearestChoice, collected
from trigger_lite.cli.output import printable
from trigger_lite.protocol.statuses import ApiStatus
from trigger_lite.sdk.run_filter import RunFilter

_GROUP: Final = "filter"


def filter_options() -> list[click.Option]:
    """Return the options that choose runs; several of one name mean any of them."""
    status = NearestChoice([status.lower() for status in ApiStatus], "a status")
    several: tuple[tuple[str, click.ParamType[Any], str], ...] = (
        ("status", status, "Runs of this status; repeatable."),
        ("task", click.STRING, "Runs of this task; repeatable."),
        ("tag", click.STRING, "Runs with this tag; repeatable."),
        ("queue", click.STRING, "Runs of this queue; repeatable."),
    )
    options: list[click.Option] = [
        Collected(_GROUP, f"--{name}", type=kind, metavar=name.upper(), multiple=True, help_text=text)
        for name, kind, text in several
    ]
    since = Collected(
        _GROUP,
        "--since",
        type=MomentType(in_past=True),
        help_text='Runs created since: "2h", "30d" or 2026-11-22.  [default: 7 days]',
    )
    return [*options, since]


def given_filter(ctx: click.Context) -> RunFilter:
    """Return the filter that the options of a command make; empty when none was given."""
    given: dict[str, Any] = collected(ctx, _GROUP)
    found: dict[str, Any] = {
        name: [word.upper() for word in value] if name == "status" else list(value)
        for name, value in given.items()
        if name != "since"
    }
    if "since" in given:
        found["since"] = given["since"]
    return cast(RunFilter, found)


def spoken_filter(filters: RunFilter) -> str:
    """Return what a filter says: `all runs with status queued, task resize, created in the last 7 days`."""
    parts = []
    for name, values in filters.items():
        if isinstance(values, list):
            words = " or ".join(printable(value) for value in values)
            parts.append(f"{name} {words.lower() if name == 'status' else words}")
    since = filters.get("since")
    created = "in the last 7 days" if since is None else f"since {since:%Y-%m-%d %H:%M} UTC"
    narrowed = f"with {', '.join(parts)}, " if parts else ""
    return f"all runs {narrowed}created {created}"

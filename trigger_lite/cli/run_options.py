"""The options of one trigger, as the command line has them."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import Collected, DurationType, MomentType, NearestChoice, collected
from trigger_lite.cli.payloads import check_json
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import MAX_ATTEMPTS, TriggerOptions

if TYPE_CHECKING:
    from trigger_lite.sdk.debounce import Debounce
    from trigger_lite.sdk.options import ReplayOptions

_GROUP: Final = "run"


class _Row(NamedTuple):
    """An option: its name, the type of its value, what stands for the value in the help, and the help."""

    name: str
    type: click.ParamType[Any]
    metavar: str | None
    help: str


_ROWS: Final = (
    _Row("--delay", MomentType(in_past=False), None, "Start after this long, or at this time."),
    _Row("--ttl", DurationType(), None, "Expire when not started within this."),
    _Row("--queue", click.STRING, "NAME", "Another queue than the task's."),
    _Row(
        "--concurrency-key", click.STRING, "TEXT", "Runs of one key have a limit of their own in the queue."
    ),
    _Row("--idempotency-key", click.STRING, "TEXT", "A second trigger with this key returns the first run."),
    _Row(
        "--idempotency-key-ttl", DurationType(), None, "How long the key is remembered.  [default: 30 days]"
    ),
    _Row("--priority", click.FLOAT, "SECONDS", "Go this much earlier than its time says."),
    _Row("--machine", NearestChoice(PRESETS, "a machine"), "NAME", "Such as small-1x."),
    _Row("--max-attempts", click.IntRange(1, MAX_ATTEMPTS), "N", "Attempts in all; 1 for no retry."),
    _Row("--max-duration", DurationType(), None, "How long one attempt may take."),
    _Row("--metadata", click.STRING, "JSON", "What the run's metadata begins with."),
    _Row("--on-version", click.STRING, "VERSION", "Run on this deployed version and on no other."),
)
_DEBOUNCE: Final = (
    _Row("--debounce", click.STRING, "KEY", "Triggers of this key become one run while it is delayed."),
    _Row("--debounce-delay", DurationType(), None, "It starts this long after the last.  [default: 5s]"),
    _Row(
        "--debounce-mode",
        NearestChoice(["leading", "trailing"], "a mode"),
        "MODE",
        "Whose payload it has: the first's (leading, default) or the last's (trailing).",
    ),
    _Row("--debounce-max-delay", DurationType(), None, "It starts no later than this after the first."),
)


def run_options() -> list[click.Option]:
    """Return the options that say how a run is to be made."""
    tag = Collected(
        _GROUP, "--tag", "tags", multiple=True, metavar="TAG", help_text="Tag of the run; repeatable."
    )
    return [tag, *map(_option, _ROWS)]


def debounce_options() -> list[click.Option]:
    """Return the options that make one run of several triggers."""
    return [*map(_option, _DEBOUNCE)]


def _option(row: _Row) -> click.Option:
    return Collected(_GROUP, row.name, type=row.type, metavar=row.metavar, help_text=row.help)


def trigger_options(ctx: click.Context) -> TriggerOptions:
    """Return what is sent for the options given; raises BadInput naming the one that is wrong."""
    from trigger_lite.sdk.errors import DefinitionError
    from trigger_lite.sdk.options import RunOptions
    from trigger_lite.sdk.options import trigger_options as on_the_wire

    given = collected(ctx, _GROUP)
    try:
        debounce = _debounce(given)
        options = cast(RunOptions, _options(given))
        if debounce is not None:
            options["debounce"] = debounce
        return on_the_wire("trigger", options)
    except DefinitionError as error:
        raise BadInput(str(error)) from error


def replay_options(ctx: click.Context) -> "ReplayOptions":
    """Return what a replay is to change; raises BadInput naming the option that is wrong."""
    return cast("ReplayOptions", _options(collected(ctx, _GROUP)))


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options under the SDK's names: --key is the environment's key, --version the program's."""
    names = {"concurrency_key": "key", "on_version": "version"}
    kept = {name: value for name, value in given.items() if not name.startswith("debounce")}
    return {names.get(name, name): _value(name, value) for name, value in kept.items()}


def _debounce(given: dict[str, Any]) -> "Debounce | None":
    from trigger_lite.sdk.debounce import Debounce

    named = {name.removeprefix("debounce_"): value for name, value in given.items() if "debounce" in name}
    if not named:
        return None
    if "debounce" not in named:
        raise BadInput("--debounce-… needs --debounce KEY, which says what triggers belong together")
    key = named.pop("debounce")
    return Debounce(key, **{"delay": "5s", **named})


def _value(name: str, value: Any) -> Any:
    if name == "tags":
        return list(value)
    if name == "metadata":
        import json

        check_json(value, "--metadata")
        metadata = json.loads(value)
        if not isinstance(metadata, dict):
            raise BadInput(f"--metadata must be a JSON object such as '{{\"rows\": 0}}', not {value[:40]}")
        return metadata
    assert isinstance(value, str | int | float | datetime)
    return value

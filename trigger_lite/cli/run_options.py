"""The options of one trigger, as the command line has them."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import Collected, DurationType, MomentType, NearestChoice, collected
from trigger_lite.cli.payloads import check_json
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import MAX_ATTEMPTS, TriggerOptions

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
)


def run_options() -> list[click.Option]:
    """Return the options that say how a run is to be made."""
    tag = Collected(
        _GROUP, "--tag", "tags", multiple=True, metavar="TAG", help_text="Tag of the run; repeatable."
    )
    rest = [
        Collected(_GROUP, row.name, type=row.type, metavar=row.metavar, help_text=row.help) for row in _ROWS
    ]
    return [tag, *rest]


def trigger_options(ctx: click.Context) -> TriggerOptions:
    """Return what is sent for the options given; raises BadInput naming the one that is wrong."""
    from trigger_lite.sdk.errors import DefinitionError
    from trigger_lite.sdk.options import RunOptions
    from trigger_lite.sdk.options import trigger_options as on_the_wire

    given: dict[str, Any] = collected(ctx, _GROUP)
    options: RunOptions = {}
    for name, value in given.items():
        sdk_name = "key" if name == "concurrency_key" else name  # --key is the environment's key
        options[sdk_name] = _value(name, value)  # type: ignore[literal-required]
    try:
        return on_the_wire("trigger", options)
    except DefinitionError as error:
        raise BadInput(str(error)) from error


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

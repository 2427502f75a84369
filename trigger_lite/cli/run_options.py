"""The options of one trigger, as the command line has them."""

from datetime import datetime
from typing import Any

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import Collected, DurationType, MomentType, NearestChoice, collected
from trigger_lite.cli.payloads import check_json
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import MAX_ATTEMPTS, TriggerOptions

_GROUP = "run"


def run_options() -> list[click.Option]:
    """Return the options that say how a run is to be made."""
    return [
        Collected(
            _GROUP,
            "--delay",
            type=MomentType(in_past=False),
            help_text="Start after this long, or at this time.",
        ),
        Collected(_GROUP, "--ttl", type=DurationType(), help_text="Expire when not started within this."),
        Collected(
            _GROUP, "--tag", "tags", multiple=True, metavar="TAG", help_text="Tag of the run; repeatable."
        ),
        Collected(_GROUP, "--queue", metavar="NAME", help_text="Another queue than the task's."),
        Collected(
            _GROUP,
            "--concurrency-key",
            metavar="TEXT",
            help_text="Runs of one key have a limit of their own in the queue.",
        ),
        Collected(
            _GROUP,
            "--idempotency-key",
            metavar="TEXT",
            help_text="A second trigger with this key returns the first run.",
        ),
        Collected(
            _GROUP,
            "--idempotency-ttl",
            "idempotency_key_ttl",
            type=DurationType(),
            help_text="How long the key is remembered.  [default: 30 days]",
        ),
        Collected(
            _GROUP,
            "--priority",
            type=float,
            metavar="SECONDS",
            help_text="Go this much earlier than its time says.",
        ),
        Collected(
            _GROUP,
            "--machine",
            type=NearestChoice(PRESETS, "a machine"),
            metavar="NAME",
            help_text="Such as small-1x.",
        ),
        Collected(
            _GROUP,
            "--max-attempts",
            type=click.IntRange(1, MAX_ATTEMPTS),
            metavar="N",
            help_text="Attempts in all; 1: no retry.",
        ),
        Collected(_GROUP, "--max-duration", type=DurationType(), help_text="How long one attempt may take."),
        Collected(_GROUP, "--metadata", metavar="JSON", help_text="What the run's metadata begins with."),
    ]


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

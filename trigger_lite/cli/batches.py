"""`trigger-lite batches`: list, get."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from trigger_lite.cli.options import Id, server_options, with_options
from trigger_lite.cli.output import as_json, dim, print_json, printable, say, table
from trigger_lite.cli.times import age, local_time

if TYPE_CHECKING:
    from trigger_lite.protocol.batches import BatchSummary, BatchView

_HEAD: Final = ("BATCH", "STATUS", "OVER", "OF", "FAILED", "CREATED")
_LABEL_WIDTH: Final = 12
_ERRORS_SHOWN: Final = 20
_ID: Final = Id("batch", "a batch", "trigger-lite batches list")


@click.group(
    "batches",
    epilog="""\b
Examples:
  trigger-lite batches list
  trigger-lite batches get batch_06fd3v…
""",
)
def command() -> None:
    """List and look at batches: many runs that were triggered together."""


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite batches list
  trigger-lite batches list --json | jq '.[] | select(.finished < .runCount) | .id'
""",
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True, help="At most so many."
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List batches, the newest first: how many of their runs are over."""
    from trigger_lite.cli.api import open_api

    batches = open_api(ctx).list_batches(limit)
    if as_json:
        print_json(batches)
        return
    if not batches:
        say("No batch yet; a task's batch_trigger makes one.")
        return
    now = time.time()
    for line in table(_HEAD, [_row(batch, now) for batch in batches], flexible=0):
        click.echo(line)


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite batches get batch_06fd3v…
  trigger-lite batches get batch_06fd3v… --json | jq -r '.runs[]'
""",
)
@click.argument("batch", type=_ID)
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, batch: str, as_json: bool) -> None:
    """Show one batch: how far it is, and which items became no run."""
    from trigger_lite.cli.api import open_api

    found = open_api(ctx).get_batch(batch)
    if as_json:
        print_json(found)
        return
    for label, text in _facts(found):
        if text:
            click.echo(f"{dim(label.ljust(_LABEL_WIDTH))}{text}")
    errors = found.processing.errors
    for error in errors[:_ERRORS_SHOWN]:
        click.echo(f"item {error.index}, {printable(error.task_identifier)}: {printable(error.error)}")
    if len(errors) > _ERRORS_SHOWN:
        say(f"{len(errors) - _ERRORS_SHOWN} more items became no run; --json has them all.")


def _row(batch: "BatchSummary", now: float) -> list[str]:
    over = str(batch.finished + batch.failed)
    return [
        batch.id,
        _status(batch),
        over,
        str(batch.run_count),
        str(batch.failed),
        age(batch.created_at, now),
    ]


def _status(batch: "BatchSummary") -> str:
    return batch.status.lower().replace("_", " ")


def _facts(batch: "BatchView") -> Iterator[tuple[str, str]]:
    yield "batch", batch.id
    yield "status", _status(batch)
    yield "runs over", f"{batch.finished} of {batch.run_count}"
    yield "received", f"{batch.received} of {batch.run_count}" if batch.received < batch.run_count else ""
    yield "no run", str(batch.failed) if batch.failed else ""
    yield "parent", batch.parent_run_id or ""
    yield "created", local_time(batch.created_at)
    yield "completed", local_time(batch.completed_at) if batch.completed_at else ""

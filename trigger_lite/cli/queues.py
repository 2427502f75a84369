"""`trigger-lite queues`: list, get, pause, resume, limit, reset."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import MomentType, server_options, with_options
from trigger_lite.cli.output import as_json, dim, print_json, printable, say, table
from trigger_lite.cli.times import local_time

if TYPE_CHECKING:
    from datetime import datetime

    from trigger_lite.cli.api import Api
    from trigger_lite.protocol.environments import EnvironmentLoad
    from trigger_lite.protocol.queues import QueueItem

_HEAD: Final = ("QUEUE", "RUNNING", "QUEUED", "LIMIT", "RATE", "STATE")
_LABEL_WIDTH: Final = 12


class LimitType(click.ParamType[tuple[int | None, float | None]]):
    """A number of runs, or a percentage of the environment's limit: which of the two, the other None."""

    name = "limit"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, float | None]:
        text = str(value).strip()
        try:
            return (None, float(text[:-1])) if text.endswith("%") else (int(text), None)
        except ValueError:
            self.fail(f'{value!r} is neither a number such as 5 nor a percentage such as "50%"', param, ctx)


def _all_option(help_text: str) -> Callable[[Any], Any]:
    return click.option("--all", "everything", is_flag=True, help=help_text)


@click.group(
    "queues",
    epilog="""\b
Examples:
  trigger-lite queues list
  trigger-lite queues pause crm
  trigger-lite queues limit crm 2 --until 2h
\b
A queue is named by its name; the own queue of a task is task/NAME.
""",
)
def command() -> None:
    """List and look at queues, pause them, and change their limits."""


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite queues list
  trigger-lite queues list --json | jq '.[] | select(.queued > 100) | .name'
""",
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(ctx: click.Context, *, as_json: bool) -> None:
    """List queues by name: what runs, what waits, and what they may hold."""
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    queues = list(api.list_queues())
    if as_json:
        print_json(queues)
        return
    if not queues:
        say("No queue yet; the first trigger or the first worker makes one.")
        return
    for line in table(_HEAD, [_row(queue) for queue in queues], flexible=0):
        click.echo(line)
    say(_environment_line(api.get_environment()))


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite queues get crm
  trigger-lite queues get task/resize --json | jq .queued
""",
)
@click.argument("queue")
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, queue: str, as_json: bool) -> None:
    """Show one queue."""
    from trigger_lite.cli.api import open_api

    found = open_api(ctx).get_queue(queue)
    if as_json:
        print_json(found)
        return
    for label, text in _facts(found):
        click.echo(f"{dim(label.ljust(_LABEL_WIDTH))}{text}")


@command.command(
    "pause",
    epilog="""\b
Examples:
  trigger-lite queues pause crm
  trigger-lite queues pause --all --env prod
""",
)
@click.argument("queues", nargs=-1, metavar="[QUEUE...]")
@_all_option("Pause every queue of the environment.")
@with_options(server_options())
@click.pass_context
def pause(ctx: click.Context, *, queues: Sequence[str], everything: bool) -> None:
    """Start nothing any more from queues; triggers are accepted, what runs goes on."""
    _set_paused(ctx, queues, everything, paused=True)


@command.command(
    "resume",
    epilog="""\b
Examples:
  trigger-lite queues resume crm
  trigger-lite queues resume --all
""",
)
@click.argument("queues", nargs=-1, metavar="[QUEUE...]")
@_all_option("Go on with the environment; queues that are paused by themselves stay so.")
@with_options(server_options())
@click.pass_context
def resume(ctx: click.Context, *, queues: Sequence[str], everything: bool) -> None:
    """Go on with what waits in queues that were paused."""
    _set_paused(ctx, queues, everything, paused=False)


@command.command(
    "limit",
    epilog="""\b
Examples:
  trigger-lite queues limit crm 2
  trigger-lite queues limit crm 50% --until 2h
  trigger-lite queues limit --all 20 --burst 1.5
\b
The limit of a queue stays, also over deploys, until 'trigger-lite queues reset' or the time given.
That of the environment stays until the server is started with another --concurrency.
""",
)
@click.argument("arguments", nargs=-1, required=True, metavar="[QUEUE] LIMIT")
@click.option("--until", type=MomentType(in_past=False), help='End it by itself: "2h" or 2026-11-23T08:00.')
@_all_option("Limit the environment: how many runs of all queues go on at once.")
@click.option(
    "--burst", type=click.FloatRange(1, 10), help="With --all: all queues may hold so many times it."
)
@with_options(server_options())
@click.pass_context
def limit(
    ctx: click.Context,
    *,
    arguments: Sequence[str],
    until: "datetime | None",
    everything: bool,
    burst: float | None,
) -> None:
    """Let at most LIMIT runs of a queue go on at once: a number, or a percentage of the environment's."""
    if len(arguments) != (1 if everything else 2):
        raise click.UsageError("Name a queue and a limit, or --all and a limit", ctx)
    count, percent = LimitType().convert(arguments[-1], None, ctx)
    if everything and (count is None or until is not None):
        raise BadInput("The limit of the environment is a number, and has no --until")
    if burst is not None and not everything:
        raise BadInput("--burst is for the environment: --all")
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    if everything and count is not None:
        say(_environment_line(api.limit_environment(count, burst)))
        return
    queue = api.limit_queue(arguments[0], count, percent, until)
    say(f"{printable(_full_name(queue))} {_runs_at_most(queue)}{_ending(queue)}")


@command.command(
    "reset",
    epilog="""\b
Examples:
  trigger-lite queues reset crm
""",
)
@click.argument("queues", nargs=-1, required=True, metavar="QUEUE...")
@with_options(server_options())
@click.pass_context
def reset(ctx: click.Context, *, queues: Sequence[str]) -> None:
    """Go back to the limits that the code says."""
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    for name in queues:
        queue = api.reset_queue(name)
        say(f"{printable(_full_name(queue))} {_runs_at_most(queue)}, as its code says")


def _set_paused(ctx: click.Context, queues: Sequence[str], everything: bool, *, paused: bool) -> None:
    if bool(queues) == everything:
        raise click.UsageError("Name queues, or --all", ctx)
    from trigger_lite.cli.api import open_api

    api = open_api(ctx)
    if everything:
        say(_environment_line(api.pause_environment(paused=paused)))
    for name in queues:
        say(_pause_line(api, name, paused=paused))


def _pause_line(api: "Api", name: str, *, paused: bool) -> str:
    queue = api.pause_queue(name, paused=paused)
    state = "is paused" if queue.paused else "goes on"
    return f"{printable(_full_name(queue))} {state}: {queue.running} running, {queue.queued} queued"


# ---- what is printed ----------------------------------------------------------------------------------


def _row(queue: "QueueItem") -> tuple[str, ...]:
    rates = [text for text in (queue.rate, queue.key_rate and f"{queue.key_rate} per key") if text]
    return (
        printable(_full_name(queue)),
        str(queue.running),
        str(queue.queued),
        _limit_text(queue),
        ", ".join(rates),
        click.style("paused", fg="yellow") if queue.paused else "",
    )


def _full_name(queue: "QueueItem") -> str:
    return f"task/{queue.name}" if queue.type == "task" else queue.name


def _limit_text(queue: "QueueItem") -> str:
    if queue.concurrency.override is None:
        return "" if queue.concurrency_limit is None else str(queue.concurrency_limit)
    return f"{queue.concurrency_limit} (code: {_number(queue.concurrency.base)})"


def _number(limit: int | None) -> str:
    return "none" if limit is None else str(limit)


def _runs_at_most(queue: "QueueItem") -> str:
    limit = queue.concurrency_limit
    return "has no limit of its own" if limit is None else f"runs at most {limit} at once"


def _facts(queue: "QueueItem") -> Iterator[tuple[str, str]]:
    yield "queue", printable(_full_name(queue))
    yield "state", "paused" if queue.paused else "open"
    yield "running", str(queue.running)
    yield "queued", str(queue.queued) + (f" of {queue.max_length}" if queue.max_length is not None else "")
    yield "limit", (_limit_text(queue) or "the environment's") + _ending(queue)
    if queue.rate is not None:
        yield "rate", queue.rate
    if queue.key_rate is not None:
        yield "rate of key", queue.key_rate


def _ending(queue: "QueueItem") -> str:
    return "" if queue.override_ends_at is None else f" until {local_time(queue.override_ends_at)}"


def _environment_line(load: "EnvironmentLoad") -> str:
    burst = "" if load.burst == 1 else f" x {load.burst:g}"
    paused = ", paused" if load.paused else ""
    return f"{load.slug}: {load.running} running of {load.concurrency_limit}{burst}{paused}"

"""`trigger-lite tokens`: list, get, complete."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from trigger_lite.cli.options import Id, NearestChoice, server_options, with_options
from trigger_lite.cli.output import as_json, dim, json_lines, print_json, printable, say, status_text, table
from trigger_lite.cli.times import age, ahead, local_time

if TYPE_CHECKING:
    from trigger_lite.protocol.waitpoints import TokenView
    from trigger_lite.sdk.tokens import TokenDetail, TokenFilter

_HEAD: Final = ("TOKEN", "STATUS", "CREATED", "TIMEOUT", "TAGS")
_TAGS_COLUMN: Final = 4
_LABEL_WIDTH: Final = 12
_ID: Final = Id("waitpoint", "a token", "trigger-lite tokens list")
_STATUS: Final = NearestChoice(["waiting", "completed", "timed-out"], "a status of tokens")


@click.group(
    "tokens",
    epilog="""\b
Examples:
  trigger-lite tokens list --status waiting
  trigger-lite tokens get waitpoint_06fd3v…
  trigger-lite tokens complete waitpoint_06fd3v… '{"approved": true}'
""",
)
def command() -> None:
    """List and look at wait tokens, and complete them."""


@command.command(
    "list",
    epilog="""\b
Examples:
  trigger-lite tokens list
  trigger-lite tokens list --status waiting --tag org_42
  trigger-lite tokens list --status timed-out --limit 100 --json | jq -r '.[].id'
""",
)
@click.option(
    "--status", "statuses", type=_STATUS, multiple=True, metavar="STATUS", help="Any of; repeatable."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Any of these tags; repeatable.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=25, show_default=True, help="At most so many."
)
@as_json
@with_options(server_options())
@click.pass_context
def list_(
    ctx: click.Context, *, statuses: Sequence[str], tags: Sequence[str], limit: int, as_json: bool
) -> None:
    """List tokens, the newest first: which wait, and until when."""
    from trigger_lite.cli.api import open_api

    filters = _filters(statuses, tags)
    tokens = open_api(ctx).list_tokens(filters, limit)
    if as_json:
        print_json(tokens)
        return
    if not tokens:
        say("No such token." if filters else "No token yet; tokens.create makes one.")
        return
    now = time.time()
    for line in table(_HEAD, [_row(token, now) for token in tokens], flexible=_TAGS_COLUMN):
        click.echo(line)


@command.command(
    "get",
    epilog="""\b
Examples:
  trigger-lite tokens get waitpoint_06fd3v…
  trigger-lite tokens get waitpoint_06fd3v… --json | jq .output
""",
)
@click.argument("token", type=_ID)
@as_json
@with_options(server_options())
@click.pass_context
def get(ctx: click.Context, *, token: str, as_json: bool) -> None:
    """Show one token, and what it was completed with."""
    from trigger_lite.cli.api import open_api

    found = open_api(ctx).get_token(token)
    if as_json:
        print_json(found)
        return
    for label, text in _facts(found, time.time()):
        if text:
            click.echo(f"{dim(label.ljust(_LABEL_WIDTH))}{text}")
    if found.output is not None:
        for line in ("", dim("output"), *json_lines(found.output)):
            click.echo(line)


@command.command(
    "complete",
    epilog="""\b
Examples:
  trigger-lite tokens complete waitpoint_06fd3v… '{"approved": true}'
  trigger-lite tokens complete waitpoint_06fd3v… - < decision.json
  trigger-lite tokens complete waitpoint_06fd3v…
\b
The run that waits goes on with the data; - reads it from stdin, without it there is none.
""",
)
@click.argument("token", type=_ID)
@click.argument("value", required=False, metavar="[JSON]")
@with_options(server_options())
@click.pass_context
def complete(ctx: click.Context, *, token: str, value: str | None) -> None:
    """Complete a token with JSON data. One that is over is left as it is."""
    from trigger_lite.cli.api import open_api
    from trigger_lite.cli.payloads import read_token_data

    text = read_token_data(value)
    api = open_api(ctx)
    before = api.get_token(token)
    if before.status != "WAITING":
        say(f"{token} was over already: {status_text(before.status)}")
        return
    api.complete_token(token, text)
    say(f"{token} is completed")


def _filters(statuses: Sequence[str], tags: Sequence[str]) -> "TokenFilter":
    filters: TokenFilter = {}
    if statuses:
        filters["status"] = [status.upper().replace("-", "_") for status in statuses]
    if tags:
        filters["tag"] = list(tags)
    return filters


def _row(token: "TokenView", now: float) -> tuple[str, ...]:
    return (
        token.id,
        status_text(token.status),
        age(token.created_at, now),
        _timeout(token, now),
        printable(", ".join(token.tags)),
    )


def _timeout(token: "TokenView", now: float) -> str:
    if token.status != "WAITING":
        return ""
    return "never" if token.timeout_at is None else ahead(token.timeout_at, now)


def _facts(token: "TokenDetail", now: float) -> Iterator[tuple[str, str]]:
    yield "token", token.id
    yield "status", status_text(token.status)
    yield "created", f"{local_time(token.created_at)}  ({age(token.created_at, now)})"
    left = _timeout(token, now)
    yield "timeout", f"{local_time(token.timeout_at)}  ({left})" if token.timeout_at and left else left
    yield "completed", local_time(token.completed_at) if token.completed_at else ""
    yield "tags", printable(", ".join(token.tags))
    yield "idempotency", printable(token.idempotency_key or "")
    yield "url", printable(token.url)

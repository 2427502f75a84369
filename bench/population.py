"""Databases as they are after a long time, made quickly: rows are copied from one that the engine made."""

from typing import Final

from sqlalchemy import Table

from trigger_lite.protocol.ids import IdSource
from trigger_lite.store import schema
from trigger_lite.store.query import Statement
from trigger_lite.store.transaction import Tx

DAY_MS: Final = 86_400_000
AT_ONCE: Final = 10_000
"""Copies made in one transaction."""

# Columns that a copy has of its own, in terms of its id and the time it was made.
_MADE: Final = {"id": ":id", "created_at": ":at", "updated_at": ":at + 50"}
_IN_LINE: Final = {**_MADE, "queued_at": ":at", "queue_time": ":at", "score": ":at"}
_RUNS: Final = {
    "finished": {
        **_IN_LINE,
        "started_at": ":at + 10",
        "executed_at": ":at + 10",
        "completed_at": ":at + 50",
    },
    "queued": _IN_LINE,
    "delayed": {**_MADE, "delay_until": f":at + {30 * DAY_MS}"},
}


def copy_statement(table: Table, key: str, own: dict[str, str]) -> Statement:
    """Return the statement that copies the rows of `:template` with some columns of their own."""
    names = [column.name for column in table.columns]
    values = ", ".join(own.get(name, name) for name in names)
    into = f"INSERT INTO {table.name} ({', '.join(names)})"
    return Statement(f"{into} SELECT {values} FROM {table.name} WHERE {key} = :template")


def copy_statements(kind: str) -> list[Statement]:
    """Return what copies a run that is `finished`, `queued` or `delayed`, with its history and a tag."""
    return [
        copy_statement(schema.run, "id", _RUNS[kind]),
        copy_statement(schema.snapshot, "run_id", {"run_id": ":id", "created_at": ":at + seq"}),
        Statement(
            """INSERT INTO run_tag (environment_id, tag, run_id)
               SELECT environment_id, 'customer_4711', :id FROM run WHERE id = :template"""
        ),
    ]


def copies(template: str, count: int, *, prefix: str, first_ms: int, span_ms: int) -> list[dict[str, object]]:
    """Return the parameters of so many copies, spread evenly over a time from `first_ms` (Unix ms)."""
    source = IdSource()
    times = (first_ms + number * span_ms // max(1, count) for number in range(count))
    return [{"id": source.new(prefix, at), "at": at, "template": template} for at in times]


def copy_all(tx: Tx, statements: list[Statement], rows: list[dict[str, object]]) -> None:
    """Make these copies."""
    for statement in statements:
        tx.run_many(statement, rows)

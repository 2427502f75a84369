"""Filtered lists of runs, newest first, by cursor.

A run's id sorts by time, so a page is "the next few ids below this one" and costs the same at any depth.
Each status, and each tag, is looked up by an index of its own that gives ids in order; the few ids that
each lookup yields are merged.
"""

import base64
import binascii
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, func, literal, select, text, union_all

from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.ids import first_id, is_id, last_id_like
from trigger_lite.protocol.statuses import TERMINAL, RunStatus
from trigger_lite.store.runs import RunRow
from trigger_lite.store.schema import bulk_item, run, run_tag, run_value, worker_version
from trigger_lite.store.transaction import Reader

MANY: Final = 10_000
"""Counts stop here: what is more than this is shown as "10,000+"."""

# Ids never go back, so after the clock was set back they run ahead of it for a while.
_CLOCK_SLACK_MS: Final = 3_600_000
_STATE: Final = [run.c[name] for name in RunRow._fields]
_IS_LIVE: Final = text("run.completed_at IS NULL")
_IS_FAILED: Final = text("run.is_failed = 1")


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs of an environment are meant; what is empty or None does not narrow.

    A run matches `tags` when it has any of them. `versions` are written `YYYYMMDD.N`; times in Unix ms, both
    inclusive; `id_begins` is the beginning of a run's id, `run_` included; `last_id` is the newest run meant.
    A run belongs to `bulk_id` when that bulk action was for it, or made it.
    """

    environment_id: str
    statuses: tuple[RunStatus, ...] = ()
    task_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    id_begins: str | None = None
    last_id: str | None = None
    parent_id: str | None = None
    batch_id: str | None = None
    schedule_id: str | None = None
    bulk_id: str | None = None
    created_from: int | None = None
    created_to: int | None = None
    is_test: bool | None = None


class RunPage(NamedTuple):
    """Runs, newest first, with the cursors of the pages beside them: `next` is older, `previous` newer."""

    rows: list[RunRow]
    next: str | None
    previous: str | None


def list_runs(
    tx: Reader, wanted: RunFilter, *, size: int, after: str | None = None, before: str | None = None
) -> RunPage:
    """List the `size` runs that follow a cursor; `before` goes back towards the newest and wins over `after`.

    Raises BadRequest for a cursor that is none.
    """
    if before is not None:
        return _page_before(tx, wanted, size=size, edge=decode_cursor(before))
    edge = None if after is None else decode_cursor(after)
    ids = _ids(tx, wanted, count=size + 1, below=edge)
    rows = _rows(tx, ids[:size])
    return RunPage(
        rows,
        next=encode_cursor(rows[-1].id) if len(ids) > size else None,
        previous=encode_cursor(rows[0].id) if rows and edge is not None else None,
    )


def _page_before(tx: Reader, wanted: RunFilter, *, size: int, edge: str) -> RunPage:
    ids = _ids(tx, wanted, count=size + 1, above=edge)
    rows = _rows(tx, ids[:size])
    return RunPage(
        rows,
        next=encode_cursor(rows[-1].id) if rows else None,
        previous=encode_cursor(rows[0].id) if len(ids) > size else None,
    )


def count_runs(tx: Reader, wanted: RunFilter, *, most: int = MANY) -> int:
    """Count matching runs, up to one more than `most`: the price is bounded, whatever the table holds."""
    many = [branch.limit(most + 1).subquery() for branch in _branches(wanted)]
    together = union_all(*(select(branch.c.id) for branch in many)).subquery()
    distinct = select(together.c.id).distinct() if len(wanted.tags) > 1 else select(together.c.id)
    found = tx.select(select(func.count()).select_from(distinct.limit(most + 1).subquery()))
    return int(found[0][0])


def count_newer(tx: Reader, wanted: RunFilter, than: str | None, *, most: int) -> int:
    """Count matching runs newer than a run, or all of them for None, up to `most`."""
    return len(_ids(tx, wanted, count=most, above=than or ""))


def list_ids(tx: Reader, wanted: RunFilter, *, above: str, count: int) -> list[str]:
    """List the ids of matching runs later than a run's, the oldest first."""
    return _ids(tx, wanted, count=count, above=above)


def find_newest_id(tx: Reader, environment_id: str) -> str | None:
    """The newest run of an environment."""
    newest = select(run.c.id).where(run.c.environment_id == environment_id).order_by(run.c.id.desc()).limit(1)
    found = tx.select(newest)
    return found[0][0] if found else None


def list_errors(tx: Reader, run_ids: list[str]) -> dict[str, str]:
    """The stored errors (JSON) of those of these runs that have one."""
    if not run_ids:
        return {}
    wanted = select(run.c.id, run.c.error).where(run.c.id.in_(run_ids), run.c.error.is_not(None))
    return {row[0]: row[1] for row in tx.select(wanted)}


def list_metadata(tx: Reader, run_ids: list[str]) -> dict[str, str]:
    """The metadata (JSON) of those of these runs that have some."""
    if not run_ids:
        return {}
    aside = (run_value.c.run_id == run.c.id) & (run_value.c.kind == "metadata") & (run.c.metadata == "")
    wanted = (
        select(run.c.id, func.coalesce(run_value.c.data, run.c.metadata))
        .select_from(run.outerjoin(run_value, aside))
        .where(run.c.id.in_(run_ids), run.c.metadata.is_not(None))
    )
    return {row[0]: row[1] for row in tx.select(wanted)}


def list_rows(tx: Reader, run_ids: list[str]) -> list[RunRow]:
    """The runs of these ids, newest first."""
    return _rows(tx, run_ids)


def encode_cursor(row_id: str) -> str:
    """Return the cursor that stands at this row."""
    return base64.urlsafe_b64encode(row_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kind: str = "run") -> str:
    """Return the id of the row (a run, or of another kind) a cursor stands at. Raises BadRequest."""
    try:
        found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        found = ""
    if not is_id(kind, found):
        raise BadRequest("The page cursor is not one that this server made; begin again without it")
    return found


# ---- ids, then rows -------------------------------------------------------------------------------


def _ids(
    tx: Reader, wanted: RunFilter, *, count: int, below: str | None = None, above: str | None = None
) -> list[str]:
    """The ids nearest to the edge, nearest first."""
    branches = []
    for branch in _branches(wanted):
        key = branch.selected_columns[0]
        if below is not None:
            branch = branch.where(key < below)
        if above is not None:
            branch = branch.where(key > above)
        order = key.asc() if above is not None else key.desc()
        branches.append(branch.order_by(order).limit(count))
    if len(branches) == 1:
        return [row[0] for row in tx.select(branches[0])]
    parts = [branch.subquery() for branch in branches]
    together = union_all(*(select(part.c.id) for part in parts)).subquery()
    order = together.c.id.asc() if above is not None else together.c.id.desc()
    merged = select(together.c.id).distinct().order_by(order).limit(count)
    return [row[0] for row in tx.select(merged)]


def _rows(tx: Reader, ids: list[str]) -> list[RunRow]:
    if not ids:
        return []
    found = tx.select(select(*_STATE).where(run.c.id.in_(ids)).order_by(run.c.id.desc()))
    return [RunRow(*columns) for columns in found]


# ---- lookups ----------------------------------------------------------------------------------------


def _branches(wanted: RunFilter) -> list[Select[Any]]:
    """One lookup for each tag or, without tags, for each status: each follows an index in order of id."""
    conditions = _conditions(wanted)
    if wanted.bulk_id is not None:
        return _of_bulk_action(wanted, conditions)
    if wanted.tags:
        tagged = run_tag.join(run, run.c.id == run_tag.c.run_id)
        if wanted.statuses:
            conditions.append(run.c.status.in_(_values(wanted.statuses)))
        return [
            select(run_tag.c.run_id.label("id"))
            .select_from(tagged)
            .where(run_tag.c.environment_id == wanted.environment_id, run_tag.c.tag == tag)
            .where(*conditions, *_id_range(wanted, run_tag.c.run_id))
            for tag in dict.fromkeys(wanted.tags)
        ]
    whole = select(run.c.id).where(*conditions, *_id_range(wanted, run.c.id))
    if wanted.batch_id is not None:
        # `|| ''` keeps SQLite from an index in order of id: the few runs of a batch are found by its own.
        whole = whole.where(run.c.environment_id.concat("") == wanted.environment_id)
    else:
        whole = whole.where(run.c.environment_id == wanted.environment_id)
    if not wanted.statuses:
        return [whole]
    return [_with_status(whole, status) for status in dict.fromkeys(wanted.statuses)]


def _of_bulk_action(wanted: RunFilter, conditions: list[ColumnElement[bool]]) -> list[Select[Any]]:
    """One lookup for the runs that a bulk action was for, one for those that it made."""
    if wanted.statuses:
        conditions.append(run.c.status.in_(_values(wanted.statuses)))
    if wanted.tags:
        tagged = select(run_tag.c.run_id).where(
            run_tag.c.environment_id == wanted.environment_id, run_tag.c.tag.in_(wanted.tags)
        )
        conditions.append(run.c.id.in_(tagged))
    return [
        select(item.label("id"))
        .select_from(bulk_item.join(run, run.c.id == item))
        .where(bulk_item.c.bulk_id == wanted.bulk_id, run.c.environment_id == wanted.environment_id)
        .where(*conditions, *_id_range(wanted, item))
        for item in (bulk_item.c.run_id, bulk_item.c.new_run_id)
    ]


def _with_status(whole: Select[Any], status: RunStatus) -> Select[Any]:
    """Narrow to a status, in the words of the partial index that serves it."""
    narrowed = whole.where(run.c.status == status.value)
    if status not in TERMINAL:
        return narrowed.where(_IS_LIVE)
    return narrowed if status is RunStatus.COMPLETED_SUCCESSFULLY else narrowed.where(_IS_FAILED)


def _values(statuses: tuple[RunStatus, ...]) -> list[str]:
    return [status.value for status in statuses]


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.task_ids:
        found.append(run.c.task_id.in_(wanted.task_ids))
    if wanted.versions:
        numbered = select(worker_version.c.id).where(
            worker_version.c.environment_id == wanted.environment_id,
            worker_version.c.version.in_(wanted.versions),
        )
        found.append(run.c.version_id.in_(numbered))
    if wanted.machines:
        found.append(run.c.machine.in_(wanted.machines))
    if wanted.queues:
        found.append(run.c.queue_name.in_(wanted.queues))
    for column, value in (
        (run.c.parent_id, wanted.parent_id),
        (run.c.batch_id, wanted.batch_id),
        (run.c.schedule_id, wanted.schedule_id),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.is_test is not None:
        found.append(run.c.is_test == int(wanted.is_test))
    if wanted.created_from is not None:
        found.append(run.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(run.c.created_at <= wanted.created_to)
    return found


def _id_range(wanted: RunFilter, key: ColumnElement[str]) -> list[ColumnElement[bool]]:
    """Narrow by id, so that an index in order of id is entered at the right place."""
    found: list[ColumnElement[bool]] = []
    if wanted.run_ids:
        found.append(key.in_(wanted.run_ids))
    if wanted.id_begins is not None:
        found += [key >= wanted.id_begins, key <= last_id_like("run", wanted.id_begins)]
    if wanted.last_id is not None:
        found.append(key <= literal(wanted.last_id))
    if wanted.created_from is not None:
        found.append(key >= literal(first_id("run", wanted.created_from)))
    if wanted.created_to is not None:
        found.append(key < literal(first_id("run", wanted.created_to + _CLOCK_SLACK_MS)))
    return found

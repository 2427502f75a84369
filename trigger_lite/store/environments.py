"""Organisation, project and environments."""

from typing import NamedTuple

from trigger_lite.store.query import Query, Statement
from trigger_lite.store.transaction import Reader, Tx


class EnvironmentRow(NamedTuple):
    """An environment with the names of what it belongs to: all that a request needs to know of its caller."""

    id: str
    slug: str
    type: str  # DEVELOPMENT or PRODUCTION
    key_hash: str
    key_generation: int
    concurrency_limit: int
    burst_percent: int
    max_queue_length: int | None  # waiting runs of a queue beyond which triggers are refused
    project_id: str
    project_ref: str
    project_slug: str
    project_name: str
    organization_id: str
    organization_slug: str
    organization_name: str

    @property
    def is_dev(self) -> bool:
        return self.type == "DEVELOPMENT"


class Load(NamedTuple):
    """How full an environment is."""

    paused: int  # or archived (PV-06)
    held: int
    concurrency_limit: int
    burst_percent: int
    is_rated: int  # a queue of it has a rate
    is_resuming: int  # a run of it waits for a slot to go on after a wait

    @property
    def slots(self) -> int:
        """The most slots that may be held: floor(limit x burst) (Q-15)."""
        return self.concurrency_limit * self.burst_percent // 100


_COLUMNS = """
    SELECT e.id, e.slug, e.type, e.key_hash, e.key_generation, e.concurrency_limit, e.burst_percent,
           e.max_queue_length, p.id, p.ref, p.slug, p.name, o.id, o.slug, o.name
      FROM environment e JOIN project p ON p.id = e.project_id JOIN organization o ON o.id = p.organization_id
"""
_LIST = Query(_COLUMNS + " WHERE e.archived_at IS NULL ORDER BY e.id", EnvironmentRow)
_GET = Query(_COLUMNS + " WHERE e.id = :id", EnvironmentRow)
_FIND_LIVE = Query(_COLUMNS + " WHERE e.id = :id AND e.archived_at IS NULL", EnvironmentRow)
_LOAD = Query(
    """SELECT CASE WHEN archived_at IS NULL THEN paused ELSE 1 END, held, concurrency_limit, burst_percent,
          EXISTS (SELECT 1 FROM queue WHERE queue.environment_id = environment.id
             AND (rate_count IS NOT NULL OR key_rate_count IS NOT NULL)),
          EXISTS (SELECT 1 FROM run WHERE run.environment_id = environment.id
             AND execution_status = 'QUEUED_EXECUTING')
         FROM environment WHERE id = :id""",
    Load,
)
_HOLD = Statement("UPDATE environment SET held = held + :change WHERE id = :id")
# `|| ''` keeps SQLite from taking an index of environments, by which it would walk every run ever made.
_RECOUNT = Statement(
    """UPDATE environment SET held = (SELECT count(*) FROM run
        WHERE run.worker_id IS NOT NULL AND run.holds_slot = 1
          AND run.environment_id || '' = environment.id)"""
)
_INSERT_ORGANIZATION = Statement(
    "INSERT INTO organization (id, slug, name, created_at) VALUES (:id, :slug, :name, :now)"
)
_INSERT_PROJECT = Statement(
    """INSERT INTO project (id, organization_id, ref, slug, name, created_at)
       VALUES (:id, :organization_id, :ref, :slug, :name, :now)"""
)
_INSERT_ENVIRONMENT = Statement(
    """INSERT INTO environment (id, project_id, slug, type, key_hash, concurrency_limit, created_at)
       VALUES (:id, :project_id, :slug, :type, :key_hash, :concurrency_limit, :now)"""
)
_SET_KEY_HASH = Statement("UPDATE environment SET key_hash = :key_hash WHERE id = :id")
_SET_LIMIT = Statement("UPDATE environment SET concurrency_limit = :concurrency_limit WHERE id = :id")
_SET_BURST = Statement("UPDATE environment SET burst_percent = :burst_percent WHERE id = :id")
_SET_QUEUE_LENGTH = Statement("UPDATE environment SET max_queue_length = :most WHERE id = :id")
_SET_PAUSED = Statement("UPDATE environment SET paused = :paused WHERE id = :id")


def list_environments(tx: Reader) -> list[EnvironmentRow]:
    """Every environment that is not archived, oldest first."""
    return tx.all(_LIST)


def get_environment(tx: Reader, environment_id: str) -> EnvironmentRow:
    found = tx.first(_GET, id=environment_id)
    if found is None:
        raise LookupError(f"no environment {environment_id}")
    return found


def find_live_environment(tx: Reader, environment_id: str) -> EnvironmentRow | None:
    """The environment, unless it is archived."""
    return tx.first(_FIND_LIVE, id=environment_id)


def get_load(tx: Reader, environment_id: str) -> Load:
    """Slots held and allowed in an environment."""
    found = tx.first(_LOAD, id=environment_id)
    if found is None:
        raise LookupError(f"no environment {environment_id}")
    return found


def change_held(tx: Tx, environment_id: str, change: int) -> None:
    """Count slots taken (positive) or given back (negative)."""
    tx.run(_HOLD, id=environment_id, change=change)


def recount_held(tx: Tx) -> None:
    """Count the slots of every environment from the runs that hold them."""
    tx.run(_RECOUNT)


def insert_organization(tx: Tx, *, slug: str, name: str) -> str:
    new = tx.new_id("org")
    tx.run(_INSERT_ORGANIZATION, id=new, slug=slug, name=name, now=tx.now)
    return new


def insert_project(tx: Tx, organization_id: str, *, ref: str, slug: str, name: str) -> str:
    new = tx.new_id("project")
    tx.run(
        _INSERT_PROJECT, id=new, organization_id=organization_id, ref=ref, slug=slug, name=name, now=tx.now
    )
    return new


def insert_environment(tx: Tx, project_id: str, *, slug: str, kind: str, concurrency_limit: int) -> str:
    """Add an environment; its key is set afterwards, because the key is derived from the new id."""
    new = tx.new_id("env")
    tx.run(
        _INSERT_ENVIRONMENT,
        id=new,
        project_id=project_id,
        slug=slug,
        type=kind,
        key_hash=new,
        concurrency_limit=concurrency_limit,
        now=tx.now,
    )
    return new


def update_key_hash(tx: Tx, environment_id: str, key_hash: str) -> None:
    tx.run(_SET_KEY_HASH, id=environment_id, key_hash=key_hash)


def update_concurrency_limit(tx: Tx, environment_id: str, concurrency_limit: int) -> None:
    tx.run(_SET_LIMIT, id=environment_id, concurrency_limit=concurrency_limit)


def update_burst(tx: Tx, environment_id: str, burst_percent: int) -> None:
    tx.run(_SET_BURST, id=environment_id, burst_percent=burst_percent)


def update_max_queue_length(tx: Tx, environment_id: str, most: int | None) -> None:
    tx.run(_SET_QUEUE_LENGTH, id=environment_id, most=most)


def update_paused(tx: Tx, environment_id: str, *, paused: bool) -> None:
    tx.run(_SET_PAUSED, id=environment_id, paused=int(paused))

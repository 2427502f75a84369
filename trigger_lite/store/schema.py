"""The data model, read like a data dictionary. `migrations/` builds exactly this (tested).

Portable types only: TEXT ids that sort by time, BIGINT Unix milliseconds, INTEGER 0/1 flags, TEXT JSON.
Two databases: STATE is the truth, TELEMETRY holds what may be dropped by age.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

STATE = MetaData()
TELEMETRY = MetaData()


def _id(name: str = "id") -> Column[str]:
    return Column(name, Text, primary_key=True, nullable=False)


def _text(name: str, *, optional: bool = False) -> Column[str]:
    return Column(name, Text, nullable=optional)


def _ms(name: str, *, optional: bool = False, default: int | None = None) -> Column[int]:
    server_default = None if default is None else text(str(default))
    return Column(name, BigInteger, nullable=optional, server_default=server_default)


def _int(name: str, *, optional: bool = False, default: int | None = None) -> Column[int]:
    server_default = None if default is None else text(str(default))
    return Column(name, Integer, nullable=optional, server_default=server_default)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of the rows that a condition chooses.

    The condition is told to SQLAlchemy for SQLite alone, and kept in `info` for the test that compares both
    databases: naming PostgreSQL here would load its dialect into every server.
    """
    return Index(name, *columns, unique=unique, sqlite_where=text(where), info={"where": where})


meta = Table("meta", STATE, _id("key"), _text("value"))

# ---- who and where --------------------------------------------------------------------------------

organization = Table("organization", STATE, _id(), _text("slug"), _text("name"), _ms("created_at"))

project = Table(
    "project",
    STATE,
    _id(),
    _text("organization_id"),
    _text("ref"),
    _text("slug"),
    _text("name"),
    _ms("created_at"),
)

# The key itself is not stored: it is derived from the server's secret and `key_generation`.
environment = Table(
    "environment",
    STATE,
    _id(),
    _text("project_id"),
    _text("slug"),
    _text("type"),
    _text("key_hash"),
    _int("key_generation", default=1),
    _int("paused", default=0),
    _int("concurrency_limit"),
    Column("burst_percent", Integer, nullable=False, server_default=text("100")),
    _int("held", default=0),  # slots held now; recounted at boot
    _ms("created_at"),
    _ms("archived_at", optional=True),
    _int("max_queue_length", optional=True),  # for queues whose code says none
    Index("environment_slug", "project_id", "slug", unique=True),
    Index("environment_key", "key_hash", unique=True),
)

account = Table(
    "account",
    STATE,
    _id(),
    _text("name"),
    _text("password_hash", optional=True),
    _text("role"),
    _ms("created_at"),
)

# Sign-in links and sessions are kept as hashes: reading the database signs nobody in.
sign_in_link = Table(
    "sign_in_link",
    STATE,
    _id("token_hash"),
    _text("account_id"),
    _ms("expires_at"),
    _ms("used_at", optional=True),
)

session = Table(
    "session",
    STATE,
    _id("token_hash"),
    _text("account_id"),
    _text("form_token"),
    _ms("created_at"),
    _ms("expires_at"),
)

# ---- what can run -----------------------------------------------------------------------------------

worker_version = Table(
    "worker_version",
    STATE,
    _id(),
    _text("environment_id"),
    _text("version"),
    _text("content_hash"),
    _text("kind"),  # local: registered by a live worker
    _text("sdk_version"),
    _text("runtime", optional=True),
    _int("is_current", default=0),
    _ms("created_at"),
    Index("worker_version_number", "environment_id", "version", unique=True),
    _partial("worker_version_current", "environment_id", where="is_current = 1", unique=True),
)

task = Table(
    "task",
    STATE,
    _id("worker_version_id"),
    _id("task_id"),
    _text("queue_name"),
    _text("file_path"),
    _text("export_name", optional=True),
    _text("description", optional=True),
    _text("retry", optional=True),  # JSON
    _text("machine"),
    _int("max_duration", optional=True),  # seconds
    _int("ttl", optional=True),  # seconds
    _text("trigger_source", optional=True),
    _text("payload_schema", optional=True),  # JSON
    _text("schedule", optional=True),  # JSON: what the code declares (SC-10)
)

# ---- queues ---------------------------------------------------------------------------------------

queue = Table(
    "queue",
    STATE,
    _id(),
    _text("environment_id"),
    _text("name"),
    _text("kind"),  # task or custom
    _int("concurrency_limit", optional=True),
    _int("paused", default=0),
    _ms("created_at"),
    _int("max_length", optional=True),  # waiting runs beyond which triggers are refused
    # An override wins over `concurrency_limit`, which stays what the code says (Q-35…37).
    _int("limit_override", optional=True),
    _int("override_percent", optional=True),  # hundredths of a percent of the environment's limit
    _ms("overridden_at", optional=True),
    _text("overridden_by", optional=True),
    _ms("override_ends_at", optional=True),
    # Token buckets: `rate_count` starts per `rate_period_ms`, at most `rate_burst` at once; for the whole
    # queue, and for each of its concurrency keys. `rate_at` is when the queue's bucket is full again, in
    # nanoseconds: so fine that a rate such as 3 a second does not drift.
    _int("rate_count", optional=True),
    _ms("rate_period_ms", optional=True),
    _int("rate_burst", optional=True),
    _int("key_rate_count", optional=True),
    _ms("key_rate_period_ms", optional=True),
    _int("key_rate_burst", optional=True),
    _ms("rate_at", default=0),
    Index("queue_name", "environment_id", "name", unique=True),
    _partial("queue_rated", "environment_id", where="rate_count IS NOT NULL OR key_rate_count IS NOT NULL"),
    _partial("queue_override_end", "override_ends_at", where="override_ends_at IS NOT NULL"),
)

# One lane per queue and concurrency key. `capacity`, `paused` and `rated` repeat what queue and environment
# say, so that a claim or a release touches one row; they are recomputed when a limit or a pause changes.
# A lane whose bucket is not full outlives its runs: `not_before` is then when it is full, and the lane goes.
lane = Table(
    "lane",
    STATE,
    _id(),
    _text("environment_id"),
    _text("queue_id"),
    _text("lane_key"),  # "" without a concurrency key, "=" and the key with one
    _ms("head_score", optional=True),  # order key of the first waiting run
    _int("held", default=0),
    _int("capacity"),
    _int("paused", default=0),
    _int("blocked", default=0),  # paused, or held >= capacity, or out of tokens until `not_before`
    _int("waiting", default=0),  # runs in line
    _int("rated", default=0),  # the queue has a rate, for itself or for its keys
    _ms("rate_at", default=0),  # when the bucket of this key is full again, in nanoseconds; 0 when it is
    _ms("not_before", default=0),  # the next token comes then; 0 when the key's rate does not hold it back
    Index("lane_key", "queue_id", "lane_key", unique=True),
    _partial(
        "lane_ready",
        "environment_id",
        "head_score",
        where="head_score IS NOT NULL AND blocked = 0 AND rated = 0",
    ),
    _partial(
        "lane_rated", "queue_id", "head_score", where="head_score IS NOT NULL AND blocked = 0 AND rated = 1"
    ),
    _partial("lane_parked", "queue_id", "not_before", where="not_before > 0"),
)

# ---- runs ---------------------------------------------------------------------------------------

run = Table(
    "run",
    STATE,
    _id(),
    _text("environment_id"),
    _text("task_id"),
    _text("status"),
    _text("execution_status"),
    _int("snapshot_seq"),
    _int("attempt"),
    _int("deliveries"),  # failed deliveries since the last attempt started
    _text("status_reason", optional=True),
    # queue
    _text("queue_id"),
    _text("queue_name"),
    _text("lane_id"),
    _text("concurrency_key", optional=True),
    _int("queued"),
    _ms("score"),  # order key: queue time - priority, Unix ms
    _ms("queue_time"),
    _int("priority_ms"),
    _int("holds_slot"),
    _text("worker_id", optional=True),  # the worker that owns the run now
    _ms("delay_until", optional=True),
    _int("ttl", optional=True),  # seconds
    _ms("ttl_at", optional=True),
    # fixed at the first claim
    _text("version_id", optional=True),
    _int("is_pinned"),  # the trigger named the version
    _text("machine", optional=True),
    _int("max_attempts", optional=True),
    _int("max_duration", optional=True),  # seconds
    _text("retry", optional=True),  # JSON
    # keys and family
    _text("idempotency_key", optional=True),
    _ms("idempotency_expires_at", optional=True),
    _text("idempotency_options", optional=True),  # JSON
    _text("parent_id", optional=True),
    _text("root_id", optional=True),
    _int("depth"),
    _text("replay_of", optional=True),
    _text("source"),  # sdk, cli, api, dashboard
    _int("is_test"),
    # data; values too large for the row are in run_value
    _text("tags"),  # JSON list
    _text("payload", optional=True),
    _text("payload_type"),
    _text("seed_metadata", optional=True),
    _text("metadata", optional=True),
    _text("output", optional=True),
    _text("output_type", optional=True),
    _text("error", optional=True),  # JSON
    _int("is_failed"),
    _ms("usage_ms"),
    # times
    _ms("created_at"),
    _ms("updated_at"),
    _ms("queued_at", optional=True),
    _ms("started_at", optional=True),  # first claim
    _ms("executed_at", optional=True),  # first attempt
    _ms("completed_at", optional=True),
    _ms("expired_at", optional=True),
    # waits and families
    _int("is_awaited", default=0),  # a waitpoint or a batch wants to hear of its end
    _int("resume_parent", default=0),  # its parent waits for it
    _text("batch_id", optional=True),
    _int("batch_index", optional=True),
    # where it comes from
    _text("debounce_key", optional=True),
    _ms("debounce_until", optional=True),  # a push beyond this makes a new run (DB-05)
    _text("schedule_id", optional=True),
    _text("schedule_instance_id", optional=True),
    _ms("scheduled_for", optional=True),  # the nominal time of its occurrence
    _text("annotations", optional=True),  # JSON (TR-25)
    _ms("pruned_at", optional=True),  # retention removed payload and output
    _partial(
        "run_idempotency",
        "environment_id",
        "task_id",
        "idempotency_key",
        where="idempotency_key IS NOT NULL",
        unique=True,
    ),
    Index("run_list", "environment_id", "id"),
    Index("run_task", "environment_id", "task_id", "id"),
    _partial("run_lane", "lane_id", "score", "id", where="queued = 1"),
    _partial("run_live", "environment_id", "status", "id", where="completed_at IS NULL"),
    _partial("run_failed", "environment_id", "status", "id", where="is_failed = 1"),
    _partial("run_worker", "worker_id", where="worker_id IS NOT NULL"),
    _partial("run_delayed", "delay_until", where="execution_status = 'DELAYED'"),
    _partial("run_expiring", "ttl_at", where="ttl_at IS NOT NULL AND worker_id IS NULL"),
    _partial(
        "run_pending_version", "environment_id", "task_id", "id", where="execution_status = 'RUN_CREATED'"
    ),
    _partial("run_parent", "parent_id", "id", where="parent_id IS NOT NULL"),
    _partial(
        "run_resuming",
        "environment_id",
        "score",
        "id",
        where="execution_status = 'QUEUED_EXECUTING'",
    ),
    _partial("run_batch", "batch_id", "batch_index", where="batch_id IS NOT NULL"),
    _partial(
        "run_debounce",
        "environment_id",
        "task_id",
        "debounce_key",
        where="debounce_key IS NOT NULL AND execution_status = 'DELAYED'",
        unique=True,
    ),
    _partial("run_schedule", "schedule_id", "id", where="schedule_id IS NOT NULL"),
    _partial(
        "run_occurrence",
        "schedule_instance_id",
        "scheduled_for",
        where="scheduled_for IS NOT NULL",
        unique=True,
    ),
)

# Payloads, outputs and metadata over 8 KB, so that moving a run does not rewrite them.
run_value = Table("run_value", STATE, _id("run_id"), _id("kind"), _text("data"))

run_tag = Table("run_tag", STATE, _id("environment_id"), _id("tag"), _id("run_id"))

# The history of a run; `seq` counts from 1. `error` is the run error (JSON) of the attempt that ended here.
snapshot = Table(
    "snapshot",
    STATE,
    _id("run_id"),
    Column("seq", Integer, primary_key=True, nullable=False),
    _text("execution_status"),
    _text("run_status"),
    _text("description"),
    _int("attempt"),
    _int("is_valid", default=1),
    _text("error", optional=True),
    _text("worker_id", optional=True),
    _ms("retry_at", optional=True),
    _ms("created_at"),
    _text("completed", optional=True),  # JSON: the waitpoints that ended a wait, [[waitpoint, index or null]]
    _text("batch_id", optional=True),  # the batch that the wait was for (WP-21)
)

# One row per trigger request that named itself, kept a day: a repeated request is answered, not repeated.
request_key = Table(
    "request_key",
    STATE,
    _id("key"),
    _text("run_id"),
    _ms("created_at"),
    Index("request_key_age", "created_at"),
)

# ---- waits ----------------------------------------------------------------------------------------

# What a run can wait for: the end of a run, a date, a token, a batch. `due_at` completes a date, and times a
# token out. The result of a run is read from the run.
waitpoint = Table(
    "waitpoint",
    STATE,
    _id(),
    _text("environment_id"),
    _text("kind"),  # RUN, DATETIME, MANUAL, BATCH
    _text("status"),  # PENDING, COMPLETED
    _text("idempotency_key", optional=True),
    _ms("idempotency_expires_at", optional=True),
    _text("completes_run", optional=True),  # the run whose end completes it
    _text("completes_batch", optional=True),
    _ms("due_at", optional=True),
    _text("output", optional=True),
    _text("output_type", optional=True),
    _int("is_error", default=0),
    _text("tags"),  # JSON list
    _ms("created_at"),
    _ms("completed_at", optional=True),
    _partial(
        "waitpoint_idempotency",
        "environment_id",
        "idempotency_key",
        where="idempotency_key IS NOT NULL",
        unique=True,
    ),
    _partial("waitpoint_run", "completes_run", where="completes_run IS NOT NULL", unique=True),
    _partial("waitpoint_batch", "completes_batch", where="completes_batch IS NOT NULL", unique=True),
    _partial("waitpoint_due", "due_at", where="status = 'PENDING' AND due_at IS NOT NULL"),
    _partial("waitpoint_token", "environment_id", "id", where="kind = 'MANUAL'"),
)

# Who waits for what. An edge is removed when the run goes on; `batch_index` is -1 outside a batch.
run_waitpoint = Table(
    "run_waitpoint",
    STATE,
    _id("run_id"),
    _id("waitpoint_id"),
    Column("batch_index", Integer, primary_key=True, nullable=False),
    _text("batch_id", optional=True),
    Index("run_waitpoint_waitpoint", "waitpoint_id"),
)

batch = Table(
    "batch",
    STATE,
    _id(),
    _text("environment_id"),
    _text("status"),  # PENDING, PROCESSING, PARTIAL_FAILED, ABORTED, COMPLETED
    _int("run_count"),  # announced
    _int("received", default=0),  # items that became a run or an error
    _int("failed", default=0),  # items that became an error
    _int("finished", default=0),  # items whose run is over
    _int("is_sealed", default=0),
    _text("parent_id", optional=True),
    _int("resume_parent", default=0),
    _text("idempotency_key", optional=True),
    _ms("idempotency_expires_at", optional=True),
    _ms("seal_by"),  # aborted when not sealed by then (BA-09)
    _ms("created_at"),
    _ms("updated_at"),
    _ms("processing_completed_at", optional=True),
    _ms("completed_at", optional=True),
    _partial(
        "batch_idempotency",
        "environment_id",
        "idempotency_key",
        where="idempotency_key IS NOT NULL",
        unique=True,
    ),
    Index("batch_list", "environment_id", "id"),
    _partial("batch_open", "id", where="completed_at IS NULL"),
    _partial("batch_unsealed", "seal_by", where="is_sealed = 0 AND completed_at IS NULL"),
)

batch_item = Table(
    "batch_item",
    STATE,
    _id("batch_id"),
    Column("idx", Integer, primary_key=True, nullable=False),
    _text("task_id"),
    _text("run_id", optional=True),
    _int("is_done", default=0),  # its run is over, or it never became one
    _text("error_code", optional=True),
    _text("error", optional=True),
    _partial("batch_item_run", "run_id", where="run_id IS NOT NULL AND is_done = 0"),
)

# ---- schedules ------------------------------------------------------------------------------------

schedule = Table(
    "schedule",
    STATE,
    _id(),
    _text("project_id"),
    _text("kind"),  # DECLARATIVE, IMPERATIVE
    _text("task_id"),
    _text("cron"),
    _text("timezone"),
    # A key is of one environment, so that what dev creates does not take prod's place: `env_…/` and the key
    # that was given, or `env_…:` and the task of a declarative schedule.
    _text("deduplication_key", optional=True),
    _int("has_user_key", default=0),  # the key was given, not made
    _text("external_id", optional=True),
    _int("active", default=1),
    _text("overlap"),  # allow, skip, queue
    _text("catch_up"),  # latest, all, none
    _int("expect_within", optional=True),  # seconds
    _text("time_window", optional=True),  # of official clients; runs start at the nominal second
    _ms("created_at"),
    _ms("updated_at"),
    _partial(
        "schedule_key",
        "project_id",
        "deduplication_key",
        where="deduplication_key IS NOT NULL",
        unique=True,
    ),
    Index("schedule_list", "project_id", "id"),
    _partial("schedule_declared", "project_id", "task_id", where="kind = 'DECLARATIVE'"),
)

# One per environment a schedule is for. `next_at` is the next nominal time, NULL while nothing is planned.
# With `overlap` queue a time may have passed that has no run yet: `queued_for`, until `waits_for` is over.
schedule_instance = Table(
    "schedule_instance",
    STATE,
    _id(),
    _text("schedule_id"),
    _text("environment_id"),
    _ms("next_at", optional=True),
    _ms("last_at", optional=True),  # the nominal time of the last run it made
    _text("last_run_id", optional=True),
    _ms("queued_for", optional=True),
    _text("waits_for", optional=True),  # the run that is still going on
    _ms("created_at"),
    Index("schedule_instance_environment", "schedule_id", "environment_id", unique=True),
    _partial("schedule_due", "next_at", where="next_at IS NOT NULL"),
    _partial("schedule_waiting", "waits_for", where="waits_for IS NOT NULL"),
    _partial("schedule_released", "queued_for", where="queued_for IS NOT NULL AND waits_for IS NULL"),
)

# ---- bulk actions ---------------------------------------------------------------------------------

bulk_action = Table(
    "bulk_action",
    STATE,
    _id(),
    _text("environment_id"),
    _text("kind"),  # cancel, replay
    _text("status"),  # PENDING, COMPLETED, ABORTED
    _text("name", optional=True),
    _text("source"),  # who asked, and so where its replays come from: sdk, cli, api, dashboard
    _text("filter", optional=True),  # JSON, frozen at creation; NULL when runs were named
    _text("cursor", optional=True),  # the last run looked at
    _text("last_run_id", optional=True),  # runs made later are not swept in
    _int("total", optional=True),
    _int("success", default=0),
    _int("failure", default=0),
    _ms("created_at"),
    _ms("completed_at", optional=True),
    Index("bulk_action_list", "environment_id", "id"),
    _partial("bulk_action_pending", "id", where="status = 'PENDING'"),
)

# A run that a bulk action was asked to touch, or touched.
bulk_item = Table(
    "bulk_item",
    STATE,
    _id("bulk_id"),
    _id("run_id"),
    _text("status"),  # PENDING, SUCCEEDED, FAILED
    _text("error", optional=True),
    _text("new_run_id", optional=True),
    Index("bulk_item_run", "run_id"),
    _partial("bulk_item_failed", "bulk_id", "run_id", where="status = 'FAILED'"),
)

# ---- telemetry ----------------------------------------------------------------------------------

log = Table(
    "log",
    TELEMETRY,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    _text("run_id"),
    _int("attempt"),
    _ms("at"),
    _text("level"),
    _text("source"),
    _text("message"),
    _text("attributes", optional=True),  # JSON
    Index("log_run", "run_id", "seq"),
)

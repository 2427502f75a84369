ALTER TABLE environment ADD COLUMN max_queue_length INTEGER;

ALTER TABLE task ADD COLUMN schedule TEXT;

ALTER TABLE queue ADD COLUMN max_length INTEGER;
ALTER TABLE queue ADD COLUMN limit_override INTEGER;
ALTER TABLE queue ADD COLUMN override_percent INTEGER;
ALTER TABLE queue ADD COLUMN overridden_at BIGINT;
ALTER TABLE queue ADD COLUMN overridden_by TEXT;
ALTER TABLE queue ADD COLUMN override_ends_at BIGINT;
ALTER TABLE queue ADD COLUMN rate_count INTEGER;
ALTER TABLE queue ADD COLUMN rate_period_ms BIGINT;
ALTER TABLE queue ADD COLUMN rate_burst INTEGER;
ALTER TABLE queue ADD COLUMN key_rate_count INTEGER;
ALTER TABLE queue ADD COLUMN key_rate_period_ms BIGINT;
ALTER TABLE queue ADD COLUMN key_rate_burst INTEGER;
ALTER TABLE queue ADD COLUMN rate_at BIGINT DEFAULT 0 NOT NULL;
CREATE INDEX queue_override_end ON queue (override_ends_at) WHERE override_ends_at IS NOT NULL;
CREATE INDEX queue_rated ON queue (environment_id) WHERE rate_count IS NOT NULL OR key_rate_count IS NOT NULL;

ALTER TABLE lane ADD COLUMN waiting INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE lane ADD COLUMN rated INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE lane ADD COLUMN rate_at BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE lane ADD COLUMN not_before BIGINT DEFAULT 0 NOT NULL;
DROP INDEX lane_ready;
CREATE INDEX lane_ready ON lane (environment_id, head_score) WHERE head_score IS NOT NULL AND blocked = 0 AND rated = 0;
CREATE INDEX lane_rated ON lane (queue_id, head_score) WHERE head_score IS NOT NULL AND blocked = 0 AND rated = 1;
CREATE INDEX lane_parked ON lane (queue_id, not_before) WHERE not_before > 0;

ALTER TABLE run ADD COLUMN is_awaited INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE run ADD COLUMN resume_parent INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE run ADD COLUMN batch_id TEXT;
ALTER TABLE run ADD COLUMN batch_index INTEGER;
ALTER TABLE run ADD COLUMN debounce_key TEXT;
ALTER TABLE run ADD COLUMN debounce_until BIGINT;
ALTER TABLE run ADD COLUMN schedule_id TEXT;
ALTER TABLE run ADD COLUMN schedule_instance_id TEXT;
ALTER TABLE run ADD COLUMN scheduled_for BIGINT;
ALTER TABLE run ADD COLUMN annotations TEXT;
ALTER TABLE run ADD COLUMN pruned_at BIGINT;
CREATE INDEX run_batch ON run (batch_id, batch_index) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX run_debounce ON run (environment_id, task_id, debounce_key) WHERE debounce_key IS NOT NULL AND execution_status = 'DELAYED';
CREATE UNIQUE INDEX run_occurrence ON run (schedule_instance_id, scheduled_for) WHERE scheduled_for IS NOT NULL;
CREATE INDEX run_resuming ON run (environment_id, score, id) WHERE execution_status = 'QUEUED_EXECUTING';
CREATE INDEX run_schedule ON run (schedule_id, id) WHERE schedule_id IS NOT NULL;

ALTER TABLE snapshot ADD COLUMN completed TEXT;
ALTER TABLE snapshot ADD COLUMN batch_id TEXT;

CREATE TABLE waitpoint (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  idempotency_key TEXT,
  idempotency_expires_at BIGINT,
  completes_run TEXT,
  completes_batch TEXT,
  due_at BIGINT,
  output TEXT,
  output_type TEXT,
  is_error INTEGER DEFAULT 0 NOT NULL,
  tags TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  completed_at BIGINT,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX waitpoint_batch ON waitpoint (completes_batch) WHERE completes_batch IS NOT NULL;
CREATE INDEX waitpoint_due ON waitpoint (due_at) WHERE status = 'PENDING' AND due_at IS NOT NULL;
CREATE UNIQUE INDEX waitpoint_idempotency ON waitpoint (environment_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX waitpoint_run ON waitpoint (completes_run) WHERE completes_run IS NOT NULL;
CREATE INDEX waitpoint_token ON waitpoint (environment_id, id) WHERE kind = 'MANUAL';

CREATE TABLE run_waitpoint (
  run_id TEXT NOT NULL,
  waitpoint_id TEXT NOT NULL,
  batch_index INTEGER NOT NULL,
  batch_id TEXT,
  PRIMARY KEY (run_id, waitpoint_id, batch_index)
);

CREATE INDEX run_waitpoint_waitpoint ON run_waitpoint (waitpoint_id);

CREATE TABLE batch (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  status TEXT NOT NULL,
  run_count INTEGER NOT NULL,
  received INTEGER DEFAULT 0 NOT NULL,
  failed INTEGER DEFAULT 0 NOT NULL,
  finished INTEGER DEFAULT 0 NOT NULL,
  is_sealed INTEGER DEFAULT 0 NOT NULL,
  parent_id TEXT,
  resume_parent INTEGER DEFAULT 0 NOT NULL,
  idempotency_key TEXT,
  idempotency_expires_at BIGINT,
  seal_by BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  processing_completed_at BIGINT,
  completed_at BIGINT,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX batch_idempotency ON batch (environment_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX batch_list ON batch (environment_id, id);
CREATE INDEX batch_open ON batch (id) WHERE completed_at IS NULL;
CREATE INDEX batch_unsealed ON batch (seal_by) WHERE is_sealed = 0 AND completed_at IS NULL;

CREATE TABLE batch_item (
  batch_id TEXT NOT NULL,
  idx INTEGER NOT NULL,
  task_id TEXT NOT NULL,
  run_id TEXT,
  is_done INTEGER DEFAULT 0 NOT NULL,
  error_code TEXT,
  error TEXT,
  PRIMARY KEY (batch_id, idx)
);

CREATE INDEX batch_item_run ON batch_item (run_id) WHERE run_id IS NOT NULL AND is_done = 0;

CREATE TABLE schedule (
  id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  task_id TEXT NOT NULL,
  cron TEXT NOT NULL,
  timezone TEXT NOT NULL,
  deduplication_key TEXT,
  has_user_key INTEGER DEFAULT 0 NOT NULL,
  external_id TEXT,
  active INTEGER DEFAULT 1 NOT NULL,
  overlap TEXT NOT NULL,
  catch_up TEXT NOT NULL,
  expect_within INTEGER,
  time_window TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX schedule_declared ON schedule (project_id, task_id) WHERE kind = 'DECLARATIVE';
CREATE UNIQUE INDEX schedule_key ON schedule (project_id, deduplication_key) WHERE deduplication_key IS NOT NULL;
CREATE INDEX schedule_list ON schedule (project_id, id);

CREATE TABLE schedule_instance (
  id TEXT NOT NULL,
  schedule_id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  next_at BIGINT,
  last_at BIGINT,
  last_run_id TEXT,
  queued_for BIGINT,
  waits_for TEXT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX schedule_due ON schedule_instance (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX schedule_instance_environment ON schedule_instance (schedule_id, environment_id);
CREATE INDEX schedule_released ON schedule_instance (queued_for) WHERE queued_for IS NOT NULL AND waits_for IS NULL;
CREATE INDEX schedule_waiting ON schedule_instance (waits_for) WHERE waits_for IS NOT NULL;

CREATE TABLE bulk_action (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  name TEXT,
  source TEXT NOT NULL,
  filter TEXT,
  cursor TEXT,
  last_run_id TEXT,
  total INTEGER,
  success INTEGER DEFAULT 0 NOT NULL,
  failure INTEGER DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  completed_at BIGINT,
  PRIMARY KEY (id)
);

CREATE INDEX bulk_action_list ON bulk_action (environment_id, id);
CREATE INDEX bulk_action_pending ON bulk_action (id) WHERE status = 'PENDING';

CREATE TABLE bulk_item (
  bulk_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  status TEXT NOT NULL,
  error TEXT,
  new_run_id TEXT,
  PRIMARY KEY (bulk_id, run_id)
);

CREATE INDEX bulk_item_failed ON bulk_item (bulk_id, run_id) WHERE status = 'FAILED';
CREATE INDEX bulk_item_run ON bulk_item (run_id);

CREATE TABLE meta (
  "key" TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY ("key")
);

CREATE TABLE organization (
  id TEXT NOT NULL,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE project (
  id TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  ref TEXT NOT NULL,
  slug TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE environment (
  id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  slug TEXT NOT NULL,
  type TEXT NOT NULL,
  key_hash TEXT NOT NULL,
  key_generation INTEGER DEFAULT 1 NOT NULL,
  paused INTEGER DEFAULT 0 NOT NULL,
  concurrency_limit INTEGER NOT NULL,
  burst_percent INTEGER DEFAULT 100 NOT NULL,
  held INTEGER DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  archived_at BIGINT,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX environment_key ON environment (key_hash);
CREATE UNIQUE INDEX environment_slug ON environment (project_id, slug);
CREATE TABLE account (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  password_hash TEXT,
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE sign_in_link (
  token_hash TEXT NOT NULL,
  account_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  PRIMARY KEY (token_hash)
);

CREATE TABLE session (
  token_hash TEXT NOT NULL,
  account_id TEXT NOT NULL,
  form_token TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (token_hash)
);

CREATE TABLE worker_version (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  version TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  kind TEXT NOT NULL,
  sdk_version TEXT NOT NULL,
  runtime TEXT,
  is_current INTEGER DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX worker_version_current ON worker_version (environment_id) WHERE is_current = 1;
CREATE UNIQUE INDEX worker_version_number ON worker_version (environment_id, version);
CREATE TABLE task (
  worker_version_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  queue_name TEXT NOT NULL,
  file_path TEXT NOT NULL,
  export_name TEXT,
  description TEXT,
  retry TEXT,
  machine TEXT NOT NULL,
  max_duration INTEGER,
  ttl INTEGER,
  trigger_source TEXT,
  payload_schema TEXT,
  PRIMARY KEY (worker_version_id, task_id)
);

CREATE TABLE queue (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  concurrency_limit INTEGER,
  paused INTEGER DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX queue_name ON queue (environment_id, name);
CREATE TABLE lane (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  queue_id TEXT NOT NULL,
  lane_key TEXT NOT NULL,
  head_score BIGINT,
  held INTEGER DEFAULT 0 NOT NULL,
  capacity INTEGER NOT NULL,
  paused INTEGER DEFAULT 0 NOT NULL,
  blocked INTEGER DEFAULT 0 NOT NULL,
  PRIMARY KEY (id)
);

CREATE UNIQUE INDEX lane_key ON lane (queue_id, lane_key);
CREATE INDEX lane_ready ON lane (environment_id, head_score) WHERE head_score IS NOT NULL AND blocked = 0;
CREATE TABLE run (
  id TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  status TEXT NOT NULL,
  execution_status TEXT NOT NULL,
  snapshot_seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  deliveries INTEGER NOT NULL,
  status_reason TEXT,
  queue_id TEXT NOT NULL,
  queue_name TEXT NOT NULL,
  lane_id TEXT NOT NULL,
  concurrency_key TEXT,
  queued INTEGER NOT NULL,
  score BIGINT NOT NULL,
  queue_time BIGINT NOT NULL,
  priority_ms INTEGER NOT NULL,
  holds_slot INTEGER NOT NULL,
  worker_id TEXT,
  delay_until BIGINT,
  ttl INTEGER,
  ttl_at BIGINT,
  version_id TEXT,
  is_pinned INTEGER NOT NULL,
  machine TEXT,
  max_attempts INTEGER,
  max_duration INTEGER,
  retry TEXT,
  idempotency_key TEXT,
  idempotency_expires_at BIGINT,
  idempotency_options TEXT,
  parent_id TEXT,
  root_id TEXT,
  depth INTEGER NOT NULL,
  replay_of TEXT,
  source TEXT NOT NULL,
  is_test INTEGER NOT NULL,
  tags TEXT NOT NULL,
  payload TEXT,
  payload_type TEXT NOT NULL,
  seed_metadata TEXT,
  metadata TEXT,
  output TEXT,
  output_type TEXT,
  error TEXT,
  is_failed INTEGER NOT NULL,
  usage_ms BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  queued_at BIGINT,
  started_at BIGINT,
  executed_at BIGINT,
  completed_at BIGINT,
  expired_at BIGINT,
  PRIMARY KEY (id)
);

CREATE INDEX run_delayed ON run (delay_until) WHERE execution_status = 'DELAYED';
CREATE INDEX run_expiring ON run (ttl_at) WHERE ttl_at IS NOT NULL AND worker_id IS NULL;
CREATE INDEX run_failed ON run (environment_id, status, id) WHERE is_failed = 1;
CREATE UNIQUE INDEX run_idempotency ON run (environment_id, task_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX run_lane ON run (lane_id, score, id) WHERE queued = 1;
CREATE INDEX run_list ON run (environment_id, id);
CREATE INDEX run_live ON run (environment_id, status, id) WHERE completed_at IS NULL;
CREATE INDEX run_parent ON run (parent_id, id) WHERE parent_id IS NOT NULL;
CREATE INDEX run_pending_version ON run (environment_id, task_id, id) WHERE execution_status = 'RUN_CREATED';
CREATE INDEX run_task ON run (environment_id, task_id, id);
CREATE INDEX run_worker ON run (worker_id) WHERE worker_id IS NOT NULL;
CREATE TABLE run_value (
  run_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (run_id, kind)
);

CREATE TABLE run_tag (
  environment_id TEXT NOT NULL,
  tag TEXT NOT NULL,
  run_id TEXT NOT NULL,
  PRIMARY KEY (environment_id, tag, run_id)
);

CREATE TABLE snapshot (
  run_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  execution_status TEXT NOT NULL,
  run_status TEXT NOT NULL,
  description TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  is_valid INTEGER DEFAULT 1 NOT NULL,
  error TEXT,
  worker_id TEXT,
  retry_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (run_id, seq)
);

CREATE TABLE request_key (
  "key" TEXT NOT NULL,
  run_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY ("key")
);

CREATE INDEX request_key_age ON request_key (created_at);

CREATE TABLE log (
  seq BIGINT NOT NULL,
  run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at BIGINT NOT NULL,
  level TEXT NOT NULL,
  source TEXT NOT NULL,
  message TEXT NOT NULL,
  attributes TEXT,
  PRIMARY KEY (seq)
);

CREATE INDEX log_run ON log (run_id, seq);

-- Which session a pull request belongs to, for what the code host tells about it; and which deliveries of the code host were taken.
CREATE TABLE pull_requests (
  repository TEXT NOT NULL COLLATE NOCASE,
  number INTEGER NOT NULL,
  session_id TEXT NOT NULL,
  branch TEXT NOT NULL,
  PRIMARY KEY (repository, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX pull_requests_by_branch ON pull_requests (repository, branch);

CREATE INDEX pull_requests_by_session ON pull_requests (session_id);

CREATE TABLE deliveries (
  delivery_id TEXT PRIMARY KEY,
  received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_by_time ON deliveries (received_at);

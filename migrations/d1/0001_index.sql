-- Who is known, which repositories were worked on, and one row per session for lists.
-- A session's own truth is in its object; `sessions` is a copy that its object keeps current, newest `seq` wins.
CREATE TABLE users (
  user_id TEXT PRIMARY KEY,
  login TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT;

CREATE TABLE repositories (
  repository TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  default_branch TEXT NOT NULL,
  clone_url TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  checked_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  repository TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_by_name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  activity TEXT NOT NULL CHECK (activity IN ('idle', 'running', 'failed')),
  pull_request_number INTEGER,
  additions INTEGER NOT NULL DEFAULT 0,
  deletions INTEGER NOT NULL DEFAULT 0,
  seq INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_activity ON sessions (updated_at DESC);

-- A Slack thread: what was taken, what it knows, what must happen outside, and what waits for a person.
-- `one` row of state as JSON: which session it is bound to, its card, what the session last told.
CREATE TABLE thread (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  data TEXT NOT NULL
) STRICT;

-- Events, messages and clicks that were taken, each once.
CREATE TABLE taken (
  key TEXT PRIMARY KEY,
  at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  key      TEXT PRIMARY KEY,
  kind     TEXT NOT NULL CHECK (kind IN ('message', 'interaction', 'link', 'picker', 'card', 'result', 'say')),
  payload  TEXT NOT NULL,
  version  INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_time ON outbox (next_at);

-- Messages that wait until their author has linked an account or chosen a repository.
CREATE TABLE waiting (
  ts      TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  why     TEXT NOT NULL CHECK (why IN ('link', 'choice')),
  message TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is known of the repository as a whole: one row.
CREATE TABLE repository (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- Where it is and what wins over its recipe, as JSON.
  configuration TEXT NOT NULL,
  next_build_at INTEGER NOT NULL,
  inventory_at INTEGER NOT NULL,
  -- Moments of the provider's failures lately, with spaces between; until when it is left alone; pauses in a row; what it said last.
  failures TEXT NOT NULL,
  open_until INTEGER,
  pauses INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;

-- Attempts to make an image.
CREATE TABLE builds (
  build_id TEXT PRIMARY KEY,
  image_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  accepted_at INTEGER,
  word_at INTEGER NOT NULL,
  ended_at INTEGER,
  -- How it ended, as JSON.
  outcome TEXT,
  step TEXT NOT NULL,
  log_bytes INTEGER NOT NULL,
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;

-- What builds said, piece by piece; `at` is the number of bytes before a piece.
CREATE TABLE log_pieces (
  build_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (build_id, at)
) STRICT, WITHOUT ROWID;

-- Images that can be restored. `built` is the outcome of the build, as JSON.
CREATE TABLE images (
  image_id TEXT PRIMARY KEY,
  built TEXT NOT NULL,
  built_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) STRICT;

-- The warm pool: sandboxes that no session has.
CREATE TABLE sandboxes (
  sandbox_id TEXT PRIMARY KEY,
  image_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  known_at INTEGER,
  phase TEXT NOT NULL CHECK (phase IN ('filling', 'ready', 'discarding')),
  bridge_url TEXT,
  commit_id TEXT,
  reservation TEXT,
  CHECK ((phase = 'ready') = (bridge_url IS NOT NULL))
) STRICT;

-- Who composes prompts, and what is held for them.
CREATE TABLE reservers (
  user_id TEXT PRIMARY KEY,
  reservation TEXT UNIQUE,
  held_until INTEGER,
  window_at INTEGER NOT NULL,
  asked INTEGER NOT NULL,
  CHECK ((reservation IS NULL) = (held_until IS NULL))
) STRICT;

-- The newest generation of each session that claimed, and what it got. No sandbox has two owners.
CREATE TABLE claims (
  session_id TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('has', 'nothing', 'over')),
  sandbox_id TEXT UNIQUE,
  bridge_url TEXT,
  image_id TEXT,
  CHECK ((state = 'has') = (sandbox_id IS NOT NULL))
) STRICT;
CREATE INDEX claims_by_age ON claims (at);

-- What must happen outside: there before it is tried, gone when it has happened. The key says what.
CREATE TABLE outbox (
  key TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_by_time ON outbox (next_at);

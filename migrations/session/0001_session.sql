-- One session. Everything here belongs to it; `events` is the history, the other tables are what the events add up to,
-- plus what the session watches and what must still happen outside.

CREATE TABLE session (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    session_id     TEXT NOT NULL,
    title          TEXT NOT NULL,
    repository     TEXT NOT NULL,
    clone_url      TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    branch         TEXT NOT NULL,
    model          TEXT NOT NULL,
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    input_tokens   INTEGER NOT NULL DEFAULT 0,
    output_tokens  INTEGER NOT NULL DEFAULT 0,
    cached_tokens  INTEGER NOT NULL DEFAULT 0,
    cost_usd       REAL NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE events (
    seq  INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    at   INTEGER NOT NULL
) STRICT;

CREATE TABLE participants (
    user_id   TEXT PRIMARY KEY,
    login     TEXT NOT NULL,
    name      TEXT NOT NULL,
    email     TEXT NOT NULL,
    joined_at INTEGER NOT NULL
) STRICT;

CREATE TABLE prompts (
    prompt_id    TEXT PRIMARY KEY,
    author_id    TEXT NOT NULL,
    origin       TEXT NOT NULL CHECK (origin IN ('web', 'extension', 'slack', 'api', 'unknown')),
    model        TEXT,
    state        TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'cancelled', 'failed')),
    digest       TEXT NOT NULL,
    seq          INTEGER NOT NULL UNIQUE,
    submitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The transcript: what participants asked and what the agent answered.
CREATE TABLE messages (
    message_id  INTEGER PRIMARY KEY,
    role        TEXT NOT NULL CHECK (role IN ('user', 'agent')),
    prompt_id   TEXT NOT NULL,
    content     TEXT NOT NULL,
    author_id   TEXT,
    author_name TEXT NOT NULL,
    at          INTEGER NOT NULL,
    CHECK ((role = 'user') = (author_id IS NOT NULL))
) STRICT;
CREATE INDEX messages_by_prompt ON messages (prompt_id, role);

-- Waiting prompts in the order of `position`; the one whose turn runs is the first.
CREATE TABLE queue (
    prompt_id TEXT PRIMARY KEY,
    position  INTEGER NOT NULL UNIQUE,
    attempts  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE turns (
    turn_id    TEXT PRIMARY KEY,
    position   INTEGER NOT NULL UNIQUE,
    prompt_id  TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome IN ('running', 'completed', 'stopped', 'failed')),
    turn_end   TEXT,
    CHECK ((outcome = 'running') = (turn_end IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_running_turn ON turns (outcome) WHERE outcome = 'running';

-- `content` is the item without the text that grows; that is in `text`.
CREATE TABLE items (
    item_id    TEXT PRIMARY KEY,
    position   INTEGER NOT NULL UNIQUE,
    turn_id    TEXT NOT NULL,
    type       TEXT NOT NULL CHECK (type IN ('text', 'reasoning', 'tool', 'plan', 'notice', 'unknown')),
    started_at INTEGER NOT NULL,
    content    TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX items_by_turn ON items (turn_id, position);

CREATE TABLE artifacts (
    artifact_id TEXT PRIMARY KEY,
    position    INTEGER NOT NULL UNIQUE,
    type        TEXT NOT NULL CHECK (type IN ('branch', 'diff', 'pull_request', 'unknown')),
    path        TEXT NOT NULL,
    turn_id     TEXT NOT NULL,
    content     TEXT NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;

-- The sandbox, and what the session watches while it works. `sandbox_id` and what follows is absent when there is none.
CREATE TABLE sandbox (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    generation   INTEGER NOT NULL,
    status       TEXT NOT NULL,
    snapshot_id  TEXT,
    pull_request TEXT NOT NULL CHECK (pull_request IN ('none', 'ordered', 'open')),
    phase        TEXT NOT NULL CHECK (phase IN ('none', 'ordered', 'created', 'attached', 'ready')),
    sandbox_id   TEXT,
    source       TEXT,
    runner_seq   INTEGER NOT NULL,
    bridge_url   TEXT,
    heard_at     INTEGER NOT NULL,
    provider     TEXT,
    isolation    TEXT CHECK (isolation IN ('vm', 'namespaces', 'weak', 'unknown')),
    agent        TEXT,
    saving_id    TEXT,
    saving_since INTEGER,
    ordered_at   INTEGER,
    received     INTEGER CHECK (received IN (0, 1)),
    stop         TEXT CHECK (stop IN ('none', 'requested', 'repeated')),
    stop_at      INTEGER,
    CHECK ((phase = 'none') = (sandbox_id IS NULL)),
    CHECK ((saving_id IS NULL) = (saving_since IS NULL))
) STRICT;

-- What must happen outside. A row is there until it has happened, or need not any more.
CREATE TABLE outbox (
    key      TEXT PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN (
        'create_sandbox', 'start_turn', 'stop_turn', 'take_snapshot', 'terminate_sandbox', 'open_pull_request', 'update_index'
    )),
    payload  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_time ON outbox (next_at);

-- WebSocket tickets that were used, until they would have expired anyway.
CREATE TABLE tickets (
    ticket_id  TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

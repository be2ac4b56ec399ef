-- Warm sandboxes: two more phases on the way to one, and what the session remembers of it. `warm`: it was claimed. `warmed_at`: when a
-- sandbox was last ordered because somebody had begun to write. `false_starts`: what came to nothing since one was last ready.

CREATE TABLE sandbox_next (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    generation   INTEGER NOT NULL,
    status       TEXT NOT NULL,
    pull_request TEXT NOT NULL CHECK (pull_request IN ('none', 'ordered', 'open')),
    phase        TEXT NOT NULL CHECK (phase IN ('none', 'claiming', 'binding', 'ordered', 'created', 'attached', 'ready')),
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
    snapshots    TEXT NOT NULL,
    turns_ended  INTEGER NOT NULL,
    kept_from    INTEGER NOT NULL,
    active_at    INTEGER NOT NULL,
    deleted      INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    seq          INTEGER NOT NULL,
    created_at   INTEGER,
    forgotten    INTEGER NOT NULL,
    leaving      INTEGER NOT NULL CHECK (leaving IN (0, 1)),
    stop_cause   TEXT CHECK (stop_cause IN ('participant', 'handover')),
    digest_turns INTEGER,
    denials      TEXT NOT NULL,
    warm         INTEGER NOT NULL DEFAULT 0 CHECK (warm IN (0, 1)),
    warmed_at    INTEGER NOT NULL DEFAULT 0,
    reservation  TEXT,
    false_starts INTEGER NOT NULL DEFAULT 0,
    CHECK ((phase = 'none') = (sandbox_id IS NULL)),
    CHECK ((saving_id IS NULL) = (saving_since IS NULL))
) STRICT;
INSERT INTO sandbox_next (
    one, generation, status, pull_request, phase, sandbox_id, source, runner_seq, bridge_url, heard_at, provider, isolation, agent,
    saving_id, saving_since, ordered_at, received, stop, stop_at, snapshots, turns_ended, kept_from, active_at, deleted, seq, created_at,
    forgotten, leaving, stop_cause, digest_turns, denials
)
SELECT one, generation, status, pull_request, phase, sandbox_id, source, runner_seq, bridge_url, heard_at, provider, isolation, agent,
    saving_id, saving_since, ordered_at, received, stop, stop_at, snapshots, turns_ended, kept_from, active_at, deleted, seq, created_at,
    forgotten, leaving, stop_cause, digest_turns, denials FROM sandbox;
DROP TABLE sandbox;
ALTER TABLE sandbox_next RENAME TO sandbox;

-- As before, for more kinds.
CREATE TABLE outbox_next (
    key      TEXT PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN (
        'create_sandbox', 'claim_sandbox', 'bind_sandbox', 'release_claim', 'start_turn', 'steer_turn', 'stop_turn', 'take_snapshot',
        'terminate_sandbox', 'open_pull_request', 'delete_snapshot', 'store_output', 'delete_artifacts', 'update_index', 'remove_index'
    )),
    payload  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_next SELECT key, kind, payload, version, attempts, next_at FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_next RENAME TO outbox;
CREATE INDEX outbox_by_time ON outbox (next_at);

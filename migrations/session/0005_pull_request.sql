-- What the session remembers of its pull request: in whose name it is opened, how it stands at the code host, what was said about it.
ALTER TABLE sandbox ADD COLUMN pull TEXT NOT NULL DEFAULT '{}';

-- As before, for one more kind.
CREATE TABLE outbox_next (
    key      TEXT PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN (
        'create_sandbox', 'claim_sandbox', 'bind_sandbox', 'release_claim', 'start_turn', 'steer_turn', 'stop_turn', 'take_snapshot',
        'terminate_sandbox', 'open_pull_request', 'look_at_pull_request', 'delete_snapshot', 'store_output', 'delete_artifacts',
        'update_index', 'remove_index'
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

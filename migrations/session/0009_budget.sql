-- What the session's model calls have cost, what it may spend and what holds it: JSON of `core::Account`.
ALTER TABLE sandbox ADD COLUMN account TEXT NOT NULL DEFAULT '{}';

-- Work that is the ledger's.
CREATE TABLE outbox_2 (
    key      TEXT PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN (
        'create_sandbox', 'claim_sandbox', 'bind_sandbox', 'release_claim', 'start_turn', 'steer_turn', 'stop_turn',
        'take_snapshot', 'terminate_sandbox', 'open_pull_request', 'look_at_pull_request', 'delete_snapshot',
        'store_output', 'delete_artifacts', 'update_index', 'remove_index', 'ask_ledger'
    )),
    payload  TEXT NOT NULL,
    version  INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_2 SELECT * FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_2 RENAME TO outbox;
CREATE INDEX outbox_by_time ON outbox (next_at);

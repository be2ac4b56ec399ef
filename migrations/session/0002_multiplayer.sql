-- Roles, steering, an ordered queue, archive and deletion; several snapshots to fall back to; text that is in the events first.

ALTER TABLE session ADD COLUMN archived_at INTEGER;

ALTER TABLE participants ADD COLUMN role TEXT NOT NULL DEFAULT 'driver' CHECK (role IN ('owner', 'driver', 'viewer', 'unknown'));
UPDATE participants SET role = 'owner' WHERE user_id = (SELECT created_by FROM session);

-- `steered_into` is the turn that took the prompt up beside its own one.
ALTER TABLE prompts ADD COLUMN delivery TEXT NOT NULL DEFAULT 'queue' CHECK (delivery IN ('queue', 'steer'));
ALTER TABLE prompts ADD COLUMN steered_into TEXT;
ALTER TABLE prompts ADD COLUMN edited_by TEXT;
ALTER TABLE prompts ADD COLUMN cancelled_by TEXT;
CREATE INDEX prompts_cancelled ON prompts (seq) WHERE state = 'cancelled';
CREATE INDEX prompts_steered ON prompts (steered_into) WHERE steered_into IS NOT NULL;
UPDATE prompts SET cancelled_by = (SELECT data ->> '$.by' FROM events WHERE type = 'prompt_cancelled' AND data ->> '$.promptId' = prompt_id)
WHERE state = 'cancelled';

ALTER TABLE queue ADD COLUMN steering TEXT NOT NULL DEFAULT 'none' CHECK (steering IN ('none', 'wanted', 'ordered', 'taken'));

ALTER TABLE turns ADD COLUMN stop_requested_by TEXT;
CREATE INDEX turns_by_prompt ON turns (prompt_id);
UPDATE turns SET stop_requested_by = (SELECT data ->> '$.by' FROM events WHERE type = 'stop_requested' AND data ->> '$.turnId' = turn_id
ORDER BY seq DESC LIMIT 1);

-- `open`: it may grow. Pieces that it grew by after the event `text_seq` are in the events only.
ALTER TABLE items ADD COLUMN open INTEGER NOT NULL DEFAULT 0 CHECK (open IN (0, 1));
ALTER TABLE items ADD COLUMN text_seq INTEGER NOT NULL DEFAULT 0;
CREATE INDEX items_open ON items (text_seq) WHERE open = 1;
UPDATE items SET open = COALESCE(content ->> '$.done' = 0, content ->> '$.state.type' = 'running', 0), text_seq = (SELECT MAX(seq) FROM events)
WHERE turn_id IN (SELECT turn_id FROM turns WHERE outcome = 'running');

-- What the session watches. `snapshots`: newest first. `kept_from`: the oldest event that was not removed. `turns_ended`: turns that
-- an agent worked on. `seq`: the newest event when this row was written, for a session whose events are gone.
ALTER TABLE sandbox ADD COLUMN snapshots TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sandbox ADD COLUMN turns_ended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox ADD COLUMN kept_from INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sandbox ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1));
ALTER TABLE sandbox ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox ADD COLUMN created_at INTEGER;
ALTER TABLE sandbox ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1));
ALTER TABLE sandbox ADD COLUMN stop_cause TEXT CHECK (stop_cause IN ('participant', 'handover'));
ALTER TABLE sandbox ADD COLUMN digest_turns INTEGER;
UPDATE sandbox SET
    turns_ended = (SELECT COUNT(*) FROM turns WHERE outcome IN ('completed', 'stopped') OR turn_end ->> '$.usage.outputTokens' > 0),
    active_at = (SELECT COALESCE(MAX(at), 0) FROM events),
    seq = (SELECT COALESCE(MAX(seq), 0) FROM events),
    created_at = CASE WHEN phase <> 'none' THEN heard_at END,
    stop_cause = CASE WHEN stop IS NOT NULL THEN 'participant' END,
    digest_turns = CASE WHEN stop IS NOT NULL THEN 0 END;
UPDATE sandbox SET snapshots = json_array(json_object('snapshot_id', snapshot_id, 'turns', turns_ended)) WHERE snapshot_id IS NOT NULL;
ALTER TABLE sandbox DROP COLUMN snapshot_id;

-- Facts that stand for themselves, the newest few: their events may be gone before they are.
CREATE TABLE notices (
    seq  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
INSERT INTO notices SELECT seq, at, data FROM events WHERE type = 'effect_failed' ORDER BY seq DESC LIMIT 20;

-- Whole outputs of tools, until they are stored as artifacts.
CREATE TABLE outputs (
    artifact_id TEXT PRIMARY KEY,
    item_id     TEXT NOT NULL,
    text        TEXT NOT NULL
) STRICT;

-- The type is in `data`, and nothing looks an event up by it.
ALTER TABLE events DROP COLUMN type;

-- As before, for more kinds.
CREATE TABLE outbox_next (
    key      TEXT PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN (
        'create_sandbox', 'start_turn', 'steer_turn', 'stop_turn', 'take_snapshot', 'terminate_sandbox', 'open_pull_request',
        'delete_snapshot', 'store_output', 'delete_artifacts', 'update_index', 'remove_index'
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

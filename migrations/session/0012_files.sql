-- Files of the agent are artifacts too.
CREATE TABLE artifacts_next (
    artifact_id TEXT PRIMARY KEY,
    position    INTEGER NOT NULL UNIQUE,
    type        TEXT NOT NULL CHECK (type IN ('branch', 'diff', 'pull_request', 'file', 'unknown')),
    path        TEXT NOT NULL,
    turn_id     TEXT NOT NULL,
    content     TEXT NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;
INSERT INTO artifacts_next (artifact_id, position, type, path, turn_id, content, changed_at)
SELECT artifact_id, position, type, path, turn_id, content, changed_at FROM artifacts;
DROP TABLE artifacts;
ALTER TABLE artifacts_next RENAME TO artifacts;

-- Their contents wait beside whole outputs for the store of artifacts: `text` is base64 unless the type is text. Nothing asks whose
-- output one is.
ALTER TABLE outputs ADD COLUMN media_type TEXT NOT NULL DEFAULT 'text/plain';
ALTER TABLE outputs DROP COLUMN item_id;

-- People whose data is being removed, and what was done of it. `pseudonym` stands for the person wherever others need the row; `user_id` is
-- there until the work is done and then forgotten. `found` counts rows that were changed and `seen` what it was at the last look, so that
-- `quiet_since` is when there was last something to change. `counts`: JSON of what was done, by table.
CREATE TABLE erasures (
  pseudonym TEXT PRIMARY KEY,
  user_id TEXT UNIQUE,
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  quiet_since INTEGER NOT NULL,
  found INTEGER NOT NULL DEFAULT 0,
  seen INTEGER NOT NULL DEFAULT 0,
  counts TEXT NOT NULL DEFAULT '{}',
  problem TEXT,
  finished_at INTEGER,
  CHECK ((user_id IS NULL) = (finished_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX erasures_by_time ON erasures (next_at) WHERE finished_at IS NULL;

-- The sessions that such a person was in. `deleting`: it was theirs alone, and what it has elsewhere is still being removed.
CREATE TABLE erasure_sessions (
  pseudonym TEXT NOT NULL REFERENCES erasures (pseudonym),
  session_id TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('waiting', 'deleting', 'deleted', 'rewritten')),
  PRIMARY KEY (pseudonym, session_id)
) STRICT, WITHOUT ROWID;

-- The audit log stays, and who is being removed is in it under the pseudonym. Nothing else of it changes.
DROP TRIGGER audit_is_never_changed;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
WHEN (NEW.audit_id, NEW.at, NEW.action) IS NOT (OLD.audit_id, OLD.at, OLD.action)
  OR NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id IS NOT NULL
    AND (NEW.actor = OLD.actor OR OLD.actor = e.user_id AND NEW.actor = e.pseudonym)
    AND (NEW.target = OLD.target OR NEW.target IN (e.pseudonym, 'user ' || e.pseudonym))
    AND (NEW.detail = OLD.detail OR NEW.detail = ''))
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;

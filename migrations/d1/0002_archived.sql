-- Lists show either the sessions that take prompts or the archived ones, never both.
ALTER TABLE sessions ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));

CREATE INDEX sessions_by_archived_activity ON sessions (archived, updated_at DESC);

DROP INDEX sessions_by_activity;

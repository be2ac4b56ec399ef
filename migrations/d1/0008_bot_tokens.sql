-- The tokens of Slack's bot, where they rotate, are sealed and refreshed like those of users. `user_id` is whose they are: a user's id, or
-- for `slack` the workspace and a digest of the refresh token that the operator set and they descend from. A `CHECK` changes only with its
-- table.
CREATE TABLE sealed_tokens_next (
  user_id TEXT NOT NULL,
  provider TEXT NOT NULL CHECK (provider IN ('github', 'slack')),
  purpose TEXT NOT NULL CHECK (purpose IN ('code_host', 'bot')),
  key_id TEXT NOT NULL,
  sealed TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  lease_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, provider, purpose)
) STRICT, WITHOUT ROWID;

INSERT INTO sealed_tokens_next (user_id, provider, purpose, key_id, sealed, updated_at, lease_until)
SELECT user_id, provider, purpose, key_id, sealed, updated_at, lease_until FROM sealed_tokens;

DROP TABLE sealed_tokens;

ALTER TABLE sealed_tokens_next RENAME TO sealed_tokens;

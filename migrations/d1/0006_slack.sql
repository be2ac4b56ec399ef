-- Who a Slack user is here. A row is made by the user, signed in, with a code that Slack showed to that Slack user alone.
CREATE TABLE slack_links (
  team_id TEXT NOT NULL,
  slack_user_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  linked_at INTEGER NOT NULL,
  PRIMARY KEY (team_id, slack_user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX slack_links_by_user ON slack_links (user_id);

-- Codes under way, as SHA-256; each counts once. `thread` is the object that waits.
CREATE TABLE slack_link_codes (
  code_hash TEXT PRIMARY KEY,
  team_id TEXT NOT NULL,
  slack_user_id TEXT NOT NULL,
  slack_name TEXT NOT NULL,
  thread TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

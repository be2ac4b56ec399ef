-- Sockets that are open, and tickets that may still open one: whom it concerns when somebody's access ends. `credential` is the sign-in or
-- the key of the API that the ticket was fetched with.
CREATE TABLE sockets (
  ticket_id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  credential TEXT NOT NULL,
  read_only INTEGER NOT NULL,
  opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sockets_by_user ON sockets (user_id);

-- Since when an operator has somebody removed, whatever the code host says.
ALTER TABLE users ADD COLUMN removed_at INTEGER;

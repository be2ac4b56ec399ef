-- What tells repositories apart where a message names none: a description that stands before the code host's, words that people use (one
-- to a line), and channels whose messages are about one repository unless they say otherwise. People write all of it.
ALTER TABLE repositories ADD COLUMN hint_description TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN hints TEXT NOT NULL DEFAULT '';

CREATE TABLE channel_repositories (
  channel TEXT PRIMARY KEY,
  repository TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX channel_repositories_by_repository ON channel_repositories (repository);

-- What a browser called itself when somebody signed in there, so that people tell their sign-ins apart.
ALTER TABLE sign_ins ADD COLUMN browser TEXT NOT NULL DEFAULT '';

-- Who may come in, what they hold, and what they did.
-- `checked_at`: when the code host last confirmed that the user is one of those who may sign in; `refused_at`: since when it says no.
ALTER TABLE users ADD COLUMN checked_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN refused_at INTEGER;

-- Tokens of users at code hosts, sealed; `key_id` repeats what the envelope says, so that a rotation finds what is left. Whoever refreshes
-- a token moves `lease_until` on first, and nobody else does until then.
CREATE TABLE sealed_tokens (
  user_id TEXT NOT NULL,
  provider TEXT NOT NULL CHECK (provider IN ('github')),
  purpose TEXT NOT NULL CHECK (purpose IN ('code_host')),
  key_id TEXT NOT NULL,
  sealed TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  lease_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, provider, purpose)
) STRICT, WITHOUT ROWID;

-- One row for each time somebody signed in, and the refresh tokens that followed from it, as SHA-256.
CREATE TABLE sign_ins (
  family TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  issuer TEXT NOT NULL CHECK (issuer IN ('local', 'github')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sign_ins_by_user ON sign_ins (user_id);

CREATE TABLE refresh_tokens (
  token_hash TEXT PRIMARY KEY,
  family TEXT NOT NULL REFERENCES sign_ins (family) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);

-- Sign-ins under way: the state that comes back in the URL and the secret in the browser's cookie, both as SHA-256; each counts once.
CREATE TABLE attempts (
  state_hash TEXT PRIMARY KEY,
  browser_hash TEXT NOT NULL,
  verifier TEXT NOT NULL,
  destination TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Personal keys of the API; of the secret there is the SHA-256.
CREATE TABLE api_keys (
  key_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  name TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'write')),
  secret_hash TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at DESC);

-- One-time codes by which a client elsewhere gets a key for the user who allowed it.
CREATE TABLE key_grants (
  code_hash TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  client TEXT NOT NULL,
  challenge TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the code host said about a user's access to a repository, for five minutes.
CREATE TABLE repository_access (
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  access TEXT NOT NULL CHECK (access IN ('none', 'read', 'write')),
  checked_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, repository)
) STRICT, WITHOUT ROWID;

CREATE INDEX repository_access_by_repository ON repository_access (repository);

-- How often something was asked in a window of time.
CREATE TABLE rate_counts (
  bucket TEXT PRIMARY KEY,
  count INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what, when, to what. Rows are added and never changed.
CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX audit_by_actor ON audit (actor, audit_id DESC);

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- How much may be spent on models. `subject`: id of a session, user or repository, `*` for each that has no row of its own, empty for the
-- organisation. What is not limited has no value. Money is in millionths of a dollar, time in milliseconds.
CREATE TABLE budgets (
  scope TEXT NOT NULL CHECK (scope IN ('session', 'user', 'repository', 'organisation')),
  subject TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('life', 'day', 'month')),
  money INTEGER,
  tokens INTEGER,
  turn_ms INTEGER,
  PRIMARY KEY (scope, subject)
) STRICT, WITHOUT ROWID;

-- What the prompts of a user have cost in a session on a day (UTC, counted from 1970). The session's object tells sums that only rise, so
-- a word that comes twice or late changes nothing. Rows stay when a session is removed.
CREATE TABLE spending (
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  day INTEGER NOT NULL,
  repository TEXT NOT NULL,
  money INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (session_id, user_id, day)
) STRICT, WITHOUT ROWID;

-- The same by whom budgets are for. Only the triggers below write it.
CREATE TABLE spent_days (
  scope TEXT NOT NULL,
  subject TEXT NOT NULL,
  day INTEGER NOT NULL,
  money INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (scope, subject, day)
) STRICT, WITHOUT ROWID;

-- What the running turn of a session may spend beyond what it has told: until it gives it back, asks again, or is forgotten, no other
-- session gets it. What is told is taken from it by the triggers below.
CREATE TABLE budget_leases (
  session_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  money INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER spending_is_counted AFTER INSERT ON spending BEGIN
  INSERT INTO spent_days (scope, subject, day, money, tokens) VALUES
    ('session', NEW.session_id, NEW.day, NEW.money, NEW.tokens),
    ('user', NEW.user_id, NEW.day, NEW.money, NEW.tokens),
    ('repository', NEW.repository, NEW.day, NEW.money, NEW.tokens),
    ('organisation', '', NEW.day, NEW.money, NEW.tokens)
  ON CONFLICT (scope, subject, day) DO UPDATE SET money = money + excluded.money, tokens = tokens + excluded.tokens;
  UPDATE budget_leases SET money = max(0, money - NEW.money), tokens = max(0, tokens - NEW.tokens)
  WHERE session_id = NEW.session_id;
END;

-- A row's session, user, day and repository never change.
CREATE TRIGGER spending_is_counted_again AFTER UPDATE ON spending BEGIN
  UPDATE spent_days SET money = money + NEW.money - OLD.money, tokens = tokens + NEW.tokens - OLD.tokens
  WHERE day = NEW.day AND (scope, subject) IN (
    VALUES ('session', NEW.session_id), ('user', NEW.user_id), ('repository', NEW.repository), ('organisation', '')
  );
  UPDATE budget_leases SET money = max(0, money - NEW.money + OLD.money), tokens = max(0, tokens - NEW.tokens + OLD.tokens)
  WHERE session_id = NEW.session_id;
END;

-- When operators stopped everything, and when that was lifted; at most one is in force.
CREATE TABLE halts (
  halt_id INTEGER PRIMARY KEY,
  reason TEXT NOT NULL,
  halted_by TEXT NOT NULL,
  halted_at INTEGER NOT NULL,
  lifted_by TEXT,
  lifted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX halts_in_force ON halts ((1)) WHERE lifted_at IS NULL;

-- Sessions whose prompts wait for a budget or for the end of a halt, so that they are told when it changes.
CREATE TABLE held_sessions (
  session_id TEXT PRIMARY KEY,
  held_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each session was and came to, for metrics: moments, numbers and ids, never anything that people wrote. Its object tells it with the
-- row of the index; `revision` rises with every change, and an older word changes nothing. Rows stay when a session is removed.
CREATE TABLE session_facts (
  session_id TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  repository TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  prompted_at INTEGER,
  first_token_at INTEGER,
  completed_at INTEGER,
  pull_created_at INTEGER,
  pull_merged_at INTEGER,
  prompts INTEGER NOT NULL,
  participants INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_micro_usd INTEGER NOT NULL,
  first_token_ms INTEGER GENERATED ALWAYS AS (max(0, first_token_at - prompted_at)) STORED
) STRICT;

CREATE INDEX session_facts_by_start ON session_facts (started_at);

-- In this order a percentile is the entry at its rank: nothing is sorted.
CREATE INDEX session_facts_by_first_token ON session_facts (first_token_ms, started_at, repository) WHERE first_token_ms IS NOT NULL;

CREATE INDEX session_facts_by_pull ON session_facts (pull_created_at, repository) WHERE pull_created_at IS NOT NULL;

-- Who was in a session, what they asked for, and what that took.
CREATE TABLE session_people (
  session_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  prompts INTEGER NOT NULL,
  prompted_at INTEGER,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_micro_usd INTEGER NOT NULL,
  PRIMARY KEY (session_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX session_people_by_user
  ON session_people (user_id, started_at, repository, prompts, input_tokens, output_tokens, cost_micro_usd);

CREATE INDEX session_people_by_prompt ON session_people (prompted_at, user_id, repository) WHERE prompted_at IS NOT NULL;

-- Sandboxes that a prompt waited for: what they started from, and how long it waited. `at`: when the agent had the prompt.
CREATE TABLE sandbox_starts (
  session_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  repository TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('warm', 'image', 'snapshot', 'base')),
  at INTEGER NOT NULL,
  waited_ms INTEGER NOT NULL,
  PRIMARY KEY (session_id, generation)
) STRICT, WITHOUT ROWID;

CREATE INDEX sandbox_starts_by_wait ON sandbox_starts (kind, waited_ms, at, repository);

-- Sums over the sessions that started in an hour, by repository, so that a period costs its hours and not its sessions. Only the triggers
-- below write them.
CREATE TABLE metric_hours (
  hour INTEGER NOT NULL,
  repository TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  pulls_created INTEGER NOT NULL,
  pulls_merged INTEGER NOT NULL,
  first_tokens INTEGER NOT NULL,
  first_token_ms INTEGER NOT NULL,
  multiplayer INTEGER NOT NULL,
  prompts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_micro_usd INTEGER NOT NULL,
  PRIMARY KEY (hour, repository)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER session_facts_are_counted AFTER INSERT ON session_facts BEGIN
  INSERT INTO metric_hours VALUES (
    NEW.started_at / 3600000, NEW.repository, 1, NEW.pull_created_at IS NOT NULL, NEW.pull_merged_at IS NOT NULL,
    NEW.first_token_ms IS NOT NULL, coalesce(NEW.first_token_ms, 0), NEW.participants > 1, NEW.prompts, NEW.input_tokens,
    NEW.output_tokens, NEW.cost_micro_usd
  )
  ON CONFLICT (hour, repository) DO UPDATE SET
    sessions = sessions + 1,
    pulls_created = pulls_created + excluded.pulls_created,
    pulls_merged = pulls_merged + excluded.pulls_merged,
    first_tokens = first_tokens + excluded.first_tokens,
    first_token_ms = first_token_ms + excluded.first_token_ms,
    multiplayer = multiplayer + excluded.multiplayer,
    prompts = prompts + excluded.prompts,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cost_micro_usd = cost_micro_usd + excluded.cost_micro_usd;
END;

-- A session's start and repository never change.
CREATE TRIGGER session_facts_are_counted_again AFTER UPDATE ON session_facts BEGIN
  UPDATE metric_hours SET
    pulls_created = pulls_created + (NEW.pull_created_at IS NOT NULL) - (OLD.pull_created_at IS NOT NULL),
    pulls_merged = pulls_merged + (NEW.pull_merged_at IS NOT NULL) - (OLD.pull_merged_at IS NOT NULL),
    first_tokens = first_tokens + (NEW.first_token_ms IS NOT NULL) - (OLD.first_token_ms IS NOT NULL),
    first_token_ms = first_token_ms + coalesce(NEW.first_token_ms, 0) - coalesce(OLD.first_token_ms, 0),
    multiplayer = multiplayer + (NEW.participants > 1) - (OLD.participants > 1),
    prompts = prompts + NEW.prompts - OLD.prompts,
    input_tokens = input_tokens + NEW.input_tokens - OLD.input_tokens,
    output_tokens = output_tokens + NEW.output_tokens - OLD.output_tokens,
    cost_micro_usd = cost_micro_usd + NEW.cost_micro_usd - OLD.cost_micro_usd
  WHERE hour = NEW.started_at / 3600000 AND repository = NEW.repository;
END;

-- The same of starts, since ever.
CREATE TABLE start_totals (
  repository TEXT NOT NULL,
  kind TEXT NOT NULL,
  starts INTEGER NOT NULL,
  waited_ms INTEGER NOT NULL,
  PRIMARY KEY (repository, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sandbox_starts_are_counted AFTER INSERT ON sandbox_starts BEGIN
  INSERT INTO start_totals VALUES (NEW.repository, NEW.kind, 1, NEW.waited_ms)
  ON CONFLICT (repository, kind) DO UPDATE SET starts = starts + 1, waited_ms = waited_ms + excluded.waited_ms;
END;

-- How many pull requests anybody has created in a repository in a period, as the code host counted them.
CREATE TABLE pull_totals (
  repository TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  total INTEGER NOT NULL,
  checked_at INTEGER NOT NULL,
  PRIMARY KEY (repository, since, until)
) STRICT, WITHOUT ROWID;

-- When the image that sandboxes of a repository start from was made; no value where there is none.
ALTER TABLE repositories ADD COLUMN image_built_at INTEGER;

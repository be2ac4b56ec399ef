-- How many sessions may be at work at once, and how many sandboxes may be theirs; not limited where there is no value.
ALTER TABLE budgets ADD COLUMN sessions_max INTEGER CHECK (sessions_max > 0);
ALTER TABLE budgets ADD COLUMN sandboxes_max INTEGER CHECK (sandboxes_max > 0);

-- What counts against these limits: a session whose turn runs or is being prepared, and a sandbox from before it is ordered until its
-- provider has ended it. `user_id`: for whose prompt. A session gives its slots back itself; one that is never heard of again loses
-- them when its sandbox's life is over.
CREATE TABLE slots (
  session_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('session', 'sandbox')),
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (session_id, kind)
) STRICT, WITHOUT ROWID;

-- Sessions whose prompts wait for a slot, and since when: who gives one back tells the first of them for whom there is one.
CREATE TABLE slot_waits (
  session_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  needs_sandbox INTEGER NOT NULL CHECK (needs_sandbox IN (0, 1)),
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many sessions may be at work at once, and how many sandboxes may be theirs; not limited where there is no value.
ALTER TABLE budgets ADD COLUMN sessions_max INTEGER CHECK (sessions_max > 0);
ALTER TABLE budgets ADD COLUMN sandboxes_max INTEGER CHECK (sandboxes_max > 0);

-- What counts against these limits: a session whose turn runs or is being prepared, and a sandbox from before it is ordered until its
-- provider has ended it. `user_id`: for whose prompt. A session gives its slots back itself; one that is never heard of again loses
-- them when its sandbox's life is over. `changed_hands`: whether it was in another user's name until it was taken last.
CREATE TABLE slots (
  session_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('session', 'sandbox')),
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  changed_hands INTEGER NOT NULL CHECK (changed_hands IN (0, 1)),
  PRIMARY KEY (session_id, kind)
) STRICT, WITHOUT ROWID;

-- Sessions whose prompts wait for a slot, and since when: who gives one back tells the first of them for whom there is one.
CREATE TABLE slot_waits (
  session_id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  lacks_session INTEGER NOT NULL CHECK (lacks_session IN (0, 1)),
  lacks_sandbox INTEGER NOT NULL CHECK (lacks_sandbox IN (0, 1)),
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

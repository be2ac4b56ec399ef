-- Whether the runner has given a sign of life while it set up its sandbox: from then on it is lost when it falls silent.
ALTER TABLE sandbox ADD COLUMN beats INTEGER NOT NULL DEFAULT 0 CHECK (beats IN (0, 1));

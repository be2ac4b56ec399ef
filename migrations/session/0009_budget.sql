-- What the session's model calls have cost, what it may spend and what holds it: JSON of `core::Account`.
ALTER TABLE sandbox ADD COLUMN account TEXT NOT NULL DEFAULT '{}';

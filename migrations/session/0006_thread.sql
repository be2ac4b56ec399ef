-- The Slack thread that the session was begun in, by the name of its object; no row where there is none.
CREATE TABLE thread (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL
) STRICT;

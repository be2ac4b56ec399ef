-- Where the sandbox was not let go: JSON of `protocol::timeline::EgressDenial`, as recorded.
ALTER TABLE sandbox ADD COLUMN denials TEXT NOT NULL DEFAULT '[]';

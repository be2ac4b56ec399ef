-- Moments that metrics need and nothing else keeps: JSON of `core::Milestones`.
ALTER TABLE sandbox ADD COLUMN milestones TEXT NOT NULL DEFAULT '{}';
UPDATE sandbox SET milestones = json_object(
    'first_token_at', (SELECT MIN(started_at) FROM items WHERE type IN ('text', 'reasoning')),
    'pull_created_at', (SELECT changed_at FROM artifacts WHERE type = 'pull_request')
);

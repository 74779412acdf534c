-- What a deletion is about: a user, a session, or one stream.
ALTER TABLE deletions ADD COLUMN scope TEXT NOT NULL DEFAULT 'user';
ALTER TABLE deletions RENAME COLUMN user_id TO subject;

-- When a stream's log was deleted because it was too old.
ALTER TABLE streams ADD COLUMN emptied_at_ms BIGINT;

CREATE INDEX streams_to_expire ON streams (ended_at_ms) WHERE emptied_at_ms IS NULL AND ended_at_ms IS NOT NULL;

-- Recordings whose files were still to be removed.
ALTER TABLE deletions ADD COLUMN recordings BIGINT NOT NULL DEFAULT 0;

-- Webhooks of which nobody noted whom they are about: no deletion would find what they say.
UPDATE deliveries SET body = '' WHERE effect = 'none' AND stream_id IS NULL AND session_id IS NULL AND body <> '';

-- Empty answers are not kept.
UPDATE outgoing_deliveries SET last_answer = NULL WHERE last_answer = '';

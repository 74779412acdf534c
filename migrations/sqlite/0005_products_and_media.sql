-- The session that a notice of Zoom's names.
ALTER TABLE deliveries ADD COLUMN session_id TEXT;

CREATE INDEX deliveries_by_session ON deliveries (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX deliveries_of_account ON deliveries (received_at_ms) WHERE effect = 'notice';

-- How many messages came that nobody reads, by msg_type, as JSON.
ALTER TABLE streams ADD COLUMN unknown_messages TEXT NOT NULL DEFAULT '{}';

-- What the session's next streams ask for, where it is not what is configured, as JSON.
ALTER TABLE sessions ADD COLUMN media TEXT;
-- The same as it was when the stream was announced, and what Zoom gave.
ALTER TABLE streams ADD COLUMN media TEXT;
ALTER TABLE streams ADD COLUMN effective TEXT;

-- Whose camera a program has chosen.
ALTER TABLE sessions ADD COLUMN video_user_id INTEGER;

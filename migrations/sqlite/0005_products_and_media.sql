-- The session that a notice of Zoom's names.
ALTER TABLE deliveries ADD COLUMN session_id TEXT;

CREATE INDEX deliveries_by_session ON deliveries (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX deliveries_of_account ON deliveries (received_at_ms) WHERE effect = 'notice';

-- How many messages came that nobody reads, by msg_type, as JSON.
ALTER TABLE streams ADD COLUMN unknown_messages TEXT NOT NULL DEFAULT '{}';

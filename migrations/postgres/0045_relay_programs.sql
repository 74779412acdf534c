-- What a program keeps when it connects again, also after a restart or a change of its relay: the event types that it
-- subscribed to, as JSON, and whether it asked for the end of its stream.
ALTER TABLE relay_streams ADD COLUMN subscriptions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE relay_streams ADD COLUMN has_left BIGINT NOT NULL DEFAULT 0;

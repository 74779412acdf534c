-- What could not be read of a stream's messages: JSON, a list of kinds with their counts.
ALTER TABLE streams ADD COLUMN unreadable_messages TEXT NOT NULL DEFAULT '[]';

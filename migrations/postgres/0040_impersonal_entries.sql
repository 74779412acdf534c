-- Entries about the state of a stream, for its timeline: a long transcript is not read for them.
CREATE INDEX entries_impersonal ON entries (stream_id, seq) WHERE personal = 0;

-- Entries about the state of a stream, for its timeline: a long transcript is not read for them. With the columns that
-- are read, because SQLite would otherwise search the table, whose key is as good.
CREATE INDEX entries_impersonal ON entries (personal, stream_id, seq, kind, at_ms, body) WHERE personal = 0;

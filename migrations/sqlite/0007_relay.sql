-- Sinks that get every entry. One daemon at a time works for each.
CREATE TABLE sinks (
    name           TEXT NOT NULL PRIMARY KEY,
    owner          TEXT,
    lease_until_ms INTEGER,
    -- Of streams that ended before this it has everything that it will get.
    through_ms     INTEGER NOT NULL
) STRICT;

-- How far a sink is in a stream.
CREATE TABLE sink_positions (
    sink      TEXT    NOT NULL REFERENCES sinks (name) ON DELETE CASCADE,
    stream_id TEXT    NOT NULL REFERENCES streams (stream_id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (sink, stream_id)
) STRICT;

CREATE INDEX sink_positions_by_stream ON sink_positions (stream_id);

-- Sinks look for what has ended of late.
CREATE INDEX streams_by_end ON streams (ended_at_ms) WHERE ended_at_ms IS NOT NULL;

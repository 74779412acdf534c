-- Each claim of a stream raises its epoch, and so does its end: what a runner writes counts only under the epoch of its
-- own claim. 0 before the first claim.
ALTER TABLE streams ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
-- 1 where the newest claim took the stream from a node that had not given it back.
ALTER TABLE streams ADD COLUMN taken_over BIGINT NOT NULL DEFAULT 0;

-- Part of the fence, not for look-ups. A row that is inserted into `entries` locks its stream's key (FOR KEY SHARE, by
-- its foreign key). A claim changes this key, and so waits for entries that are being inserted under the old epoch.
CREATE UNIQUE INDEX streams_fence ON streams (stream_id, epoch);

-- The epoch that it was written under.
ALTER TABLE entries ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- Raised whenever another node takes the sink.
ALTER TABLE sinks ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- What a runner heard and could not store before another had its stream, for the other to append. An entry that was
-- looked at has no body: the runner may offer it twice. They go with the end of their stream.
CREATE TABLE handovers (
    stream_id TEXT COLLATE "C" NOT NULL REFERENCES streams (stream_id) ON DELETE CASCADE,
    -- Of the runner that heard it, and its place among what that runner heard.
    epoch     BIGINT NOT NULL,
    place     BIGINT NOT NULL,
    at_ms     BIGINT NOT NULL,
    body      TEXT,
    PRIMARY KEY (stream_id, epoch, place)
);

CREATE INDEX handovers_open ON handovers (stream_id) WHERE body IS NOT NULL;

-- What a deletion is about: the ids of the rows that are there when it is asked for. Clocks of daemons differ and step
-- back, so times cannot say what came before it.
CREATE TABLE deletion_items (
    deletion_id TEXT NOT NULL REFERENCES deletions (id) ON DELETE CASCADE,
    item        TEXT NOT NULL,
    PRIMARY KEY (deletion_id, item)
) STRICT;

-- 0: a version that did not collect ids asked for it. They are collected when the deletion goes on.
ALTER TABLE deletions ADD COLUMN is_collected INTEGER NOT NULL DEFAULT 0;

-- When a daemon last held a sink, by the database's clock: deletions do not wait for a sink that is gone.
ALTER TABLE sinks ADD COLUMN held_at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE sinks SET held_at_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER);

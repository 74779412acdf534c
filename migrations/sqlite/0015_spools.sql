-- When each spool was last seen. One that nobody has any more leaves recordings that somebody else has to end.
CREATE TABLE spools (
    id         TEXT NOT NULL PRIMARY KEY,
    seen_at_ms INTEGER NOT NULL
) STRICT;

-- When another daemon deleted what the recording has outside its spool.
ALTER TABLE recordings ADD COLUMN swept_at_ms INTEGER;

-- The daemons that use this store. Each renews its row every second; a daemon that stops deletes it.
CREATE TABLE daemons (
    node            TEXT NOT NULL PRIMARY KEY,
    version         TEXT NOT NULL,
    -- Until when it counts as alive unless it renews its row.
    alive_until_ms  INTEGER NOT NULL,
    -- How many streams it runs at most; 0 while it takes none.
    max_streams     INTEGER NOT NULL,
    -- The share of its machine's CPU time that it uses, in thousandths.
    busy_permille   INTEGER NOT NULL
) STRICT;

-- The major version of the schema. Migrations that only add leave it as it is, and older daemons go on beside newer
-- ones. A migration that they would not survive raises it, and they refuse the store from then on.
CREATE TABLE schema_major (
    major INTEGER NOT NULL PRIMARY KEY
) STRICT;

INSERT INTO schema_major (major) VALUES (1);

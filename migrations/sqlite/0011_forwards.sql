-- Where a session's frames and entries are sent to, and which entries are known to have arrived.
CREATE TABLE forwards (
    id            TEXT NOT NULL PRIMARY KEY,
    session_id    TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    url           TEXT NOT NULL,
    -- What is sent, as the API takes it.
    asked         TEXT NOT NULL,
    -- The last entry of each stream that has arrived.
    cursor        TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX forwards_by_session ON forwards (session_id);

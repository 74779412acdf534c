-- How Zoom delivered an event: to the webhook URL, or over the event socket.
ALTER TABLE deliveries ADD COLUMN method TEXT NOT NULL DEFAULT 'webhook';

-- The event socket of each app: the daemon that holds it, and the time in which no daemon was connected.
CREATE TABLE event_sockets (
    app              TEXT NOT NULL PRIMARY KEY,
    owner            TEXT,
    lease_until_ms   INTEGER NOT NULL,
    -- Raised by every claim.
    epoch            INTEGER NOT NULL,
    -- Since when the holder is connected; null if it is not.
    connected_at_ms  INTEGER,
    -- Until when a connection is known to have been up; null if none ever was.
    seen_at_ms       INTEGER,
    -- Why the last connection ended or failed; null while one is up.
    problem          TEXT,
    -- The last gap: no daemon was connected in it, and Zoom does not repeat its events.
    gap_from_ms      INTEGER,
    gap_until_ms     INTEGER,
    -- The start of the first gap after which Zoom has not been asked yet; null if there is none.
    unasked_from_ms  INTEGER
) STRICT;

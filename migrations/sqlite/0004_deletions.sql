-- When the grant came from its user, and not from a refresh: a removal that is told late is not for a newer one.
ALTER TABLE installations ADD COLUMN installed_at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE installations SET installed_at_ms = tokens_at_ms;

-- What is still to be deleted of a user, stream by stream, and how much is deleted already.
CREATE TABLE deletions (
    id           TEXT NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL,
    actor        TEXT   NOT NULL,
    asked_at_ms  INTEGER NOT NULL,
    after_stream TEXT   NOT NULL,
    streams      INTEGER NOT NULL,
    entries      INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL
) STRICT;

-- Tickets that were used, so that each works once whichever daemon it comes to. One that never comes is not here.
CREATE TABLE tickets (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- The name of the API token that made it.
    token    TEXT   NOT NULL,
    -- Until then a recording's may come again; 0 for those that work once.
    until_ms BIGINT NOT NULL,
    -- Until then it is remembered.
    keep_ms  BIGINT NOT NULL
);

CREATE INDEX tickets_by_token ON tickets (token, keep_ms);
CREATE INDEX tickets_by_age ON tickets (keep_ms);

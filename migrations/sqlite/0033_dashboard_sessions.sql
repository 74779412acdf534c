-- Browsers that are signed in to the dashboard.
CREATE TABLE dashboard_sessions (
    -- SHA-256 of the id in the browser's cookie, in hex.
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The name of the API token that was exchanged for the session.
    token      TEXT    NOT NULL,
    -- Depends on the token's value: the session ends when another token gets the same name.
    binding    TEXT    NOT NULL,
    made_at_ms INTEGER NOT NULL,
    -- Written once a minute at most.
    seen_at_ms INTEGER NOT NULL,
    -- The session ends at this time, however much it is used.
    until_ms   INTEGER NOT NULL
) STRICT;

CREATE INDEX dashboard_sessions_by_token ON dashboard_sessions (token, made_at_ms);
CREATE INDEX dashboard_sessions_by_end ON dashboard_sessions (until_ms);

-- API tokens that were made over the API: only their hashes are kept.
CREATE TABLE api_tokens (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    -- SHA-256 in hex.
    hash          TEXT NOT NULL UNIQUE,
    -- Separated by "+".
    scopes        TEXT NOT NULL,
    -- The only installations that it may use, separated by "+"; null for all.
    installations TEXT,
    -- The only apps that it may see, between commas (",acme,other,"); null for all.
    apps          TEXT,
    created_at_ms INTEGER NOT NULL,
    -- Null for a token that does not expire.
    expires_at_ms INTEGER,
    -- Written once a minute at most.
    last_used_ms  INTEGER
) STRICT;

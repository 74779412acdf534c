-- Times are Unix milliseconds. Tokens are sealed: see src/seal.rs.

CREATE TABLE installations (
    id               TEXT NOT NULL PRIMARY KEY,
    account_id       TEXT    NOT NULL,
    user_id          TEXT    NOT NULL,
    display_name     TEXT,
    email            TEXT,
    scope            TEXT    NOT NULL,
    api_base_url     TEXT,
    status           TEXT    NOT NULL,
    access_token     TEXT,
    refresh_token    TEXT,
    expires_at_ms    INTEGER,
    tokens_at_ms     INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    refresh_claim    TEXT,
    refresh_until_ms INTEGER,
    created_at_ms    INTEGER NOT NULL,
    updated_at_ms    INTEGER NOT NULL,
    UNIQUE (account_id, user_id)
) STRICT;

CREATE INDEX installations_by_user ON installations (user_id);

-- Idle grants are looked for, oldest tokens first.
CREATE INDEX installations_by_age ON installations (tokens_at_ms) WHERE status = 'connected';

-- The states that came back once, kept until they expire.
CREATE TABLE oauth_states (
    id            TEXT NOT NULL PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX oauth_states_by_age ON oauth_states (expires_at_ms);

CREATE TABLE audit (
    id      TEXT NOT NULL PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;

-- Deauthorization finds what a user's sessions hold.
CREATE INDEX sessions_by_operator ON sessions (operator_id) WHERE operator_id IS NOT NULL;

-- The operator's name of the Zoom app that a row belongs to. Rows of earlier versions belong to the only app that there
-- was. A stream belongs to its session's app, an entry and a recording to their stream's.

-- SQLite cannot change the constraints of a table, so sessions and installations are copied into new ones.

-- Two apps in one meeting have a session each.
CREATE TABLE new_sessions (
    id                    TEXT NOT NULL PRIMARY KEY,
    product               TEXT    NOT NULL,
    id_key                TEXT    NOT NULL,
    instance_id           TEXT    NOT NULL,
    account_id            TEXT,
    meeting_id            TEXT,
    operator_id           TEXT,
    status                TEXT    NOT NULL,
    created_at_ms         INTEGER NOT NULL,
    updated_at_ms         INTEGER NOT NULL,
    ended_at_ms           INTEGER,
    host_id               TEXT,
    participant_user_id   TEXT,
    installation_id       TEXT,
    metadata              TEXT,
    meeting_started_at_ms INTEGER,
    meeting_ended_at_ms   INTEGER,
    review_at_ms          INTEGER,
    media                 TEXT,
    video_user_id         INTEGER,
    told                  TEXT,
    erased_at_ms          INTEGER,
    app                   TEXT    NOT NULL DEFAULT 'default',
    UNIQUE (app, product, instance_id)
) STRICT;

INSERT INTO new_sessions (id, product, id_key, instance_id, account_id, meeting_id, operator_id, status,
                          created_at_ms, updated_at_ms, ended_at_ms, host_id, participant_user_id,
                          installation_id, metadata, meeting_started_at_ms, meeting_ended_at_ms,
                          review_at_ms, media, video_user_id, told, erased_at_ms)
SELECT id, product, id_key, instance_id, account_id, meeting_id, operator_id, status,
       created_at_ms, updated_at_ms, ended_at_ms, host_id, participant_user_id,
       installation_id, metadata, meeting_started_at_ms, meeting_ended_at_ms,
       review_at_ms, media, video_user_id, told, erased_at_ms
  FROM sessions;

DROP TABLE sessions;
ALTER TABLE new_sessions RENAME TO sessions;

CREATE INDEX sessions_by_status ON sessions (status, id);
CREATE INDEX sessions_by_operator ON sessions (operator_id) WHERE operator_id IS NOT NULL;
CREATE INDEX sessions_by_number ON sessions (meeting_id) WHERE meeting_id IS NOT NULL;
CREATE INDEX sessions_to_review ON sessions (review_at_ms) WHERE review_at_ms IS NOT NULL;
CREATE INDEX sessions_by_host ON sessions (host_id) WHERE host_id IS NOT NULL;
CREATE INDEX sessions_by_participant ON sessions (participant_user_id) WHERE participant_user_id IS NOT NULL;
CREATE INDEX sessions_by_installation ON sessions (installation_id) WHERE installation_id IS NOT NULL;
CREATE INDEX sessions_by_age ON sessions (created_at_ms, id);

-- One user may install several apps.
CREATE TABLE new_installations (
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
    installed_at_ms  INTEGER NOT NULL DEFAULT 0,
    app              TEXT    NOT NULL DEFAULT 'default',
    UNIQUE (app, account_id, user_id)
) STRICT;

INSERT INTO new_installations (id, account_id, user_id, display_name, email, scope, api_base_url, status,
                               access_token, refresh_token, expires_at_ms, tokens_at_ms, generation,
                               refresh_claim, refresh_until_ms, created_at_ms, updated_at_ms, installed_at_ms)
SELECT id, account_id, user_id, display_name, email, scope, api_base_url, status,
       access_token, refresh_token, expires_at_ms, tokens_at_ms, generation,
       refresh_claim, refresh_until_ms, created_at_ms, updated_at_ms, installed_at_ms
  FROM installations;

DROP TABLE installations;
ALTER TABLE new_installations RENAME TO installations;

CREATE INDEX installations_by_user ON installations (user_id);
CREATE INDEX installations_by_age ON installations (tokens_at_ms) WHERE status = 'connected';

ALTER TABLE oauth_states ADD COLUMN app TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN app TEXT NOT NULL DEFAULT 'default';
-- For deletions of users: the user's data in other apps stays.
ALTER TABLE deletions ADD COLUMN app TEXT NOT NULL DEFAULT 'default';

-- The apps whose events an endpoint receives, between commas (",acme,other,"); null for all.
ALTER TABLE webhook_endpoints ADD COLUMN apps TEXT;
-- Null for an event that concerns no single app. It is sent to endpoints of all apps only.
ALTER TABLE outgoing_events ADD COLUMN app TEXT DEFAULT 'default';
UPDATE outgoing_events SET app = NULL WHERE kind IN ('endpoint.disabled', 'test');

-- Null for an act that concerns no single app.
ALTER TABLE audit ADD COLUMN app TEXT DEFAULT 'default';
UPDATE audit SET app = NULL WHERE action = 'api.refused' OR action LIKE 'webhook_endpoint.%';

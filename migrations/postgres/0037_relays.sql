-- Programs that streams are served on to in Zoom's own protocol.
CREATE TABLE relays (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- api, or configuration.
    source           TEXT NOT NULL,
    name             TEXT NOT NULL,
    webhook_url      TEXT NOT NULL,
    client_id        TEXT NOT NULL,
    -- Sealed.
    client_secret    TEXT NOT NULL,
    secret_token     TEXT NOT NULL,
    -- Names of media, separated by commas.
    media            TEXT NOT NULL,
    product          TEXT,
    -- JSON: a list of Zoom user ids, and an object whose fields a session's metadata must have.
    host_ids         TEXT NOT NULL,
    metadata         TEXT NOT NULL,
    apps             TEXT,
    catch_up         BIGINT NOT NULL,
    -- The last URL validation, and why it failed.
    validated_at_ms  BIGINT,
    validation_error TEXT,
    created_at_ms    BIGINT NOT NULL,
    updated_at_ms    BIGINT NOT NULL
);

-- How far each program is with each stream.
CREATE TABLE relay_streams (
    relay_id          TEXT COLLATE "C" NOT NULL REFERENCES relays (id) ON DELETE CASCADE,
    stream_id         TEXT COLLATE "C" NOT NULL,
    session_id        TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- The URL in the last rtms_started, and how often one was sent.
    server_url        TEXT NOT NULL,
    announcements     BIGINT NOT NULL,
    -- The number of the last entry that the program is known to have.
    acknowledged      BIGINT NOT NULL,
    -- What the program missed, as JSON.
    gaps              TEXT NOT NULL,
    updated_at_ms     BIGINT NOT NULL,
    PRIMARY KEY (relay_id, stream_id)
);

CREATE INDEX relay_streams_by_session ON relay_streams (session_id);

-- The webhooks to programs, with Zoom's schedule of retries.
CREATE TABLE relay_events (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    relay_id      TEXT COLLATE "C" NOT NULL REFERENCES relays (id) ON DELETE CASCADE,
    stream_id     TEXT COLLATE "C" NOT NULL,
    session_id    TEXT COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    body          TEXT NOT NULL,
    attempts      BIGINT NOT NULL,
    -- When it is tried next; null once it is settled.
    due_at_ms     BIGINT,
    is_delivered  BIGINT NOT NULL,
    last_at_ms    BIGINT,
    last_status   BIGINT,
    last_error    TEXT,
    created_at_ms BIGINT NOT NULL
);

CREATE INDEX relay_events_by_due ON relay_events (due_at_ms);
CREATE INDEX relay_events_by_relay ON relay_events (relay_id, created_at_ms);
CREATE INDEX relay_events_by_session ON relay_events (session_id);

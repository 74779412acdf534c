-- Where events are sent. "events" is empty for all, or types between commas (",gap.recorded,transcript.line,").
-- The secrets are sealed: see src/seal.rs.
CREATE TABLE webhook_endpoints (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- 'api', or 'configuration'.
    source             TEXT    NOT NULL,
    url                TEXT    NOT NULL,
    description        TEXT    NOT NULL,
    events             TEXT    NOT NULL,
    secret             TEXT    NOT NULL,
    previous_secret    TEXT,
    -- Until then the previous secret signs, too.
    previous_until_ms  BIGINT,
    -- 'enabled', or why it is not.
    status             TEXT    NOT NULL,
    -- The first failure since the last success.
    failing_since_ms   BIGINT,
    created_at_ms      BIGINT NOT NULL,
    updated_at_ms      BIGINT NOT NULL
);

-- What there is to tell. What an entry says is not copied: it is read when it is sent.
CREATE TABLE outgoing_events (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL,
    at_ms         BIGINT NOT NULL,
    session_id    TEXT,
    stream_id     TEXT,
    -- The entry's number, or what the event says as JSON: one of them.
    seq           BIGINT,
    data          TEXT,
    created_at_ms BIGINT NOT NULL
);

CREATE INDEX outgoing_events_by_age ON outgoing_events (created_at_ms);
CREATE INDEX outgoing_events_by_stream ON outgoing_events (stream_id) WHERE stream_id IS NOT NULL;
CREATE INDEX outgoing_events_by_session ON outgoing_events (session_id) WHERE session_id IS NOT NULL;

-- One event on its way to one endpoint, and afterwards the log of it.
CREATE TABLE outgoing_deliveries (
    endpoint_id   TEXT COLLATE "C" NOT NULL,
    event_id      TEXT COLLATE "C" NOT NULL,
    -- 'waiting', 'delivered', 'failed' or 'withdrawn'.
    status        TEXT    NOT NULL,
    attempts      BIGINT NOT NULL,
    -- When it is sent next, or free for another daemon; none when nothing follows.
    due_at_ms     BIGINT,
    -- Who is sending it.
    claim         TEXT,
    last_at_ms    BIGINT,
    last_status   BIGINT,
    last_error    TEXT,
    last_answer   TEXT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (endpoint_id, event_id)
);

CREATE INDEX outgoing_deliveries_due ON outgoing_deliveries (endpoint_id, due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX outgoing_deliveries_by_age ON outgoing_deliveries (endpoint_id, created_at_ms, event_id);
CREATE INDEX outgoing_deliveries_by_event ON outgoing_deliveries (event_id);

-- The last event that was told about it.
ALTER TABLE sessions ADD COLUMN told TEXT;
ALTER TABLE streams ADD COLUMN told TEXT;
UPDATE sessions SET told = 'session.started' WHERE status = 'live';
UPDATE sessions SET told = 'session.ended' WHERE status = 'ended';
UPDATE streams SET told = 'stream.started' WHERE status IN ('live', 'paused');
UPDATE streams SET told = 'stream.interrupted' WHERE status = 'interrupted';
UPDATE streams SET told = 'stream.ended' WHERE status = 'ended';

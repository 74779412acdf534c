-- Times are Unix milliseconds. Ids compare byte by byte, so that session ids sort by creation in any locale.

CREATE TABLE sessions (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    product       TEXT   NOT NULL,
    id_key        TEXT   NOT NULL,
    instance_id   TEXT   NOT NULL,
    account_id    TEXT,
    meeting_id    TEXT,
    operator_id   TEXT,
    status        TEXT   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    ended_at_ms   BIGINT,
    UNIQUE (product, instance_id)
);

CREATE INDEX sessions_by_status ON sessions (status, id);

CREATE TABLE streams (
    stream_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id      TEXT COLLATE "C" NOT NULL REFERENCES sessions (id),
    ordinal         BIGINT NOT NULL,
    server_urls     TEXT   NOT NULL,
    event_ts_ms     BIGINT NOT NULL,
    generation      BIGINT NOT NULL,
    interrupts      BIGINT NOT NULL,
    status          TEXT   NOT NULL,
    stop_seen_at_ms BIGINT,
    stop_reason     BIGINT,
    outcome         TEXT,
    owner           TEXT,
    lease_until_ms  BIGINT,
    first_packet_ms BIGINT,
    tally           TEXT   NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    ended_at_ms     BIGINT,
    UNIQUE (session_id, ordinal)
);

-- Leases are looked up every few seconds, and only among the few streams that have not ended.
CREATE INDEX streams_running ON streams (owner) WHERE ended_at_ms IS NULL;

CREATE TABLE entries (
    stream_id TEXT COLLATE "C" NOT NULL REFERENCES streams (stream_id),
    seq       BIGINT NOT NULL,
    kind      TEXT   NOT NULL,
    personal  BIGINT NOT NULL,
    at_ms     BIGINT NOT NULL,
    body      TEXT   NOT NULL,
    PRIMARY KEY (stream_id, seq)
);

CREATE TABLE deliveries (
    digest         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event          TEXT   NOT NULL,
    event_ts_ms    BIGINT NOT NULL,
    received_at_ms BIGINT NOT NULL,
    stream_id      TEXT,
    effect         TEXT   NOT NULL,
    body           TEXT   NOT NULL
);

CREATE INDEX deliveries_by_age ON deliveries (received_at_ms);

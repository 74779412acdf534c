-- Times are Unix milliseconds.

CREATE TABLE sessions (
    id            TEXT NOT NULL PRIMARY KEY,
    product       TEXT    NOT NULL,
    id_key        TEXT    NOT NULL,
    instance_id   TEXT    NOT NULL,
    account_id    TEXT,
    meeting_id    TEXT,
    operator_id   TEXT,
    status        TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    UNIQUE (product, instance_id)
) STRICT;

CREATE INDEX sessions_by_status ON sessions (status, id);

CREATE TABLE streams (
    stream_id       TEXT NOT NULL PRIMARY KEY,
    session_id      TEXT NOT NULL REFERENCES sessions (id),
    ordinal         INTEGER NOT NULL,
    server_urls     TEXT    NOT NULL,
    event_ts_ms     INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    interrupts      INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    stop_seen_at_ms INTEGER,
    stop_reason     INTEGER,
    outcome         TEXT,
    owner           TEXT,
    lease_until_ms  INTEGER,
    first_packet_ms INTEGER,
    tally           TEXT    NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    ended_at_ms     INTEGER,
    UNIQUE (session_id, ordinal)
) STRICT;

-- Leases are looked up every few seconds, and only among the few streams that have not ended.
CREATE INDEX streams_running ON streams (owner) WHERE ended_at_ms IS NULL;

CREATE TABLE entries (
    stream_id TEXT NOT NULL REFERENCES streams (stream_id),
    seq       INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    personal  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    body      TEXT    NOT NULL,
    PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    digest         TEXT NOT NULL PRIMARY KEY,
    event          TEXT    NOT NULL,
    event_ts_ms    INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    stream_id      TEXT,
    effect         TEXT    NOT NULL,
    body           TEXT    NOT NULL
) STRICT;

CREATE INDEX deliveries_by_age ON deliveries (received_at_ms);

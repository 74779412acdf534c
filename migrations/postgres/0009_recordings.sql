-- What one spool has recorded of one stream. No reference to the stream: a recording that is to be deleted outlives
-- it, until its files are gone.
CREATE TABLE recordings (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id     TEXT COLLATE "C" NOT NULL,
    stream_id      TEXT COLLATE "C" NOT NULL,
    ordinal        BIGINT NOT NULL,
    part           BIGINT NOT NULL,
    spool          TEXT NOT NULL,
    status         TEXT NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT,
    stored_at_ms   BIGINT,
    UNIQUE (stream_id, part)
);

CREATE INDEX recordings_by_session ON recordings (session_id);
-- What its daemon still has to do.
CREATE INDEX recordings_unfinished ON recordings (spool) WHERE status <> 'stored';
CREATE INDEX recordings_to_delete ON recordings (id) WHERE status = 'deleting';

CREATE TABLE recording_files (
    recording_id TEXT COLLATE "C" NOT NULL REFERENCES recordings (id),
    name         TEXT COLLATE "C" NOT NULL,
    session_id   TEXT COLLATE "C" NOT NULL,
    api_name     TEXT COLLATE "C" NOT NULL,
    path         TEXT NOT NULL,
    medium       TEXT NOT NULL,
    user_id      BIGINT,
    user_name    TEXT,
    content_type TEXT NOT NULL,
    bytes        BIGINT NOT NULL,
    sha256       TEXT NOT NULL,
    first_ms     BIGINT,
    last_ms      BIGINT,
    PRIMARY KEY (recording_id, name)
);

CREATE INDEX recording_files_by_api_name ON recording_files (session_id, api_name);

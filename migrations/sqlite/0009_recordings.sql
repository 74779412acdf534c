-- What one spool has recorded of one stream. No reference to the stream: a recording that is to be deleted outlives
-- it, until its files are gone.
CREATE TABLE recordings (
    id             TEXT NOT NULL PRIMARY KEY,
    session_id     TEXT NOT NULL,
    stream_id      TEXT NOT NULL,
    ordinal        INTEGER NOT NULL,
    part           INTEGER NOT NULL,
    spool          TEXT NOT NULL,
    status         TEXT NOT NULL,
    started_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    stored_at_ms   INTEGER,
    UNIQUE (stream_id, part)
) STRICT;

CREATE INDEX recordings_by_session ON recordings (session_id);
-- What its daemon still has to do.
CREATE INDEX recordings_unfinished ON recordings (spool) WHERE status <> 'stored';
CREATE INDEX recordings_to_delete ON recordings (id) WHERE status = 'deleting';

CREATE TABLE recording_files (
    recording_id TEXT NOT NULL REFERENCES recordings (id),
    name         TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    api_name     TEXT NOT NULL,
    path         TEXT NOT NULL,
    medium       TEXT NOT NULL,
    user_id      INTEGER,
    user_name    TEXT,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    sha256       TEXT NOT NULL,
    first_ms     INTEGER,
    last_ms      INTEGER,
    PRIMARY KEY (recording_id, name)
) STRICT;

CREATE INDEX recording_files_by_api_name ON recording_files (session_id, api_name);

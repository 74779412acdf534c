ALTER TABLE sessions ADD COLUMN host_id TEXT;
ALTER TABLE sessions ADD COLUMN participant_user_id TEXT;
ALTER TABLE sessions ADD COLUMN installation_id TEXT;
ALTER TABLE sessions ADD COLUMN metadata TEXT;
ALTER TABLE sessions ADD COLUMN meeting_started_at_ms BIGINT;
ALTER TABLE sessions ADD COLUMN meeting_ended_at_ms BIGINT;
-- Set by every change that a policy may want to act on; cleared by whoever has looked.
ALTER TABLE sessions ADD COLUMN review_at_ms BIGINT;

CREATE INDEX sessions_by_number ON sessions (meeting_id) WHERE meeting_id IS NOT NULL;
CREATE INDEX sessions_to_review ON sessions (review_at_ms) WHERE review_at_ms IS NOT NULL;

-- What Zoom was asked to do, and will be. "cause" is what made a policy ask: it asks once.
CREATE TABLE actions (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    session_id     TEXT COLLATE "C" NOT NULL REFERENCES sessions (id),
    action         TEXT   NOT NULL,
    asked_by       TEXT   NOT NULL,
    cause          TEXT,
    status         TEXT   NOT NULL,
    asked_at_ms    BIGINT NOT NULL,
    due_at_ms      BIGINT,
    attempts       BIGINT NOT NULL,
    answered_at_ms BIGINT,
    answer         TEXT,
    UNIQUE (session_id, cause)
);

CREATE INDEX actions_due ON actions (due_at_ms) WHERE due_at_ms IS NOT NULL;

-- Answers that are given again to the same request of the same token.
CREATE TABLE idempotency_keys (
    token         TEXT   NOT NULL,
    path          TEXT   NOT NULL,
    key           TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    status        BIGINT,
    body          TEXT,
    -- Until then nobody else may begin, or the answer is given again.
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (token, path, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (expires_at_ms);

CREATE INDEX deliveries_by_stream ON deliveries (stream_id) WHERE stream_id IS NOT NULL;

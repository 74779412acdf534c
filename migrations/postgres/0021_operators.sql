-- Who started a stream: its session has the newest of them. None where Zoom named nobody, or where that user's data was
-- deleted.
ALTER TABLE streams ADD COLUMN operator_id TEXT;
-- When what the stream brought was deleted because somebody asked for it. Such a stream holds no data.
ALTER TABLE streams ADD COLUMN erased_at_ms BIGINT;

-- What the webhook said, where its body is still there; else the session's, as it was. Ids have no escapes in JSON.
UPDATE streams
   SET operator_id = COALESCE(
           (SELECT substring(body FROM '"operator_id"\s*:\s*"([^"\\]+)"')
              FROM deliveries
             WHERE deliveries.stream_id = streams.stream_id AND event LIKE '%rtms_started' AND body <> ''
             ORDER BY event_ts_ms DESC LIMIT 1),
           (SELECT operator_id FROM sessions WHERE sessions.id = streams.session_id))
 WHERE generation > 0;
UPDATE streams SET erased_at_ms = ended_at_ms WHERE stop_reason = 8 AND ended_at_ms IS NOT NULL;

-- A user's deletion finds the user's streams.
CREATE INDEX streams_by_operator ON streams (operator_id, stream_id) WHERE operator_id IS NOT NULL;

-- When what the session knew of people was deleted: what Zoom says of it later is not filled in. None again when
-- another stream of it starts.
ALTER TABLE sessions ADD COLUMN erased_at_ms BIGINT;

CREATE INDEX sessions_by_host ON sessions (host_id) WHERE host_id IS NOT NULL;
CREATE INDEX sessions_by_participant ON sessions (participant_user_id) WHERE participant_user_id IS NOT NULL;
CREATE INDEX sessions_by_installation ON sessions (installation_id) WHERE installation_id IS NOT NULL;

-- The user that a notice names.
ALTER TABLE deliveries ADD COLUMN operator_id TEXT;
UPDATE deliveries SET operator_id = substring(body FROM '"operator_id"\s*:\s*"([^"\\]+)"')
 WHERE effect = 'notice' AND body <> '';

CREATE INDEX deliveries_by_operator ON deliveries (operator_id) WHERE operator_id IS NOT NULL;

-- Of a removal of the app the audit trail says what is needed; its webhook names the user.
UPDATE deliveries SET body = '' WHERE event = 'app_deauthorized' AND body <> '';

-- What an answer that is given again is about. It goes with its session.
ALTER TABLE idempotency_keys ADD COLUMN session_id TEXT;
UPDATE idempotency_keys SET session_id = substr(path, 22, 36) WHERE path LIKE '/api/v1/sdk/sessions/%';
UPDATE idempotency_keys SET session_id = body::json -> 'data' -> 'session' ->> 'id'
 WHERE path = '/api/v1/sdk/sessions' AND status < 300;

CREATE INDEX idempotency_keys_by_session ON idempotency_keys (session_id) WHERE session_id IS NOT NULL;

-- Sessions from which a deletion took what they knew of people.
ALTER TABLE deletions ADD COLUMN sessions BIGINT NOT NULL DEFAULT 0;

-- Events about an account are few among many.
CREATE INDEX outgoing_events_of_accounts ON outgoing_events (kind) WHERE session_id IS NULL;

//! Every statement, by name: one text for Postgres and SQLite. A test prepares each against both schemas.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub const $name: &str = $sql;)*

        /// All of them, with their names.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// A stream with what its session knows about it; a `WHERE` follows.
macro_rules! select_stream {
    ($condition:literal) => {
        concat!(
            "SELECT streams.stream_id, streams.session_id, streams.ordinal, sessions.product,
                    sessions.id_key, sessions.instance_id, streams.server_urls,
                    streams.event_ts_ms, streams.generation, streams.interrupts, streams.status,
                    streams.stop_seen_at_ms, streams.stop_reason, streams.outcome,
                    streams.first_packet_ms, streams.tally, streams.unknown_messages,
                    streams.ledger, streams.media, streams.effective, sessions.video_user_id,
                    streams.created_at_ms, streams.ended_at_ms
               FROM streams JOIN sessions ON sessions.id = streams.session_id
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_session {
    ($condition:literal) => {
        concat!(
            "SELECT id, product, id_key, instance_id, account_id, meeting_id, operator_id, host_id,
                    participant_user_id, installation_id, metadata, media, status, meeting_started_at_ms,
                    meeting_ended_at_ms, created_at_ms, updated_at_ms, ended_at_ms
               FROM sessions
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_action {
    ($condition:literal) => {
        concat!(
            "SELECT id, session_id, action, asked_by, cause, status, asked_at_ms, due_at_ms,
                    attempts, answered_at_ms, answer
               FROM actions
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_endpoint {
    ($condition:literal) => {
        concat!(
            "SELECT id, source, url, description, events, secret, previous_secret, previous_until_ms,
                    status, failing_since_ms, created_at_ms, updated_at_ms
               FROM webhook_endpoints
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_installation {
    ($condition:literal) => {
        concat!(
            "SELECT id, account_id, user_id, display_name, email, scope, api_base_url, status,
                    access_token, refresh_token, expires_at_ms, tokens_at_ms, generation,
                    created_at_ms, updated_at_ms
               FROM installations
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_recording {
    ($condition:literal) => {
        concat!(
            "SELECT id, session_id, stream_id, ordinal, part, spool, status, started_at_ms,
                    finished_at_ms, stored_at_ms
               FROM recordings
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_recorded_file {
    ($condition:literal) => {
        concat!(
            "SELECT recording_id, name, api_name, path, medium, user_id, user_name, content_type,
                    bytes, sha256, first_ms, last_ms
               FROM recording_files
              WHERE ",
            $condition
        )
    };
}

statements! {
    /// The newest migration that was applied.
    SCHEMA_VERSION = "SELECT MAX(version) FROM _sqlx_migrations";

    INSERT_DELIVERY = "
        INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body)
        VALUES ($1, $2, $3, $4, $5, 'none', $6)
        ON CONFLICT (digest) DO NOTHING";

    MARK_DELIVERY_EFFECTIVE = "UPDATE deliveries SET effect = 'changed' WHERE digest = $1";

    /// The session that a webhook about no stream is about.
    MARK_DELIVERY_SESSION = "UPDATE deliveries SET session_id = $2 WHERE digest = $1";

    /// A notice of Zoom's: about a session, or about the account.
    MARK_NOTICE = "UPDATE deliveries SET effect = 'notice', session_id = $2 WHERE digest = $1";

    /// By whatever the notice names; of several the newest.
    SESSION_OF_NOTICE = "
        SELECT id FROM sessions
         WHERE id = (SELECT session_id FROM streams WHERE stream_id = $1)
            OR (product IN ('meeting', 'webinar', 'video_sdk', 'contact_center')
                AND instance_id = $2)
            OR (meeting_id = $3 AND status <> 'ended')
         ORDER BY id DESC LIMIT 1";

    /// Long bodies stay in the store.
    NOTICES_OF_ACCOUNT = "
        SELECT event, event_ts_ms, received_at_ms,
               CASE WHEN LENGTH(body) <= $2 THEN body END AS body
          FROM deliveries WHERE effect = 'notice' AND session_id IS NULL
         ORDER BY received_at_ms DESC, digest LIMIT $1";

    PRUNE_DELIVERIES = "
        DELETE FROM deliveries
         WHERE digest IN (SELECT digest FROM deliveries WHERE received_at_ms < $1 LIMIT $2)";

    /// Finds or makes a session, and keeps others from changing it until the transaction ends.
    UPSERT_SESSION = "
        INSERT INTO sessions (id, product, id_key, instance_id, account_id, meeting_id, operator_id,
                              status, created_at_ms, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'connecting', $8, $8)
        ON CONFLICT (product, instance_id) DO UPDATE
           SET account_id = COALESCE(excluded.account_id, sessions.account_id),
               meeting_id = COALESCE(excluded.meeting_id, sessions.meeting_id),
               operator_id = COALESCE(excluded.operator_id, sessions.operator_id)
        RETURNING id";

    /// Changes nothing: keeps others from changing the session or its streams until the
    /// transaction ends. Whoever changes both takes this lock first, so none waits for another in
    /// a circle.
    LOCK_SESSION_OF_STREAM = "
        UPDATE sessions SET status = status
         WHERE id = (SELECT session_id FROM streams WHERE stream_id = $1)
        RETURNING id";

    /// A meeting that was known by its number alone is now known as Zoom names it.
    ADOPT_SESSION = "
        UPDATE sessions SET product = $1, id_key = $2, instance_id = $3
         WHERE product IN ('meeting', 'webinar') AND id_key = 'meeting_id' AND instance_id = $4
           AND NOT EXISTS (SELECT 1 FROM sessions AS others
                            WHERE others.product = $1 AND others.instance_id = $3)";

    /// A session of an earlier meeting with the same number, for which a start was asked since, goes
    /// on as the one that begins now: that is the meeting the start was meant for.
    ADOPT_EARLIER_SESSION = "
        UPDATE sessions
           SET product = $1, id_key = $2, instance_id = $3, meeting_started_at_ms = NULL
         WHERE id = (SELECT earlier.id FROM sessions AS earlier
                      WHERE earlier.meeting_id = $4 AND earlier.product IN ('meeting', 'webinar')
                        AND earlier.status IN ('rtms_start_requested', 'start_timed_out')
                        AND earlier.instance_id <> $3
                      ORDER BY earlier.id DESC LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM sessions AS others
                            WHERE others.product = $1 AND others.instance_id = $3)";

    /// The first of each time stays.
    NOTE_MEETING = "
        UPDATE sessions
           SET host_id = COALESCE($2, host_id),
               meeting_started_at_ms = COALESCE(meeting_started_at_ms, $3),
               meeting_ended_at_ms = COALESCE(meeting_ended_at_ms, $4)
         WHERE id = $1";

    /// Changes nothing: keeps others from changing the session until the transaction ends.
    LOCK_SESSION = "UPDATE sessions SET status = status WHERE id = $1 RETURNING id";

    /// The session of a meeting number that may still go on: not ended, and not long forgotten.
    FIND_SESSION_BY_NUMBER = "
        SELECT id FROM sessions
         WHERE meeting_id = $1 AND product IN ($2, $3) AND status <> 'ended'
           AND updated_at_ms >= $4
         ORDER BY id DESC LIMIT 1";

    /// A session that a program asks for; one that is there already is locked and stays as it is.
    CREATE_SESSION = "
        INSERT INTO sessions (id, product, id_key, instance_id, meeting_id, status, created_at_ms,
                              updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, 'created', $6, $6)
        ON CONFLICT (product, instance_id) DO UPDATE SET status = sessions.status
        RETURNING id";

    /// What a program says replaces what was there; what it leaves out stays.
    DESCRIBE_SESSION = "
        UPDATE sessions
           SET participant_user_id = COALESCE($2, participant_user_id),
               installation_id = COALESCE($3, installation_id),
               metadata = COALESCE($4, metadata),
               media = COALESCE($5, media)
         WHERE id = $1";

    PIN_VIDEO = "UPDATE sessions SET video_user_id = $2 WHERE id = $1";

    /// What the session's next streams ask for.
    SET_MEDIA = "UPDATE sessions SET media = $2 WHERE id = $1";

    /// Derives a session's state from its streams and, while none lives, from the last start that
    /// was asked for since.
    REFRESH_SESSION = "
        UPDATE sessions
           SET updated_at_ms = $2,
               review_at_ms = $2,
               status = CASE
                   WHEN EXISTS (SELECT 1 FROM streams WHERE session_id = sessions.id
                                   AND streams.status IN ('live', 'interrupted', 'paused'))
                   THEN 'live'
                   WHEN EXISTS (SELECT 1 FROM streams WHERE session_id = sessions.id
                                   AND ended_at_ms IS NULL)
                   THEN 'connecting'
                   WHEN meeting_ended_at_ms IS NOT NULL
                   THEN 'ended'
                   WHEN (SELECT stop_reason FROM streams WHERE session_id = sessions.id
                            AND stop_reason IS NOT NULL ORDER BY ordinal DESC LIMIT 1) = 6
                   THEN 'ended'
                   ELSE COALESCE(
                       (SELECT CASE actions.status
                                   WHEN 'running' THEN 'rtms_start_requested'
                                   WHEN 'accepted' THEN 'rtms_start_requested'
                                   WHEN 'timed_out' THEN 'start_timed_out'
                                   WHEN 'refused' THEN 'start_refused'
                               END
                          FROM actions
                         WHERE actions.session_id = sessions.id AND actions.action = 'start'
                           AND actions.status <> 'skipped'
                           AND actions.asked_at_ms >= COALESCE(
                                   (SELECT MAX(streams.created_at_ms) FROM streams
                                     WHERE streams.session_id = sessions.id), 0)
                         ORDER BY actions.asked_at_ms DESC, actions.id DESC LIMIT 1),
                       CASE WHEN EXISTS (SELECT 1 FROM streams WHERE session_id = sessions.id)
                            THEN 'stopped' ELSE 'created' END)
               END,
               ended_at_ms = CASE
                   WHEN EXISTS (SELECT 1 FROM streams WHERE session_id = sessions.id
                                   AND streams.ended_at_ms IS NULL)
                   THEN NULL
                   ELSE COALESCE(meeting_ended_at_ms,
                                 (SELECT MAX(streams.ended_at_ms) FROM streams
                                   WHERE session_id = sessions.id))
               END
         WHERE id = $1
        RETURNING status, told";

    TELL_SESSION = "UPDATE sessions SET told = $2 WHERE id = $1";

    STREAM_TOLD = "SELECT told FROM streams WHERE stream_id = $1";

    TELL_STREAM = "UPDATE streams SET told = $2 WHERE stream_id = $1";

    SESSIONS_TO_REVIEW = "
        SELECT id, review_at_ms FROM sessions WHERE review_at_ms IS NOT NULL
         ORDER BY review_at_ms LIMIT $1";

    /// Not when it has changed since it was looked at.
    REVIEWED = "UPDATE sessions SET review_at_ms = NULL WHERE id = $1 AND review_at_ms = $2";

    /// The newest ones, oldest first.
    ACTIONS_OF_SESSION = select_action!(
        "session_id = $1
         AND id IN (SELECT newest.id FROM actions AS newest WHERE newest.session_id = $1
                     ORDER BY newest.asked_at_ms DESC, newest.id DESC LIMIT $2)
         ORDER BY asked_at_ms, id"
    );

    ACTION = select_action!("id = $1");

    INSERT_ACTION = "
        INSERT INTO actions (id, session_id, action, asked_by, cause, status, asked_at_ms,
                             due_at_ms, attempts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (session_id, cause) DO NOTHING";

    /// Actions whose time has come: planned ones, and those whose runner gave no sign of life. They
    /// run only when they are admitted. The outer condition is not idle: see `CLAIM_ORPHANS`. The
    /// last status condition is the one of the index `actions_due`, without which SQLite does not use it.
    CLAIM_ACTIONS = "
        UPDATE actions SET attempts = attempts + 1, due_at_ms = $2
         WHERE id IN (SELECT id FROM actions
                       WHERE due_at_ms <= $1 AND cause IS NOT NULL
                         AND status IN ('due', 'running')
                         AND status IN ('due', 'running', 'accepted')
                       ORDER BY due_at_ms LIMIT $3)
           AND due_at_ms <= $1 AND status IN ('due', 'running')
        RETURNING id";

    RUN_ACTION = "UPDATE actions SET status = 'running' WHERE id = $1";

    /// What was settled meanwhile, by a webhook or by a stop, stays as it is.
    ANSWER_ACTION = "
        UPDATE actions
           SET status = CASE WHEN status IN ('due', 'running') THEN $2 ELSE status END,
               due_at_ms = CASE WHEN status IN ('due', 'running') THEN $3 ELSE due_at_ms END,
               answered_at_ms = $4, answer = $5
         WHERE id = $1";

    /// A stop that a program asks for outdoes the starts that are planned.
    DROP_PLANNED_STARTS = "
        UPDATE actions
           SET status = 'skipped', due_at_ms = NULL, answered_at_ms = $2, answer = $3
         WHERE session_id = $1 AND action = 'start' AND status = 'due'
        RETURNING session_id";

    /// A stop that Zoom said yes to outdoes the starts before it.
    DROP_PENDING_STARTS = "
        UPDATE actions SET status = 'skipped', due_at_ms = NULL
         WHERE session_id = $1 AND action = 'start' AND status IN ('running', 'accepted')";

    /// A stream was announced: whatever start was asked for has had its effect. By number too,
    /// since a meeting that was asked for by number may be known under another name by now.
    CONFIRM_STARTS = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE action = 'start' AND status IN ('running', 'accepted')
           AND session_id IN (SELECT id FROM sessions
                               WHERE id = $1 OR (meeting_id = $2 AND status <> 'ended'))
        RETURNING session_id";

    /// Of the starts that were given up, only the last can have brought the stream.
    CONFIRM_LATE_START = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE status = 'timed_out'
           AND id = (SELECT newest.id FROM actions AS newest
                      WHERE newest.session_id = $1 AND newest.action = 'start'
                        AND newest.status <> 'skipped'
                      ORDER BY newest.asked_at_ms DESC, newest.id DESC LIMIT 1)
        RETURNING session_id";

    /// A stream has ended: the stops that were asked for have had their effect.
    CONFIRM_STOPS = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE session_id = $1 AND action = 'stop' AND status IN ('running', 'accepted')";

    /// Where actions wait in vain, a session once for each: see `TIME_OUT_ACTIONS`, and `CLAIM_ACTIONS` for the
    /// last condition.
    SESSIONS_WITH_LATE_ACTIONS = "
        SELECT session_id FROM actions
         WHERE due_at_ms <= $1 AND (status = 'accepted' OR (status = 'running' AND cause IS NULL))
           AND status IN ('due', 'running', 'accepted')
         ORDER BY due_at_ms LIMIT $2";

    /// Actions that no webhook followed: they keep the time at which they were late. A planned one
    /// that still runs belongs to its runner.
    TIME_OUT_ACTIONS = "
        UPDATE actions SET status = 'timed_out'
         WHERE session_id = $2 AND due_at_ms <= $1
           AND (status = 'accepted' OR (status = 'running' AND cause IS NULL))
        RETURNING session_id";

    DELIVERIES_OF_SESSION = "
        SELECT deliveries.event, deliveries.event_ts_ms, deliveries.received_at_ms,
               streams.ordinal, deliveries.effect,
               CASE WHEN deliveries.effect = 'notice' AND LENGTH(deliveries.body) <= 2048
                    THEN deliveries.body END AS notice
          FROM deliveries LEFT JOIN streams ON streams.stream_id = deliveries.stream_id
         WHERE streams.session_id = $1
            OR (deliveries.session_id = $1 AND deliveries.effect = 'notice')
         ORDER BY deliveries.received_at_ms LIMIT $2";

    /// Takes a key that is new or whose time is over.
    TAKE_IDEMPOTENCY_KEY = "
        INSERT INTO idempotency_keys (token, path, key, digest, expires_at_ms)
        VALUES ($1, $2, $3, $4, $6)
        ON CONFLICT (token, path, key) DO UPDATE
           SET digest = excluded.digest, status = NULL, body = NULL,
               expires_at_ms = excluded.expires_at_ms
         WHERE idempotency_keys.expires_at_ms <= $5";

    IDEMPOTENCY_KEY = "
        SELECT digest, status, body FROM idempotency_keys
         WHERE token = $1 AND path = $2 AND key = $3";

    KEEP_ANSWER = "
        UPDATE idempotency_keys SET status = $4, body = $5, expires_at_ms = $6
         WHERE token = $1 AND path = $2 AND key = $3";

    RELEASE_IDEMPOTENCY_KEY = "
        DELETE FROM idempotency_keys
         WHERE token = $1 AND path = $2 AND key = $3 AND status IS NULL";

    PRUNE_IDEMPOTENCY_KEYS = "
        DELETE FROM idempotency_keys
         WHERE (token, path, key) IN (SELECT token, path, key FROM idempotency_keys
                                       WHERE expires_at_ms <= $1 LIMIT $2)";

    SESSION = select_session!("id = $1");

    SESSIONS = select_session!(
        "(CAST($1 AS TEXT) IS NULL OR id < $1) AND (CAST($2 AS TEXT) IS NULL OR status = $2)
         ORDER BY id DESC LIMIT $3"
    );

    /// The session is locked: no other transaction takes the same ordinal.
    INSERT_STREAM = "
        INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                             interrupts, status, tally, media, created_at_ms)
        SELECT $1, $2, COALESCE(MAX(ordinal), 0) + 1, $3, $4, 1, 0, 'announced', '{}',
               (SELECT media FROM sessions WHERE id = $2), $5
          FROM streams WHERE session_id = $2";

    /// A stream whose stop came before its start: it has ended before it was known.
    INSERT_TOMBSTONE = "
        INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                             interrupts, status, stop_seen_at_ms, stop_reason, outcome, tally,
                             created_at_ms, ended_at_ms)
        SELECT $1, $2, COALESCE(MAX(ordinal), 0) + 1, '', $3, 0, 0, 'ended', $5, $4, 'stopped',
               '{}', $5, $5
          FROM streams WHERE session_id = $2";

    MOVE_STREAM = "
        UPDATE streams SET server_urls = $2, event_ts_ms = $3, generation = generation + 1
         WHERE stream_id = $1";

    REVIVE_STREAM = "
        UPDATE streams
           SET server_urls = $2, event_ts_ms = $3, generation = generation + 1,
               status = 'announced', outcome = NULL, stop_reason = NULL, ended_at_ms = NULL,
               emptied_at_ms = NULL, owner = NULL, lease_until_ms = NULL
         WHERE stream_id = $1";

    /// The first stop stays; a reason may come later; a revocation (8) outranks every other.
    NOTE_STOP = "
        UPDATE streams
           SET stop_seen_at_ms = COALESCE(stop_seen_at_ms, $2),
               stop_reason = CASE WHEN $3 = 8 THEN $3 ELSE COALESCE(stop_reason, $3) END
         WHERE stream_id = $1
           AND (stop_seen_at_ms IS NULL
                OR (stop_reason IS NULL AND CAST($3 AS BIGINT) IS NOT NULL)
                OR (stop_reason <> 8 AND $3 = 8))";

    /// Of a stream that has ended; one that runs gets its reason when it ends.
    NOTE_REVOCATION = "
        UPDATE streams SET stop_reason = 8 WHERE stream_id = $1 AND ended_at_ms IS NOT NULL";

    NOTE_INTERRUPT = "
        UPDATE streams SET interrupts = interrupts + 1
         WHERE stream_id = $1 AND ended_at_ms IS NULL AND stop_seen_at_ms IS NULL";

    UPDATE_STREAM = "
        UPDATE streams
           SET status = COALESCE($2, status),
               first_packet_ms = COALESCE($3, first_packet_ms),
               tally = COALESCE($4, tally),
               unknown_messages = COALESCE($5, unknown_messages),
               effective = COALESCE($6, effective),
               ledger = COALESCE($7, ledger)
         WHERE stream_id = $1 AND ended_at_ms IS NULL";

    /// Not when Zoom has moved it since, unless Zoom has stopped it, after which it moves no more.
    END_STREAM = "
        UPDATE streams
           SET status = 'ended', outcome = $2, ended_at_ms = $4, owner = NULL,
               lease_until_ms = NULL,
               stop_reason = CASE WHEN $3 = 8 THEN $3 ELSE COALESCE(stop_reason, $3) END
         WHERE stream_id = $1 AND ended_at_ms IS NULL
           AND (generation <= $5 OR stop_seen_at_ms IS NOT NULL)";

    STREAM = select_stream!("streams.stream_id = $1");

    STREAMS_OF_SESSION = select_stream!("streams.session_id = $1 ORDER BY streams.ordinal");

    STREAMS_OF_NODE = select_stream!(
        "streams.owner = $1 AND streams.ended_at_ms IS NULL ORDER BY streams.stream_id"
    );

    CLAIM_STREAM = "
        UPDATE streams SET owner = $2, lease_until_ms = $3
         WHERE stream_id = $1 AND ended_at_ms IS NULL
           AND (owner IS NULL OR owner = $2 OR lease_until_ms <= $4)";

    /// The outer condition is not idle: of two nodes that chose the same streams, the second waits
    /// for the first and finds it false.
    CLAIM_ORPHANS = "
        UPDATE streams SET owner = $1, lease_until_ms = $2
         WHERE stream_id IN (SELECT stream_id FROM streams
                              WHERE ended_at_ms IS NULL
                                AND (owner IS NULL OR lease_until_ms <= $3)
                              ORDER BY stream_id LIMIT $4)
           AND ended_at_ms IS NULL
           AND (owner IS NULL OR lease_until_ms <= $3)
        RETURNING stream_id";

    RENEW_LEASES = "
        UPDATE streams SET lease_until_ms = $2 WHERE owner = $1 AND ended_at_ms IS NULL";

    RELEASE_LEASES = "
        UPDATE streams SET owner = NULL, lease_until_ms = NULL
         WHERE owner = $1 AND ended_at_ms IS NULL";

    /// For a store that one process owns: whoever had a lease is dead.
    RELEASE_ALL_LEASES = "
        UPDATE streams SET owner = NULL, lease_until_ms = NULL
         WHERE owner IS NOT NULL AND ended_at_ms IS NULL";

    LAST_SEQ = "SELECT COALESCE(MAX(seq), 0) FROM entries WHERE stream_id = $1";

    /// Unless there are as many ($7) already.
    INSERT_FORWARD = "
        INSERT INTO forwards (id, session_id, url, asked, cursor, created_at_ms)
        SELECT $1, $2, $3, $4, $5, CAST($6 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM forwards WHERE session_id = $2) < CAST($7 AS BIGINT)";

    FORWARDS_OF_SESSION = "
        SELECT id, session_id, url, asked, cursor, created_at_ms
          FROM forwards WHERE session_id = $1 ORDER BY id";

    /// Of sessions with a stream that runs or has run since $1.
    FORWARDS = "
        SELECT id, session_id, url, asked, cursor, created_at_ms
          FROM forwards
         WHERE EXISTS (SELECT 1 FROM streams
                        WHERE streams.session_id = forwards.session_id
                          AND (ended_at_ms IS NULL OR ended_at_ms >= $1))
         ORDER BY id LIMIT $2";

    NOTE_FORWARDED = "UPDATE forwards SET cursor = $2 WHERE id = $1";

    DELETE_FORWARD = "DELETE FROM forwards WHERE id = $1 AND session_id = $2";

    PRUNE_FORWARDS = "
        DELETE FROM forwards
         WHERE created_at_ms < $1
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.session_id = forwards.session_id
                              AND (ended_at_ms IS NULL OR ended_at_ms >= $1))";

    STREAM_HEADS = "
        SELECT stream_id, ordinal,
               COALESCE((SELECT MAX(seq) FROM entries
                          WHERE entries.stream_id = streams.stream_id), 0) AS last_seq
          FROM streams WHERE session_id = $1 ORDER BY ordinal";

    /// `$3` is empty, or kinds between commas (`,chat,transcript,`).
    ENTRIES_AFTER = "
        SELECT seq, at_ms, body FROM entries
         WHERE stream_id = $1 AND seq > $2
           AND ($3 = '' OR $3 <> replace($3, ',' || kind || ',', ''))
         ORDER BY seq LIMIT $4";

    /// A sink that is new: begins now.
    INSERT_SINK = "
        INSERT INTO sinks (name, through_ms) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

    /// A new sink has nothing to get of what was said before it.
    INSERT_SINK_POSITIONS = "
        INSERT INTO sink_positions (sink, stream_id, seq)
        SELECT $1, stream_id, (SELECT COALESCE(MAX(seq), 0) FROM entries
                                WHERE entries.stream_id = streams.stream_id)
          FROM streams WHERE ended_at_ms IS NULL OR ended_at_ms >= $2
        ON CONFLICT (sink, stream_id) DO NOTHING";

    /// No row while another node has a good lease.
    HOLD_SINK = "
        UPDATE sinks SET owner = $2, lease_until_ms = $4
         WHERE name = $1 AND (owner IS NULL OR owner = $2 OR lease_until_ms <= $3)
        RETURNING through_ms";

    RELEASE_SINK = "
        UPDATE sinks SET owner = NULL, lease_until_ms = NULL WHERE name = $1 AND owner = $2";

    /// See `RELEASE_ALL_LEASES`.
    RELEASE_ALL_SINKS = "
        UPDATE sinks SET owner = NULL, lease_until_ms = NULL WHERE owner IS NOT NULL";

    /// Streams after `$3` of which the sink `$1` has not got everything: of those that run or
    /// ended since `$2`. Two halves, so that each has its index.
    SINK_NEWS = "
        SELECT open.stream_id, open.session_id, open.ordinal, sessions.product,
               sessions.account_id, COALESCE(sink_positions.seq, 0) AS seen
          FROM (SELECT stream_id, session_id, ordinal FROM streams WHERE ended_at_ms IS NULL
                UNION ALL
                SELECT stream_id, session_id, ordinal FROM streams WHERE ended_at_ms >= $2) AS open
               JOIN sessions ON sessions.id = open.session_id
               LEFT JOIN sink_positions
                 ON sink_positions.sink = $1 AND sink_positions.stream_id = open.stream_id
         WHERE open.stream_id > $3
           AND (SELECT MAX(seq) FROM entries WHERE entries.stream_id = open.stream_id)
               > COALESCE(sink_positions.seq, 0)
         ORDER BY open.stream_id LIMIT $4";

    /// Never back. Not for a stream that was deleted meanwhile.
    MOVE_SINK_POSITION = "
        INSERT INTO sink_positions (sink, stream_id, seq)
        SELECT $1, stream_id, CAST($3 AS BIGINT) FROM streams WHERE stream_id = $2
        ON CONFLICT (sink, stream_id) DO UPDATE SET seq = excluded.seq
         WHERE sink_positions.seq < excluded.seq";

    MOVE_SINK_THROUGH = "UPDATE sinks SET through_ms = $2 WHERE name = $1 AND through_ms < $2";

    DELETE_PERSONAL_ENTRIES = "DELETE FROM entries WHERE stream_id = $1 AND personal = 1";

    /// Finds or makes a user's installation, and keeps others from changing it until the
    /// transaction ends. Its tokens follow. No row when a newer install was stored before.
    UPSERT_INSTALLATION = "
        INSERT INTO installations (id, account_id, user_id, display_name, email, scope,
                                   api_base_url, status, tokens_at_ms, generation, created_at_ms,
                                   updated_at_ms, installed_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'connected', $8, 0, $8, $8, $8)
        ON CONFLICT (account_id, user_id) DO UPDATE
           SET display_name = excluded.display_name, email = excluded.email,
               scope = excluded.scope, api_base_url = excluded.api_base_url,
               status = 'connected'
         WHERE installations.installed_at_ms <= excluded.installed_at_ms
        RETURNING id";

    INSTALLATION_OF = select_installation!("account_id = $1 AND user_id = $2");

    /// Tokens of a new install: whatever was there before is dead at Zoom's.
    SET_TOKENS = "
        UPDATE installations
           SET access_token = $2, refresh_token = $3, expires_at_ms = $4, tokens_at_ms = $5,
               installed_at_ms = $5, updated_at_ms = $5, generation = generation + 1,
               refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1";

    /// Tokens of a refresh, unless others came in the meantime. A grant that was given up too
    /// early is good again.
    REPLACE_TOKENS = "
        UPDATE installations
           SET access_token = $3, refresh_token = $4, expires_at_ms = $5, tokens_at_ms = $6,
               updated_at_ms = $6, generation = generation + 1, status = 'connected',
               refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1 AND generation = $2 AND status <> 'revoked'";

    /// Who has the claim refreshes; a claim that ran out is free. The generation is the one that
    /// was found stale: whoever comes after the refresh finds another.
    CLAIM_REFRESH = "
        UPDATE installations SET refresh_claim = $3, refresh_until_ms = $4
         WHERE id = $1 AND generation = $2 AND status = 'connected'
           AND (refresh_until_ms IS NULL OR refresh_until_ms <= $5)";

    RELEASE_REFRESH = "
        UPDATE installations SET refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1 AND refresh_claim = $2";

    GIVE_UP_GRANT = "
        UPDATE installations
           SET status = 'needs_reconnect', updated_at_ms = $3, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE id = $1 AND generation = $2 AND status = 'connected'";

    REVOKE_INSTALLATION = "
        UPDATE installations
           SET status = 'revoked', access_token = NULL, refresh_token = NULL,
               expires_at_ms = NULL, display_name = NULL, email = NULL,
               generation = generation + 1, updated_at_ms = $2, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE id = $1 AND status <> 'revoked'";

    /// What a user ($1, in the account $2) has removed at $3: what they installed after that stays.
    REVOKE_INSTALLATIONS_OF_USER = "
        UPDATE installations
           SET status = 'revoked', access_token = NULL, refresh_token = NULL,
               expires_at_ms = NULL, display_name = NULL, email = NULL,
               generation = generation + 1, updated_at_ms = $4, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
           AND installed_at_ms <= $3 AND status <> 'revoked'";

    INSTALLATION = select_installation!("id = $1");

    INSTALLATIONS = select_installation!(
        "(CAST($1 AS TEXT) IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"
    );

    INSTALLATIONS_OF_USER = select_installation!(
        "user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
            AND status <> 'revoked' ORDER BY id"
    );

    /// The best one for a host (`$1`) or, behind it, for an account (`$2`): one that works before
    /// one that does not, the host's before the account's, the newest tokens first.
    FIND_INSTALLATION = select_installation!(
        "(user_id = $1 OR account_id = $2) AND status <> 'revoked'
         ORDER BY CASE WHEN status = 'connected' THEN 0 ELSE 1 END,
                  CASE WHEN user_id = $1 THEN 0 ELSE 1 END, tokens_at_ms DESC, id
         LIMIT 1"
    );

    /// Grants whose tokens are older than `$1`, oldest first.
    IDLE_INSTALLATIONS = select_installation!(
        "status = 'connected' AND refresh_token IS NOT NULL AND tokens_at_ms < $1
         ORDER BY tokens_at_ms LIMIT $2"
    );

    /// Rows after `$1` with a text that the key behind the prefix `$2` (of `$3` characters) has
    /// not sealed.
    SEALED_OTHERWISE = select_installation!(
        "id > $1 AND (substr(access_token, 1, CAST($3 AS INTEGER)) <> $2
                      OR substr(refresh_token, 1, CAST($3 AS INTEGER)) <> $2)
         ORDER BY id LIMIT $4"
    );

    /// Changes the seal and not the tokens, unless others came in the meantime.
    RESEAL_TOKENS = "
        UPDATE installations SET access_token = $3, refresh_token = $4
         WHERE id = $1 AND generation = $2";

    /// One row for the first who comes with this state.
    USE_OAUTH_STATE = "
        INSERT INTO oauth_states (id, expires_at_ms) VALUES ($1, $2)
        ON CONFLICT (id) DO NOTHING";

    PRUNE_OAUTH_STATES = "
        DELETE FROM oauth_states
         WHERE id IN (SELECT id FROM oauth_states WHERE expires_at_ms < $1 LIMIT $2)";

    /// Locks those of a user's sessions that have a stream that runs, before their streams.
    LOCK_SESSIONS_OF_OPERATOR = "
        UPDATE sessions SET status = status
         WHERE operator_id = $1
           AND id IN (SELECT session_id FROM streams WHERE ended_at_ms IS NULL)
        RETURNING id";

    /// Ends what still runs of a user as revoked (8): the runner deletes what comes late.
    REVOKE_STREAMS_OF_OPERATOR = "
        UPDATE streams
           SET stop_seen_at_ms = COALESCE(stop_seen_at_ms, $2), stop_reason = 8
         WHERE ended_at_ms IS NULL
           AND session_id IN (SELECT id FROM sessions WHERE operator_id = $1)";

    INSERT_DELETION = "
        INSERT INTO deletions (id, scope, subject, actor, asked_at_ms, after_stream, streams, entries,
                               deliveries)
        VALUES ($1, $2, $3, $4, $5, '', 0, 0, 0)";

    NEXT_DELETION = "SELECT id FROM deletions WHERE id > $1 ORDER BY id LIMIT 1";

    /// No row when another daemon has finished it.
    LOCK_DELETION = "
        UPDATE deletions SET after_stream = after_stream WHERE id = $1
        RETURNING scope, subject, actor, asked_at_ms, after_stream, streams, entries, deliveries,
                  recordings";

    /// The next stream of a user ($1) after $2: of what came before $3, since the user may be back.
    STREAM_OF_USER_TO_EMPTY = "
        SELECT streams.stream_id FROM streams JOIN sessions ON sessions.id = streams.session_id
         WHERE sessions.operator_id = $1 AND streams.stream_id > $2
           AND streams.created_at_ms <= $3
         ORDER BY streams.stream_id LIMIT 1";

    /// The next ended stream of a session ($1) after $2, of what came before $3.
    STREAM_OF_SESSION_TO_EMPTY = "
        SELECT stream_id FROM streams
         WHERE session_id = $1 AND stream_id > $2 AND created_at_ms <= $3
           AND ended_at_ms IS NOT NULL
         ORDER BY stream_id LIMIT 1";

    /// A stream ($1) itself, once.
    STREAM_TO_EMPTY = "
        SELECT stream_id FROM streams
         WHERE stream_id = $1 AND stream_id > $2 AND created_at_ms <= $3";

    DELETE_SOME_PERSONAL_ENTRIES = "
        DELETE FROM entries
         WHERE stream_id = $1
           AND seq IN (SELECT seq FROM entries WHERE stream_id = $1 AND personal = 1
                        ORDER BY seq LIMIT $2)";

    /// All but the last one, which is not personal: a stream that comes back goes on after its
    /// number.
    DELETE_SOME_EARLIER_ENTRIES = "
        DELETE FROM entries
         WHERE stream_id = $1
           AND seq IN (SELECT seq FROM entries
                        WHERE stream_id = $1
                          AND (personal = 1
                               OR seq < (SELECT MAX(seq) FROM entries WHERE stream_id = $1))
                        ORDER BY seq LIMIT $2)";

    STREAM_TO_EXPIRE = "
        SELECT stream_id FROM streams
         WHERE ended_at_ms < $1 AND emptied_at_ms IS NULL AND ended_at_ms IS NOT NULL
         ORDER BY ended_at_ms LIMIT 1";

    MARK_EMPTIED = "UPDATE streams SET emptied_at_ms = $2 WHERE stream_id = $1";

    LOCK_SESSION_TO_DELETE = "UPDATE sessions SET status = status WHERE id = $1 RETURNING id";

    RUNNING_STREAMS_OF_SESSION = "
        SELECT COUNT(*) FROM streams WHERE session_id = $1 AND ended_at_ms IS NULL";

    SESSION_DELETION = "SELECT id FROM deletions WHERE scope = 'session' AND subject = $1 LIMIT 1";

    BLANK_DELIVERIES_OF_SESSION = "
        UPDATE deliveries SET body = '' WHERE session_id = $1 AND body <> ''";

    DELETE_ACTIONS_OF_SESSION = "DELETE FROM actions WHERE session_id = $1";

    /// See `DELETE_SOME_EARLIER_ENTRIES`. Not of a stream that has said more since.
    DELETE_LAST_ENTRIES_OF_SESSION = "
        DELETE FROM entries
         WHERE stream_id IN (SELECT stream_id FROM streams
                              WHERE session_id = $1 AND created_at_ms <= $2
                                AND ended_at_ms IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM entries AS others
                            WHERE others.stream_id = entries.stream_id
                              AND others.seq <> entries.seq)";

    /// What was announced since ($2) stays, and with it the session.
    DELETE_STREAMS_OF_SESSION = "
        DELETE FROM streams
         WHERE session_id = $1 AND created_at_ms <= $2 AND ended_at_ms IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.stream_id = streams.stream_id)";

    DELETE_SESSION = "
        DELETE FROM sessions
         WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM streams WHERE streams.session_id = sessions.id)";

    /// What was told of a stream and of its session. That it came stays known, so that a copy of
    /// it is still a copy.
    BLANK_DELIVERIES = "
        UPDATE deliveries SET body = ''
         WHERE (stream_id = $1
                OR session_id = (SELECT session_id FROM streams WHERE stream_id = $1))
           AND body <> ''";

    COUNT_DELETED = "
        UPDATE deletions
           SET after_stream = $2, streams = streams + $3, entries = entries + $4,
               deliveries = deliveries + $5, recordings = recordings + $6
         WHERE id = $1";

    END_DELETION = "DELETE FROM deletions WHERE id = $1";

    /// Two machines that take the next part of a stream at the same time: the second tries again.
    INSERT_RECORDING = "
        INSERT INTO recordings (id, session_id, stream_id, ordinal, part, spool, status,
                                started_at_ms)
        SELECT $1, $2, $3, $4, COALESCE(MAX(part), 0) + 1, $5, 'recording', $6
          FROM recordings WHERE stream_id = $3
        ON CONFLICT (id) DO NOTHING";

    RECORDING = select_recording!("id = $1");

    RECORDINGS_OF_SESSION = select_recording!(
        "session_id = $1 AND status <> 'deleting' ORDER BY ordinal, part"
    );

    UNFINISHED_RECORDINGS = select_recording!("spool = $1 AND status <> 'stored' ORDER BY id");

    /// What has files in the spool $1; with $2, what is stored; and what spools that were not seen since $3 have
    /// outside of themselves.
    RECORDINGS_TO_DELETE = select_recording!(
        "status = 'deleting'
            AND (spool = $1
                 OR ($2 <> 0 AND stored_at_ms IS NOT NULL)
                 OR (finished_at_ms IS NOT NULL AND swept_at_ms IS NULL
                     AND spool IN (SELECT id FROM spools WHERE seen_at_ms < $3)))
          ORDER BY id LIMIT $4"
    );

    /// What is left of it is in its spool, should that ever be seen again.
    SWEEP_RECORDING = "UPDATE recordings SET swept_at_ms = $2 WHERE id = $1";

    SEE_SPOOL = "
        INSERT INTO spools (id, seen_at_ms) VALUES ($1, $2)
        ON CONFLICT (id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms";

    /// Nobody knows when these were last seen: their time begins now.
    NOTE_SPOOLS = "
        INSERT INTO spools (id, seen_at_ms)
        SELECT DISTINCT spool, $1 FROM recordings WHERE status <> 'stored'
        ON CONFLICT (id) DO NOTHING";

    /// What spools that were not seen since $1 still had to do, of streams that are over.
    FAIL_LOST_RECORDINGS = "
        UPDATE recordings SET status = 'failed'
         WHERE status IN ('recording', 'uploading')
           AND spool IN (SELECT id FROM spools WHERE seen_at_ms < $1)
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.stream_id = recordings.stream_id
                              AND streams.outcome IS NULL)";

    MERGE_SPOOLS = "UPDATE recordings SET spool = $2 WHERE spool = $1";

    FORGET_SPOOL = "DELETE FROM spools WHERE id = $1";

    MOVE_RECORDING = "
        UPDATE recordings
           SET status = $3,
               finished_at_ms = CASE WHEN $3 = 'uploading' THEN $4 ELSE finished_at_ms END,
               stored_at_ms = CASE WHEN $3 = 'stored' THEN $4 ELSE stored_at_ms END
         WHERE id = $1 AND status = $2";

    DELETE_RECORDINGS_OF_SESSION = "
        UPDATE recordings SET status = 'deleting' WHERE session_id = $1 AND status <> 'deleting'";

    DELETE_RECORDINGS_OF_STREAM = "
        UPDATE recordings SET status = 'deleting' WHERE stream_id = $1 AND status <> 'deleting'";

    EXPIRE_RECORDINGS = "
        UPDATE recordings SET status = 'deleting'
         WHERE (status = 'stored' AND stored_at_ms < $1)
            OR (status = 'failed' AND started_at_ms < $1)";

    RECORDINGS_TO_REMOVE = "
        SELECT COUNT(*) FROM recordings WHERE stream_id = $1 AND status = 'deleting'";

    FORGET_RECORDING = "DELETE FROM recordings WHERE id = $1 AND status = 'deleting'";

    FORGET_RECORDED_FILES = "DELETE FROM recording_files WHERE recording_id = $1";

    UPSERT_RECORDED_FILE = "
        INSERT INTO recording_files (recording_id, name, session_id, api_name, path, medium,
                                     user_id, user_name, content_type, bytes, sha256, first_ms,
                                     last_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (recording_id, name) DO UPDATE
           SET api_name = excluded.api_name, path = excluded.path,
               user_name = excluded.user_name, bytes = excluded.bytes, sha256 = excluded.sha256,
               first_ms = excluded.first_ms, last_ms = excluded.last_ms";

    /// Files that were announced and never came to be.
    DROP_EMPTY_RECORDED_FILES = "
        DELETE FROM recording_files WHERE recording_id = $1 AND sha256 = ''";

    RECORDED_FILES = select_recorded_file!("recording_id = $1 ORDER BY name");

    RECORDED_FILES_OF_SESSION = select_recorded_file!(
        "session_id = $1 ORDER BY recording_id, name LIMIT $2"
    );

    RECORDED_FILE = select_recorded_file!("session_id = $1 AND api_name = $2");

    ENDPOINT = select_endpoint!("id = $1");

    ENDPOINTS = select_endpoint!("1 = 1 ORDER BY created_at_ms, id");

    /// No row when there are as many as there may be ($10).
    INSERT_ENDPOINT = "
        INSERT INTO webhook_endpoints (id, source, url, description, events, secret,
                                       previous_secret, status, created_at_ms, updated_at_ms)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9
         WHERE (SELECT COUNT(*) FROM webhook_endpoints) < $10";

    /// What is configured is as it is configured, and enabled at every start.
    CONFIGURE_ENDPOINT = "
        INSERT INTO webhook_endpoints (id, source, url, description, events, secret,
                                       previous_secret, status, created_at_ms, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT (id) DO UPDATE
           SET url = excluded.url, description = excluded.description, events = excluded.events,
               secret = excluded.secret, previous_secret = excluded.previous_secret,
               status = excluded.status, failing_since_ms = NULL, updated_at_ms = $9";

    /// Enabling forgets the failures.
    CHANGE_ENDPOINT = "
        UPDATE webhook_endpoints
           SET url = COALESCE($2, url), description = COALESCE($3, description),
               events = COALESCE($4, events), status = COALESCE($5, status),
               failing_since_ms = CASE WHEN $5 = 'enabled' THEN NULL ELSE failing_since_ms END,
               updated_at_ms = $6
         WHERE id = $1";

    /// Not when another rotation came in between.
    ROTATE_SECRET = "
        UPDATE webhook_endpoints
           SET secret = $3, previous_secret = $4, previous_until_ms = $5, updated_at_ms = $6
         WHERE id = $1 AND secret = $2";

    /// The same secrets under another seal.
    RESEAL_SECRETS = "
        UPDATE webhook_endpoints SET secret = $3, previous_secret = $4
         WHERE id = $1 AND secret = $2";

    DISABLE_ENDPOINT = "
        UPDATE webhook_endpoints SET status = $2, updated_at_ms = $3
         WHERE id = $1 AND status = 'enabled'";

    ENDPOINT_FAILED = "
        UPDATE webhook_endpoints SET failing_since_ms = COALESCE(failing_since_ms, $2)
         WHERE id = $1
        RETURNING failing_since_ms";

    ENDPOINT_SUCCEEDED = "
        UPDATE webhook_endpoints SET failing_since_ms = NULL
         WHERE id = $1 AND failing_since_ms IS NOT NULL";

    DELETE_ENDPOINT = "DELETE FROM webhook_endpoints WHERE id = $1";

    FORGET_DELIVERIES_OF_ENDPOINT = "
        DELETE FROM outgoing_deliveries
         WHERE endpoint_id = $1
           AND event_id IN (SELECT event_id FROM outgoing_deliveries
                             WHERE endpoint_id = $1 LIMIT $2)";

    /// The filters of all who get anything.
    WANTED_EVENTS = "SELECT events FROM webhook_endpoints WHERE status = 'enabled'";

    /// Nothing, where no endpoint wants it.
    INSERT_EVENT = "
        INSERT INTO outgoing_events (id, kind, at_ms, session_id, stream_id, seq, data,
                                     created_at_ms)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
         WHERE EXISTS (SELECT 1 FROM webhook_endpoints
                        WHERE status = 'enabled'
                          AND (events = ''
                               OR events <> replace(events, ',' || CAST($2 AS TEXT) || ',', '')))
        ON CONFLICT (id) DO NOTHING";

    /// To every endpoint that wants it, and once to each. Nothing for an event that nobody wanted: whoever
    /// wants it since another transaction gets no delivery without an event.
    ADDRESS_EVENT = "
        INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms,
                                         created_at_ms)
        SELECT id, $1, 'waiting', 0, $3, $3 FROM webhook_endpoints
         WHERE status = 'enabled'
           AND (events = '' OR events <> replace(events, ',' || CAST($2 AS TEXT) || ',', ''))
           AND EXISTS (SELECT 1 FROM outgoing_events WHERE id = $1)
        ON CONFLICT (endpoint_id, event_id) DO NOTHING";

    /// For one endpoint, whatever it wants.
    INSERT_TEST_EVENT = "
        INSERT INTO outgoing_events (id, kind, at_ms, data, created_at_ms)
        VALUES ($1, $2, $3, $4, $3)";

    ADDRESS_TEST_EVENT = "
        INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms,
                                         created_at_ms)
        VALUES ($1, $2, 'waiting', 0, $3, $3)";

    ENDPOINTS_WITH_DUE_DELIVERIES = "
        SELECT id FROM webhook_endpoints
         WHERE status = 'enabled'
           AND EXISTS (SELECT 1 FROM outgoing_deliveries
                        WHERE endpoint_id = webhook_endpoints.id AND due_at_ms <= $1)";

    /// Takes what is due, and what its sender gave no sign of life about. The outer condition is
    /// not idle: see `CLAIM_ORPHANS`.
    CLAIM_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = $4, attempts = attempts + 1, due_at_ms = $3
         WHERE endpoint_id = $1
           AND event_id IN (SELECT event_id FROM outgoing_deliveries
                             WHERE endpoint_id = $1 AND due_at_ms <= $2
                             ORDER BY due_at_ms LIMIT $5)
           AND due_at_ms <= $2
        RETURNING event_id, attempts";

    OUTGOING_EVENT = "
        SELECT id, kind, at_ms, session_id, stream_id, seq, data
          FROM outgoing_events WHERE id = $1";

    /// Only while the claim is still ours.
    SETTLE_OUTGOING = "
        UPDATE outgoing_deliveries
           SET status = $4, due_at_ms = $5, claim = NULL, last_at_ms = $6, last_status = $7,
               last_error = $8, last_answer = $9
         WHERE endpoint_id = $1 AND event_id = $2 AND claim = $3";

    /// Broken off: due again at once, as if it had not begun.
    RELEASE_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = NULL, due_at_ms = $4, attempts = attempts - 1
         WHERE endpoint_id = $1 AND event_id = $2 AND claim = $3";

    /// For a store that one process owns: whoever was sending is dead.
    RELEASE_ALL_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = NULL, due_at_ms = created_at_ms
         WHERE claim IS NOT NULL";

    /// A claim that somebody has is void: what comes of it is not recorded.
    RESEND_OUTGOING = "
        UPDATE outgoing_deliveries
           SET status = 'waiting', attempts = 0, due_at_ms = $3, claim = NULL
         WHERE endpoint_id = $1 AND event_id = $2";

    /// Up to $2.
    COUNT_WAITING = "
        SELECT COUNT(*) FROM (SELECT 1 FROM outgoing_deliveries
                               WHERE endpoint_id = $1 AND due_at_ms IS NOT NULL LIMIT $2)
               AS waiting";

    /// The newest first, after the delivery of the event $2.
    DELIVERIES_OF_ENDPOINT = "
        SELECT deliveries.event_id, outgoing_events.kind, deliveries.status, deliveries.attempts,
               CASE WHEN deliveries.claim IS NULL THEN deliveries.due_at_ms END AS due_at_ms,
               deliveries.last_at_ms, deliveries.last_status,
               deliveries.last_error, deliveries.last_answer, deliveries.created_at_ms
          FROM outgoing_deliveries AS deliveries
          JOIN outgoing_events ON outgoing_events.id = deliveries.event_id
         WHERE deliveries.endpoint_id = $1
           AND (CAST($2 AS TEXT) IS NULL
                OR (deliveries.created_at_ms, deliveries.event_id)
                   < (SELECT last.created_at_ms, last.event_id FROM outgoing_deliveries AS last
                       WHERE last.endpoint_id = $1 AND last.event_id = $2))
         ORDER BY deliveries.created_at_ms DESC, deliveries.event_id DESC LIMIT $3";

    /// Those from before $1; of what still waits only those from before $3, too.
    PRUNE_EVENTS = "
        DELETE FROM outgoing_events
         WHERE id IN (SELECT id FROM outgoing_events
                       WHERE created_at_ms < $1
                         AND (created_at_ms < $3
                              OR NOT EXISTS (SELECT 1 FROM outgoing_deliveries
                                              WHERE event_id = outgoing_events.id
                                                AND status = 'waiting'))
                       ORDER BY created_at_ms, id LIMIT $2)
        RETURNING id";

    FORGET_EVENTS_OF_SESSION = "
        DELETE FROM outgoing_events
         WHERE id IN (SELECT id FROM outgoing_events
                       WHERE session_id = $1 ORDER BY id LIMIT $2)
        RETURNING id";

    FORGET_DELIVERIES_OF_EVENT = "DELETE FROM outgoing_deliveries WHERE event_id = $1";

    /// For this version can never send it.
    FAIL_UNREADABLE = "
        UPDATE outgoing_deliveries
           SET status = 'failed', due_at_ms = NULL, claim = NULL, last_at_ms = $3,
               last_status = NULL, last_error = 'unreadable', last_answer = NULL
         WHERE endpoint_id = $1 AND event_id = $2";

    /// Events about the session of a stream ($1) as a whole: there are two at most.
    FORGET_EVENTS_ABOUT_SESSION = "
        DELETE FROM outgoing_events
         WHERE session_id = (SELECT session_id FROM streams WHERE streams.stream_id = $1)
           AND outgoing_events.stream_id IS NULL AND created_at_ms <= $2
        RETURNING id";

    /// What endpoints answered may repeat what they were sent.
    BLANK_ANSWERS = "
        UPDATE outgoing_deliveries SET last_answer = NULL
         WHERE (endpoint_id, event_id) IN
               (SELECT deliveries.endpoint_id, deliveries.event_id
                  FROM outgoing_events
                  JOIN outgoing_deliveries AS deliveries
                    ON deliveries.event_id = outgoing_events.id
                 WHERE outgoing_events.stream_id = $1 AND deliveries.last_answer <> ''
                 LIMIT $2)";

    ENTRY = "
        SELECT streams.session_id, streams.ordinal, entries.seq, entries.at_ms, entries.body
          FROM entries JOIN streams ON streams.stream_id = entries.stream_id
         WHERE entries.stream_id = $1 AND entries.seq = $2";

    INSERT_AUDIT = "
        INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";

    /// After ($1, $2), in order.
    DELETIONS_AFTER = "
        SELECT id, at_ms, subject, detail FROM audit
         WHERE action = 'data.deleted' AND (at_ms > $1 OR (at_ms = $1 AND id > $2))
         ORDER BY at_ms, id LIMIT $3";

    /// The newest first.
    AUDIT = "
        SELECT at_ms, actor, action, subject, outcome, detail FROM audit ORDER BY id DESC LIMIT $1";
}

/// Before the rows of a batch, `($1, $2, …), (…)`: stream_id, seq, kind, personal, at_ms, body.
pub const INSERT_ENTRIES_HEAD: &str = "
    WITH batch (stream_id, seq, kind, personal, at_ms, body) AS (VALUES ";

/// After them: what is there stays, and a revoked stream gets no personal entries any more.
pub const INSERT_ENTRIES_TAIL: &str = ")
    INSERT INTO entries (stream_id, seq, kind, personal, at_ms, body)
    SELECT stream_id, seq, kind, personal, at_ms, body FROM batch
     WHERE NOT (personal = 1 AND EXISTS (
               SELECT 1 FROM streams WHERE streams.stream_id = batch.stream_id
                  AND streams.stop_reason = 8 AND streams.ended_at_ms IS NOT NULL))
    ON CONFLICT (stream_id, seq) DO NOTHING";

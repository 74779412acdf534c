//! The parts that several statements share.

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub const $name: &str = $sql;)*

        /// All statements with their names.
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// A stream with information from its session; a `WHERE` follows.
macro_rules! select_stream {
    ($condition:literal) => {
        concat!(
            "SELECT streams.stream_id, streams.session_id, sessions.app, streams.ordinal,
                    sessions.product,
                    sessions.id_key, sessions.instance_id, streams.server_urls,
                    streams.event_ts_ms, streams.generation, streams.epoch, streams.interrupts,
                    streams.status,
                    streams.stop_seen_at_ms, streams.stop_reason, streams.outcome,
                    streams.first_packet_ms, streams.tally, streams.unknown_messages,
                    streams.unreadable_messages,
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
            "SELECT id, app, product, id_key, instance_id, account_id, meeting_id, operator_id, host_id,
                    participant_user_id, installation_id, metadata, media, status, meeting_started_at_ms,
                    meeting_ended_at_ms, created_at_ms, updated_at_ms, ended_at_ms
               FROM sessions
              WHERE ",
            $condition
        )
    };
}

/// Whether one of a session's streams meets the condition.
// Not `EXISTS`: a plan made while there were few streams reads all streams, or all running ones. COUNT reads only the
// session's.
macro_rules! has_stream {
    ($condition:literal) => {
        concat!(
            "(SELECT COUNT(CASE WHEN ",
            $condition,
            " THEN 1 END) FROM streams WHERE session_id = sessions.id) > 0"
        )
    };
}

/// Derives the status of sessions at `$2` from their streams and, while none is active, from the last start requested
/// since; a `WHERE` follows.
// Stop reason 6: the meeting has ended (section 10.6). A stream that was left out ends for reasons of its own.
macro_rules! refresh_sessions {
    () => {
        concat!("UPDATE sessions
           SET updated_at_ms = $2,
               review_at_ms = $2,
               status = CASE
                   WHEN ", has_stream!("streams.status IN ('live', 'interrupted', 'paused')"), "
                   THEN 'live'
                   WHEN ", has_stream!("streams.ended_at_ms IS NULL"), "
                   THEN 'connecting'
                   WHEN meeting_ended_at_ms IS NOT NULL
                   THEN 'ended'
                   WHEN (SELECT stop_reason FROM streams WHERE session_id = sessions.id
                            AND stop_reason IS NOT NULL
                          ORDER BY CASE WHEN outcome = 'left_out' THEN 1 ELSE 0 END, ordinal DESC
                          LIMIT 1) = 6
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
                       CASE WHEN ", has_stream!("TRUE"), " THEN 'stopped' ELSE 'created' END)
               END,
               ended_at_ms = CASE
                   WHEN ", has_stream!("streams.ended_at_ms IS NULL"), "
                   THEN NULL
                   ELSE COALESCE(meeting_ended_at_ms,
                                 (SELECT MAX(streams.ended_at_ms) FROM streams
                                   WHERE session_id = sessions.id))
               END
         ")
    };
}

/// A page of sessions, newest first, that meet the condition about their status.
// Two patterns for the text, because SQLite's `lower` leaves letters beyond ASCII as they are. A line break is in no
// pattern: none matches from one column into the next.
macro_rules! sessions_page {
    ($of_status:literal) => {
        concat!(
            select_session!(""),
            $of_status,
            "
                AND (CAST($1 AS TEXT) IS NULL OR id < $1)
                AND (CAST($4 AS TEXT) IS NULL OR $4 <> replace($4, ',' || app || ',', ''))
                AND (CAST($5 AS TEXT) IS NULL OR product = $5)
                AND (CAST($6 AS TEXT) IS NULL
                     OR lower(id || '\n' || instance_id || '\n' || COALESCE(meeting_id, '') || '\n'
                              || COALESCE(host_id, '') || '\n' || COALESCE(operator_id, '') || '\n'
                              || COALESCE(metadata, '')) LIKE $6 ESCAPE '!'
                     OR id || '\n' || instance_id || '\n' || COALESCE(meeting_id, '') || '\n'
                        || COALESCE(host_id, '') || '\n' || COALESCE(operator_id, '') || '\n'
                        || COALESCE(metadata, '') LIKE $7 ESCAPE '!')
              ORDER BY id DESC LIMIT $3 + 0"
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
            "SELECT id, source, url, description, events, apps, secret, previous_secret, previous_until_ms,
                    status, failing_since_ms, created_at_ms, updated_at_ms
               FROM webhook_endpoints
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_relay {
    ($condition:literal) => {
        concat!(
            "SELECT id, source, name, webhook_url, client_id, client_secret, secret_token, media, product, host_ids,
                    metadata, apps, catch_up, validated_at_ms, validation_error, created_at_ms, updated_at_ms
               FROM relays
              WHERE ",
            $condition
        )
    };
}

macro_rules! select_installation {
    ($condition:literal) => {
        concat!(
            "SELECT id, app, account_id, user_id, display_name, email, scope, api_base_url, status,
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
            // Daemons of earlier versions do not write the app.
            "SELECT id,
                    COALESCE(app, (SELECT sessions.app FROM sessions
                                    WHERE sessions.id = recordings.session_id), 'default') AS app,
                    session_id, stream_id, ordinal, part, spool, status, started_at_ms,
                    finished_at_ms, stored_at_ms, target, failed_deletions
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
                    bytes, sha256, first_ms, last_ms, user_text, channel_id
               FROM recording_files
              WHERE ",
            $condition
        )
    };
}

/// Whether a session has been over since before `$1` and has no other stored data: 1 or 0.
// The casts are for Postgres, where a plain 1 is an INTEGER and not readable as an `i64`.
macro_rules! session_is_over {
    () => {
        "CASE WHEN sessions.updated_at_ms < $1
               AND NOT EXISTS (SELECT 1 FROM streams
                                WHERE streams.session_id = sessions.id
                                  AND (streams.ended_at_ms IS NULL OR streams.ended_at_ms >= $1
                                       OR streams.created_at_ms > $1
                                       OR EXISTS (SELECT 1 FROM entries
                                                   WHERE entries.stream_id = streams.stream_id
                                                     AND entries.personal = 1)))
               AND NOT EXISTS (SELECT 1 FROM recordings
                                WHERE recordings.session_id = sessions.id)
               AND NOT EXISTS (SELECT 1 FROM actions
                                WHERE actions.session_id = sessions.id
                                  AND (actions.status IN ('due', 'running', 'accepted')
                                       OR actions.asked_at_ms > $1))
               AND NOT EXISTS (SELECT 1 FROM deletions
                                WHERE deletions.scope = 'session'
                                  AND deletions.subject = sessions.id)
               AND NOT EXISTS (SELECT 1 FROM outgoing_events
                                 JOIN outgoing_deliveries
                                   ON outgoing_deliveries.event_id = outgoing_events.id
                                WHERE outgoing_events.session_id = sessions.id
                                  AND outgoing_deliveries.status = 'waiting')
              THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END"
    };
}

/// Deletes audit rows from before $1, of the apps that the condition selects: see `EXPIRE_AUDIT`.
macro_rules! expire_audit {
    ($apps:literal) => {
        concat!(
            "DELETE FROM audit
              WHERE id IN (SELECT id FROM audit
                            WHERE ",
            $apps,
            " AND at_ms < $1
                              AND (action <> 'data.deleted'
                                   OR NOT EXISTS (SELECT 1 FROM sinks
                                                   WHERE sinks.through_ms <= audit.at_ms
                                                     AND sinks.held_at_ms >= $1))
                            ORDER BY at_ms LIMIT $2 + 0)"
        )
    };
}

/// Deletes events from before $1, of the apps that the condition selects; those that wait only from before $3.
macro_rules! prune_events {
    ($apps:literal) => {
        concat!(
            "DELETE FROM outgoing_events
              WHERE id IN (SELECT id FROM outgoing_events
                            WHERE ",
            $apps,
            " AND created_at_ms < $1
                              AND (created_at_ms < $3
                                   OR NOT EXISTS (SELECT 1 FROM outgoing_deliveries
                                                   WHERE event_id = outgoing_events.id
                                                     AND status = 'waiting'))
                            ORDER BY created_at_ms, id LIMIT $2 + 0)
             RETURNING id"
        )
    };
}

/// The sessions of a product ($1) in one app ($2) that can move to another ($3): it does not have the conversation.
macro_rules! sessions_to_move {
    ($column:literal) => {
        concat!(
            "SELECT moving.",
            $column,
            " FROM sessions AS moving
              WHERE moving.product = $1 AND moving.app = $2
                AND NOT EXISTS (SELECT 1 FROM sessions AS others
                                 WHERE others.app = $3 AND others.product = $1
                                   AND others.instance_id = moving.instance_id)"
        )
    };
}

/// The ids of the sessions to move with a conversation after $4, up to $5, in the order of the index that finds them.
macro_rules! part_to_move {
    () => {
        concat!(
            sessions_to_move!("id"),
            " AND moving.instance_id > $4 AND moving.instance_id <= $5"
        )
    };
}

//! Sessions.

statements! {
    /// The newest applied migration.
    SCHEMA_VERSION = "SELECT MAX(version) FROM _sqlx_migrations";

    /// Needs no table.
    ONE = "SELECT CAST(1 AS BIGINT)";

    /// The newest migration and the major version.
    SCHEMA = "
        SELECT (SELECT MAX(version) FROM _sqlx_migrations), (SELECT MAX(major) FROM schema_major)";

    /// Finds or creates a session and locks it until the transaction ends.
    UPSERT_SESSION = "
        INSERT INTO sessions (id, product, id_key, instance_id, account_id, meeting_id, operator_id,
                              status, created_at_ms, updated_at_ms, app, host_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'connecting', $8, $8, $9, $10)
        ON CONFLICT (app, product, instance_id) DO UPDATE
           SET account_id = COALESCE(excluded.account_id, sessions.account_id),
               meeting_id = COALESCE(excluded.meeting_id, sessions.meeting_id),
               operator_id = COALESCE(excluded.operator_id, sessions.operator_id),
               host_id = COALESCE(excluded.host_id, sessions.host_id)
        RETURNING id";

    /// A meeting known by its number only gets the id that Zoom uses, within its app ($5).
    ADOPT_SESSION = "
        UPDATE sessions SET product = $1, id_key = $2, instance_id = $3
         WHERE app = $5 AND product IN ('meeting', 'webinar') AND id_key = 'meeting_id'
           AND instance_id = $4
           AND NOT EXISTS (SELECT 1 FROM sessions AS others
                            WHERE others.app = $5 AND others.product = $1
                              AND others.instance_id = $3)";

    // `status <> 'ended'` is the condition of the index by meeting number.
    /// A session of an earlier meeting with the same number, for which a start was requested since, becomes the session
    /// of the meeting that begins now, because the start was meant for it. Within its app ($5).
    ADOPT_EARLIER_SESSION = "
        UPDATE sessions
           SET product = $1, id_key = $2, instance_id = $3, meeting_started_at_ms = NULL
         WHERE id = (SELECT earlier.id FROM sessions AS earlier
                      WHERE earlier.app = $5 AND earlier.meeting_id = $4
                        AND earlier.status <> 'ended'
                        AND earlier.product IN ('meeting', 'webinar')
                        AND earlier.status IN ('rtms_start_requested', 'start_timed_out')
                        AND earlier.instance_id <> $3
                      ORDER BY earlier.id DESC LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM sessions AS others
                            WHERE others.app = $5 AND others.product = $1
                              AND others.instance_id = $3)";

    /// Changes nothing: see `LOCK_SESSION`.
    LOCK_SESSION_OF_INSTANCE = "
        UPDATE sessions SET status = status
         WHERE app = $3 AND product = $1 AND instance_id = $2
        RETURNING id, host_id, erased_at_ms";

    /// Another stream of the session begins.
    UNERASE_SESSION = "
        UPDATE sessions SET erased_at_ms = NULL WHERE id = $1 AND erased_at_ms IS NOT NULL";

    /// The first of each time stays.
    NOTE_MEETING = "
        UPDATE sessions
           SET meeting_started_at_ms = COALESCE(meeting_started_at_ms, $2),
               meeting_ended_at_ms = COALESCE(meeting_ended_at_ms, $3)
         WHERE id = $1";

    /// A session whose data was deleted stays without names.
    NOTE_HOST = "UPDATE sessions SET host_id = $2 WHERE id = $1 AND erased_at_ms IS NULL";

    /// The session of a meeting number that may still run: not ended, and with a recent event.
    FIND_SESSION_BY_NUMBER = "
        SELECT id FROM sessions
         WHERE app = $5 AND meeting_id = $1 AND product IN ($2, $3) AND status <> 'ended'
           AND updated_at_ms >= $4
         ORDER BY id DESC LIMIT 1";

    /// A session that a program requests; an existing one is locked and stays as it is.
    // DO UPDATE, because DO NOTHING would neither lock the existing row nor return its id.
    CREATE_SESSION = "
        INSERT INTO sessions (id, product, id_key, instance_id, meeting_id, status, created_at_ms,
                              updated_at_ms, app)
        VALUES ($1, $2, $3, $4, $5, 'created', $6, $6, $7)
        ON CONFLICT (app, product, instance_id) DO UPDATE SET status = sessions.status
        RETURNING id";

    /// The program's values replace stored ones; absent values stay.
    DESCRIBE_SESSION = "
        UPDATE sessions
           SET participant_user_id = COALESCE($2, participant_user_id),
               installation_id = COALESCE($3, installation_id),
               metadata = COALESCE($4, metadata),
               media = COALESCE($5, media),
               erased_at_ms = NULL
         WHERE id = $1";

    APP_OF_SESSION = "SELECT app FROM sessions WHERE id = $1";

    /// The last conversation of the first $5 sessions after $4 that can move. No row if there is none.
    LAST_TO_MOVE = concat!(
        "SELECT instance_id FROM (", sessions_to_move!("instance_id"),
        " AND moving.instance_id > $4 ORDER BY moving.instance_id LIMIT $5 + 0) AS part
          ORDER BY instance_id DESC LIMIT 1"
    );

    /// Webhooks follow their session to another app ($3).
    MOVE_DELIVERIES = concat!(
        "UPDATE deliveries SET app = $3 WHERE app = $2 AND session_id IN (",
        part_to_move!(), ")"
    );

    /// Webhooks that name only a session's stream.
    MOVE_DELIVERIES_OF_STREAMS = concat!(
        "UPDATE deliveries SET app = $3
          WHERE app = $2
            AND stream_id IN (SELECT stream_id FROM streams WHERE streams.session_id IN (",
        part_to_move!(), "))"
    );

    MOVE_EVENTS = concat!(
        "UPDATE outgoing_events SET app = $3 WHERE session_id IN (", part_to_move!(), ")"
    );

    MOVE_RECORDINGS = concat!(
        "UPDATE recordings SET app = $3 WHERE session_id IN (", part_to_move!(), ")"
    );

    /// After what belongs to them.
    MOVE_SESSIONS = concat!("UPDATE sessions SET app = $3 WHERE id IN (", part_to_move!(), ")");

    /// The last of the first $2 audit rows after $1. No row if there is none.
    LAST_AUDIT_ROW = "
        SELECT id FROM (SELECT id FROM audit WHERE id > $1 ORDER BY id LIMIT $2 + 0) AS part
         ORDER BY id DESC LIMIT 1";

    /// Audit rows after $4, up to $5, about sessions that can move.
    // Not `IN`: it would collect every such session for each part of the trail.
    MOVE_AUDIT = concat!(
        "UPDATE audit SET app = $3
          WHERE id > $4 AND id <= $5 AND app = $2
            AND EXISTS (", sessions_to_move!("id"), " AND moving.id = audit.subject)"
    );

    /// The acting user of a session is one whose stream is joined, if any is.
    RESTORE_OPERATOR = "
        UPDATE sessions
           SET operator_id = COALESCE(
                   (SELECT streams.operator_id FROM streams
                     WHERE streams.session_id = sessions.id AND streams.operator_id IS NOT NULL
                       AND (streams.outcome IS NULL OR streams.outcome <> 'left_out')
                     ORDER BY streams.ordinal DESC LIMIT 1),
                   operator_id)
         WHERE id = $1";

    PIN_VIDEO = "UPDATE sessions SET video_user_id = $2 WHERE id = $1";

    /// Derives a session's status from its streams: see `refresh_sessions`.
    REFRESH_SESSION = concat!(refresh_sessions!(), "WHERE id = $1 RETURNING status, told");

    SESSION = select_session!("id = $1");

    /// Sessions of the statuses in the list $2 and the apps in the list $4; of all without a list. $6 and $7 are patterns
    /// for the same text.
    // `$2 <> replace(…)` means that the list contains the status: see `INSERT_EVENT`.
    SESSIONS = sessions_page!(
        "(CAST($2 AS TEXT) IS NULL OR $2 <> replace($2, ',' || status || ',', ''))"
    );

    /// The same for one status, by its index: few sessions of many are live.
    SESSIONS_OF_STATUS = sessions_page!("status = $2");

    /// The same for several statuses of sessions under way, by the index on the status. The statuses are those of
    /// [`SessionStatus::is_under_way`](crate::model::SessionStatus::is_under_way).
    SESSIONS_UNDER_WAY = sessions_page!(
        "status IN ('rtms_start_requested', 'connecting', 'live')
         AND $2 <> replace($2, ',' || status || ',', '')"
    );

    /// For a store that one process owns: previous lease owners are dead.
    RELEASE_ALL_LEASES = "
        UPDATE streams SET owner = NULL, lease_until_ms = NULL
         WHERE owner IS NOT NULL AND ended_at_ms IS NULL";

    /// See `RELEASE_ALL_LEASES`.
    RELEASE_ALL_SINKS = "
        UPDATE sinks SET owner = NULL, lease_until_ms = NULL WHERE owner IS NOT NULL";

    /// For a store that one process owns: previous senders are dead.
    RELEASE_ALL_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = NULL, due_at_ms = created_at_ms
         WHERE claim IS NOT NULL";
}

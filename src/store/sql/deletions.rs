//! What is deleted or too old, and the audit trail.

statements! {
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

    COUNT_DELETED = "
        UPDATE deletions
           SET after_stream = $2, streams = streams + $3, entries = entries + $4,
               deliveries = deliveries + $5, recordings = recordings + $6
         WHERE id = $1";

    END_DELETION = "DELETE FROM deletions WHERE id = $1";

    RECORDINGS_TO_REMOVE = "
        SELECT COUNT(*) FROM recordings WHERE stream_id = $1 AND status = 'deleting'";

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

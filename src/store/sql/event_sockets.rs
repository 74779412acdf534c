//! The event sockets of apps, and the daemons that hold them.

statements! {
    /// `$2` claims the event socket of the app `$1` at `$4` until `$3`: a free one, its own, or one with an expired
    /// lease. The one before it held a connection at most until it was last seen.
    CLAIM_EVENT_SOCKET = "
        INSERT INTO event_sockets (app, owner, lease_until_ms, epoch) VALUES ($1, $2, $3, 1)
        ON CONFLICT (app) DO UPDATE
           SET owner = excluded.owner, lease_until_ms = excluded.lease_until_ms,
               epoch = event_sockets.epoch + 1, connected_at_ms = NULL
         WHERE event_sockets.owner IS NULL OR event_sockets.owner = excluded.owner
               OR event_sockets.lease_until_ms <= $4
        RETURNING epoch";

    /// The row of a claim ($1 to $3), locked until the transaction ends.
    LOCK_EVENT_SOCKET = "
        UPDATE event_sockets SET epoch = epoch WHERE app = $1 AND owner = $2 AND epoch = $3
        RETURNING seen_at_ms, unasked_from_ms";

    RENEW_EVENT_SOCKET = "
        UPDATE event_sockets
           SET lease_until_ms = $4,
               seen_at_ms = CASE WHEN CAST($5 AS BIGINT) > COALESCE(seen_at_ms, 0)
                                 THEN CAST($5 AS BIGINT) ELSE seen_at_ms END
         WHERE app = $1 AND owner = $2 AND epoch = $3";

    /// A connection is up at `$4`; a gap lies behind it ($5 to $6, or none), and Zoom is to be asked about the time
    /// since `$7`.
    EVENT_SOCKET_UP = "
        UPDATE event_sockets
           SET connected_at_ms = $4, seen_at_ms = $4, problem = NULL,
               gap_from_ms = COALESCE($5, gap_from_ms), gap_until_ms = COALESCE($6, gap_until_ms),
               unasked_from_ms = $7
         WHERE app = $1 AND owner = $2 AND epoch = $3";

    /// No connection is up, for the reason `$4`; the last one was seen at `$5`.
    EVENT_SOCKET_DOWN = "
        UPDATE event_sockets
           SET problem = $4,
               seen_at_ms = CASE WHEN connected_at_ms IS NULL THEN seen_at_ms
                                 WHEN seen_at_ms > CAST($5 AS BIGINT) THEN seen_at_ms
                                 ELSE CAST($5 AS BIGINT) END,
               connected_at_ms = NULL
         WHERE app = $1 AND owner = $2 AND epoch = $3";

    /// Until `$4` Zoom was asked about.
    EVENT_SOCKET_ASKED = "
        UPDATE event_sockets SET unasked_from_ms = NULL
         WHERE app = $1 AND owner = $2 AND epoch = $3 AND gap_until_ms <= $4";

    /// The connection, if there is one, stays up until `$4`.
    RELEASE_EVENT_SOCKET = "
        UPDATE event_sockets
           SET owner = NULL, lease_until_ms = 0, connected_at_ms = NULL,
               seen_at_ms = CASE WHEN connected_at_ms IS NULL
                                      OR seen_at_ms > CAST($4 AS BIGINT)
                                 THEN seen_at_ms ELSE CAST($4 AS BIGINT) END
         WHERE app = $1 AND owner = $2 AND epoch = $3";

    EVENT_SOCKETS = "
        SELECT app, owner, lease_until_ms, connected_at_ms, seen_at_ms, problem, gap_from_ms,
               gap_until_ms
          FROM event_sockets ORDER BY app";

    /// The meetings of the app `$1` that may run, with a change since `$2`: the sessions of which Zoom may have sent an
    /// event that nobody received. The newest first.
    SESSIONS_TO_ASK_ABOUT = "
        SELECT id FROM sessions
         WHERE app = $1 AND product = 'meeting' AND status <> 'ended'
           AND (status <> 'created' OR meeting_started_at_ms IS NOT NULL)
           AND meeting_id IS NOT NULL AND meeting_ended_at_ms IS NULL AND updated_at_ms >= $2
         ORDER BY id DESC LIMIT $3 + 0";

    SESSION_OF_INSTANCE = "
        SELECT id FROM sessions WHERE app = $1 AND product = $2 AND instance_id = $3";

    /// The accepted starts of a session ($1) by its policies since $2 are due again, unless a stream has come: the event
    /// that announced it may be lost.
    REPEAT_PLANNED_STARTS = "
        UPDATE actions SET status = 'due', due_at_ms = $3
         WHERE session_id = $1 AND action = 'start' AND cause IS NOT NULL
           AND status IN ('accepted', 'timed_out') AND answered_at_ms >= $2
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.session_id = $1
                              AND streams.created_at_ms >= actions.asked_at_ms)
        RETURNING session_id";
}

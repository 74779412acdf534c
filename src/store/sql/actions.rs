//! Actions at Zoom, and stored idempotent answers.

use super::BulkStatement;

macro_rules! mark_reviewed {
    ($lock:literal) => {
        concat!(
            "
    UPDATE sessions SET review_at_ms = NULL
     WHERE id IN (SELECT sessions.id FROM reviews
                    JOIN sessions ON sessions.id = reviews.session_id
                                 AND sessions.review_at_ms = reviews.mark ",
            $lock,
            ")"
        )
    };
}

/// Takes sessions off the review list, except those that have changed since they were read.
// Skips locked sessions: another transaction is changing them, and waiting for several locks could deadlock.
pub const MARK_REVIEWED: BulkStatement = bulk!("reviews" (session_id TEXT, mark BIGINT)
    postgres: mark_reviewed!("FOR NO KEY UPDATE OF sessions SKIP LOCKED"),
    sqlite: mark_reviewed!("")
);

statements! {
    /// Changes nothing: locks the session until the transaction ends.
    // An UPDATE, because SQLite has no SELECT … FOR UPDATE.
    LOCK_SESSION = "UPDATE sessions SET status = status WHERE id = $1 RETURNING id";

    /// The media parameters of the session's next streams.
    SET_MEDIA = "UPDATE sessions SET media = $2 WHERE id = $1";

    /// Restores the earlier media parameters ($3), unless $2 were replaced meanwhile.
    RESTORE_MEDIA = "UPDATE sessions SET media = $3 WHERE id = $1 AND media = $2";

    /// The installation that provides the session's token.
    SET_INSTALLATION = "UPDATE sessions SET installation_id = $2 WHERE id = $1";

    SESSIONS_TO_REVIEW = "
        SELECT id, review_at_ms FROM sessions WHERE review_at_ms IS NOT NULL
         ORDER BY review_at_ms LIMIT $1 + 0";

    /// Does nothing if the session has changed since it was read.
    REVIEWED = "UPDATE sessions SET review_at_ms = NULL WHERE id = $1 AND review_at_ms = $2";

    /// The newest actions, oldest first.
    ACTIONS_OF_SESSION = select_action!(
        "session_id = $1
         AND id IN (SELECT newest.id FROM actions AS newest WHERE newest.session_id = $1
                     ORDER BY newest.asked_at_ms DESC, newest.id DESC LIMIT $2 + 0)
         ORDER BY asked_at_ms, id"
    );

    ACTION = select_action!("id = $1");

    INSERT_ACTION = "
        INSERT INTO actions (id, session_id, action, asked_by, cause, status, asked_at_ms,
                             due_at_ms, attempts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (session_id, cause) DO NOTHING";

    /// Due actions: planned ones, and those with an expired claim. They run only if they are admitted. The outer
    /// condition is needed: if two nodes choose the same rows, the second waits for the first and finds it false. The last status condition is that of the index `actions_due`, without
    /// which SQLite does not use it.
    CLAIM_ACTIONS = "
        UPDATE actions SET attempts = attempts + 1, due_at_ms = $2
         WHERE id IN (SELECT id FROM actions
                       WHERE due_at_ms <= $1 AND cause IS NOT NULL
                         AND status IN ('due', 'running')
                         AND status IN ('due', 'running', 'accepted')
                       ORDER BY due_at_ms LIMIT $3 + 0)
           AND due_at_ms <= $1 AND status IN ('due', 'running')
        RETURNING id";

    RUN_ACTION = "UPDATE actions SET status = 'running' WHERE id = $1";

    /// An action that a webhook or a stop settled meanwhile stays as it is.
    ANSWER_ACTION = "
        UPDATE actions
           SET status = CASE WHEN status IN ('due', 'running') THEN $2 ELSE status END,
               due_at_ms = CASE WHEN status IN ('due', 'running') THEN $3 ELSE due_at_ms END,
               answered_at_ms = $4, answer = $5
         WHERE id = $1";

    /// Not a failed attempt: the daemon stopped in the middle, or no daemon has room.
    HAND_BACK_ACTION = "
        UPDATE actions
           SET status = 'due', due_at_ms = $4, attempts = attempts - 1, answered_at_ms = $2,
               answer = $3
         WHERE id = $1 AND status IN ('due', 'running')";

    /// The streams before that of the start $1: of starts under way, of those planned earlier that are due by $2, and
    /// those that Zoom has announced since $3 and no daemon runs. See `CLAIM_ACTIONS` for the last condition of the starts.
    STARTS_AHEAD = "
        SELECT (SELECT COUNT(*) FROM actions
                 WHERE action = 'start' AND id <> $1
                   AND (status IN ('running', 'accepted')
                        OR (status = 'due' AND id < $1 AND due_at_ms <= $2))
                   AND status IN ('due', 'running', 'accepted'))
             + (SELECT COUNT(*) FROM streams
                 WHERE ended_at_ms IS NULL AND owner IS NULL AND stop_seen_at_ms IS NULL
                   AND created_at_ms > $3)
            AS count";

    /// The planned starts that wait for room, by app.
    STARTS_THAT_WAIT = "
        SELECT sessions.app, COUNT(*) AS count
          FROM actions JOIN sessions ON sessions.id = actions.session_id
         WHERE actions.action = 'start' AND actions.status = 'due'
           AND actions.status IN ('due', 'running', 'accepted')
           AND actions.answer LIKE '%\"code\":\"no_capacity\"%'
         GROUP BY sessions.app";

    /// A stop requested by a program overrides planned starts.
    DROP_PLANNED_STARTS = "
        UPDATE actions
           SET status = 'skipped', due_at_ms = NULL, answered_at_ms = $2, answer = $3
         WHERE session_id = $1 AND action = 'start' AND status = 'due'
        RETURNING session_id";

    /// A stop that Zoom accepted overrides the starts before it.
    DROP_PENDING_STARTS = "
        UPDATE actions SET status = 'skipped', due_at_ms = NULL
         WHERE session_id = $1 AND action = 'start' AND status IN ('running', 'accepted')";

    /// A stream was announced: confirms all requested starts. Also by number within the app, because a meeting requested
    /// by number may have another name by now.
    // UNION ALL, because with OR Postgres reads all sessions while it has no statistics.
    CONFIRM_STARTS = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE action = 'start' AND status IN ('running', 'accepted')
           AND session_id IN (SELECT CAST($1 AS TEXT) UNION ALL
                              SELECT id FROM sessions
                               WHERE meeting_id = $2 AND status <> 'ended'
                                 AND app = (SELECT announced.app FROM sessions AS announced
                                             WHERE announced.id = $1))
        RETURNING session_id";

    /// Of the starts that timed out, only the last can have caused the stream.
    CONFIRM_LATE_START = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE status = 'timed_out'
           AND id = (SELECT newest.id FROM actions AS newest
                      WHERE newest.session_id = $1 AND newest.action = 'start'
                        AND newest.status <> 'skipped'
                      ORDER BY newest.asked_at_ms DESC, newest.id DESC LIMIT 1)
        RETURNING session_id";

    /// A stream has ended: confirms the requested stops.
    CONFIRM_STOPS = "
        UPDATE actions SET status = 'confirmed', due_at_ms = NULL
         WHERE session_id = $1 AND action = 'stop' AND status IN ('running', 'accepted')";

    /// The sessions of overdue actions, one row for each action: see `TIME_OUT_ACTIONS`, and `CLAIM_ACTIONS` for the
    /// last condition.
    SESSIONS_WITH_LATE_ACTIONS = "
        SELECT session_id FROM actions
         WHERE due_at_ms <= $1 AND (status = 'accepted' OR (status = 'running' AND cause IS NULL))
           AND status IN ('due', 'running', 'accepted')
         ORDER BY due_at_ms LIMIT $2 + 0";

    /// Actions that no webhook confirmed: they keep the time at which they were due. A planned one that still runs
    /// belongs to its runner.
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
         WHERE (streams.session_id = $1
                OR (deliveries.session_id = $1 AND deliveries.effect = 'notice'))
           AND deliveries.app = (SELECT app FROM sessions WHERE id = $1)
         ORDER BY deliveries.received_at_ms LIMIT $2 + 0";

    /// Claims a key that is new or expired.
    TAKE_IDEMPOTENCY_KEY = "
        INSERT INTO idempotency_keys (token, path, key, digest, expires_at_ms)
        VALUES ($1, $2, $3, $4, $6)
        ON CONFLICT (token, path, key) DO UPDATE
           SET digest = excluded.digest, status = NULL, body = NULL, session_id = NULL,
               expires_at_ms = excluded.expires_at_ms
         WHERE idempotency_keys.expires_at_ms <= $5";

    IDEMPOTENCY_KEY = "
        SELECT digest, status, body FROM idempotency_keys
         WHERE token = $1 AND path = $2 AND key = $3";

    /// Without the body if its session ($7) was deleted meanwhile.
    KEEP_ANSWER = "
        UPDATE idempotency_keys
           SET status = $4, expires_at_ms = $6, session_id = $7,
               body = CASE
                   WHEN CAST($7 AS TEXT) IS NULL
                        OR EXISTS (SELECT 1 FROM sessions WHERE id = $7 AND erased_at_ms IS NULL)
                   THEN CAST($5 AS TEXT) END
         WHERE token = $1 AND path = $2 AND key = $3";

    /// Sealed answers that do not begin with $1, of $2 characters.
    // The cast is for Postgres, where `substr` takes no BIGINT.
    FORGET_ANSWERS_SEALED_OTHERWISE = "
        UPDATE idempotency_keys SET body = NULL
         WHERE substr(body, 1, 3) = 'v1.' AND substr(body, 1, CAST($2 AS INTEGER)) <> $1";

    RELEASE_IDEMPOTENCY_KEY = "
        DELETE FROM idempotency_keys
         WHERE token = $1 AND path = $2 AND key = $3 AND status IS NULL";

    PRUNE_IDEMPOTENCY_KEYS = "
        DELETE FROM idempotency_keys
         WHERE (token, path, key) IN (SELECT token, path, key FROM idempotency_keys
                                       WHERE expires_at_ms <= $1 LIMIT $2 + 0)";
}

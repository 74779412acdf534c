//! Webhooks from Zoom, and their effects.

statements! {
    /// Changes one row, unless these bytes were recorded before. A copy of a refused webhook has its effect now.
    INSERT_DELIVERY = "
        INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body,
                                app, reason, method)
        VALUES ($1, $2, $3, $4, $5, 'none', $6, $7, $8, $9)
        ON CONFLICT (digest) DO UPDATE
           SET received_at_ms = excluded.received_at_ms, stream_id = excluded.stream_id,
               effect = 'none', body = excluded.body, reason = excluded.reason,
               method = excluded.method, operator_id = NULL
         WHERE deliveries.effect IN ('refused', 'failed')";

    /// The webhooks that name a stream of their app, oldest first.
    WEBHOOKS_OF_STREAM = "
        SELECT event, received_at_ms, effect, body FROM deliveries
         WHERE stream_id = $1
           AND app = (SELECT sessions.app FROM sessions
                        JOIN streams ON streams.session_id = sessions.id
                       WHERE streams.stream_id = $1)
         ORDER BY received_at_ms, digest LIMIT $2 + 0";

    /// What a webhook changed, or why it changed nothing. $4 is the session of one that names no stream.
    MARK_DELIVERY = "
        UPDATE deliveries
           SET effect = $2, reason = $3, session_id = COALESCE($4, session_id), installation_id = $5
         WHERE digest = $1";

    /// Separates a webhook from the stream that it names, which belongs to another app.
    DISOWN_DELIVERY = "UPDATE deliveries SET stream_id = NULL, body = '' WHERE digest = $1";

    /// A notice of Zoom about a session or the account, and the user that it names.
    MARK_NOTICE = "
        UPDATE deliveries
           SET effect = 'notice', reason = 'notice', session_id = $2, operator_id = $3
         WHERE digest = $1";

    /// The app's ($4) session by any id in the notice; of several the newest.
    SESSION_OF_NOTICE = "
        SELECT id, erased_at_ms FROM sessions
         WHERE app = $4
           AND (id = (SELECT session_id FROM streams WHERE stream_id = $1)
                OR (product IN ('meeting', 'webinar', 'video_sdk', 'contact_center', 'phone')
                    AND instance_id = $2)
                OR (meeting_id = $3 AND status <> 'ended'))
         ORDER BY id DESC LIMIT 1";

    /// Long bodies are not read. See `SESSIONS` for the list of apps ($3).
    NOTICES_OF_ACCOUNT = "
        SELECT app, event, event_ts_ms, received_at_ms,
               CASE WHEN LENGTH(body) <= $2 THEN body END AS body
          FROM deliveries WHERE effect = 'notice' AND session_id IS NULL
           AND (CAST($3 AS TEXT) IS NULL OR $3 <> replace($3, ',' || app || ',', ''))
         ORDER BY received_at_ms DESC, digest LIMIT $1 + 0";

    /// Deletes deliveries of the app $3.
    PRUNE_DELIVERIES = "
        DELETE FROM deliveries
         WHERE digest IN (SELECT digest FROM deliveries
                           WHERE app = $3 AND received_at_ms < $1 LIMIT $2 + 0)";

    NEXT_APP_OF_DELIVERIES = "SELECT MIN(app) FROM deliveries WHERE app > $1";

    /// The session is locked: no other transaction takes the same ordinal.
    // MAX without GROUP BY yields one row even if the session has no stream yet.
    INSERT_STREAM = "
        INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                             interrupts, status, tally, media, created_at_ms, operator_id)
        SELECT $1, $2, COALESCE(MAX(ordinal), 0) + 1, $3, $4, 1, 0, 'announced', '{}',
               (SELECT media FROM sessions WHERE id = $2), $5, $6
          FROM streams WHERE session_id = $2";

    /// A stream with a stop before its start: it ended before it was known.
    INSERT_TOMBSTONE = "
        INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                             interrupts, status, stop_seen_at_ms, stop_reason, outcome, tally,
                             created_at_ms, ended_at_ms)
        SELECT $1, $2, COALESCE(MAX(ordinal), 0) + 1, '', $3, 0, 0, 'ended', $5, $4, 'stopped',
               '{}', $5, $5
          FROM streams WHERE session_id = $2";

    /// If several users bring the app into one stream, the last of them owns it.
    MOVE_STREAM = "
        UPDATE streams
           SET server_urls = $2, event_ts_ms = $3, generation = generation + 1,
               operator_id = COALESCE($4, operator_id)
         WHERE stream_id = $1";

    REVIVE_STREAM = "
        UPDATE streams
           SET server_urls = $2, event_ts_ms = $3, generation = generation + 1,
               operator_id = COALESCE($4, operator_id), erased_at_ms = NULL, status = 'announced', outcome = NULL, stop_reason = NULL, ended_at_ms = NULL,
               emptied_at_ms = NULL, owner = NULL, lease_until_ms = NULL
         WHERE stream_id = $1";

    /// The first stop stays; a reason may be added later; a revocation (8) overrides every other, and raises the epoch,
    /// so that a runner's later writes are rejected.
    NOTE_STOP = "
        UPDATE streams
           SET stop_seen_at_ms = COALESCE(stop_seen_at_ms, $2),
               epoch = CASE WHEN $3 = 8 AND ended_at_ms IS NULL THEN epoch + 1 ELSE epoch END,
               stop_reason = CASE WHEN $3 = 8 THEN $3 ELSE COALESCE(stop_reason, $3) END
         WHERE stream_id = $1
           AND (stop_seen_at_ms IS NULL
                OR (stop_reason IS NULL AND CAST($3 AS BIGINT) IS NOT NULL)
                OR (stop_reason <> 8 AND $3 = 8))";

    /// An interruption ($2, $3) of a stream ($1) that another delivery ($4) has reported: Zoom sends one event in two
    /// ways if the app has two subscriptions.
    INTERRUPT_OF_OTHER = "
        SELECT digest FROM deliveries
         WHERE stream_id = $1 AND event = $2 AND event_ts_ms = $3 AND digest <> $4
           AND effect = 'changed' LIMIT 1";

    NOTE_INTERRUPT = "
        UPDATE streams SET interrupts = interrupts + 1
         WHERE stream_id = $1 AND ended_at_ms IS NULL AND stop_seen_at_ms IS NULL";

    /// Removes the bodies of a stream's webhooks. The rows stay, so that a copy is still recognized.
    BLANK_DELIVERIES = "
        UPDATE deliveries SET body = '', operator_id = NULL WHERE stream_id = $1 AND body <> ''";

    BLANK_DELIVERY = "UPDATE deliveries SET body = '', operator_id = NULL WHERE digest = $1";

    /// Removes a webhook's body, unless its stream holds data: without data, no deletion would find the body later.
    BLANK_DELIVERY_OF_NO_STREAM = "
        UPDATE deliveries SET body = ''
         WHERE digest = $1
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.stream_id = deliveries.stream_id
                              AND erased_at_ms IS NULL AND generation > 0)";
}

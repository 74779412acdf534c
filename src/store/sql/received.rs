//! The log of Zoom's webhooks.

/// A webhook with its stream and session, if these are of its app; a `WHERE` follows.
macro_rules! select_received {
    ($condition:literal) => {
        concat!(
            "SELECT deliveries.digest, deliveries.app, deliveries.method, deliveries.event,
                    deliveries.event_ts_ms,
                    deliveries.received_at_ms, deliveries.processed_at_ms, deliveries.effect,
                    deliveries.reason, deliveries.stream_id,
                    CASE WHEN sessions.id IS NOT NULL THEN streams.ordinal END AS ordinal,
                    sessions.id AS session_id, sessions.meeting_id, deliveries.installation_id,
                    CAST(CASE WHEN deliveries.body <> '' THEN 1 ELSE 0 END AS BIGINT) AS has_body
               FROM deliveries
               LEFT JOIN streams ON streams.stream_id = deliveries.stream_id
               LEFT JOIN sessions
                 ON sessions.id = COALESCE(streams.session_id, deliveries.session_id)
                AND sessions.app = deliveries.app
              WHERE ",
            $condition
        )
    };
}

statements! {
    RECEIVED = select_received!("deliveries.digest = $1");

    RECEIVED_BODY = "SELECT body FROM deliveries WHERE digest = $1 AND body <> ''";

    APP_OF_RECEIVED = "SELECT app FROM deliveries WHERE digest = $1";

    /// Newest first, after the row ($1, $2). See `SESSIONS` for the list of apps ($3). $10 is a pattern in lower case.
    RECEIVED_PAGE = select_received!(
        "deliveries.received_at_ms <= COALESCE(CAST($1 AS BIGINT), 9223372036854775807)
            AND (CAST($2 AS TEXT) IS NULL OR deliveries.received_at_ms < $1 OR deliveries.digest < $2)
            AND (CAST($3 AS TEXT) IS NULL
                 OR $3 <> replace($3, ',' || deliveries.app || ',', ''))
            AND (CAST($4 AS TEXT) IS NULL OR deliveries.event = $4)
            AND (CAST($5 AS TEXT) IS NULL OR deliveries.effect = $5)
            AND (CAST($6 AS TEXT) IS NULL OR deliveries.reason = $6)
            AND (CAST($7 AS TEXT) IS NULL OR sessions.id = $7)
            AND (CAST($12 AS TEXT) IS NULL OR deliveries.method = $12)
            AND deliveries.received_at_ms >= COALESCE(CAST($8 AS BIGINT), 0)
            AND deliveries.received_at_ms < COALESCE(CAST($9 AS BIGINT), 9223372036854775807)
            AND (CAST($10 AS TEXT) IS NULL
                 OR lower(deliveries.event || ' ' || COALESCE(deliveries.stream_id, '') || ' '
                          || COALESCE(sessions.id, '') || ' ' || COALESCE(sessions.meeting_id, '')
                          || ' ' || COALESCE(sessions.instance_id, '') || ' '
                          || COALESCE(deliveries.installation_id, '') || ' ' || deliveries.digest)
                    LIKE $10 ESCAPE '!')
          ORDER BY deliveries.received_at_ms DESC, deliveries.digest DESC LIMIT $11 + 0"
    );

    /// A webhook without an effect. A copy that had one stays as it is.
    INSERT_UNPROCESSED = "
        INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect,
                                reason, operator_id, body, app, method)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (digest) DO NOTHING";

    /// Separates a refused webhook from the stream that it names, if this belongs to another app.
    DISOWN_UNPROCESSED = "
        UPDATE deliveries SET stream_id = NULL, operator_id = NULL, body = ''
         WHERE digest = $1
           AND EXISTS (SELECT 1 FROM streams JOIN sessions ON sessions.id = streams.session_id
                        WHERE streams.stream_id = deliveries.stream_id
                          AND sessions.app <> deliveries.app)";

    /// Removes the body of a refused webhook that no deletion would find: it names no user, and no stream with data.
    BLANK_UNPROCESSED = "
        UPDATE deliveries SET body = ''
         WHERE digest = $1 AND operator_id IS NULL
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.stream_id = deliveries.stream_id
                              AND erased_at_ms IS NULL AND generation > 0)";

    /// One row if the webhook has had no effect yet: it is about to have one.
    TAKE_UNPROCESSED = "
        UPDATE deliveries
           SET effect = 'none', reason = $2, operator_id = NULL, processed_at_ms = $3
         WHERE digest = $1 AND effect IN ('refused', 'failed')";

    LAST_RECEIVED = "SELECT app, MAX(received_at_ms) FROM deliveries GROUP BY app";

    NOTE_VALIDATION = "
        INSERT INTO webhook_validations (app, at_ms, secret) VALUES ($1, $2, $3)
        ON CONFLICT (app) DO UPDATE SET at_ms = excluded.at_ms, secret = excluded.secret
         WHERE webhook_validations.at_ms <= excluded.at_ms";

    VALIDATIONS = "SELECT app, at_ms, secret FROM webhook_validations";
}

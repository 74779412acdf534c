//! Relays, how far their programs are, and the webhooks to them.

statements! {
    RELAY = select_relay!("id = $1");

    RELAYS = select_relay!("1 = 1 ORDER BY created_at_ms, id");

    /// No row if there are $15 of the same apps: it must not show how many others have.
    INSERT_RELAY = "
        INSERT INTO relays (id, source, name, webhook_url, client_id, client_secret, secret_token, media, product,
                            host_ids, metadata, apps, catch_up, created_at_ms, updated_at_ms)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, CAST($9 AS TEXT), $10, $11, CAST($12 AS TEXT),
               CAST($13 AS BIGINT), CAST($14 AS BIGINT), CAST($14 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM relays
                 WHERE apps IS NOT DISTINCT FROM CAST($12 AS TEXT)) < CAST($15 AS BIGINT)";

    /// Configured relays follow the configuration.
    CONFIGURE_RELAY = "
        INSERT INTO relays (id, source, name, webhook_url, client_id, client_secret, secret_token, media, product,
                            host_ids, metadata, apps, catch_up, created_at_ms, updated_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
        ON CONFLICT (id) DO UPDATE
           SET name = excluded.name, webhook_url = excluded.webhook_url, client_id = excluded.client_id,
               client_secret = excluded.client_secret, secret_token = excluded.secret_token,
               media = excluded.media, product = excluded.product, host_ids = excluded.host_ids,
               metadata = excluded.metadata, apps = excluded.apps, catch_up = excluded.catch_up,
               updated_at_ms = $14";

    /// Only if the relay is still as it was read ($14).
    CHANGE_RELAY = "
        UPDATE relays
           SET name = $2, webhook_url = $3, client_id = $4, client_secret = $5, secret_token = $6, media = $7,
               product = $8, host_ids = $9, metadata = $10, apps = $11, catch_up = $12, updated_at_ms = $13
         WHERE id = $1 AND updated_at_ms = $14";

    RESEAL_RELAY = "
        UPDATE relays SET client_secret = $3, secret_token = $4 WHERE id = $1 AND client_secret = $2";

    DELETE_RELAY = "DELETE FROM relays WHERE id = $1";

    NOTE_RELAY_VALIDATION = "UPDATE relays SET validated_at_ms = $2, validation_error = $3 WHERE id = $1";

    RELAY_STREAM = "
        SELECT relay_id, stream_id, session_id, server_url, announcements, acknowledged, gaps, subscriptions,
               has_left, updated_at_ms
          FROM relay_streams WHERE relay_id = $1 AND stream_id = $2";

    /// Newest first.
    RELAY_STREAMS = "
        SELECT relay_id, stream_id, session_id, server_url, announcements, acknowledged, gaps, subscriptions,
               has_left, updated_at_ms
          FROM relay_streams WHERE relay_id = $1 ORDER BY updated_at_ms DESC, stream_id LIMIT $2 + 0";

    /// Nothing if the relay or the session is gone.
    PUT_RELAY_STREAM = "
        INSERT INTO relay_streams (relay_id, stream_id, session_id, server_url, announcements, acknowledged, gaps,
                                   subscriptions, has_left, updated_at_ms)
        SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), CAST($6 AS BIGINT), $7, $8, CAST($9 AS BIGINT), CAST($10 AS BIGINT)
         WHERE EXISTS (SELECT 1 FROM relays WHERE id = $1)
           AND EXISTS (SELECT 1 FROM sessions WHERE id = $3)
        ON CONFLICT (relay_id, stream_id) DO UPDATE
           SET server_url = excluded.server_url, announcements = excluded.announcements,
               acknowledged = excluded.acknowledged, gaps = excluded.gaps,
               subscriptions = excluded.subscriptions, has_left = excluded.has_left,
               updated_at_ms = excluded.updated_at_ms";

    /// Announced streams that have ended since $2 without a webhook that says so, up to $1.
    RELAY_STREAMS_TO_END = "
        SELECT relay_streams.relay_id, relay_streams.stream_id, relay_streams.session_id, relay_streams.server_url,
               relay_streams.announcements, relay_streams.acknowledged, relay_streams.gaps,
               relay_streams.subscriptions, relay_streams.has_left, relay_streams.updated_at_ms
          FROM relay_streams
          JOIN streams ON streams.stream_id = relay_streams.stream_id
         WHERE streams.ended_at_ms >= $2
           AND relay_streams.announcements > 0
           AND NOT EXISTS (SELECT 1 FROM relay_events
                            WHERE relay_events.relay_id = relay_streams.relay_id
                              AND relay_events.stream_id = relay_streams.stream_id
                              AND relay_events.name LIKE '%rtms_stopped')
         ORDER BY relay_streams.relay_id, relay_streams.stream_id LIMIT $1 + 0";

    /// Nothing if the event exists, or the relay or the session is gone.
    INSERT_RELAY_EVENT = "
        INSERT INTO relay_events (id, relay_id, stream_id, session_id, name, body, attempts, due_at_ms, is_delivered,
                                  created_at_ms)
        SELECT $1, $2, $3, $4, $5, $6, 0, CAST($7 AS BIGINT), 0, CAST($7 AS BIGINT)
         WHERE EXISTS (SELECT 1 FROM relays WHERE id = $2)
           AND EXISTS (SELECT 1 FROM sessions WHERE id = $4)
        ON CONFLICT (id) DO NOTHING";

    /// Claims due events until $2. The outer condition is needed: see `CLAIM_ACTIONS`.
    CLAIM_RELAY_EVENTS = "
        UPDATE relay_events SET due_at_ms = $2, attempts = attempts + 1
         WHERE id IN (SELECT id FROM relay_events WHERE due_at_ms <= $1 ORDER BY due_at_ms LIMIT $3 + 0)
           AND due_at_ms <= $1
        RETURNING id, relay_id, body, attempts";

    /// Only the last attempt counts: another daemon may have claimed the event since.
    SETTLE_RELAY_EVENT = "
        UPDATE relay_events
           SET due_at_ms = $3, is_delivered = $4, last_at_ms = $5, last_status = $6, last_error = $7
         WHERE id = $1 AND attempts = $2";

    IS_RELAY_EVENT_DELIVERED = "SELECT id FROM relay_events WHERE id = $1 AND is_delivered = 1";

    /// Newest first.
    RELAY_EVENTS = "
        SELECT id, stream_id, session_id, name, attempts, due_at_ms, is_delivered, last_at_ms, last_status,
               last_error, created_at_ms
          FROM relay_events WHERE relay_id = $1 ORDER BY created_at_ms DESC, id DESC LIMIT $2 + 0";

    PRUNE_RELAY_EVENTS = "DELETE FROM relay_events WHERE created_at_ms < $1";
}

//! Outgoing webhooks.

statements! {
    TELL_SESSION = "UPDATE sessions SET told = $2 WHERE id = $1";

    STREAM_TOLD = "SELECT told FROM streams WHERE stream_id = $1";

    TELL_STREAM = "UPDATE streams SET told = $2 WHERE stream_id = $1";

    ENDPOINT = select_endpoint!("id = $1");

    ENDPOINTS = select_endpoint!("1 = 1 ORDER BY created_at_ms, id");

    /// No row if there are $11 of the same apps: it must not show how many others have.
    INSERT_ENDPOINT = "
        INSERT INTO webhook_endpoints (id, source, url, description, events, secret,
                                       previous_secret, status, created_at_ms, updated_at_ms, apps)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9, CAST($10 AS TEXT)
         WHERE (SELECT COUNT(*) FROM webhook_endpoints
                 WHERE apps IS NOT DISTINCT FROM CAST($10 AS TEXT)) < $11";

    /// Configured endpoints follow the configuration, and are enabled at every start.
    CONFIGURE_ENDPOINT = "
        INSERT INTO webhook_endpoints (id, source, url, description, events, secret,
                                       previous_secret, status, created_at_ms, updated_at_ms, apps)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
        ON CONFLICT (id) DO UPDATE
           SET url = excluded.url, description = excluded.description, events = excluded.events,
               apps = excluded.apps,
               secret = excluded.secret, previous_secret = excluded.previous_secret,
               status = excluded.status, failing_since_ms = NULL, updated_at_ms = $9";

    /// Enabling resets the failures. The apps change if $7 is not 0: null means all.
    CHANGE_ENDPOINT = "
        UPDATE webhook_endpoints
           SET url = COALESCE($2, url), description = COALESCE($3, description),
               events = COALESCE($4, events), status = COALESCE($5, status),
               apps = CASE WHEN CAST($7 AS BIGINT) = 0 THEN apps ELSE CAST($8 AS TEXT) END,
               failing_since_ms = CASE WHEN $5 = 'enabled' THEN NULL ELSE failing_since_ms END,
               updated_at_ms = $6
         WHERE id = $1";

    /// Does nothing if another rotation came in between.
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
                             WHERE endpoint_id = $1 LIMIT $2 + 0)";

    /// The filters of all endpoints that receive events.
    WANTED_EVENTS = "SELECT events FROM webhook_endpoints WHERE status = 'enabled'";

    /// Affects one row if an endpoint subscribes to the event, and none otherwise. An event of no app ($9) is for endpoints
    /// of all apps.
    // DO UPDATE instead of DO NOTHING: an existing event must count as a row, and keeps its values.
    // `events <> replace(…)` means that the list contains the kind, in both databases.
    INSERT_EVENT = "
        INSERT INTO outgoing_events (id, kind, at_ms, session_id, stream_id, seq, data,
                                     created_at_ms, app)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, CAST($9 AS TEXT)
         WHERE EXISTS (SELECT 1 FROM webhook_endpoints
                        WHERE status = 'enabled'
                          AND (events = ''
                               OR events <> replace(events, ',' || CAST($2 AS TEXT) || ',', ''))
                          AND (apps IS NULL
                               OR apps <> replace(apps, ',' || CAST($9 AS TEXT) || ',', '')))
        ON CONFLICT (id) DO UPDATE SET kind = outgoing_events.kind";

    /// Addresses an event to every subscribed endpoint, once to each. Does nothing for an event without a row, so that
    /// an endpoint that subscribed after its transaction gets no delivery without an event.
    ADDRESS_EVENT = "
        INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms,
                                         created_at_ms)
        SELECT id, $1, 'waiting', 0, $4, $3 FROM webhook_endpoints
         WHERE status = 'enabled'
           AND (events = '' OR events <> replace(events, ',' || CAST($2 AS TEXT) || ',', ''))
           AND (apps IS NULL OR apps <> replace(apps, ',' || CAST($5 AS TEXT) || ',', ''))
           AND EXISTS (SELECT 1 FROM outgoing_events WHERE id = $1)
        ON CONFLICT (endpoint_id, event_id) DO NOTHING";

    /// An event for one endpoint, whatever its filter.
    INSERT_TEST_EVENT = "
        INSERT INTO outgoing_events (id, kind, at_ms, data, created_at_ms, app)
        VALUES ($1, $2, $3, $4, $3, $5)";

    ADDRESS_TEST_EVENT = "
        INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms,
                                         created_at_ms)
        VALUES ($1, $2, 'waiting', 0, $4, $3)";

    ENDPOINTS_WITH_DUE_DELIVERIES = "
        SELECT id FROM webhook_endpoints
         WHERE status = 'enabled'
           AND EXISTS (SELECT 1 FROM outgoing_deliveries
                        WHERE endpoint_id = webhook_endpoints.id AND due_at_ms <= $1)";

    /// Claims due deliveries and those with an expired claim. The outer condition is needed: see `CLAIM_ACTIONS`.
    CLAIM_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = $4, attempts = attempts + 1, due_at_ms = $3
         WHERE endpoint_id = $1
           AND event_id IN (SELECT event_id FROM outgoing_deliveries
                             WHERE endpoint_id = $1 AND due_at_ms <= $2
                             ORDER BY due_at_ms LIMIT $5 + 0)
           AND due_at_ms <= $2
        RETURNING event_id, attempts";

    OUTGOING_EVENT = "
        SELECT id, kind, at_ms, app, session_id, stream_id, seq, data
          FROM outgoing_events WHERE id = $1";

    /// Only while the claim is valid.
    SETTLE_OUTGOING = "
        UPDATE outgoing_deliveries
           SET status = $4, due_at_ms = $5, claim = NULL, last_at_ms = $6, last_status = $7,
               last_error = $8, last_answer = $9
         WHERE endpoint_id = $1 AND event_id = $2 AND claim = $3";

    /// An interrupted delivery: due again at once, as if it had not begun.
    RELEASE_OUTGOING = "
        UPDATE outgoing_deliveries SET claim = NULL, due_at_ms = $4, attempts = attempts - 1
         WHERE endpoint_id = $1 AND event_id = $2 AND claim = $3";

    /// Voids an existing claim: its result is not recorded. Only events of the apps in the list $4, and tests: the
    /// endpoint may have received others before its apps were changed.
    RESEND_OUTGOING = "
        UPDATE outgoing_deliveries
           SET status = 'waiting', attempts = 0, due_at_ms = $3, claim = NULL
         WHERE endpoint_id = $1 AND event_id = $2
           AND (CAST($4 AS TEXT) IS NULL
                OR EXISTS (SELECT 1 FROM outgoing_events
                            WHERE id = $2
                              AND (kind = 'test'
                                   OR $4 <> replace($4, ',' || app || ',', ''))))";

    /// Counts waiting deliveries up to $2, which bounds the cost of a long queue.
    COUNT_WAITING = "
        SELECT COUNT(*) FROM (SELECT 1 FROM outgoing_deliveries
                               WHERE endpoint_id = $1 AND due_at_ms IS NOT NULL LIMIT $2 + 0)
               AS waiting";

    /// Newest first, after the delivery of the event $2. See `RESEND_OUTGOING` for the list of apps ($4).
    DELIVERIES_OF_ENDPOINT = "
        SELECT deliveries.event_id, outgoing_events.kind, outgoing_events.app, deliveries.status, deliveries.attempts,
               CASE WHEN deliveries.claim IS NULL THEN deliveries.due_at_ms END AS due_at_ms,
               deliveries.last_at_ms, deliveries.last_status,
               deliveries.last_error, deliveries.last_answer, deliveries.created_at_ms
          FROM outgoing_deliveries AS deliveries
          JOIN outgoing_events ON outgoing_events.id = deliveries.event_id
         WHERE deliveries.endpoint_id = $1
           AND (CAST($4 AS TEXT) IS NULL OR outgoing_events.kind = 'test'
                OR $4 <> replace($4, ',' || outgoing_events.app || ',', ''))
           AND (CAST($2 AS TEXT) IS NULL
                OR (deliveries.created_at_ms, deliveries.event_id)
                   < (SELECT last.created_at_ms, last.event_id FROM outgoing_deliveries AS last
                       WHERE last.endpoint_id = $1 AND last.event_id = $2))
         ORDER BY deliveries.created_at_ms DESC, deliveries.event_id DESC LIMIT $3 + 0";

    /// Events from before $1; those that still wait only if also from before $3.
    PRUNE_EVENTS = prune_events!("app = $4");

    PRUNE_EVENTS_OF_NO_APP = prune_events!("app IS NULL");

    NEXT_APP_OF_EVENTS = "SELECT MIN(app) FROM outgoing_events WHERE app > $1";

    /// Up to $2 events of a session, limited to what the deletion $3 collected, if there is one.
    FORGET_EVENTS_OF_SESSION = "
        DELETE FROM outgoing_events
         WHERE id IN (SELECT id FROM outgoing_events
                       WHERE session_id = $1
                         AND (CAST($3 AS TEXT) IS NULL
                              OR id IN (SELECT item FROM deletion_items WHERE deletion_id = $3)
                              OR stream_id IN (SELECT item FROM deletion_items
                                                WHERE deletion_id = $3))
                       ORDER BY id LIMIT $2 + 0)
        RETURNING id";

    FORGET_DELIVERIES_OF_EVENT = "DELETE FROM outgoing_deliveries WHERE event_id = $1";

    /// Ends a delivery that the endpoint may not receive.
    WITHDRAW = "
        UPDATE outgoing_deliveries SET status = 'withdrawn', due_at_ms = NULL, claim = NULL
         WHERE endpoint_id = $1 AND event_id = $2";

    /// Fails a delivery that this version cannot read.
    FAIL_UNREADABLE = "
        UPDATE outgoing_deliveries
           SET status = 'failed', due_at_ms = NULL, claim = NULL, last_at_ms = $3,
               last_status = NULL, last_error = 'unreadable', last_answer = NULL
         WHERE endpoint_id = $1 AND event_id = $2";

    /// Events about a session ($1) as a whole, two at most. Those after $2 stay, rewritten without names.
    FORGET_EVENTS_ABOUT_SESSION = "
        DELETE FROM outgoing_events
         WHERE session_id = $1 AND stream_id IS NULL AND created_at_ms <= $2
        RETURNING id";

    /// See `FORGET_EVENTS_ABOUT_SESSION`.
    EVENTS_ABOUT_SESSION = "
        SELECT id, kind, at_ms, app, session_id, stream_id, seq, data
          FROM outgoing_events
         WHERE session_id = $1 AND stream_id IS NULL
           AND kind IN ('session.started', 'session.ended')";

    REWRITE_EVENT = "UPDATE outgoing_events SET data = $2 WHERE id = $1";

    BLANK_ANSWERS_TO_EVENT = "
        UPDATE outgoing_deliveries SET last_answer = NULL WHERE event_id = $1";

    /// Up to $2 events of a stream: those about people, and those without waiting deliveries.
    FORGET_EVENTS_OF_STREAM = "
        DELETE FROM outgoing_events
         WHERE id IN (SELECT id FROM outgoing_events
                       WHERE stream_id = $1
                         AND (kind IN ('transcript.line', 'chat.message', 'participant.joined',
                                       'participant.left', 'recording.ready')
                              OR NOT EXISTS (SELECT 1 FROM outgoing_deliveries
                                              WHERE event_id = outgoing_events.id
                                                AND status = 'waiting'))
                       LIMIT $2 + 0)
        RETURNING id";

    /// Events that ask a user to install again, of what the deletion $1 is about.
    FORGET_EVENTS_ABOUT_INSTALLATIONS = "
        DELETE FROM outgoing_events
         WHERE session_id IS NULL AND kind = 'installation.needs_reconnect'
           AND id IN (SELECT item FROM deletion_items WHERE deletion_id = $1)
        RETURNING id";

    /// Answers of endpoints may repeat what they were sent.
    BLANK_ANSWERS = "
        UPDATE outgoing_deliveries SET last_answer = NULL
         WHERE (endpoint_id, event_id) IN
               (SELECT deliveries.endpoint_id, deliveries.event_id
                  FROM outgoing_events
                  JOIN outgoing_deliveries AS deliveries
                    ON deliveries.event_id = outgoing_events.id
                 WHERE outgoing_events.stream_id = $1 AND deliveries.last_answer <> ''
                 LIMIT $2 + 0)";

    /// Selects one entry. No row for a personal entry of a revoked stream (stop reason 8).
    ENTRY = "
        SELECT streams.session_id, streams.ordinal, entries.seq, entries.kind, entries.at_ms,
               entries.body
          FROM entries JOIN streams ON streams.stream_id = entries.stream_id
         WHERE entries.stream_id = $1 AND entries.seq = $2
           AND (entries.personal = 0 OR streams.stop_reason IS NULL OR streams.stop_reason <> 8)";
}

//! Starts of many meetings and streams at about the same time.

use super::BulkStatement;

/// Whether a session has a start request that is open or timed out, which a start confirms.
macro_rules! has_start {
    ($session:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM actions
                      WHERE actions.session_id = ",
            $session,
            ".id AND actions.action = 'start'
                        AND actions.status IN ('running', 'accepted', 'timed_out'))"
        )
    };
}

/// Whether a session is known only by the number of the meeting that starts.
// One subquery for each product: with `IN`, Postgres reads all sessions of the app while it has no statistics.
macro_rules! is_known_by_number {
    ($product:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM sessions AS others
                      WHERE others.app = starts.app AND others.product = '",
            $product,
            "' AND others.instance_id = starts.meeting_id AND others.id_key = 'meeting_id')"
        )
    };
}

/// Records deliveries that are new by their digest. Returns the digests of those that were recorded.
pub const INSERT_DELIVERIES: BulkStatement = bulk!("received" (
        digest TEXT, event TEXT, event_ts_ms BIGINT, received_at_ms BIGINT, stream_id TEXT,
        body TEXT, app TEXT, reason TEXT, method TEXT
    ) "
    INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body,
                            app, reason, method)
    SELECT digest, event, event_ts_ms, received_at_ms, stream_id, 'none', body, app, reason, method
      FROM received WHERE TRUE
    ON CONFLICT (digest) DO NOTHING
    RETURNING digest"
);

/// The digests of starts that affect only their own session: the stream is unknown, no start request of the session is
/// open or timed out, none of its data was deleted, and no other session could be the same meeting by its number.
pub const ISOLATED_STARTS: BulkStatement = bulk!("starts" (
        digest TEXT, stream_id TEXT, app TEXT, product TEXT, instance_id TEXT, meeting_id TEXT
    ) concat!("
    SELECT starts.digest FROM starts
      LEFT JOIN sessions AS known
        ON known.app = starts.app AND known.product = starts.product
       AND known.instance_id = starts.instance_id
     WHERE known.erased_at_ms IS NULL AND NOT ", has_start!("known"), "
       AND NOT EXISTS (SELECT 1 FROM streams WHERE streams.stream_id = starts.stream_id)
       AND NOT EXISTS (SELECT 1 FROM sessions AS others
                        WHERE others.app = starts.app AND others.meeting_id = starts.meeting_id
                          AND others.status <> 'ended'
                          AND (known.id IS NULL OR others.id <> known.id))
       AND NOT ", is_known_by_number!("meeting"), " AND NOT ", is_known_by_number!("webinar")
));

/// Finds or creates the sessions and locks them, in the order of the rows, until the transaction ends: see
/// `UPSERT_SESSION`.
pub const UPSERT_SESSIONS: BulkStatement = bulk!("starts" (
        session_id TEXT, product TEXT, id_key TEXT, instance_id TEXT, account_id TEXT,
        meeting_id TEXT, operator_id TEXT, received_at_ms BIGINT, app TEXT, host_id TEXT,
        meeting_started_at_ms BIGINT
    ) "
    INSERT INTO sessions (id, product, id_key, instance_id, account_id, meeting_id, operator_id,
                          status, created_at_ms, updated_at_ms, app, host_id,
                          meeting_started_at_ms)
    SELECT session_id, product, id_key, instance_id, account_id, meeting_id, operator_id,
           'connecting', received_at_ms, received_at_ms, app, host_id, meeting_started_at_ms
      FROM starts WHERE TRUE
    ON CONFLICT (app, product, instance_id) DO UPDATE
       SET account_id = COALESCE(excluded.account_id, sessions.account_id),
           meeting_id = COALESCE(excluded.meeting_id, sessions.meeting_id),
           operator_id = COALESCE(excluded.operator_id, sessions.operator_id),
           host_id = COALESCE(excluded.host_id, sessions.host_id),
           meeting_started_at_ms = COALESCE(sessions.meeting_started_at_ms,
                                            excluded.meeting_started_at_ms)
    RETURNING id, app, product, instance_id"
);

/// Of the locked sessions, those that a start would change in more than their own row and stream: see `ISOLATED_STARTS`.
pub const CHANGED_SESSIONS: BulkStatement = bulk!("starts" (session_id TEXT) concat!("
    SELECT sessions.id FROM starts JOIN sessions ON sessions.id = starts.session_id
     WHERE sessions.erased_at_ms IS NOT NULL OR ", has_start!("sessions")
));

/// Creates the streams of the rows that have one. Their sessions are locked, and each has one row.
pub const INSERT_STREAMS: BulkStatement = bulk!("starts" (
        stream_id TEXT, session_id TEXT, server_urls TEXT, ordered_at_ms BIGINT,
        received_at_ms BIGINT, operator_id TEXT
    ) "
    INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation,
                         interrupts, status, tally, media, created_at_ms, operator_id)
    SELECT starts.stream_id, starts.session_id,
           (SELECT COALESCE(MAX(earlier.ordinal), 0) + 1 FROM streams AS earlier
             WHERE earlier.session_id = starts.session_id),
           starts.server_urls, starts.ordered_at_ms, 1, 0, 'announced', '{}',
           (SELECT media FROM sessions WHERE sessions.id = starts.session_id),
           starts.received_at_ms, starts.operator_id
      FROM starts WHERE starts.stream_id IS NOT NULL"
);

/// Derives the status of the sessions at `$2`.
pub const REFRESH_SESSIONS: BulkStatement = bulk!("starts" (session_id TEXT) concat!(
    refresh_sessions!(),
    "WHERE id IN (SELECT session_id FROM starts) RETURNING id, status, told"
));

/// What the deliveries changed: see `MARK_DELIVERY`. `meeting_session_id` is the session of one that names no stream.
pub const MARK_DELIVERIES: BulkStatement = bulk!("starts" (
        digest TEXT, reason TEXT, meeting_session_id TEXT
    ) "
    UPDATE deliveries
       SET effect = 'changed', reason = starts.reason,
           session_id = COALESCE(starts.meeting_session_id, deliveries.session_id),
           installation_id = NULL
      FROM starts WHERE deliveries.digest = starts.digest"
);

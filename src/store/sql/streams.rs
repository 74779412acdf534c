//! Streams and their leases.

use super::BulkStatement;

/// Updates the rows of running streams; null values change nothing. Returns the updated streams: those that have not ended
/// and have this epoch.
pub const UPDATE_STREAMS: BulkStatement = bulk!("written" (
        stream_id TEXT, epoch BIGINT, status TEXT, first_packet_ms BIGINT, tally TEXT,
        unknown_messages TEXT, unreadable_messages TEXT, effective TEXT, ledger TEXT
    ) "
    UPDATE streams
       SET status = COALESCE(written.status, streams.status),
           first_packet_ms = COALESCE(written.first_packet_ms, streams.first_packet_ms),
           tally = COALESCE(written.tally, streams.tally),
           unknown_messages = COALESCE(written.unknown_messages, streams.unknown_messages),
           unreadable_messages = COALESCE(written.unreadable_messages,
                                          streams.unreadable_messages),
           effective = COALESCE(written.effective, streams.effective),
           ledger = COALESCE(written.ledger, streams.ledger)
      FROM written
     WHERE streams.stream_id = written.stream_id AND streams.epoch = written.epoch
       AND streams.ended_at_ms IS NULL
    RETURNING streams.stream_id"
);

statements! {
    /// Changes nothing: locks the session and its streams until the transaction ends. A transaction that changes both
    /// takes this lock first, which prevents deadlocks.
    LOCK_SESSION_OF_STREAM = "
        UPDATE sessions SET status = status
         WHERE id = (SELECT session_id FROM streams WHERE stream_id = $1)
        RETURNING id";

    /// For a stream that has ended; a running one gets its reason when it ends.
    NOTE_REVOCATION = "
        UPDATE streams SET stop_reason = 8 WHERE stream_id = $1 AND ended_at_ms IS NOT NULL";

    /// Not if Zoom has moved it since, unless Zoom has stopped it, after which it does not move. Raises the epoch, so
    /// that later writes of its runner are rejected.
    END_STREAM = "
        UPDATE streams
           SET status = 'ended', outcome = $2, ended_at_ms = $4, owner = NULL,
               lease_until_ms = NULL, epoch = epoch + 1,
               stop_reason = CASE WHEN $3 = 8 THEN $3 ELSE COALESCE(stop_reason, $3) END
         WHERE stream_id = $1 AND epoch = $6 AND ended_at_ms IS NULL
           AND (generation <= $5 OR stop_seen_at_ms IS NOT NULL)";

    REVOKED_STREAMS = "
        SELECT stream_id FROM streams WHERE ended_at_ms IS NULL AND stop_reason = 8 LIMIT $1 + 0";

    STREAM = select_stream!("streams.stream_id = $1");

    STREAMS_OF_SESSION = select_stream!("streams.session_id = $1 ORDER BY streams.ordinal");

    /// The streams of a session that Zoom and the daemon have not ended, and who started them.
    OPEN_STREAMS = "
        SELECT streams.ordinal, streams.operator_id, sessions.host_id
          FROM streams JOIN sessions ON sessions.id = streams.session_id
         WHERE streams.session_id = $1 AND streams.ended_at_ms IS NULL
           AND streams.stop_seen_at_ms IS NULL
         ORDER BY streams.ordinal";

    /// The open streams of the node `$1`, with the columns that the supervisor compares with the running task.
    STREAMS_OF_NODE = "
        SELECT streams.stream_id, streams.epoch, streams.generation, streams.interrupts,
               streams.stop_seen_at_ms, streams.stop_reason, sessions.video_user_id
          FROM streams JOIN sessions ON sessions.id = streams.session_id
         WHERE streams.owner = $1 AND streams.ended_at_ms IS NULL
         ORDER BY streams.stream_id";

    /// Not `$1`'s own streams: their leases are renewed. A lease without an owner keeps all nodes away for a while. Not
    /// those of the apps `$3` that only could be started. The claim decides between nodes that choose the same.
    // The subquery is sorted, so that the join stops once it has `$4` rows and does not read the sessions of all waiting
    // streams.
    ORPHANS = "
        SELECT waiting.stream_id, sessions.app, waiting.stop_seen_at_ms, waiting.status
          FROM (SELECT stream_id, session_id, stop_seen_at_ms, status FROM streams
                 WHERE ended_at_ms IS NULL AND (owner IS NULL OR owner <> $1)
                   AND (lease_until_ms IS NULL OR lease_until_ms <= $2)
                 ORDER BY stream_id) AS waiting
               JOIN sessions ON sessions.id = waiting.session_id
         WHERE waiting.stop_seen_at_ms IS NOT NULL
            OR CAST($3 AS TEXT) = replace($3, ',' || sessions.app || ',', '')
         ORDER BY waiting.stream_id LIMIT $4 + 0";

    /// Hidden from polls until `$3`; a node that knows of it may claim it at once.
    GIVE_BACK = "
        UPDATE streams SET owner = NULL, lease_until_ms = $3
         WHERE stream_id = $1 AND epoch = $2 AND ended_at_ms IS NULL";

    /// Extends to `$2` the leases that end before `$3`, or that the database's clock made longer before it was set back.
    RENEW_LEASES = "
        UPDATE streams SET lease_until_ms = $2
         WHERE owner = $1 AND ended_at_ms IS NULL
           AND (lease_until_ms < $3 OR lease_until_ms > $2)";

    RELEASE_STREAM = "
        UPDATE streams SET owner = NULL, lease_until_ms = NULL
         WHERE stream_id = $1 AND epoch = $2 AND ended_at_ms IS NULL";

    RELEASE_LEASES = "
        UPDATE streams SET owner = NULL, lease_until_ms = NULL
         WHERE owner = $1 AND ended_at_ms IS NULL";

    LAST_SEQ = "SELECT COALESCE(MAX(seq), 0) FROM entries WHERE stream_id = $1";

    DELETE_PERSONAL_ENTRIES = "DELETE FROM entries WHERE stream_id = $1 AND personal = 1";
}

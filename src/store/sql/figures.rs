//! Counts over all daemons, for metrics.

statements! {
    /// The streams that no daemon runs at $1 although Zoom announced them, by app.
    UNCLAIMED_STREAMS = "
        SELECT sessions.app, COUNT(*) AS count
          FROM streams JOIN sessions ON sessions.id = streams.session_id
         WHERE streams.ended_at_ms IS NULL
           AND (streams.owner IS NULL OR streams.lease_until_ms <= $1)
         GROUP BY sessions.app";

    /// A recording may outlive its session.
    RECORDINGS_BY_STATUS = "
        SELECT COALESCE(sessions.app, '') AS app, recordings.status, COUNT(*) AS count
          FROM recordings LEFT JOIN sessions ON sessions.id = recordings.session_id
         WHERE recordings.status <> 'stored'
         GROUP BY sessions.app, recordings.status";

    INSTALLATIONS_BY_STATUS = "
        SELECT app, status, COUNT(*) AS count FROM installations GROUP BY app, status";

    /// The oldest $1 deliveries that wait, by the app of their event.
    WAITING_DELIVERIES = "
        SELECT COALESCE(outgoing_events.app, '') AS app, COUNT(*) AS count,
               MIN(waiting.created_at_ms) AS oldest_ms
          FROM (SELECT event_id, created_at_ms FROM outgoing_deliveries
                 WHERE due_at_ms IS NOT NULL ORDER BY created_at_ms LIMIT $1 + 0) AS waiting
               JOIN outgoing_events ON outgoing_events.id = waiting.event_id
         GROUP BY outgoing_events.app";

    /// How many stored entries each sink has not received, of streams that run or ended since it had everything.
    /// Leaves out the sink $1, and sinks that no daemon has held since $2: their setting was removed.
    SINK_LAGS = "
        SELECT sinks.name AS sink,
               CAST(COALESCE(SUM(
                   COALESCE((SELECT MAX(seq) FROM entries WHERE entries.stream_id = open.stream_id), 0)
                   - COALESCE(sink_positions.seq, 0)), 0) AS BIGINT) AS count
          FROM sinks
               LEFT JOIN (SELECT stream_id, ended_at_ms FROM streams WHERE ended_at_ms IS NULL
                          UNION ALL
                          SELECT stream_id, ended_at_ms FROM streams
                           WHERE ended_at_ms >= (SELECT MIN(through_ms) FROM sinks)) AS open
                 ON open.ended_at_ms IS NULL OR open.ended_at_ms >= sinks.through_ms
               LEFT JOIN sink_positions
                 ON sink_positions.sink = sinks.name AND sink_positions.stream_id = open.stream_id
         WHERE sinks.name <> $1 AND sinks.held_at_ms >= $2
         GROUP BY sinks.name";
}

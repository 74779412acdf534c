//! Positions of sinks; forwards.

statements! {
    /// Adds a forward, unless its session has $7 already.
    INSERT_FORWARD = "
        INSERT INTO forwards (id, session_id, url, asked, cursor, created_at_ms)
        SELECT $1, $2, $3, $4, $5, CAST($6 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM forwards WHERE session_id = $2) < CAST($7 AS BIGINT)";

    FORWARDS_OF_SESSION = "
        SELECT id, session_id, url, asked, cursor, created_at_ms
          FROM forwards WHERE session_id = $1 ORDER BY id";

    /// Forwards of sessions with a stream that runs or has run since $1.
    FORWARDS = "
        SELECT id, session_id, url, asked, cursor, created_at_ms
          FROM forwards
         WHERE EXISTS (SELECT 1 FROM streams
                        WHERE streams.session_id = forwards.session_id
                          AND (ended_at_ms IS NULL OR ended_at_ms >= $1))
         ORDER BY id LIMIT $2 + 0";

    NOTE_FORWARDED = "UPDATE forwards SET cursor = $2 WHERE id = $1";

    DELETE_FORWARD = "DELETE FROM forwards WHERE id = $1 AND session_id = $2";

    PRUNE_FORWARDS = "
        DELETE FROM forwards
         WHERE created_at_ms < $1
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.session_id = forwards.session_id
                              AND (ended_at_ms IS NULL OR ended_at_ms >= $1))";

    /// A new sink: begins now.
    INSERT_SINK = "
        INSERT INTO sinks (name, through_ms) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

    /// A sink that begins at $2 receives nothing from before.
    BEGIN_SINK_POSITIONS = "
        INSERT INTO sink_positions (sink, stream_id, seq)
        SELECT $1, stream_id, (SELECT COALESCE(MAX(seq), 0) FROM entries
                                WHERE entries.stream_id = streams.stream_id)
          FROM streams WHERE ended_at_ms IS NULL OR ended_at_ms >= $2
        ON CONFLICT (sink, stream_id) DO UPDATE SET seq = excluded.seq
         WHERE sink_positions.seq < excluded.seq";

    /// No row while another node has a valid lease. A new owner means a new epoch.
    HOLD_SINK = "
        UPDATE sinks
           SET owner = $2, lease_until_ms = $4, held_at_ms = $3,
               epoch = CASE WHEN owner = $2 THEN epoch ELSE epoch + 1 END
         WHERE name = $1 AND (owner IS NULL OR owner = $2 OR lease_until_ms <= $3)
        RETURNING through_ms, epoch";

    /// Changes nothing: locks a sink until the transaction ends.
    LOCK_SINK = "UPDATE sinks SET owner = owner WHERE name = $1";

    /// Changes nothing: checks whether a node still has a sink, and locks it until the transaction ends.
    LOCK_HELD_SINK = "UPDATE sinks SET owner = owner WHERE name = $1 AND epoch = $2";

    RELEASE_SINK = "
        UPDATE sinks SET owner = NULL, lease_until_ms = NULL WHERE name = $1 AND owner = $2";

    /// Streams after `$3` with entries that the sink `$1` has not received, among those that run or ended since `$2`.
    /// Two halves, so that each uses its index.
    SINK_NEWS = "
        SELECT open.stream_id, open.session_id, open.ordinal, sessions.app, sessions.product,
               sessions.account_id, COALESCE(sink_positions.seq, 0) AS seen
          FROM (SELECT stream_id, session_id, ordinal FROM streams WHERE ended_at_ms IS NULL
                UNION ALL
                SELECT stream_id, session_id, ordinal FROM streams WHERE ended_at_ms >= $2) AS open
               JOIN sessions ON sessions.id = open.session_id
               LEFT JOIN sink_positions
                 ON sink_positions.sink = $1 AND sink_positions.stream_id = open.stream_id
         WHERE open.stream_id > $3
           AND (SELECT MAX(seq) FROM entries WHERE entries.stream_id = open.stream_id)
               > COALESCE(sink_positions.seq, 0)
         ORDER BY open.stream_id LIMIT $4 + 0";

    /// Never moves back. Not for a stream that was deleted meanwhile.
    MOVE_SINK_POSITION = "
        INSERT INTO sink_positions (sink, stream_id, seq)
        SELECT $1, stream_id, CAST($3 AS BIGINT) FROM streams WHERE stream_id = $2
        ON CONFLICT (sink, stream_id) DO UPDATE SET seq = excluded.seq
         WHERE sink_positions.seq < excluded.seq";

    MOVE_SINK_THROUGH = "UPDATE sinks SET through_ms = $2 WHERE name = $1 AND through_ms < $2";
}

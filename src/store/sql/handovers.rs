//! Offers of entries between nodes.

statements! {
    /// Adds an offer, unless its stream has the maximum ($6) already.
    INSERT_OFFER = "
        INSERT INTO handovers (stream_id, epoch, place, at_ms, body)
        SELECT stream_id, CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), $5
          FROM streams
         WHERE stream_id = $1
           AND (SELECT COUNT(*) FROM handovers
                 WHERE handovers.stream_id = streams.stream_id) < CAST($6 AS BIGINT)
        ON CONFLICT (stream_id, epoch, place) DO NOTHING";

    OFFER = "
        SELECT place FROM handovers WHERE stream_id = $1 AND epoch = $2 AND place = $3";

    OFFERED_STREAMS = "
        SELECT stream_id FROM streams
         WHERE owner = $1 AND ended_at_ms IS NULL
           AND EXISTS (SELECT 1 FROM handovers
                        WHERE handovers.stream_id = streams.stream_id AND body IS NOT NULL)
         ORDER BY stream_id";

    OFFERS = "
        SELECT epoch, place, at_ms, body FROM handovers
         WHERE stream_id = $1 AND body IS NOT NULL
           AND (epoch > $2 OR (epoch = $2 AND place > $3))
         ORDER BY epoch, place LIMIT $4 + 0";

    /// The row stays, so that a repeated offer finds it.
    TAKE_OFFER = "
        UPDATE handovers SET body = NULL WHERE stream_id = $1 AND epoch = $2 AND place = $3";

    DISMISS_OFFER = "
        UPDATE handovers SET body = NULL
         WHERE stream_id = $1 AND epoch = $2 AND place = $3
           AND EXISTS (SELECT 1 FROM streams WHERE streams.stream_id = $1 AND streams.epoch = $4)";

    OPEN_OFFERS = "
        SELECT epoch, place, at_ms, body FROM handovers
         WHERE stream_id = $1 AND body IS NOT NULL";

    /// See `TAKE_OFFER`.
    CLOSE_OFFERS = "UPDATE handovers SET body = NULL WHERE stream_id = $1 AND body IS NOT NULL";

    SET_LEDGER = "UPDATE streams SET ledger = $2 WHERE stream_id = $1";

    FORGET_OFFERS = "DELETE FROM handovers WHERE stream_id = $1";
}

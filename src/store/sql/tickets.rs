//! Used tickets.

statements! {
    /// One row for the first use of this ticket, unless its token has too many.
    USE_TICKET = "
        INSERT INTO tickets (id, token, until_ms, keep_ms)
        SELECT $1, $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM tickets
                 WHERE token = $2 AND keep_ms > CAST($5 AS BIGINT)) < CAST($6 AS BIGINT)
        ON CONFLICT (id) DO NOTHING";

    TICKET = "SELECT until_ms FROM tickets WHERE id = $1";

    PRUNE_TICKETS = "
        DELETE FROM tickets
         WHERE id IN (SELECT id FROM tickets WHERE keep_ms <= $1 LIMIT $2 + 0)";
}

//! Which daemon runs what.

statements! {
    /// The daemons that are alive at `$1` or hold leases, with the streams that each runs and may run.
    REPLICAS = "
        SELECT nodes.node, COALESCE(runs.streams, 0) AS streams, alive.max_streams,
               alive.busy_permille, runs.oldest_ms, runs.lease_until_ms
          FROM (SELECT node FROM daemons WHERE alive_until_ms > $1
                UNION
                SELECT owner FROM streams WHERE ended_at_ms IS NULL AND owner IS NOT NULL) AS nodes
          LEFT JOIN daemons AS alive ON alive.node = nodes.node AND alive.alive_until_ms > $1
          LEFT JOIN (SELECT owner, COUNT(*) AS streams, MIN(created_at_ms) AS oldest_ms,
                            MAX(lease_until_ms) AS lease_until_ms
                       FROM streams WHERE ended_at_ms IS NULL AND owner IS NOT NULL
                      GROUP BY owner) AS runs ON runs.owner = nodes.node
         ORDER BY nodes.node";

    /// `$1` of the version `$2` is alive until `$3`, runs at most `$4` streams, and uses `$5` thousandths of its machine.
    REPORT_DAEMON = "
        INSERT INTO daemons (node, version, alive_until_ms, max_streams, busy_permille)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (node) DO UPDATE
           SET alive_until_ms = excluded.alive_until_ms, max_streams = excluded.max_streams,
               busy_permille = excluded.busy_permille";

    FORGET_DAEMON = "DELETE FROM daemons WHERE node = $1";

    /// Those that died before `$1`.
    FORGET_DEAD_DAEMONS = "DELETE FROM daemons WHERE alive_until_ms < $1";

    /// The daemons beside `$1` that are alive at `$2`.
    OTHER_DAEMONS = "
        SELECT node, max_streams, busy_permille,
               (SELECT COUNT(*) FROM streams
                 WHERE streams.owner = daemons.node AND streams.ended_at_ms IS NULL) AS streams
          FROM daemons WHERE node <> $1 AND alive_until_ms > $2
         ORDER BY node";
}

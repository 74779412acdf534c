//! Which daemon runs what.

statements! {
    /// The daemons that hold leases, and the streams that each runs.
    REPLICAS = "
        SELECT owner AS node, COUNT(*) AS streams, MIN(created_at_ms) AS oldest_ms,
               COALESCE(MAX(lease_until_ms), 0) AS lease_until_ms
          FROM streams
         WHERE ended_at_ms IS NULL AND owner IS NOT NULL
         GROUP BY owner ORDER BY owner";

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

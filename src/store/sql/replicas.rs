//! Which daemon runs what.

statements! {
    /// The daemons that hold leases, and the streams that each runs.
    REPLICAS = "
        SELECT owner AS node, COUNT(*) AS streams, MIN(created_at_ms) AS oldest_ms,
               COALESCE(MAX(lease_until_ms), 0) AS lease_until_ms
          FROM streams
         WHERE ended_at_ms IS NULL AND owner IS NOT NULL
         GROUP BY owner ORDER BY owner";
}

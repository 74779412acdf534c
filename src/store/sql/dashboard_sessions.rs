//! Browsers that are signed in to the dashboard.

statements! {
    INSERT_DASHBOARD_SESSION = "
        INSERT INTO dashboard_sessions (id, token, binding, made_at_ms, seen_at_ms, until_ms)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO NOTHING";

    /// Keeps the newest $2 of a token.
    DELETE_SURPLUS_DASHBOARD_SESSIONS = "
        DELETE FROM dashboard_sessions
         WHERE token = $1
           AND id NOT IN (SELECT newest.id FROM dashboard_sessions AS newest
                           WHERE newest.token = $1
                           ORDER BY newest.made_at_ms DESC, newest.id LIMIT $2 + 0)";

    DASHBOARD_SESSION = "
        SELECT id, token, binding, made_at_ms, seen_at_ms, until_ms
          FROM dashboard_sessions WHERE id = $1";

    /// Changes nothing if the use was written within the last minute, after $3.
    NOTE_DASHBOARD_SESSION_USED = "
        UPDATE dashboard_sessions SET seen_at_ms = $2 WHERE id = $1 AND seen_at_ms <= $3";

    END_DASHBOARD_SESSION = "DELETE FROM dashboard_sessions WHERE id = $1";

    PRUNE_DASHBOARD_SESSIONS = "
        DELETE FROM dashboard_sessions
         WHERE id IN (SELECT id FROM dashboard_sessions WHERE until_ms <= $1 LIMIT $2 + 0)";
}

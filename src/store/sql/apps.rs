//! Apps that were added over the API.

statements! {
    APPS = "SELECT name, settings, created_at_ms, updated_at_ms FROM apps ORDER BY name";

    APPS_VERSION = "
        SELECT COUNT(*), CAST(COALESCE(SUM(updated_at_ms), 0) AS BIGINT) FROM apps";

    /// One row, unless the name is taken or there are `$4` apps.
    INSERT_APP = "
        INSERT INTO apps (name, settings, created_at_ms, updated_at_ms)
        SELECT $1, $2, CAST($3 AS BIGINT), CAST($3 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM apps) < CAST($4 AS BIGINT)
        ON CONFLICT (name) DO NOTHING";

    /// Replaces only the settings that the change is based on. The time of the last change grows with each one, whatever
    /// the clock says: it is part of `APPS_VERSION`.
    CHANGE_APP = "
        UPDATE apps
           SET settings = $3,
               updated_at_ms = CASE WHEN $4 > updated_at_ms THEN $4 ELSE updated_at_ms + 1 END
         WHERE name = $1 AND settings = $2";

    RESEAL_APP = "UPDATE apps SET settings = $3 WHERE name = $1 AND settings = $2";

    /// Not while a stream of the app runs, unless `$2` is 1.
    DELETE_APP = "
        DELETE FROM apps
         WHERE name = $1
           AND (CAST($2 AS BIGINT) = 1
                OR NOT EXISTS (SELECT 1 FROM streams
                                 JOIN sessions ON sessions.id = streams.session_id
                                WHERE sessions.app = $1 AND streams.ended_at_ms IS NULL))";

    /// Their runners end those that run; the others end when they are claimed.
    STOP_STREAMS_OF_APP = "
        UPDATE streams SET stop_seen_at_ms = $2
         WHERE ended_at_ms IS NULL AND stop_seen_at_ms IS NULL
           AND session_id IN (SELECT id FROM sessions WHERE app = $1)";
}

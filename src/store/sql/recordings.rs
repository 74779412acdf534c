//! Recordings and spools.

statements! {
    /// If two machines take the next part of a stream at the same time, the second tries again. A recording is to be
    /// deleted at once if the stream's data was deleted while its daemon was disconnected.
    INSERT_RECORDING = "
        INSERT INTO recordings (id, session_id, stream_id, ordinal, part, spool, status,
                                started_at_ms, app)
        SELECT $1, $2, $3, $4, COALESCE(MAX(part), 0) + 1, $5,
               CASE WHEN EXISTS (SELECT 1 FROM streams
                                  WHERE streams.stream_id = $3 AND erased_at_ms IS NOT NULL)
                    THEN 'deleting' ELSE 'recording' END, $6,
               (SELECT app FROM sessions WHERE sessions.id = $2)
          FROM recordings WHERE stream_id = $3
        ON CONFLICT (id) DO NOTHING";

    RECORDING = select_recording!("id = $1");

    RECORDINGS_OF_SESSION = select_recording!(
        "session_id = $1 AND status <> 'deleting' ORDER BY ordinal, part"
    );

    UNFINISHED_RECORDINGS = select_recording!("spool = $1 AND status <> 'stored' ORDER BY id");

    /// Recordings to delete that have files in the spool $1, that are stored in no folder (where that is not known, with
    /// $2), or that belong to a spool unseen since $3 and have files outside of it. After a failure, only those due at
    /// $5; a time after $6 comes from a wrong clock.
    // The name of a folder is an absolute path.
    RECORDINGS_TO_DELETE = select_recording!(
        "status = 'deleting'
            AND (delete_at_ms IS NULL OR delete_at_ms <= $5 OR delete_at_ms > $6)
            AND (spool = $1
                 OR (stored_at_ms IS NOT NULL
                     AND CASE WHEN target IS NULL THEN $2 <> 0 ELSE target NOT LIKE '/%' END)
                 OR (finished_at_ms IS NOT NULL AND swept_at_ms IS NULL
                     AND spool IN (SELECT id FROM spools WHERE seen_at_ms < $3)))
          ORDER BY id LIMIT $4 + 0"
    );

    /// Counts a failed removal of a recording's files; the next try is due at $2.
    DEFER_RECORDING_DELETION = "
        UPDATE recordings SET delete_at_ms = $2, failed_deletions = failed_deletions + 1
         WHERE id = $1";

    SET_RECORDING_TARGET = "UPDATE recordings SET target = $2 WHERE id = $1";

    /// Marks a recording's files outside of its lost spool as deleted. The spool may still return with the others.
    SWEEP_RECORDING = "UPDATE recordings SET swept_at_ms = $2 WHERE id = $1";

    SEE_SPOOL = "
        INSERT INTO spools (id, seen_at_ms) VALUES ($1, $2)
        ON CONFLICT (id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms";

    /// Adds spools that only recordings mention. It is unknown when they were last seen, so their time begins now.
    NOTE_SPOOLS = "
        INSERT INTO spools (id, seen_at_ms)
        SELECT DISTINCT spool, CAST($1 AS BIGINT) FROM recordings WHERE status <> 'stored'
        ON CONFLICT (id) DO NOTHING";

    /// Unfinished recordings of spools unseen since $1, of streams that are over.
    FAIL_LOST_RECORDINGS = "
        UPDATE recordings SET status = 'failed'
         WHERE status IN ('recording', 'uploading')
           AND spool IN (SELECT id FROM spools WHERE seen_at_ms < $1)
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.stream_id = recordings.stream_id
                              AND streams.outcome IS NULL)";

    MERGE_SPOOLS = "UPDATE recordings SET spool = $2 WHERE spool = $1";

    FORGET_SPOOL = "DELETE FROM spools WHERE id = $1";

    MOVE_RECORDING = "
        UPDATE recordings
           SET status = $3,
               finished_at_ms = CASE WHEN $3 = 'uploading' THEN $4 ELSE finished_at_ms END,
               stored_at_ms = CASE WHEN $3 = 'stored' THEN $4 ELSE stored_at_ms END
         WHERE id = $1 AND status = $2";

    DELETE_RECORDINGS_OF_SESSION = "
        UPDATE recordings SET status = 'deleting' WHERE session_id = $1 AND status <> 'deleting'";

    DELETE_RECORDINGS_OF_STREAM = "
        UPDATE recordings SET status = 'deleting' WHERE stream_id = $1 AND status <> 'deleting'";

    /// The rows stay until the files are removed, which may take long.
    FORGET_RECORDED_NAMES = "
        UPDATE recording_files SET user_name = NULL, user_text = NULL
         WHERE recording_id IN (SELECT id FROM recordings WHERE stream_id = $1)";

    /// Recordings that were stored before $1, and failed ones that began before, after the one of $2.
    RECORDINGS_TO_EXPIRE = "
        SELECT id, CASE WHEN status = 'stored' THEN stored_at_ms ELSE started_at_ms END AS at_ms,
               COALESCE(app, (SELECT sessions.app FROM sessions
                               WHERE sessions.id = recordings.session_id), 'default') AS app
          FROM recordings
         WHERE id > $2
           AND ((status = 'stored' AND stored_at_ms < $1)
                OR (status = 'failed' AND started_at_ms < $1))
         ORDER BY id LIMIT $3 + 0";

    EXPIRE_RECORDING = "
        UPDATE recordings SET status = 'deleting'
         WHERE id = $1 AND status IN ('stored', 'failed')";

    FORGET_RECORDING = "DELETE FROM recordings WHERE id = $1 AND status = 'deleting'";

    FORGET_RECORDED_FILES = "DELETE FROM recording_files WHERE recording_id = $1";

    /// Names are not written again for a recording that is to be deleted.
    UPSERT_RECORDED_FILE = "
        INSERT INTO recording_files (recording_id, name, session_id, api_name, path, medium,
                                     user_id, user_name, content_type, bytes, sha256, first_ms,
                                     last_ms, user_text, channel_id)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
         WHERE EXISTS (SELECT 1 FROM recordings WHERE id = $1 AND status <> 'deleting')
        ON CONFLICT (recording_id, name) DO UPDATE
           SET api_name = excluded.api_name, path = excluded.path,
               user_name = excluded.user_name, bytes = excluded.bytes, sha256 = excluded.sha256,
               first_ms = excluded.first_ms, last_ms = excluded.last_ms,
               user_text = excluded.user_text, channel_id = excluded.channel_id";

    /// Files that were announced but never created.
    DROP_EMPTY_RECORDED_FILES = "
        DELETE FROM recording_files WHERE recording_id = $1 AND sha256 = ''";

    RECORDED_FILES = select_recorded_file!("recording_id = $1 ORDER BY name");

    RECORDED_FILES_OF_SESSION = select_recorded_file!(
        "session_id = $1 ORDER BY recording_id, name LIMIT $2 + 0"
    );

    RECORDED_FILE = select_recorded_file!("session_id = $1 AND api_name = $2");
}

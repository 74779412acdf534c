//! The log of a stream.

statements! {
    STREAM_HEADS = "
        SELECT stream_id, ordinal,
               COALESCE((SELECT MAX(seq) FROM entries
                          WHERE entries.stream_id = streams.stream_id), 0) AS last_seq
          FROM streams WHERE session_id = $1 ORDER BY ordinal";

    JOINED_STREAMS = "
        SELECT ordinal FROM streams
         WHERE session_id = $1
           AND EXISTS (SELECT 1 FROM entries
                        WHERE entries.stream_id = streams.stream_id AND entries.kind = 'link_up'
                          AND entries.personal = 0)";

    /// `$3` is empty, or kinds between commas (`,chat,transcript,`). Personal entries of a revoked stream are hidden
    /// until they are deleted.
    ENTRIES_AFTER = "
        SELECT seq, kind, at_ms, body FROM entries
         WHERE stream_id = $1 AND seq > $2
           AND (personal = 0
                OR NOT EXISTS (SELECT 1 FROM streams AS revoked
                                WHERE revoked.stream_id = $1 AND revoked.stop_reason = 8))
           AND ($3 = '' OR $3 <> replace($3, ',' || kind || ',', ''))
         ORDER BY seq LIMIT $4 + 0";

    /// The same for kinds that are not personal, by an index of their own: most of a long log is personal.
    IMPERSONAL_ENTRIES_AFTER = "
        SELECT seq, kind, at_ms, body FROM entries
         WHERE stream_id = $1 AND seq > $2 AND personal = 0
           AND $3 <> replace($3, ',' || kind || ',', '')
         ORDER BY seq LIMIT $4 + 0";

    /// The transcript lines of a page, each on a line after its number, in one row: SQLite's driver hands over every row
    /// from one thread to another, which costs more than to read it. JSON has no line break.
    // CASE, because Postgres without statistics takes few entries to be of the kind that `kind = 'transcript'` asks for,
    // and sorts all of them instead of reading as many as the limit in order.
    TRANSCRIPT_LINES = "
        SELECT string_agg(CAST(seq AS TEXT) || ' ' || body, '\n')
          FROM (SELECT seq, body FROM entries
                 WHERE stream_id = $1 AND seq > $2
                   AND CASE WHEN kind = 'transcript' THEN TRUE ELSE FALSE END
                   AND NOT EXISTS (SELECT 1 FROM streams AS revoked
                                    WHERE revoked.stream_id = $1 AND revoked.stop_reason = 8)
                 ORDER BY seq LIMIT $3 + 0) AS page";

    /// Whether a number between `$3` and `$4` was assigned under another epoch than `$2`.
    COLLIDES = "
        SELECT COUNT(*) FROM entries
         WHERE stream_id = $1 AND seq >= $3 AND seq <= $4 AND epoch <> $2";

    /// How far a runner has written: it writes its entries in order.
    LAST_SEQ_OF_EPOCH = "
        SELECT COALESCE(MAX(seq), 0) FROM entries WHERE stream_id = $1 AND epoch = $2";
}

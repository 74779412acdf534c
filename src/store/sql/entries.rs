//! The log of a stream.

use super::BulkStatement;

/// Inserts entries; existing ones stay.
pub const INSERT_ENTRIES: BulkStatement = bulk!("appended" (
        stream_id TEXT, seq BIGINT, kind TEXT, personal BIGINT, at_ms BIGINT, body TEXT,
        epoch BIGINT
    ) "
    INSERT INTO entries (stream_id, seq, kind, personal, at_ms, body, epoch)
    SELECT stream_id, seq, kind, personal, at_ms, body, epoch FROM appended WHERE TRUE
    ON CONFLICT (stream_id, seq) DO NOTHING"
);

/// Of these claims, the streams that have another epoch by now.
pub const FENCED: BulkStatement = bulk!("held" (stream_id TEXT, epoch BIGINT) "
    SELECT held.stream_id FROM held
      LEFT JOIN streams ON streams.stream_id = held.stream_id AND streams.epoch = held.epoch
     WHERE streams.stream_id IS NULL"
);

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

    /// A page of transcript lines as one text, each line as its number, a space and its JSON, which contains no line break.
    /// One row, because SQLite's driver passes every row to another thread, which costs more than reading it.
    // CASE hides the condition from Postgres's planner. Without statistics it expects few transcript entries, and so it reads
    // and sorts all of them instead of stopping at the limit.
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

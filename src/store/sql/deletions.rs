//! Deletions, retention and the audit trail.

statements! {
    /// Locks an app's ($2) sessions in which a stream of a user runs, before those streams.
    LOCK_SESSIONS_OF_OPERATOR = "
        UPDATE sessions SET status = status
         WHERE app = $2 AND id IN (SELECT session_id FROM streams
                       WHERE operator_id = $1 AND ended_at_ms IS NULL)
        RETURNING id";

    /// Ends a user's running streams in an app ($3) as revoked (8). Raises the epoch, so that later writes of their runners are
    /// rejected.
    REVOKE_STREAMS_OF_OPERATOR = "
        UPDATE streams
           SET stop_seen_at_ms = COALESCE(stop_seen_at_ms, $2), stop_reason = 8, epoch = epoch + 1
         WHERE operator_id = $1 AND ended_at_ms IS NULL
           AND (SELECT app FROM sessions WHERE sessions.id = streams.session_id) = $3";

    INSERT_DELETION = "
        INSERT INTO deletions (id, scope, subject, actor, asked_at_ms, after_stream, streams, entries,
                               deliveries, is_collected, app)
        VALUES ($1, $2, $3, $4, $5, '', 0, 0, 0, 2, $6)";

    /// See `PREPARED`.
    MARK_PREPARED = "UPDATE deletions SET is_collected = 2 WHERE id = $1";

    /// The ids of what a user's ($2) deletion ($1) in an app ($3) is about: the user's streams, sessions that name the user, webhooks
    /// that do, events that ask the user to install again, and acts with the address of the user's browser.
    // `data <> replace(data, id, '')` means that the data contains the id, in both databases and without wildcards.
    COLLECT_ITEMS_OF_USER = "
        INSERT INTO deletion_items (deletion_id, item)
        SELECT $1, stream_id FROM streams
          JOIN sessions ON sessions.id = streams.session_id
         WHERE streams.operator_id = $2 AND sessions.app = $3
        UNION ALL
        SELECT $1, id FROM sessions
         WHERE app = $3
           AND (operator_id = $2 OR participant_user_id = $2 OR host_id = $2
                OR installation_id IN (SELECT id FROM installations WHERE user_id = $2))
        UNION ALL
        SELECT $1, digest FROM deliveries WHERE operator_id = $2 AND app = $3
        UNION ALL
        SELECT $1, outgoing_events.id FROM outgoing_events
          JOIN installations ON installations.user_id = $2 AND installations.app = $3
         WHERE outgoing_events.session_id IS NULL
           AND outgoing_events.kind = 'installation.needs_reconnect'
           AND outgoing_events.data <> replace(outgoing_events.data, installations.id, '')
        UNION ALL
        SELECT $1, id FROM audit
         WHERE action = 'installation.install' AND actor = $2 AND address IS NOT NULL AND app = $3
        ON CONFLICT (deletion_id, item) DO NOTHING";

    /// The ids of what a session's ($2) deletion ($1) is about: its streams, its actions, and events about the session
    /// as a whole. Events about a stream go with it.
    COLLECT_ITEMS_OF_SESSION = "
        INSERT INTO deletion_items (deletion_id, item)
        SELECT $1, stream_id FROM streams WHERE session_id = $2
        UNION ALL
        SELECT $1, id FROM actions WHERE session_id = $2
        UNION ALL
        SELECT $1, id FROM outgoing_events WHERE session_id = $2 AND stream_id IS NULL
        ON CONFLICT (deletion_id, item) DO NOTHING";

    NEXT_DELETION = "SELECT id FROM deletions WHERE id > $1 ORDER BY id LIMIT 1";

    /// Locks a deletion. No row if another daemon has finished it.
    LOCK_DELETION = "
        UPDATE deletions SET after_stream = after_stream WHERE id = $1
        RETURNING scope, subject, app, actor, asked_at_ms, after_stream, streams, sessions, entries,
                  deliveries, recordings, is_collected";

    /// Counts the running streams of a user ($1) that the deletion $2 revoked.
    RUNNING_STREAMS_OF_USER = "
        SELECT COUNT(*) FROM streams
         WHERE operator_id = $1 AND ended_at_ms IS NULL
           AND stream_id IN (SELECT item FROM deletion_items WHERE deletion_id = $2)";

    /// The next stream of a user ($1) after $2, among those that the deletion $3 collected: the user may have returned
    /// since.
    STREAM_OF_USER_TO_EMPTY = "
        SELECT stream_id FROM streams
         WHERE operator_id = $1 AND stream_id > $2
           AND stream_id IN (SELECT item FROM deletion_items WHERE deletion_id = $3)
         ORDER BY stream_id LIMIT 1";

    /// The next stream of a session ($1) after $2, among those that the deletion $3 collected; also one that Zoom has
    /// continued since.
    STREAM_OF_SESSION_TO_EMPTY = "
        SELECT stream_id FROM streams
         WHERE session_id = $1 AND stream_id > $2
           AND stream_id IN (SELECT item FROM deletion_items WHERE deletion_id = $3)
         ORDER BY stream_id LIMIT 1";

    /// The stream ($1) that the deletion $3 is about, once.
    STREAM_TO_EMPTY = "
        SELECT stream_id FROM streams
         WHERE stream_id = $1 AND stream_id > $2
           AND EXISTS (SELECT 1 FROM deletions WHERE id = $3)";

    // A subquery, because Postgres has no DELETE with LIMIT.
    DELETE_SOME_PERSONAL_ENTRIES = "
        DELETE FROM entries
         WHERE stream_id = $1
           AND seq IN (SELECT seq FROM entries WHERE stream_id = $1 AND personal = 1
                        ORDER BY seq LIMIT $2 + 0)";

    /// All but the last entry, which is not personal: a stream that is announced again continues after its number.
    DELETE_SOME_EARLIER_ENTRIES = "
        DELETE FROM entries
         WHERE stream_id = $1
           AND seq IN (SELECT seq FROM entries
                        WHERE stream_id = $1
                          AND (personal = 1
                               OR seq < (SELECT MAX(seq) FROM entries WHERE stream_id = $1))
                        ORDER BY seq LIMIT $2 + 0)";

    /// Streams with a log that ended before $1, oldest first, after the one of $2 and $3.
    // The last condition repeats that of the partial index `streams_to_expire`.
    STREAMS_TO_EXPIRE = "
        SELECT streams.stream_id, streams.ended_at_ms, sessions.app FROM streams
          JOIN sessions ON sessions.id = streams.session_id
         WHERE streams.ended_at_ms >= $2 AND streams.ended_at_ms < $1
           AND (streams.ended_at_ms > $2 OR streams.stream_id > $3)
           AND streams.emptied_at_ms IS NULL AND streams.ended_at_ms IS NOT NULL
         ORDER BY streams.ended_at_ms, streams.stream_id LIMIT $4 + 0";

    /// Sessions that began before $1, oldest first, after the one of $2 and $3.
    SESSIONS_TO_EXPIRE = concat!(
        "SELECT id, created_at_ms, app, ",
        session_is_over!(),
        " AS is_over FROM sessions
         WHERE created_at_ms < $1
           AND (created_at_ms > $2 OR (created_at_ms = $2 AND id > $3))
         ORDER BY created_at_ms, id LIMIT $4 + 0"
    );

    SESSION_IS_OVER = concat!(
        "SELECT ", session_is_over!(), " AS is_over FROM sessions WHERE id = $2"
    );

    STREAM_IDS_OF_SESSION =
        "SELECT stream_id FROM streams WHERE session_id = $1 ORDER BY ordinal";

    /// Deletes rows of the app $3. Those of deletions stay until every sink is past them, because it may have to relay
    /// them. A sink that no daemon has held since $1 does not count.
    EXPIRE_AUDIT = expire_audit!("app = $3");

    EXPIRE_AUDIT_OF_NO_APP = expire_audit!("app IS NULL");

    NEXT_APP_OF_AUDIT = "SELECT MIN(app) FROM audit WHERE app > $1";

    MARK_EMPTIED = "UPDATE streams SET emptied_at_ms = $2 WHERE stream_id = $1";

    LOCK_SESSION_TO_DELETE = "UPDATE sessions SET status = status WHERE id = $1 RETURNING app";

    RUNNING_STREAMS_OF_SESSION = "
        SELECT COUNT(*) FROM streams WHERE session_id = $1 AND ended_at_ms IS NULL";

    SESSION_DELETION = "SELECT id FROM deletions WHERE scope = 'session' AND subject = $1 LIMIT 1";

    BLANK_DELIVERIES_OF_SESSION = "
        UPDATE deliveries SET body = '', operator_id = NULL
         WHERE session_id = $1 AND body <> ''";

    DELETE_ACTIONS_OF_SESSION = "DELETE FROM actions WHERE session_id = $1";

    /// The actions that the deletion $2 collected. They stay in a session that stays, because what a policy has done
    /// once, it does not do again; planned ones are dropped.
    CLOSE_COLLECTED_ACTIONS = "
        UPDATE actions
           SET answer = NULL,
               due_at_ms = CASE WHEN status = 'due' THEN NULL ELSE due_at_ms END,
               status = CASE WHEN status = 'due' THEN 'skipped' ELSE status END
         WHERE session_id = $1
           AND id IN (SELECT item FROM deletion_items WHERE deletion_id = $2)";

    /// 1 if the session has been used since the deletion $2 was requested: it has a stream, an action that was not
    /// collected, or was described again.
    SESSION_IS_USED = "
        SELECT COUNT(*) FROM sessions
         WHERE id = $1
           AND (erased_at_ms IS NULL
                OR EXISTS (SELECT 1 FROM streams WHERE streams.session_id = sessions.id)
                OR EXISTS (SELECT 1 FROM actions
                            WHERE actions.session_id = sessions.id
                              AND actions.id NOT IN (SELECT item FROM deletion_items
                                                      WHERE deletion_id = $2)))";

    /// Zoom's answers may name people.
    BLANK_ACTIONS_OF_SESSION = "UPDATE actions SET answer = NULL WHERE session_id = $1";

    DELETE_FORWARDS_OF_SESSION = "DELETE FROM forwards WHERE session_id = $1";

    DELETE_RELAY_STREAMS_OF_SESSION = "DELETE FROM relay_streams WHERE session_id = $1";

    DELETE_RELAY_EVENTS_OF_SESSION = "DELETE FROM relay_events WHERE session_id = $1";

    /// Marks a stream as without data from now on ($3), unless it runs, and no longer of the user $2.
    ERASE_STREAM = "
        UPDATE streams
           SET erased_at_ms = CASE WHEN ended_at_ms IS NOT NULL THEN CAST($3 AS BIGINT) END,
               operator_id = NULLIF(operator_id, $2)
         WHERE stream_id = $1";

    /// How many streams of a session may still hold data. Those with a stop before their start never did.
    STREAMS_WITH_DATA = "
        SELECT COUNT(*) FROM streams
         WHERE session_id = $1 AND erased_at_ms IS NULL AND generation > 0";

    /// Removes what a session knows of people and of its program; the acting user stays, unless that is the user $2.
    ERASE_SESSION = "
        UPDATE sessions
           SET metadata = NULL, host_id = NULL, video_user_id = NULL, erased_at_ms = $3,
               operator_id = NULLIF(operator_id, $2),
               participant_user_id = NULLIF(participant_user_id, $2),
               installation_id = CASE
                   WHEN installation_id IN (SELECT id FROM installations WHERE user_id = $2)
                   THEN NULL ELSE installation_id END
         WHERE id = $1";

    /// Removes the users that `ERASE_SESSION` leaves in the row of a session that is to be deleted.
    FORGET_USERS_OF_SESSION = "
        UPDATE sessions SET operator_id = NULL, participant_user_id = NULL, installation_id = NULL
         WHERE id = $1";

    /// Keeps the session for users with a stream in it; removes the user $2, who no longer has one.
    FORGET_USER_IN_SESSION = "
        UPDATE sessions
           SET participant_user_id = NULLIF(participant_user_id, $2),
               installation_id = CASE
                   WHEN installation_id IN (SELECT id FROM installations WHERE user_id = $2)
                   THEN NULL ELSE installation_id END,
               operator_id = CASE
                   WHEN operator_id = $2
                   THEN (SELECT streams.operator_id FROM streams
                          WHERE streams.session_id = sessions.id AND streams.operator_id IS NOT NULL
                          ORDER BY streams.ordinal DESC LIMIT 1)
                   ELSE operator_id END
         WHERE id = $1
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.session_id = sessions.id AND streams.operator_id = $2)";

    /// A session that the deletion $2 collected and that names the user $1, who has no stream in it: as the acting user,
    /// or as the host if no user's stream is left.
    SESSION_NAMING_USER = "
        SELECT id FROM sessions
         WHERE id IN (SELECT item FROM deletion_items WHERE deletion_id = $2)
           AND (operator_id = $1 OR participant_user_id = $1 OR host_id = $1
                OR installation_id IN (SELECT id FROM installations WHERE user_id = $1))
           AND NOT EXISTS (SELECT 1 FROM streams
                            WHERE streams.session_id = sessions.id AND streams.operator_id = $1)
           AND (operator_id = $1 OR participant_user_id = $1
                OR installation_id IN (SELECT id FROM installations WHERE user_id = $1)
                OR NOT EXISTS (SELECT 1 FROM streams
                                WHERE streams.session_id = sessions.id
                                  AND streams.erased_at_ms IS NULL AND streams.generation > 0))
         ORDER BY id LIMIT 1";

    BLANK_SOME_NOTICES_OF_USER = "
        UPDATE deliveries SET body = '', operator_id = NULL
         WHERE digest IN (SELECT digest FROM deliveries
                           WHERE operator_id = $1
                             AND digest IN (SELECT item FROM deletion_items WHERE deletion_id = $2)
                           LIMIT $3 + 0)";

    /// Stored answers about a session.
    FORGET_KEPT_ANSWERS = "
        UPDATE idempotency_keys SET body = NULL WHERE session_id = $1 AND body IS NOT NULL";

    /// Like `FORGET_KEPT_ANSWERS`, for answers that name a user.
    FORGET_KEPT_ANSWERS_NAMING = "
        UPDATE idempotency_keys SET body = NULL
         WHERE session_id = $1 AND body <> replace(body, CAST($2 AS TEXT), '')";

    /// See `DELETE_SOME_EARLIER_ENTRIES`. Not for a stream with newer entries.
    DELETE_LAST_ENTRIES_OF_SESSION = "
        DELETE FROM entries
         WHERE stream_id IN (SELECT stream_id FROM streams
                              WHERE session_id = $1 AND ended_at_ms IS NOT NULL
                                AND (CAST($2 AS TEXT) IS NULL
                                     OR stream_id IN (SELECT item FROM deletion_items
                                                       WHERE deletion_id = $2)))
           AND NOT EXISTS (SELECT 1 FROM entries AS others
                            WHERE others.stream_id = entries.stream_id
                              AND others.seq <> entries.seq)";

    /// Limited to what the deletion $2 collected, if there is one. Streams announced since stay, and the session with them.
    DELETE_STREAMS_OF_SESSION = "
        DELETE FROM streams
         WHERE session_id = $1 AND ended_at_ms IS NOT NULL
           AND (CAST($2 AS TEXT) IS NULL
                OR stream_id IN (SELECT item FROM deletion_items WHERE deletion_id = $2))
           AND NOT EXISTS (SELECT 1 FROM entries WHERE entries.stream_id = streams.stream_id)";

    DELETE_SESSION = "
        DELETE FROM sessions
         WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM streams WHERE streams.session_id = sessions.id)";

    COUNT_DELETED = "
        UPDATE deletions
           SET after_stream = $2, streams = streams + $3, sessions = sessions + $4,
               entries = entries + $5, deliveries = deliveries + $6, recordings = recordings + $7
         WHERE id = $1";

    END_DELETION = "DELETE FROM deletions WHERE id = $1";

    RECORDINGS_TO_REMOVE = "
        SELECT COUNT(*) FROM recordings WHERE stream_id = $1 AND status = 'deleting'";

    INSERT_AUDIT = "
        INSERT INTO audit (id, at_ms, actor, address, action, subject, outcome, detail, app)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

    /// The outcome of an action ($1) that was still $4.
    SETTLE_AUDIT = "UPDATE audit SET outcome = $2, detail = $3 WHERE id = $1 AND outcome = $4";

    /// The browser addresses of a user's ($1) installs that the deletion $2 collected.
    FORGET_ADDRESSES_OF_USER = "
        UPDATE audit SET address = NULL
         WHERE action = 'installation.install' AND actor = $1
           AND id IN (SELECT item FROM deletion_items WHERE deletion_id = $2)
           AND address IS NOT NULL";

    /// Deletions after ($1, $2), in order.
    DELETIONS_AFTER = "
        SELECT id, at_ms, app, subject, detail FROM audit
         WHERE action = 'data.deleted' AND (at_ms > $1 OR (at_ms = $1 AND id > $2))
         ORDER BY at_ms, id LIMIT $3 + 0";

    /// Newest first. With a list of apps ($5), without the rows that concern no single app: see `SESSIONS`.
    AUDIT = "
        SELECT id, at_ms, actor, address, app, action, subject, outcome, detail FROM audit
         WHERE (CAST($1 AS TEXT) IS NULL OR id < $1) AND (CAST($2 AS TEXT) IS NULL OR actor = $2)
           AND (CAST($3 AS TEXT) IS NULL OR action = $3)
           AND (CAST($5 AS TEXT) IS NULL OR $5 <> replace($5, ',' || app || ',', ''))
           AND (CAST($6 AS TEXT) IS NULL OR subject = $6)
           AND (CAST($7 AS TEXT) IS NULL OR outcome = $7)
           AND (CAST($8 AS TEXT) IS NULL OR app = $8)
           AND (CAST($9 AS BIGINT) IS NULL OR at_ms >= $9)
           AND (CAST($10 AS BIGINT) IS NULL OR at_ms < $10)
         ORDER BY id DESC LIMIT $4 + 0";
}

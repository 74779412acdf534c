-- Rows in every table of schema 28, for both databases.

INSERT INTO sessions (id, product, id_key, instance_id, account_id, meeting_id, operator_id, status, created_at_ms,
                      updated_at_ms, ended_at_ms, host_id, participant_user_id, installation_id, metadata,
                      meeting_started_at_ms, meeting_ended_at_ms, review_at_ms, media, video_user_id, told,
                      erased_at_ms)
VALUES
    ('01932b5e-0000-7000-8000-000000000001', 'meeting', 'meeting_uuid', 'm', 'acc1', '91234567890', 'u1', 'live', 1,
     2, NULL, 'host1', 'u2', '01932b5e-0000-7000-8000-0000000000a1', '{"case":4711}', 3, NULL, 4,
     '{"types":["audio"]}', 16778240, 'session.started', NULL),
    ('01932b5e-0000-7000-8000-000000000002', 'video_sdk', 'session_id', 'v', NULL, NULL, NULL, 'ended', 1, 2, 3, NULL,
     NULL, NULL, NULL, NULL, 5, NULL, NULL, NULL, 'session.ended', 6);

INSERT INTO streams (stream_id, session_id, ordinal, server_urls, event_ts_ms, generation, interrupts, status,
                     stop_seen_at_ms, stop_reason, outcome, owner, lease_until_ms, first_packet_ms, tally,
                     created_at_ms, ended_at_ms, unknown_messages, media, effective, ledger, told, emptied_at_ms,
                     unreadable_messages, epoch, taken_over, operator_id, erased_at_ms)
VALUES
    ('s1', '01932b5e-0000-7000-8000-000000000001', 1, 'wss://rtms-sjc1.zoom.us:443', 1, 2, 3, 'live', NULL, NULL, NULL,
     NULL, NULL, 8, '{"audio":{"frames":7,"bytes":6}}', 1, NULL, '{"99":1}',
     '{"types":["audio"]}', '{"audio":{"codec":"opus"}}', '[]', 'stream.started', NULL, '[]', 4, 1, 'u1', NULL),
    ('s2', '01932b5e-0000-7000-8000-000000000002', 1, '', 1, 1, 0, 'ended', 5, 6, 'stopped', NULL, NULL, NULL, '{}', 1,
     5, '{}', NULL, NULL, '[]', 'stream.ended', 6, '[]', 2, 0, NULL, 7);

INSERT INTO entries (stream_id, seq, kind, personal, at_ms, body, epoch)
VALUES ('s1', 1, 'first_packet', 0, 1, '{"kind":"first_packet"}', 4),
       ('s1', 2, 'sharing_stopped', 0, 2, '{"kind":"sharing_stopped"}', 4);

INSERT INTO handovers (stream_id, epoch, place, at_ms, body) VALUES ('s1', 3, 1, 2, '{"kind":"first_packet"}');

INSERT INTO deliveries (digest, event, event_ts_ms, received_at_ms, stream_id, effect, body, session_id, operator_id)
VALUES ('d1', 'meeting.rtms_started', 1, 2, 's1', 'changed', '{}', NULL, NULL),
       ('d2', 'rtms.concurrency_near_limit', 1, 2, NULL, 'notice', '{}', NULL, 'u1');

INSERT INTO actions (id, session_id, action, asked_by, cause, status, asked_at_ms, due_at_ms, attempts, answered_at_ms,
                     answer)
VALUES ('01932b5e-0000-7000-8000-0000000000c1', '01932b5e-0000-7000-8000-000000000001', 'start', 'policy', 'auto',
        'confirmed', 1, NULL, 1, 2, '{}');

INSERT INTO forwards (id, session_id, url, asked, cursor, created_at_ms)
VALUES ('01932b5e-0000-7000-8000-0000000000d1', '01932b5e-0000-7000-8000-000000000001', 'wss://example.com/', '{}',
        '1:2', 3);

INSERT INTO recordings (id, session_id, stream_id, ordinal, part, spool, status, started_at_ms, finished_at_ms,
                        stored_at_ms, swept_at_ms, delete_at_ms, failed_deletions, target)
VALUES ('01932b5e-0000-7000-8000-0000000000e1', '01932b5e-0000-7000-8000-000000000001', 's1', 1, 1,
        '01932b5e-0000-7000-8000-0000000000f1', 'stored', 1, 2, 3, NULL, NULL, 0, '/recordings');

INSERT INTO recording_files (recording_id, name, session_id, api_name, path, medium, user_id, user_name, content_type,
                             bytes, sha256, first_ms, last_ms, user_text, channel_id)
VALUES ('01932b5e-0000-7000-8000-0000000000e1', 'audio.wav', '01932b5e-0000-7000-8000-000000000001', '1-audio.wav',
        'a/audio.wav', 'audio', 16778240, 'Ana', 'audio/wav', 44, 'abcd', 1, 2, NULL, NULL);

INSERT INTO spools (id, seen_at_ms) VALUES ('01932b5e-0000-7000-8000-0000000000f1', 4);

INSERT INTO installations (id, account_id, user_id, display_name, email, scope, api_base_url, status, access_token,
                           refresh_token, expires_at_ms, tokens_at_ms, generation, refresh_claim, refresh_until_ms,
                           created_at_ms, updated_at_ms, installed_at_ms)
VALUES ('01932b5e-0000-7000-8000-0000000000a1', 'acc1', 'u1', 'Ana', 'ana@example.com', 'meeting:read', NULL,
        'connected', 'v1.sealed-access', 'v1.sealed-refresh', 9, 8, 7, 'claim', 6, 5, 4, 3),
       ('01932b5e-0000-7000-8000-0000000000a2', 'acc1', 'u2', NULL, NULL, 'meeting:read', 'https://api-us.zoom.us',
        'revoked', NULL, NULL, NULL, 8, 2, NULL, NULL, 5, 4, 3);

INSERT INTO oauth_states (id, expires_at_ms) VALUES ('state', 5);

INSERT INTO webhook_endpoints (id, source, url, description, events, secret, previous_secret, previous_until_ms, status,
                               failing_since_ms, created_at_ms, updated_at_ms)
VALUES ('01932b5e-0000-7000-8000-000000000101', 'api', 'https://example.com/', 'mine', ',gap.recorded,', 'v1.sealed',
        NULL, NULL, 'enabled', 3, 1, 2);

INSERT INTO outgoing_events (id, kind, at_ms, session_id, stream_id, seq, data, created_at_ms)
VALUES ('evt_1', 'stream.started', 1, '01932b5e-0000-7000-8000-000000000001', 's1', NULL, '{}', 2),
       ('evt_2', 'test', 1, NULL, NULL, NULL, '{}', 2);

INSERT INTO outgoing_deliveries (endpoint_id, event_id, status, attempts, due_at_ms, claim, last_at_ms, last_status,
                                 last_error, last_answer, created_at_ms)
VALUES ('01932b5e-0000-7000-8000-000000000101', 'evt_1', 'waiting', 1, 5, NULL, 4, 500, NULL, 'busy', 2),
       ('01932b5e-0000-7000-8000-000000000101', 'evt_2', 'delivered', 1, NULL, NULL, 4, 200, NULL, NULL, 2);

INSERT INTO sinks (name, owner, lease_until_ms, through_ms, epoch, held_at_ms)
VALUES ('webhooks', NULL, NULL, 1, 2, 3);
INSERT INTO sink_positions (sink, stream_id, seq) VALUES ('webhooks', 's1', 1);

INSERT INTO deletions (id, subject, actor, asked_at_ms, after_stream, streams, entries, deliveries, scope, recordings,
                       sessions, is_collected)
VALUES ('01932b5e-0000-7000-8000-000000000111', 'u3', 'zoom', 1, '', 0, 0, 0, 'user', 0, 0, 2);
INSERT INTO deletion_items (deletion_id, item) VALUES ('01932b5e-0000-7000-8000-000000000111', 's2');

INSERT INTO idempotency_keys (token, path, key, digest, status, body, expires_at_ms, session_id)
VALUES ('ci', '/api/v1/sdk/sessions', 'k', 'abcd', 201, '{}', 9, '01932b5e-0000-7000-8000-000000000001');

INSERT INTO tickets (id, token, until_ms, keep_ms) VALUES ('t1', 'ci', 0, 9);

INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail, address)
VALUES ('01932b5e-0000-7000-8000-000000000121', 1, 'ci', 'session.create', '01932b5e-0000-7000-8000-000000000001', 'ok',
        '{}', '127.0.0.1'),
       ('01932b5e-0000-7000-8000-000000000122', 1, 'anonymous', 'api.refused', 'GET /api/v1/audit', 'unauthenticated',
        '{}', '127.0.0.1');

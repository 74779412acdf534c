-- Views of rtmsd's store for Grafana, in the SQL that Postgres and SQLite (3.38 or later) share.
--
--     psql "$DATABASE_URL" -f examples/grafana.sql
--     sqlite3 data/rtmsd.db < examples/grafana.sql
--
-- Give Grafana a role that may read only these views: in Postgres
--     CREATE ROLE grafana LOGIN PASSWORD '…';
--     GRANT SELECT ON grafana_sessions, grafana_streams, grafana_gaps, grafana_lines TO grafana;
-- A panel's query is, for example,
--     SELECT time, product AS metric, streams AS value FROM grafana_sessions ORDER BY time
-- `time` is in Unix seconds, which Grafana takes for the time of a row. No view holds what was said or who said it.
-- An upgrade of rtmsd that changes a table needs the views to be created again.

DROP VIEW IF EXISTS grafana_lines;
DROP VIEW IF EXISTS grafana_gaps;
DROP VIEW IF EXISTS grafana_streams;
DROP VIEW IF EXISTS grafana_sessions;

-- One row for each session: how long it took, and its streams.
CREATE VIEW grafana_sessions AS
SELECT sessions.created_at_ms / 1000 AS time,
       sessions.id AS session_id,
       sessions.product,
       sessions.account_id,
       sessions.meeting_id,
       sessions.status,
       (sessions.ended_at_ms - sessions.created_at_ms) / 1000.0 AS duration_s,
       (SELECT COUNT(*) FROM streams WHERE streams.session_id = sessions.id) AS streams
FROM sessions;

-- One row for each medium of a stream that has ended: what came, and the part of the expected time outside all gaps.
CREATE VIEW grafana_streams AS
SELECT entries.at_ms / 1000 AS time,
       streams.session_id,
       entries.stream_id,
       json(entries.body) ->> 'medium' AS medium,
       CAST(json(entries.body) ->> 'frames' AS BIGINT) AS frames,
       CAST(json(entries.body) ->> 'bytes' AS BIGINT) AS bytes,
       CAST(json(entries.body) ->> 'gaps' AS BIGINT) AS gaps,
       CAST(json(entries.body) ->> 'covered_ms' AS BIGINT) * 1.0
           / NULLIF(CAST(json(entries.body) ->> 'expected_ms' AS BIGINT), 0) AS completeness
FROM entries
JOIN streams ON streams.stream_id = entries.stream_id
WHERE entries.kind = 'summary';

-- One row for each gap, at its end.
CREATE VIEW grafana_gaps AS
SELECT CAST(json(entries.body) ->> 'end_ms' AS BIGINT) / 1000 AS time,
       streams.session_id,
       entries.stream_id,
       json(entries.body) ->> 'medium' AS medium,
       json(entries.body) ->> 'cause' AS cause,
       (CAST(json(entries.body) ->> 'end_ms' AS BIGINT)
           - CAST(json(entries.body) ->> 'start_ms' AS BIGINT)) / 1000.0 AS seconds
FROM entries
JOIN streams ON streams.stream_id = entries.stream_id
WHERE entries.kind = 'gap';

-- One row for each minute of a session with transcript lines: how many.
CREATE VIEW grafana_lines AS
SELECT entries.at_ms / 60000 * 60 AS time,
       streams.session_id,
       COUNT(*) AS lines
FROM entries
JOIN streams ON streams.stream_id = entries.stream_id
WHERE entries.kind = 'transcript'
GROUP BY entries.at_ms / 60000 * 60, streams.session_id;

-- Retention by app, and the place of recordings by app.

-- The app of a recording, which outlives its session while its files wait to be removed. Null for recordings of
-- earlier versions that have no session.
ALTER TABLE recordings ADD COLUMN app TEXT;
UPDATE recordings SET app = (SELECT app FROM sessions WHERE sessions.id = recordings.session_id);

-- For what expires of each app. Migration 34 has the same for deliveries.
CREATE INDEX outgoing_events_of_app ON outgoing_events (app, created_at_ms);
CREATE INDEX audit_of_app ON audit (app, at_ms);

-- What is stored for longer than it may be.
CREATE INDEX recordings_stored ON recordings (stored_at_ms) WHERE status = 'stored';

-- What was deleted is read again by those who have to be told.
CREATE INDEX audit_deletions ON audit (at_ms, id) WHERE action = 'data.deleted';

-- What was deleted is read again by those who have to be told.
CREATE INDEX audit_deletions ON audit (at_ms, id) WHERE action = 'data.deleted';

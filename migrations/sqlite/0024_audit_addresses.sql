-- The client's address of an audited act; null for acts of Zoom and of the daemon itself.
ALTER TABLE audit ADD COLUMN address TEXT;

-- The audit log over the API, of one action.
CREATE INDEX audit_by_action ON audit (action, id);

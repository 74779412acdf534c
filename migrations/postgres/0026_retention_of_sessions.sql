-- What is too old is looked for by age.
CREATE INDEX sessions_by_age ON sessions (created_at_ms, id);
CREATE INDEX audit_by_age ON audit (at_ms);

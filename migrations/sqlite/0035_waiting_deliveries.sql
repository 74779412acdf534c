-- The oldest delivery that waits, for metrics.
CREATE INDEX outgoing_deliveries_waiting ON outgoing_deliveries (created_at_ms) WHERE due_at_ms IS NOT NULL;

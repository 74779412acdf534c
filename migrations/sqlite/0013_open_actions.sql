-- What has timed out keeps its time, and is not looked at again.
DROP INDEX actions_due;
CREATE INDEX actions_due ON actions (due_at_ms) WHERE status IN ('due', 'running', 'accepted');

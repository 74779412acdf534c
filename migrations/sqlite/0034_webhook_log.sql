-- What each of Zoom's webhooks changed, or why it changed nothing. Null for those of earlier versions.
ALTER TABLE deliveries ADD COLUMN reason TEXT;
-- The installation that a webhook revoked.
ALTER TABLE deliveries ADD COLUMN installation_id TEXT;
-- When a program had a refused webhook processed again.
ALTER TABLE deliveries ADD COLUMN processed_at_ms INTEGER;

-- For the time of an app's newest webhook.
CREATE INDEX deliveries_by_app ON deliveries (app, received_at_ms);

-- The last time that Zoom validated the webhook URL of each app.
CREATE TABLE webhook_validations (
    app    TEXT NOT NULL PRIMARY KEY,
    at_ms  INTEGER NOT NULL,
    -- Names the secret token that was used, without revealing it.
    secret TEXT NOT NULL
) STRICT;

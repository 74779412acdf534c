-- The operator's name of the Zoom app that a row belongs to. Rows of earlier versions belong to the only app that there
-- was. A stream belongs to its session's app, an entry and a recording to their stream's.
--
-- Daemons of earlier versions cannot write sessions and installations into this schema: stop them first.

-- Two apps in one meeting have a session each.
ALTER TABLE sessions ADD COLUMN app TEXT COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE sessions DROP CONSTRAINT sessions_product_instance_id_key;
ALTER TABLE sessions ADD CONSTRAINT sessions_of_app UNIQUE (app, product, instance_id);

-- One user may install several apps.
ALTER TABLE installations ADD COLUMN app TEXT COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE installations DROP CONSTRAINT installations_account_id_user_id_key;
ALTER TABLE installations ADD CONSTRAINT installations_of_app UNIQUE (app, account_id, user_id);

ALTER TABLE oauth_states ADD COLUMN app TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN app TEXT NOT NULL DEFAULT 'default';
-- For deletions of users: the user's data in other apps stays.
ALTER TABLE deletions ADD COLUMN app TEXT NOT NULL DEFAULT 'default';

-- The apps whose events an endpoint receives, between commas (",acme,other,"); null for all.
ALTER TABLE webhook_endpoints ADD COLUMN apps TEXT;
-- Null for an event that concerns no single app. It is sent to endpoints of all apps only.
ALTER TABLE outgoing_events ADD COLUMN app TEXT DEFAULT 'default';
UPDATE outgoing_events SET app = NULL WHERE kind IN ('endpoint.disabled', 'test');

-- Null for an act that concerns no single app.
ALTER TABLE audit ADD COLUMN app TEXT DEFAULT 'default';
UPDATE audit SET app = NULL WHERE action = 'api.refused' OR action LIKE 'webhook_endpoint.%';

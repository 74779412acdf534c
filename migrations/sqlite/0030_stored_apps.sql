-- Zoom apps that were added over the API. `settings` is the description of the app as JSON, sealed.
CREATE TABLE apps (
    name          TEXT    NOT NULL PRIMARY KEY,
    settings      TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
);

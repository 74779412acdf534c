-- When the files of a recording that is to be deleted are tried again, and how often that has failed.
ALTER TABLE recordings ADD COLUMN delete_at_ms INTEGER;
ALTER TABLE recordings ADD COLUMN failed_deletions INTEGER NOT NULL DEFAULT 0;

-- Where the files are: the URL or folder, without credentials. Null for those of versions that did not note it.
ALTER TABLE recordings ADD COLUMN target TEXT;

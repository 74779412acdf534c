-- What is missing of each medium, as JSON.
ALTER TABLE streams ADD COLUMN ledger TEXT NOT NULL DEFAULT '[]';

-- Whose file it is where that is no meeting's participant: the text that Contact Center has for a user, and the channel
-- of one party.
ALTER TABLE recording_files ADD COLUMN user_text TEXT COLLATE "C";
ALTER TABLE recording_files ADD COLUMN channel_id TEXT COLLATE "C";

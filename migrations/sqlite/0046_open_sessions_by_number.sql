-- Searches by meeting number need only sessions that have not ended. A recurring meeting may have thousands of ended ones.
CREATE INDEX open_sessions_by_number ON sessions (meeting_id, app) WHERE status <> 'ended';

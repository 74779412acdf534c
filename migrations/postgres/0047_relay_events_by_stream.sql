-- Whether a program was told that a stream has ended is asked for each ended stream.
CREATE INDEX relay_events_by_stream ON relay_events (stream_id, relay_id);

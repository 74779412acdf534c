//! The table of metrics. A name is that of Zoom's samples where they have one; the others follow Prometheus'
//! conventions: base units, `_total` for what only rises, `rtms_` for streams and what belongs to them, `rtmsd_` for the
//! daemon itself. docs/metrics.md is written from it.

use prometheus::proto::MetricFamily;

use super::family::{Counters, Family, Gauges, Histograms, Row};
use super::labels::{
    API, APP, BROKER, CAPTURED, CLOCK, ENTRY_KIND, EVENT, GAP_ANSWER, GAP_CAUSE, INSTALLATION,
    LEASE, LINK, LOSS_CAUSE, LOST, MEDIUM, MESSAGE, OUTCOME, PART, PRODUCT, RECORDING, REFRESH,
    REFUSED_BATCH, SENT, SINK, SOCKET_FAILURE, STATE, STATUS, VERSION, WEBHOOK,
};

/// The bounds of what takes milliseconds, in seconds.
const FAST: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// The bounds of what takes seconds, in seconds.
const SLOW: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// The bounds of how long a stream lasts, in seconds.
const LONG: &[f64] = &[10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0];
/// The bounds of a number of entries.
const ENTRIES: &[f64] = &[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];

/// Declares a struct of metrics and its rows. A row is `field: type(bounds) = "name" [labels] "help";`.
macro_rules! metrics {
    ($(#[$about:meta])* pub struct $type:ident {
        $($field:ident: $family:ident $(($buckets:expr))? = $name:literal [$($label:ident),*] $help:literal;)+
    }) => {
        $(#[$about])*
        pub struct $type {
            $(#[doc = $help] pub $field: $family<{ <[&str]>::len(&[$(stringify!($label)),*]) }>,)+
        }

        impl $type {
            /// The rows of the table, in its order.
            pub const ROWS: &[Row] = &[$(metrics!(@row $family $(($buckets))? $name [$($label),*] $help)),+];

            pub(super) fn families(&self) -> Vec<MetricFamily> {
                let mut families = Vec::new();
                $(families.extend(self.$field.families());)+
                families
            }

            /// Makes the series that can be named in advance: those of an app, or those of no app.
            pub(super) fn touch(&self, app: Option<&str>) {
                $(self.$field.touch(app);)+
            }
        }

        impl Default for $type {
            fn default() -> Self {
                let metrics = Self {
                    $($field: Family::new(const {
                        &metrics!(@row $family $(($buckets))? $name [$($label),*] $help)
                    }),)+
                };
                metrics.touch(None);
                metrics
            }
        }
    };
    (@row $family:ident $(($buckets:expr))? $name:literal [$($label:ident),*] $help:literal) => {
        Row {
            name: $name,
            kind: <$family<0> as Family>::KIND,
            labels: &[$($label),*],
            help: $help,
            buckets: metrics!(@buckets $(($buckets))?),
        }
    };
    (@buckets) => { &[] };
    (@buckets ($buckets:expr)) => { $buckets };
}

metrics! {
    /// What the parts of the daemon count while they work.
    pub struct Counted {
        webhooks: Counters = "rtms_webhooks_total" [APP, EVENT, WEBHOOK]
            "Webhooks of Zoom that were answered.";
        webhook_latency: Histograms(FAST) = "rtms_webhook_latency_seconds" [APP]
            "Time from a webhook's arrival to its answer.";
        last_webhook: Gauges = "rtms_last_webhook_timestamp_seconds" [APP]
            "When the last webhook with a good signature arrived, as Unix time.";
        socket_events: Counters = "rtms_socket_events_total" [APP, EVENT, WEBHOOK]
            "Events of Zoom that came over the event socket.";
        socket_losses: Counters = "rtmsd_event_socket_failures_total" [APP, SOCKET_FAILURE]
            "Connections to Zoom's event socket that ended or could not be made, by what went wrong.";
        socket_gaps: Counters = "rtmsd_event_socket_gaps_total" [APP]
            "Times in which no daemon was connected to the app's event socket, when they were over.";
        socket_gap_seconds: Counters = "rtmsd_event_socket_gap_seconds_total" [APP]
            "The length of these times. Zoom does not repeat the events in them.";
        gap_answers: Counters = "rtmsd_event_gap_answers_total" [APP, GAP_ANSWER]
            "What Zoom's REST API said of meetings after such a time: running, over, found (not known before), unknown.";
        clock_difference: Gauges = "rtms_clock_difference_seconds" [CLOCK]
            "The clock here minus the time in Zoom's newest message; includes the time that the message took.";
        concurrent_streams: Gauges = "rtms_concurrent_streams" [APP]
            "Streams of the account at Zoom, as Zoom's last event about its limit said.";
        concurrency_limit: Gauges = "rtms_concurrent_streams_limit" [APP]
            "Zoom's limit of streams, as its last event about the limit said.";
        concurrency_reported: Gauges = "rtms_concurrency_event_timestamp_seconds" [APP]
            "When Zoom's last event about its limit of streams arrived, as Unix time.";
        dial_delay: Histograms(SLOW) = "rtms_webhook_to_dial_seconds" [APP, PRODUCT]
            "Time from the webhook that announced a stream to the first dial.";
        media_delay: Histograms(SLOW) = "rtms_webhook_to_first_media_seconds" [APP, PRODUCT]
            "Time from the webhook that announced a stream to its first frame, line or message.";
        stream_duration: Histograms(LONG) = "rtms_meeting_duration_seconds" [APP, PRODUCT]
            "How long streams lasted, from the webhook that announced them to their end.";
        streams_ended: Counters = "rtms_streams_ended_total" [APP, PRODUCT, OUTCOME]
            "Streams that ended here.";
        connections: Counters = "rtms_connections_total" [APP, LINK]
            "Links to Zoom that came up: its handshake was accepted.";
        reconnections: Counters = "rtms_reconnection_total" [APP, LINK]
            "Links to Zoom that came up again after they were lost.";
        connection_errors: Counters = "rtms_connection_errors_total" [APP, LINK, LOSS_CAUSE]
            "Links to Zoom that were lost or could not be made.";
        keep_alive: Histograms(FAST) = "rtms_keep_alive_answer_seconds" [LINK]
            "Time from reading a keep-alive of Zoom to the answer on the socket.";
        media_frames: Counters = "rtms_media_frames_total" [APP, PRODUCT, MEDIUM]
            "Frames, transcript lines and chat messages received.";
        media_bytes: Counters = "rtms_media_bytes_total" [APP, PRODUCT, MEDIUM]
            "Bytes of media received, decoded.";
        gaps: Counters = "rtms_gaps_total" [APP, MEDIUM, GAP_CAUSE]
            "Gaps that ended.";
        gap_seconds: Counters = "rtms_gap_seconds_total" [APP, MEDIUM, GAP_CAUSE]
            "The length of gaps that ended.";
        decode_failures: Counters = "rtms_decode_failures_total" [APP, MESSAGE, LOST]
            "Parts of Zoom's messages that could not be read and were skipped.";
        frames_dropped: Counters = "rtms_frames_dropped_total" [SINK, MEDIUM]
            "Frames that a consumer was too slow for, or could not keep.";
        leases: Counters = "rtms_leases_total" [LEASE]
            "Changes of which daemon runs a stream: claimed, taken_over (from a daemon that did not release it), claimed_again, lost (to another daemon), given_back (to the daemon that is connected), given_up (Zoom does not answer here).";
        entries: Counters = "rtmsd_entries_stored_total" [ENTRY_KIND]
            "Entries that were stored.";
        batch_entries: Histograms(ENTRIES) = "rtmsd_store_batch_entries" []
            "Entries in one transaction.";
        batch_seconds: Histograms(FAST) = "rtmsd_store_batch_seconds" []
            "Time that a transaction with entries took.";
        batch_failures: Counters = "rtmsd_store_batch_failures_total" [REFUSED_BATCH]
            "Transactions with entries or figures that failed; they are tried again.";
        entries_lost: Counters = "rtmsd_entries_lost_total" []
            "Entries dropped because the queue to the store was full (ENTRY_BUFFER_BYTES).";
        outgoing: Counters = "rtmsd_outgoing_deliveries_total" [APP, SENT]
            "Attempts to deliver outgoing webhooks.";
        outgoing_seconds: Histograms(SLOW) = "rtmsd_outgoing_delivery_seconds" []
            "Time that an attempt to deliver an outgoing webhook took.";
        recordings_failed: Counters = "rtmsd_recordings_failed_total" []
            "Recordings that were given up here.";
        capture_events: Counters = "rtmsd_capture_events_total" [CAPTURED]
            "Events of captured streams: written to the file, or cut because the queue, the file or the disk was full.";
        recording_retries: Counters = "rtmsd_recording_retries_total" []
            "Steps of a recording (closing, uploading, noting) that failed and are tried again.";
        token_refreshes: Counters = "rtmsd_token_refreshes_total" [APP, REFRESH]
            "OAuth tokens that were refreshed or requested, by what came of it: rejected tokens need a new install.";
        zoom_requests: Counters = "rtmsd_zoom_requests_total" [APP, API, STATUS]
            "Requests to Zoom's REST API and OAuth, by the status of the answer.";
        zoom_seconds: Histograms(SLOW) = "rtmsd_zoom_request_seconds" [API]
            "Time that Zoom took to answer a request.";
        panics: Counters = "rtmsd_panics_total" []
            "Panics in requests; each was answered with 500.";
        part_restarts: Counters = "rtmsd_part_restarts_total" [PART]
            "Parts of the daemon that stopped and were started again.";
    }
}

metrics! {
    /// What is read for each answer, because it exists anyway.
    pub struct Gathered {
        build_info: Gauges = "rtmsd_build_info" [VERSION]
            "1; the version is in the label.";
        active_meetings: Gauges = "rtms_active_meetings" [APP, PRODUCT]
            "Sessions with a stream that runs here.";
        streams: Gauges = "rtms_streams" [APP, PRODUCT, STATE]
            "Streams that run here.";
        streams_without_media: Gauges = "rtms_streams_without_media" [APP, PRODUCT]
            "Streams that have run here for a minute without any media, and are not paused.";
        capacity: Gauges = "rtms_worker_capacity" []
            "How many more streams may start here (MAX_STREAMS).";
        app_capacity: Gauges = "rtms_app_capacity" [APP]
            "How many more streams of an app with a quota may start here (MAX_STREAMS_PER_APP).";
        queue_depth: Gauges = "rtms_pipeline_queue_depth" []
            "Entries and figures that wait for the store's writer.";
        queue_bytes: Gauges = "rtmsd_entry_queue_bytes" []
            "Bytes of entries that wait to be stored, or are being stored.";
        queue_limit: Gauges = "rtmsd_entry_queue_limit_bytes" []
            "The most bytes of entries that may wait (ENTRY_BUFFER_BYTES).";
        sink_bytes: Gauges = "rtms_sink_queue_bytes" [SINK]
            "Bytes of frames that wait for a sink.";
        sink_limit: Gauges = "rtms_sink_queue_limit_bytes" [SINK]
            "The most bytes of frames that may wait for a sink.";
        subscribers: Gauges = "rtms_subscribers" []
            "Live subscribers: WebSockets, event streams and forwards.";
        subscribers_limit: Gauges = "rtms_subscribers_limit" []
            "The most live subscribers (MAX_SUBSCRIBERS).";
        downloads: Gauges = "rtmsd_downloads" []
            "Streamed answers that are being read.";
        spool_bytes: Gauges = "rtms_spool_bytes" []
            "Bytes of recordings in this daemon's spool.";
        spool_limit: Gauges = "rtms_spool_limit_bytes" []
            "The most bytes in the spool (RECORDINGS_SPOOL_BYTES).";
        spool_free: Gauges = "rtms_spool_disk_free_bytes" []
            "Free bytes on the disk of the spool.";
        store_up: Gauges = "rtmsd_store_up" []
            "1 if the store answers, otherwise 0. Without it, what the store counts is absent.";
        unreadable_rows: Counters = "rtmsd_store_unreadable_rows_total" []
            "Rows or columns of the store that could not be read and were skipped.";
        socket_connected: Gauges = "rtmsd_event_socket_connected" [APP]
            "1 if a daemon is connected to the app's event socket, otherwise 0. Of the store: the same on every daemon.";
        waiting_streams: Gauges = "rtmsd_streams_unclaimed" [APP]
            "Streams that no daemon runs although Zoom announced them. Of the store: the same on every daemon.";
        recordings: Gauges = "rtmsd_recordings" [APP, RECORDING]
            "Recordings that are not stored yet, or never will be. Of the store: the same on every daemon.";
        installations: Gauges = "rtmsd_installations" [APP, INSTALLATION]
            "Installations. Of the store: the same on every daemon.";
        outgoing_waiting: Gauges = "rtmsd_outgoing_deliveries_waiting" [APP]
            "Outgoing deliveries that wait, counted up to 10,000. Of the store: the same on every daemon.";
        outgoing_oldest: Gauges = "rtmsd_outgoing_delivery_oldest_seconds" [APP]
            "Age of the oldest outgoing delivery that waits. Of the store: the same on every daemon.";
        relay_lag: Gauges = "rtms_relay_lag_entries" [BROKER]
            "Stored entries that a broker has not taken yet. Of the store: the same on every daemon.";
        process_cpu: Counters = "process_cpu_seconds_total" []
            "Processor time, of user and system.";
        process_resident_memory: Gauges = "process_resident_memory_bytes" []
            "Resident memory.";
        process_virtual_memory: Gauges = "process_virtual_memory_bytes" []
            "Virtual memory.";
        process_open_fds: Gauges = "process_open_fds" []
            "Open file descriptors.";
        process_max_fds: Gauges = "process_max_fds" []
            "The most open file descriptors.";
        process_threads: Gauges = "process_threads" []
            "Threads.";
        process_start_time: Gauges = "process_start_time_seconds" []
            "When the process started, as Unix time.";
    }
}

//! Adds what a stream counts to the metrics: in passing, so that no frame costs more.

use std::time::Instant;

use super::Feed;
use crate::metrics::Metrics;
use crate::model::{
    EntryBody, GapCause, Lost, Medium, StreamRecord, Tally, UnreadableMessages, between,
};
use crate::rtms::message::msg_type;

/// What the metrics already have of a stream.
pub(super) struct Counting {
    metrics: Metrics,
    app: String,
    product: &'static str,
    /// The counts already added to the metrics, or made by earlier runs.
    added: Tally,
    /// When the webhook of the stream arrived, Unix milliseconds, until the first media. `None` for a stream that was
    /// picked up.
    awaits_media_since_ms: Option<i64>,
}

impl Counting {
    pub(super) fn new(metrics: Metrics, stream: &StreamRecord, last_seq: u64) -> Self {
        prepare_series(&metrics, stream.app.as_str());
        Self {
            metrics,
            app: stream.app.to_string(),
            product: stream.instance.product.as_str(),
            added: stream.tally,
            awaits_media_since_ms: (last_seq == 0).then_some(stream.created_at_ms),
        }
    }

    /// Whether the next piece of media is the first one of a new stream.
    pub(super) fn awaits_media(&self) -> bool {
        self.awaits_media_since_ms.is_some()
    }

    #[cold]
    pub(super) fn media_began(&mut self, now_ms: i64) {
        if let Some(since_ms) = self.awaits_media_since_ms.take() {
            let waited = between(since_ms, now_ms);
            self.metrics.media_delay.observe_time([&self.app, self.product], waited);
        }
    }

    pub(super) fn entry_lost(&self) {
        self.metrics.entries_lost.inc([]);
    }

    pub(super) fn gap(&self, body: &EntryBody) {
        if let EntryBody::Gap { medium, start_ms, end_ms, cause } = body {
            let labels = [&*self.app, medium.as_str(), cause.as_str()];
            self.metrics.gaps.inc(labels);
            self.metrics.gap_seconds.add_time(labels, between(*start_ms, *end_ms));
        }
    }

    pub(super) fn unreadable(&self, unreadable: &UnreadableMessages) {
        for (kind, count, _) in unreadable.iter() {
            let lost = match kind.lost {
                Lost::Message => "message",
                Lost::Field => "field",
                Lost::Member => "member",
            };
            let labels = [&*self.app, message_name(kind.msg_type), lost];
            self.metrics.decode_failures.add(labels, count);
        }
    }
}

impl Feed {
    /// Adds the frames since the last call to the metrics, and publishes the stream's figures.
    pub(super) fn publish_counts(&mut self, now: Instant) {
        let Self { counting, tally, .. } = self;
        for medium in Medium::ALL {
            let (all, added) = (tally.of(medium), counting.added.of(medium));
            if all.frames > added.frames {
                let labels = [&*counting.app, counting.product, medium.as_str()];
                counting.metrics.media_frames.add(labels, all.frames - added.frames);
                counting.metrics.media_bytes.add(labels, all.bytes.saturating_sub(added.bytes));
            }
        }
        counting.added = *tally;
        self.fanout.running().figures().publish(now, self.status, tally);
    }
}

/// Makes the series of what may go wrong, so that the first gap is an increase and not the beginning of a series.
fn prepare_series(metrics: &Metrics, app: &str) {
    for medium in Medium::ALL.map(Medium::as_str) {
        for cause in GapCause::ALL.map(GapCause::as_str) {
            metrics.gaps.add([app, medium, cause], 0);
            metrics.gap_seconds.add([app, medium, cause], 0);
        }
        metrics.decode_failures.add([app, medium, "message"], 0);
    }
}

/// What a message of Zoom's protocol carries (rtms-protocol.md section 6).
fn message_name(number: u16) -> &'static str {
    match number {
        msg_type::MEDIA_DATA_AUDIO => "audio",
        msg_type::MEDIA_DATA_VIDEO => "video",
        msg_type::MEDIA_DATA_SHARE => "share",
        msg_type::MEDIA_DATA_TRANSCRIPT => "transcript",
        msg_type::MEDIA_DATA_CHAT => "chat",
        msg_type::EVENT_UPDATE => "event",
        msg_type::SIGNALING_HAND_SHAKE_RESP | msg_type::DATA_HAND_SHAKE_RESP => "handshake",
        msg_type::STREAM_STATE_UPDATE | msg_type::SESSION_STATE_UPDATE => "state",
        msg_type::KEEP_ALIVE_REQ => "keep_alive",
        _ => "other",
    }
}

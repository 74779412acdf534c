//! A stream's producer side of the hub: appends its entries, counts and fans out its frames, and records its gaps.

mod ending;
mod entries;
mod figures;
mod handover;
mod known_sources;
mod metrics;
mod payloads;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tracing::Span;

use self::figures::{Unknown, Written};
use self::known_sources::KnownSources;
use self::metrics::Counting;
use self::payloads::Payloads;
use super::Hub;
use super::frame::{Encoded, Frame, StreamInfo};
use super::log::Log;
use super::queue::Item;
use super::registry::Fanout;
use crate::capture::event::Event;
use crate::capture::{Capturer, Raw};
use crate::model::{
    EntryBody, MediaParams, MediaSet, Medium, MediumAccount, StreamId, StreamRecord, StreamStatus,
    Tally, TimeOf, UnknownMessages, Unreadable, UnreadableMessages, believed, webhook_time,
};
use crate::prefetch::prefetch;
use crate::rtms::ledger::{Change, Ledger};
use crate::rtms::message::MediaFrame;
use crate::rtms::params::Effective;
use crate::store::OfferKey;
use crate::telemetry::stream_span;

/// One stream's producer side of the hub.
pub struct Feed {
    hub: Arc<Hub>,
    stream_id: StreamId,
    /// How many entries found the queue full. Reported as soon as there is room.
    lost: u64,
    beginning: Beginning,
    /// The key of the last entry that another daemon handed over.
    offered: OfferKey,
    /// The final entries of an ended stream that are not queued yet.
    closing: VecDeque<EntryBody>,
    is_ended: bool,
    is_revoked: bool,
    /// When the counts and the frames that sinks dropped were last collected.
    collected_at: Option<Instant>,
    status: StreamStatus,
    announced_ms: i64,
    first_packet_ms: Option<i64>,
    tally: Tally,
    unknown: Unknown,
    unreadable: UnreadableMessages,
    is_unreadable_written: bool,
    /// The parameters that Zoom grants, until they are written to the store.
    effective: Option<MediaParams>,
    ledger: Ledger,
    stream: Arc<StreamInfo>,
    fanout: Fanout,
    sources: KnownSources,
    payloads: Payloads,
    written: Written,
    counting: Counting,
    capture: Option<Capturer>,
    context: Span,
    /// The time of everything that happens until it is set anew; `None` for the hub's clock.
    clock_ms: Option<i64>,
}

/// Whether the entry that marks a continued log has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Done,
    /// The stream was picked up; the log continues.
    PickedUp,
    /// Another daemon may still run the stream. Nothing is written until there is a first entry.
    Contested,
}

impl Feed {
    /// Continues a stream's log after its entry `last_seq`. `media` are the media that the stream wants.
    pub fn new(hub: Arc<Hub>, stream: &StreamRecord, last_seq: u64, media: MediaSet) -> Self {
        let info = Arc::new(stream_info(stream));
        // The ledger counts from the announcement: what Zoom sent before the daemon connected
        // counts as missing.
        let announced_ms = webhook_time(stream.event_ts_ms, stream.created_at_ms);
        let context = stream_span(stream);
        let log = Box::new(Log::new(stream, last_seq, context.clone()));
        // First in the queue: the writer drops the entries of a stream without a log.
        hub.queue.push(Item::Open(stream.stream_id.clone(), log));
        let counting = Counting::new(hub.metrics().clone(), stream, last_seq);
        let (fanout, capture) = hub.fanout(stream, Arc::clone(&info));
        Self {
            counting,
            capture,
            context,
            clock_ms: None,
            fanout,
            sources: KnownSources::default(),
            payloads: Payloads::default(),
            stream: info,
            hub,
            stream_id: stream.stream_id.clone(),
            lost: 0,
            beginning: Beginning::Done,
            offered: OfferKey::default(),
            closing: VecDeque::new(),
            is_ended: false,
            is_revoked: false,
            collected_at: None,
            status: stream.status,
            announced_ms,
            first_packet_ms: stream.first_packet_ms,
            tally: stream.tally,
            unknown: Unknown {
                before: stream.unknown_messages.clone(),
                now: UnknownMessages::new(),
                is_written: true,
            },
            unreadable: stream.unreadable_messages.clone(),
            is_unreadable_written: true,
            effective: None,
            ledger: Ledger::new(&stream.ledger, media, announced_ms),
            written: Written { status: Some(stream.status), at: None },
        }
    }

    /// Sets the time, Unix milliseconds, of everything that happens until the next call, so that all that follows from one
    /// message has one time; `None` for the hub's clock.
    pub fn set_clock(&mut self, clock_ms: Option<i64>) {
        self.clock_ms = clock_ms;
    }

    /// What log lines about the stream carry.
    pub fn context(&self) -> &Span {
        &self.context
    }

    /// Prefetches the fields that the next frame needs.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.clock_ms);
        prefetch(&self.capture);
        prefetch(&self.tally);
        prefetch(&self.counting);
        prefetch(&self.ledger);
        prefetch(&self.stream);
        prefetch(&self.sources);
        prefetch(&self.fanout);
    }

    /// Prefetches what the fields that `prefetch` loads point to. Call it after [`Self::prefetch`] has loaded the
    /// pointers.
    pub(crate) fn prefetch_targets(&self) {
        self.ledger.prefetch();
        self.fanout.prefetch_targets();
        if self.fanout.has_consumers() {
            prefetch(&self.stream.instance.product);
            self.sources.prefetch();
        }
    }

    /// Prefetches the ledger's recent frames and the consumers' queues. Call it after [`Self::prefetch_targets`] has loaded
    /// the pointers.
    pub(crate) fn prefetch_nested(&self) {
        self.ledger.prefetch_recent();
        self.fanout.prefetch_queues();
    }

    /// Whether a live consumer takes frames of this medium, as of the last frame.
    pub fn has_live_consumer(&self, medium: Medium) -> bool {
        self.fanout.has_live_consumer(medium)
    }

    /// The capture of the stream, if there is one.
    pub fn capture(&self) -> Option<&Capturer> {
        self.capture.as_ref()
    }

    /// Captures an event of this moment.
    pub fn capture_now(&self, event: Event) {
        if let Some(capture) = &self.capture {
            capture.push(Instant::now(), self.now_ms(), Raw::Event(event));
        }
    }

    /// Applies a change of the links to the ledger.
    pub fn change(&mut self, change: Change) {
        self.ledger.change(self.now_ms(), change);
        self.note_gaps();
    }

    /// Counts a frame and passes it to the consumers that want its bytes. The payload is decoded only for them.
    pub fn frame(&mut self, frame: &MediaFrame) {
        let now_ms = self.now_ms();
        // Consumers always get a time. The ledger below gets Zoom's own, because it must know that
        // one was missing.
        let at_ms = believed(frame.at_ms, TimeOf::Media, now_ms).unwrap_or(now_ms);
        let (medium, bytes) = (frame.medium, u64::from(frame.payload_bytes));
        let wanted = self.fanout.wants(medium);
        let has_live = self.fanout.has_live_consumer(medium);
        if wanted.payload || wanted.wire {
            // They load while the payload is decoded.
            self.fanout.prefetch_slots();
        }
        let decoded = wanted.payload.then(|| {
            let is_shared = !has_live && !self.fanout.is_sink_behind();
            self.payloads.decode(frame, is_shared)
        });
        let payload = match decoded.transpose() {
            Ok(payload) => payload.or_else(|| wanted.wire.then(Bytes::new)),
            Err(kind) => return self.undecodable(frame, kind),
        };
        // Only live consumers want Zoom's message.
        let encoded = has_live.then(|| {
            let wire = wanted.wire.then(|| frame.wire().clone());
            Arc::new(Encoded { wire, ..Encoded::default() })
        });
        if self.counting.awaits_media() {
            self.counting.media_began(now_ms);
        }
        self.count(medium, at_ms, bytes);
        if payload.is_none_or(|payload| self.hand_out(at_ms, frame, payload, encoded)) {
            self.ledger.frame(now_ms, medium, frame.at_ms, bytes);
        } else {
            self.ledger.overflow(now_ms, medium, frame.at_ms, bytes);
        }
        self.note_gaps();
    }

    fn undecodable(&mut self, frame: &MediaFrame, kind: Unreadable) {
        let mut unreadable = UnreadableMessages::default();
        unreadable.add(kind);
        self.add_unreadable(unreadable);
        self.change(Change::Unreadable { medium: frame.medium, at_ms: frame.at_ms });
    }

    /// Passes a frame to the consumers. Returns false when a sink refused it.
    fn hand_out(
        &mut self,
        at_ms: i64,
        frame: &MediaFrame,
        payload: Bytes,
        encoded: Option<Arc<Encoded>>,
    ) -> bool {
        let who = frame.speaker(self.stream.instance.product);
        self.fanout.offer(Frame {
            source: self.sources.of(&who, &self.stream, self.fanout.running()),
            medium: frame.medium,
            seq: self.tally.of(frame.medium).frames,
            at_ms,
            payload,
            encoded,
        })
    }

    /// Changes the stream's description and notifies consumers.
    fn describe(&mut self, change: impl FnOnce(&mut StreamInfo)) {
        self.sources.forget();
        change(Arc::make_mut(&mut self.stream));
        *self.fanout.running().stream() = Arc::clone(&self.stream);
        self.fanout.notify();
    }

    /// The current accounts of the media.
    pub fn accounts(&self) -> Vec<MediumAccount> {
        self.ledger.accounts(self.now_ms())
    }

    /// What was received, by medium.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Records the parameters that Zoom granted.
    pub fn effective(&mut self, effective: &Effective) {
        let json = serde_json::to_value(effective).ok();
        self.effective = json.and_then(|json| json.as_object().cloned());
        self.describe(|stream| stream.effective = effective.clone());
    }

    fn now_ms(&self) -> i64 {
        self.clock_ms.unwrap_or_else(self.hub.now_ms)
    }
}

fn stream_info(stream: &StreamRecord) -> StreamInfo {
    StreamInfo {
        session_id: stream.session_id,
        stream_id: stream.stream_id.clone(),
        app: stream.app.clone(),
        ordinal: stream.ordinal,
        instance: stream.instance.clone(),
        first_packet_ms: stream.first_packet_ms,
        effective: Effective::default(),
    }
}

impl Drop for Feed {
    /// Runs also when the stream's task panics: a recording must not wait for more frames.
    fn drop(&mut self) {
        self.publish_counts(Instant::now());
        // Does nothing after an orderly end, which has called it with its own value.
        self.fanout.over(false);
        self.hub.queue.push(Item::Close(self.stream_id.clone()));
    }
}

//! A stream's producer side of the hub: appends its entries, counts and fans out its frames, and records its gaps.

mod figures;
mod handover;
mod known_sources;
mod metrics;
mod payloads;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::Span;

use self::figures::{Unknown, Written};
use self::known_sources::KnownSources;
use self::metrics::Counting;
use self::payloads::Payloads;
use super::Hub;
use super::frame::{Encoded, Frame, StreamInfo};
use super::log::Log;
use super::queue::{Heard, Item};
use super::registry::Fanout;
use super::times;
use crate::capture::event::Event;
use crate::capture::{Capturer, Raw};
use crate::model::{
    EntryBody, Gap, MediaParams, MediaSet, Medium, MediumAccount, StreamId, StreamRecord,
    StreamStatus, Tally, TimeOf, UnknownMessages, Unreadable, UnreadableMessages, believed,
    webhook_time,
};
use crate::prefetch::prefetch;
use crate::rtms::ledger::{Change, Ledger};
use crate::rtms::message::MediaFrame;
use crate::rtms::params::Effective;
use crate::store::OfferKey;
use crate::telemetry::stream_span;

/// How long an ending stream waits for its sinks to settle the frames they took.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// How often an ended stream tries to queue its last entries. Between tries the store drains the queue.
const LAST_TRIES: u32 = 100;

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

    /// Appends an entry. `at_ms` is Zoom's time; the time of arrival replaces it if it is missing or implausible.
    pub fn note(&mut self, at_ms: Option<i64>, mut body: EntryBody) {
        let now_ms = self.now_ms();
        let at_ms = times::of_entry(at_ms, &mut body, self.announced_ms, now_ms);
        let entry_ms = at_ms.unwrap_or(now_ms);
        if !self.take_account(entry_ms, &body) {
            return;
        }
        self.sources.forget();
        // Before the entry is queued: the roster may add a name to a transcript line.
        self.fanout.running().people().note(entry_ms, &mut body);
        let piece = body.piece();
        if piece.is_some() {
            self.counting.media_began(now_ms);
        }
        // The ledger counts a line only if it was kept; a line dropped here is a gap with its own
        // cause.
        let is_kept = self.append(entry_ms, body);
        match piece {
            Some((medium, bytes)) if is_kept => self.ledger.frame(now_ms, medium, at_ms, bytes),
            Some((medium, bytes)) => self.ledger.overflow(now_ms, medium, at_ms, bytes),
            None => return,
        }
        self.note_gaps();
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

    /// Notifies consumers that this daemon sends no further frames.
    pub fn over(&mut self, is_final: bool) {
        self.fanout.over(is_final);
    }

    /// The stream was revoked: drops what people said and showed in it and nobody has taken yet.
    pub fn revoked(&mut self) {
        self.is_revoked = true;
        self.fanout.forget_frames();
        self.hub.revoked(&self.stream_id);
    }

    /// Closes the ledger of an ended stream. [`Feed::finish`] appends the summary of each medium.
    pub fn end(&mut self) {
        self.ledger.end(self.now_ms());
        self.note_gaps();
        self.is_ended = true;
    }

    /// Moves the frames that sinks dropped into the ledger.
    fn take_left_out(&mut self) {
        for span in self.fanout.take_left_out() {
            self.ledger.left_out(span.medium, span.first_ms, span.last_ms, span.count);
        }
        self.note_gaps();
    }

    /// Appends the summaries of an ended stream, for a log that no writer stores.
    pub fn close_log(&mut self) {
        self.summarize();
        self.close();
    }

    /// The current accounts of the media.
    pub fn accounts(&self) -> Vec<MediumAccount> {
        self.ledger.accounts(self.now_ms())
    }

    /// What was received, by medium.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Appends the final entries. Returns false when there was no room for all of them.
    fn close(&mut self) -> bool {
        while let Some(body) = self.closing.front().cloned() {
            if !self.report_lost() || !self.push(self.now_ms(), body, None) {
                return false;
            }
            self.closing.pop_front();
        }
        self.report_lost()
    }

    /// Records the parameters that Zoom granted.
    pub fn effective(&mut self, effective: &Effective) {
        let json = serde_json::to_value(effective).ok();
        self.effective = json.and_then(|json| json.as_object().cloned());
        self.describe(|stream| stream.effective = effective.clone());
    }

    /// Waits for the sinks, writes the last figures, and waits until the store has everything of this stream. Retries
    /// what found no room after the store has drained the queue.
    pub async fn finish(&mut self) {
        // Before the summaries: what a sink drops now must still become a gap.
        if !self.is_revoked {
            self.fanout.settle(SETTLE_LIMIT).await;
        }
        self.take_left_out();
        self.publish_counts(Instant::now());
        // One time for everything that ends the log.
        self.set_clock(None);
        self.set_clock(Some(self.now_ms()));
        self.summarize();
        for _ in 0..LAST_TRIES {
            let is_closed = self.close();
            let is_written = self.write_figures(Instant::now());
            // The flush drains the queue, which makes room for the next try.
            self.hub.flush_of(Some(self.stream_id.clone())).await;
            if is_closed && is_written {
                return;
            }
        }
        tracing::error!(
            lost = self.lost,
            "the queue stayed full; the stream's last entries and figures are lost"
        );
    }

    /// Makes the summaries of an ended stream, to be appended.
    fn summarize(&mut self) {
        if self.is_ended {
            self.capture_now(Event::Finished {});
            let accounts = self.ledger.accounts(self.now_ms());
            self.closing =
                accounts.iter().map(|account| end_summary(account, &self.tally)).collect();
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock_ms.unwrap_or_else(self.hub.now_ms)
    }

    fn note_gaps(&mut self) {
        while let Some((medium, gap)) = self.ledger.closed() {
            let Gap { start_ms, end_ms, cause } = gap;
            let body = EntryBody::Gap { medium, start_ms, end_ms, cause };
            self.counting.gap(&body);
            self.append(self.now_ms(), body);
        }
    }

    /// Appends an entry. Returns false when there was no room; the loss is reported as soon as there is.
    fn append(&mut self, at_ms: i64, body: EntryBody) -> bool {
        // In this order, so that the log says where entries are missing before it continues.
        let is_kept = self.begin() && self.report_lost() && self.push(at_ms, body, None);
        if !is_kept {
            // One line per full queue, not one per entry.
            if self.lost == 0 {
                self.context.in_scope(|| {
                    tracing::warn!("the entry queue is full; entries are dropped and counted");
                });
            }
            self.counting.entry_lost();
            self.lost += 1;
        }
        is_kept
    }

    /// Reports lost entries. Returns false when there is no room for the report.
    fn report_lost(&mut self) -> bool {
        let count = self.lost;
        let is_reported =
            count == 0 || self.push(self.now_ms(), EntryBody::EntriesLost { count }, None);
        if is_reported {
            self.lost = 0;
        }
        is_reported
    }

    /// Queues an entry. Returns false when there was no room.
    fn push(&mut self, at_ms: i64, body: EntryBody, offer: Option<OfferKey>) -> bool {
        let heard = Heard { at_ms, body, offer };
        self.hub.queue.push(Item::Entry(self.stream_id.clone(), heard))
    }

    /// Counts the content of an entry. Returns false for a repetition: Zoom repeats the first
    /// packet's time after every rejoin.
    fn take_account(&mut self, at_ms: i64, body: &EntryBody) -> bool {
        if let Some((medium, bytes)) = body.piece() {
            let made_ms =
                if let EntryBody::Transcript(line) = body { line.start_ms } else { at_ms };
            // A line is sent after it was spoken. The tally spans the speech, as it does for audio.
            self.count(medium, made_ms.min(at_ms), bytes);
        }
        match body {
            EntryBody::FirstPacket {} if self.first_packet_ms.is_some() => return false,
            EntryBody::FirstPacket {} => {
                self.first_packet_ms = Some(at_ms);
                self.describe(|stream| stream.first_packet_ms = Some(at_ms));
            }
            _ => {}
        }
        true
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

fn end_summary(account: &MediumAccount, tally: &Tally) -> EntryBody {
    let came = tally.of(account.medium);
    EntryBody::Summary {
        medium: account.medium,
        frames: came.frames,
        bytes: came.bytes,
        gaps: account.earlier_gaps + account.gaps.len() as u64,
        expected_ms: account.expected_ms(),
        covered_ms: account.covered_ms(),
        paused_ms: account.paused_ms,
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

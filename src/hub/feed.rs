use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Hub;
use super::writer::Item;
use crate::clock;
use crate::model::{
    Entry, EntryBody, MediaParams, MediumTally, SessionId, StreamId, StreamRecord, StreamStatus,
    Tally, UnknownMessages,
};
use crate::rtms::message::{FrameInfo, Medium};
use crate::rtms::params::Effective;
use crate::store::StreamUpdate;

/// How often a stream's figures are written while its status stays the same.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// One stream's way into the hub: numbers its entries and counts its frames.
pub struct Feed {
    hub: Arc<Hub>,
    session_id: SessionId,
    stream_id: StreamId,
    stream_ordinal: u32,
    last_seq: u64,
    /// Entries that found the queue full, to be accounted for as soon as it is not.
    lost: u64,
    status: StreamStatus,
    first_packet_ms: Option<i64>,
    tally: Tally,
    unknown: Unknown,
    /// What Zoom gives, until the store was told.
    effective: Option<MediaParams>,
    written: Written,
}

/// Messages that nobody reads: those of earlier runs of this stream, and those of this one.
struct Unknown {
    before: UnknownMessages,
    now: UnknownMessages,
    is_written: bool,
}

impl Unknown {
    fn total(&self) -> UnknownMessages {
        let mut total = self.before.clone();
        for (number, count) in &self.now {
            *total.entry(*number).or_default() += count;
        }
        total
    }
}

/// What the store was last told.
struct Written {
    status: StreamStatus,
    tally: Tally,
    at: Option<Instant>,
}

impl Feed {
    /// Continues a stream's log after its entry `last_seq`.
    pub fn new(hub: Arc<Hub>, stream: &StreamRecord, last_seq: u64) -> Self {
        Self {
            hub,
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            stream_ordinal: stream.ordinal,
            last_seq,
            lost: 0,
            status: stream.status,
            first_packet_ms: stream.first_packet_ms,
            tally: stream.tally,
            unknown: Unknown {
                before: stream.unknown_messages.clone(),
                now: UnknownMessages::new(),
                is_written: true,
            },
            effective: None,
            written: Written { status: stream.status, tally: stream.tally, at: None },
        }
    }

    /// Appends an entry. `at_ms` is Zoom's time; without it, ours.
    pub fn note(&mut self, at_ms: Option<i64>, body: EntryBody) {
        let at_ms = at_ms.unwrap_or_else(clock::now_ms);
        if !self.take_account(at_ms, &body) {
            return;
        }
        if self.lost > 0 {
            let count = self.lost;
            if !self.push(clock::now_ms(), EntryBody::EntriesLost { count }) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.push(at_ms, body) {
            tracing::warn!(stream_id = %self.stream_id, "the entry buffer is full: entries are being lost");
            self.lost += 1;
        }
    }

    /// Counts a frame. Nobody wants its bytes yet.
    pub fn frame(&mut self, medium: Medium, info: FrameInfo, _text: &str) {
        let at_ms = info.at_ms.unwrap_or_else(clock::now_ms);
        self.count(medium, at_ms, u64::from(info.bytes));
    }

    /// Keeps in mind what came so far, in this run, that nobody reads.
    pub fn count_unknown(&mut self, unknown: &UnknownMessages) {
        if *unknown != self.unknown.now {
            self.unknown.now.clone_from(unknown);
            self.unknown.is_written = false;
        }
    }

    /// Zoom has said what it gives.
    pub fn effective(&mut self, effective: &Effective) {
        let json = serde_json::to_value(effective).ok();
        self.effective = json.and_then(|json| json.as_object().cloned());
    }

    /// Tells the store where the stream stands: a new status at once, figures now and then.
    pub fn report(&mut self, status: StreamStatus, now: Instant) {
        self.status = status;
        let is_due = self.written.at.is_none_or(|at| now.duration_since(at) >= FIGURES_EVERY);
        let has_news = self.tally != self.written.tally
            || !self.unknown.is_written
            || self.effective.is_some();
        if status != self.written.status || is_due && has_news {
            self.write_figures(now);
        }
    }

    /// Tells the store the last figures, and waits until it has everything of this stream.
    pub async fn finish(&mut self) {
        self.write_figures(Instant::now());
        self.hub.flush().await;
    }

    fn write_figures(&mut self, now: Instant) {
        let update = StreamUpdate {
            status: Some(self.status).filter(|status| *status != self.written.status),
            first_packet_ms: self.first_packet_ms,
            tally: Some(self.tally),
            effective: self.effective.clone(),
            unknown_messages: (!self.unknown.is_written).then(|| self.unknown.total()),
        };
        if self.hub.queue.push(Item::Update(self.stream_id.clone(), update)) {
            self.written = Written { status: self.status, tally: self.tally, at: Some(now) };
            self.unknown.is_written = true;
            self.effective = None;
        }
    }

    /// The number is used up only if there was room.
    fn push(&mut self, at_ms: i64, body: EntryBody) -> bool {
        let entry = Entry {
            session_id: self.session_id,
            stream_id: self.stream_id.clone(),
            stream_ordinal: self.stream_ordinal,
            seq: self.last_seq + 1,
            at_ms,
            body,
        };
        let is_queued = self.hub.queue.push(Item::Entry(entry));
        self.last_seq += u64::from(is_queued);
        is_queued
    }

    /// Counts what an entry holds. False when it says nothing new: Zoom repeats the first packet's time after
    /// every rejoin.
    fn take_account(&mut self, at_ms: i64, body: &EntryBody) -> bool {
        match body {
            EntryBody::Transcript(line) => {
                self.count(Medium::Transcript, at_ms, line.text.len() as u64);
            }
            EntryBody::Chat(message) => self.count(Medium::Chat, at_ms, message.text.len() as u64),
            EntryBody::FirstPacket {} if self.first_packet_ms.is_some() => return false,
            EntryBody::FirstPacket {} => self.first_packet_ms = Some(at_ms),
            _ => {}
        }
        true
    }

    fn count(&mut self, medium: Medium, at_ms: i64, bytes: u64) {
        let tally = medium_tally(&mut self.tally, medium);
        tally.frames += 1;
        tally.bytes += bytes;
        tally.first_ms.get_or_insert(at_ms);
        tally.last_ms = Some(at_ms);
    }
}

fn medium_tally(tally: &mut Tally, medium: Medium) -> &mut MediumTally {
    match medium {
        Medium::Audio => &mut tally.audio,
        Medium::Video => &mut tally.video,
        Medium::Share => &mut tally.share,
        Medium::Transcript => &mut tally.transcript,
        Medium::Chat => &mut tally.chat,
    }
}

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::Hub;
use super::writer::Item;
use crate::clock;
use crate::model::{
    Entry, EntryBody, MediumTally, SessionId, StreamId, StreamRecord, StreamStatus, Tally,
};
use crate::rtms::message::{FrameInfo, Medium};

/// How far a stream has come, for whoever keeps its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub status: StreamStatus,
    pub first_packet_ms: Option<i64>,
    pub tally: Tally,
}

/// A stream's progress, readable while the stream runs.
#[derive(Clone)]
pub struct SharedProgress(Arc<Mutex<Progress>>);

impl SharedProgress {
    pub fn read(&self) -> Progress {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().expect("nothing panics while holding a stream's progress")
    }
}

/// One stream's way into the hub: numbers its entries and counts its frames.
pub struct Feed {
    hub: Arc<Hub>,
    session_id: SessionId,
    stream_id: StreamId,
    stream_ordinal: u32,
    last_seq: u64,
    /// Entries that found the queue full, to be accounted for as soon as it is not.
    lost: u64,
    progress: SharedProgress,
    status_changed: Arc<Notify>,
}

impl Feed {
    /// Continues a stream's log after its entry `last_seq`. `status_changed` is told when the status does.
    pub fn new(
        hub: Arc<Hub>,
        stream: &StreamRecord,
        last_seq: u64,
        status_changed: Arc<Notify>,
    ) -> Self {
        let progress = Progress {
            status: stream.status,
            first_packet_ms: stream.first_packet_ms,
            tally: stream.tally,
        };
        Self {
            hub,
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            stream_ordinal: stream.ordinal,
            last_seq,
            lost: 0,
            progress: SharedProgress(Arc::new(Mutex::new(progress))),
            status_changed,
        }
    }

    pub fn progress(&self) -> SharedProgress {
        self.progress.clone()
    }

    /// Appends an entry. `at_ms` is Zoom's time; without it, ours.
    pub fn note(&mut self, at_ms: Option<i64>, body: EntryBody) {
        let at_ms = at_ms.unwrap_or_else(clock::now_ms);
        self.count_text(at_ms, &body);
        if self.lost > 0 {
            let count = self.lost;
            if !self.push(clock::now_ms(), EntryBody::EntriesLost { count }) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if !self.push(at_ms, body) {
            self.lost += 1;
        }
    }

    /// Counts a frame. Nobody wants its bytes yet.
    pub fn frame(&mut self, medium: Medium, info: FrameInfo, _text: &str) {
        let at_ms = info.at_ms.unwrap_or_else(clock::now_ms);
        self.count(medium, at_ms, u64::from(info.bytes));
    }

    pub fn status(&mut self, status: StreamStatus) {
        let before = std::mem::replace(&mut self.progress.lock().status, status);
        if before != status {
            self.status_changed.notify_one();
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

    fn count_text(&mut self, at_ms: i64, body: &EntryBody) {
        match body {
            EntryBody::Transcript(line) => {
                self.count(Medium::Transcript, at_ms, line.text.len() as u64);
            }
            EntryBody::Chat(message) => self.count(Medium::Chat, at_ms, message.text.len() as u64),
            EntryBody::FirstPacket {} => {
                self.progress.lock().first_packet_ms.get_or_insert(at_ms);
            }
            _ => {}
        }
    }

    fn count(&mut self, medium: Medium, at_ms: i64, bytes: u64) {
        let mut progress = self.progress.lock();
        let tally = medium_tally(&mut progress.tally, medium);
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

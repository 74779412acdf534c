//! The media that flow on a socket.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedMutexGuard, mpsc, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::hub::{Followed, Frame, Tap, Tapped};
use crate::model::{Cursor, Entry, EntryBody, Medium, RelayGap, RelayGapCause};
use crate::sinks::relays::gaps::gap_of;
use crate::sinks::relays::wire;

/// How many unanswered keep-alives are remembered.
const MAX_ASKED: usize = 8;

/// The media that flow on a socket.
pub(in crate::sinks::relays) struct Flow {
    /// By the order of [`Medium::ALL`]: audio, video and share.
    pub taps: [Option<OwnedMutexGuard<Tap>>; 3],
    /// Transcript and chat.
    pub lines: Option<Lines>,
    /// The participant that the program chose for individual video; 0 for none.
    pub video_of: Arc<AtomicU32>,
    /// Whether only that participant's video is sent.
    pub is_individual: bool,
    /// Whether frames were sent on this socket. Those that were dropped before are lost because the program was away.
    pub has_sent: bool,
}

/// The lines of a stream for one socket.
pub(in crate::sinks::relays) struct Lines {
    pub entries: mpsc::Receiver<Followed>,
    /// `None` if another socket acknowledges the lines.
    pub receipts: Option<Receipts>,
    pub ordinal: u32,
    pub media: Vec<Medium>,
    /// Whether the stream's last entry has come.
    pub is_over: bool,
    /// Ends the follower with the flow.
    pub _follower: JoinSet<()>,
}

/// Acknowledgements of lines: the answer to a keep-alive shows that the program has read everything before the request.
/// A WebSocket ping cannot replace it, because Zoom's own client takes the payload of a ping for a message.
pub(in crate::sinks::relays) struct Receipts {
    delivered: watch::Sender<Cursor>,
    sent: Cursor,
    /// The timestamps of requests without an answer, and what was sent before each.
    asked: VecDeque<(i64, Cursor)>,
}

impl Receipts {
    /// Publishes confirmed positions to `delivered`.
    pub(in crate::sinks::relays) fn new(delivered: watch::Sender<Cursor>) -> Self {
        let sent = delivered.borrow().clone();
        Self { delivered, sent, asked: VecDeque::new() }
    }

    /// Whether lines were sent that no keep-alive has followed yet.
    pub(super) fn are_due(&self) -> bool {
        self.asked.is_empty() && self.sent != *self.delivered.borrow()
    }

    /// Notes a keep-alive that is sent now.
    pub(super) fn asked(&mut self, timestamp_ms: i64) {
        if self.asked.len() == MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((timestamp_ms, self.sent.clone()));
    }

    /// Confirms what was sent before the keep-alive that this timestamp names.
    pub(super) fn answered(&mut self, timestamp_ms: i64) {
        let Some(found) = self.asked.iter().position(|(asked, _)| *asked == timestamp_ms) else {
            return;
        };
        if let Some((_, cursor)) = self.asked.drain(..=found).next_back() {
            self.delivered.send_replace(cursor);
        }
    }
}

impl Flow {
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        if frame.medium != Medium::Video || !self.is_individual {
            return true;
        }
        let chosen = u64::from(self.video_of.load(Ordering::Relaxed));
        frame.speaker().and_then(|speaker| speaker.number()).is_some_and(|who| who.0 == chosen)
    }

    /// The gaps of the frames that a tap dropped.
    pub(super) fn dropped(&mut self, medium: Medium) -> Vec<RelayGap> {
        let cause = if self.has_sent { RelayGapCause::Slow } else { RelayGapCause::Away };
        let Some(tap) = self.taps.get(medium as usize).and_then(Option::as_ref) else {
            return Vec::new();
        };
        tap.take_left_out().into_iter().map(|span| gap_of(&span, cause)).collect()
    }
}

impl Drop for Flow {
    /// Audio waits for a program that is away; video and share do not, as with Zoom (section 3.6).
    fn drop(&mut self) {
        for tap in self.taps[1..].iter_mut().flatten() {
            tap.refuse(true);
        }
    }
}

impl Lines {
    pub(super) fn message(&mut self, entry: &Entry) -> Option<Message> {
        if entry.stream_ordinal != self.ordinal {
            return None;
        }
        if let Some(receipts) = &mut self.receipts {
            receipts.sent.advance(entry.stream_ordinal, entry.seq);
        }
        self.is_over |= matches!(entry.body, EntryBody::Ended { .. });
        let (medium, _) = entry.body.piece()?;
        let line = self.media.contains(&medium).then(|| wire::line_of(entry)).flatten();
        line.map(Message::text)
    }
}

/// Waits for the next frame of any medium.
pub(super) async fn next_frame(taps: Option<&mut [Option<OwnedMutexGuard<Tap>>; 3]>) -> Tapped {
    let Some([audio, video, share]) = taps else { return pending().await };
    tokio::select! {
        tapped = next_of(audio) => tapped,
        tapped = next_of(video) => tapped,
        tapped = next_of(share) => tapped,
    }
}

async fn next_of(tap: &mut Option<OwnedMutexGuard<Tap>>) -> Tapped {
    match tap {
        Some(tap) => tap.next().await,
        None => pending().await,
    }
}

pub(super) async fn next_line(lines: Option<&mut Lines>) -> Option<Followed> {
    match lines {
        Some(lines) if !lines.is_over => lines.entries.recv().await,
        _ => pending().await,
    }
}

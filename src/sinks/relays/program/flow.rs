//! Which media flow on a program's sockets, and from which position.

use std::sync::Arc;

use tokio::time::{Duration, timeout};

use super::served::Served;
use crate::hub::{Kinds, LeftOut, LeftOuts, Tap, Tapped};
use crate::model::{Cursor, EntryKind, Medium, RelayGap, RelayGapCause};
use crate::sinks::relays::gaps::{gap_of, gap_while_away};
use crate::sinks::relays::socket::{Command, Flow, Lines, Receipts};

/// How long the previous socket of a medium may take to release it.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

/// How long a socket that is being closed may take to give a medium up.
const REST_LIMIT: Duration = Duration::from_millis(500);
/// The media that are not kept for a program that is away (section 3.6).
const PICTURES: [Medium; 2] = [Medium::Video, Medium::Share];

/// Takes what is queued for a program that is away, as gaps.
fn unread(tap: &mut Tap) -> Vec<RelayGap> {
    let mut spans = LeftOuts::default();
    while let Some(tapped) = tap.try_next() {
        if let Tapped::Frame(frame) = tapped {
            spans.add(LeftOut::of(&frame));
        }
    }
    let dropped = tap.take_left_out();
    let spans = spans.into_iter().chain(dropped);
    spans.map(|span| gap_of(&span, RelayGapCause::Away)).collect()
}

impl Served {
    /// Lets media flow on a socket.
    pub(super) async fn flow(&mut self, socket: u64) {
        let media = self.program.media_of(socket).to_vec();
        let mut taps = [None, None, None];
        for medium in media.iter().filter(|medium| medium.has_frames()) {
            let Some(tap) = &self.task.taps.0[*medium as usize] else { continue };
            let Ok(tap) = timeout(LOCK_LIMIT, Arc::clone(tap).lock_owned()).await else {
                // The previous socket hangs in a write. The program can connect again when it has ended.
                tracing::warn!(%medium, "the previous socket of a medium does not release it; the program's new socket is dropped");
                drop(self.sockets.remove(&socket));
                return;
            };
            taps[*medium as usize] = Some(tap);
        }
        // A tap that refuses has the rest of an earlier connection. Before the first one, pictures wait as audio does.
        for tap in taps.iter_mut().flatten().filter(|tap| tap.is_refusing()) {
            self.missed(unread(tap));
        }
        taps.iter().flatten().for_each(|tap| tap.refuse(false));
        self.note_absence(&media);
        let flow = Flow {
            taps,
            lines: self.lines(&media).await,
            video_of: Arc::clone(&self.video_of),
            is_individual: self.program.has_individual_video(socket),
            has_sent: false,
        };
        self.command(socket, Command::Flow(Box::new(flow)));
    }

    /// Notes since when pictures do not flow that the program could have.
    pub(super) fn note_pictures_that_stop(&mut self, now_ms: i64) {
        if !self.announcements.were_made() {
            return;
        }
        for (medium, since) in PICTURES.into_iter().zip(&mut self.away_since_ms) {
            if self.task.taps.0[medium as usize].is_some() && !self.program.flows(medium) {
                since.get_or_insert(now_ms);
            }
        }
    }

    /// Notes the pictures that a program missed while it was away. Audio waits for it, and its tap counts losses.
    fn note_absence(&mut self, media: &[Medium]) {
        let now_ms = self.now_ms();
        for (index, medium) in PICTURES.into_iter().enumerate() {
            if media.contains(&medium)
                && let Some(since_ms) = self.away_since_ms[index].take()
                && self.task.taps.0[medium as usize].is_some()
            {
                self.missed(vec![gap_while_away(medium, (since_ms, now_ms))]);
            }
        }
    }

    /// Notes what the program has not had when its stream ends or is served elsewhere.
    pub(super) async fn note_rest(&mut self) {
        if self.row.announcements == 0 || self.row.has_left {
            return;
        }
        self.note_absence(&PICTURES);
        let mut gaps = Vec::new();
        for tap in self.task.taps.0.iter().flatten() {
            // A socket that hangs in a write still holds it.
            if let Ok(mut tap) = timeout(REST_LIMIT, tap.lock()).await {
                gaps.extend(unread(&mut tap));
            }
        }
        self.missed(gaps);
    }

    /// The lines for a socket with transcript or chat: those after the last acknowledged one, or new ones only.
    async fn lines(&self, media: &[Medium]) -> Option<Lines> {
        let media: Vec<Medium> =
            media.iter().copied().filter(|medium| !medium.has_frames()).collect();
        if media.is_empty() {
            return None;
        }
        let ordinal = self.task.stream.ordinal;
        let after = match self.task.relay.relay.catch_up {
            true => self.delivered.borrow().clone(),
            false => self.newest().await,
        };
        let kinds = Kinds(vec![EntryKind::Transcript, EntryKind::Chat, EntryKind::Ended]);
        let (entries, follower) = self.follow(after, kinds);
        // Of two sockets, the one with the transcript acknowledges.
        let acknowledges =
            media.contains(&Medium::Transcript) || !self.media().contains(&Medium::Transcript);
        let receipts = acknowledges.then(|| Receipts::new(self.delivered.clone()));
        Some(Lines { entries, receipts, ordinal, media, is_over: false, _follower: follower })
    }

    async fn newest(&self) -> Cursor {
        let (store, session) = (&self.task.relays.inner().store, self.task.stream.session_id);
        store.newest(session).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the newest entry for a program; it gets older lines, too");
            self.delivered.borrow().clone()
        })
    }
}

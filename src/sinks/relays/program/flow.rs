//! Which media flow on a program's sockets, and from which position.

use std::sync::Arc;

use tokio::time::{Duration, timeout};

use super::served::Served;
use crate::hub::Kinds;
use crate::model::{Cursor, EntryKind, Medium};
use crate::sinks::relays::gaps::gap_while_away;
use crate::sinks::relays::socket::{Command, Flow, Lines, Receipts};

/// How long the previous socket of a medium may take to release it.
const LOCK_LIMIT: Duration = Duration::from_secs(2);

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
            tap.refuse(false);
            taps[*medium as usize] = Some(tap);
        }
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

    /// Notes the pictures that a program missed while it was away. Audio waits for it, and its tap counts losses.
    fn note_absence(&mut self, media: &[Medium]) {
        let now_ms = self.now_ms();
        let Some(since_ms) = self.away_since_ms.take() else { return };
        let pictures =
            media.iter().filter(|medium| matches!(medium, Medium::Video | Medium::Share));
        self.missed(pictures.map(|medium| gap_while_away(*medium, (since_ms, now_ms))).collect());
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

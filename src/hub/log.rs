//! The writer's state for one stream that runs here: the epoch it writes under, the next number, and the entries set
//! aside while another node may run the stream.
//!
//! An entry gets its number right before it is stored, not when it is received. An entry that could not be stored has
//! no number yet, and can get one under a later epoch or from another node.

use tokio::sync::oneshot;
use tracing::Span;

use super::queue::{Heard, entry_bytes};
use crate::model::{AppName, Entry, EntryBody, SessionId, StreamId, StreamRecord};
use crate::store::{Append, Offer, StreamUpdate};

/// The writer's state for one stream's log.
pub(super) struct Log {
    app: AppName,
    /// What log lines about the stream carry.
    context: Span,
    session_id: SessionId,
    stream_id: StreamId,
    stream_ordinal: u32,
    epoch: i64,
    /// The last number that was assigned.
    last_seq: u64,
    claim: ClaimState,
    /// Entries that were received and not stored, in order. Attempted ones carry the number and epoch of the attempt.
    aside: Vec<Append>,
    /// Whether the stream was revoked: personal entries are dropped.
    is_revoked: bool,
    /// The number of the last entry that was offered to another node. With the epoch it identifies
    /// an offer.
    places: i64,
    /// Figures set aside until it is known which node has the stream.
    update: Option<StreamUpdate>,
    /// Flush requests that wait until it is known which node has the stream.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Whether this node may write the stream's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimState {
    Held,
    /// The epoch has advanced, and it is not known yet which node has the stream.
    Fenced,
    /// Another node has the stream, or it has ended.
    Taken,
}

impl Log {
    /// Continues after the entry `last_seq`.
    pub(super) fn new(stream: &StreamRecord, last_seq: u64, context: Span) -> Self {
        Self {
            app: stream.app.clone(),
            context,
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            stream_ordinal: stream.ordinal,
            epoch: stream.epoch,
            last_seq,
            claim: ClaimState::Held,
            aside: Vec::new(),
            is_revoked: false,
            places: 0,
            update: None,
            waiting: Vec::new(),
        }
    }

    /// The app of the stream.
    pub(super) fn app(&self) -> &AppName {
        &self.app
    }

    pub(super) fn context(&self) -> &Span {
        &self.context
    }

    pub(super) fn claim(&self) -> ClaimState {
        self.claim
    }

    pub(super) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Drops the personal entries that are set aside, and from now on all. Returns the bytes of those set aside.
    pub(super) fn revoke(&mut self) -> usize {
        self.is_revoked = true;
        let aside = std::mem::take(&mut self.aside);
        let (dropped, kept): (Vec<_>, Vec<_>) =
            aside.into_iter().partition(|append| append.entry.body.kind().is_personal());
        self.aside = kept;
        dropped.iter().map(|append| entry_bytes(&append.entry.body)).sum()
    }

    /// Whether an entry must not be stored, because the stream was revoked.
    pub(super) fn drops(&self, body: &EntryBody) -> bool {
        self.is_revoked && body.kind().is_personal()
    }

    /// Assigns the next number to an entry; sets the entry aside and returns none while the log is not held.
    pub(super) fn number(&mut self, heard: Heard) -> Option<Append> {
        let mut append = Append {
            epoch: self.epoch,
            entry: Entry {
                session_id: self.session_id,
                stream_id: self.stream_id.clone(),
                stream_ordinal: self.stream_ordinal,
                seq: 0,
                at_ms: heard.at_ms,
                body: heard.body,
            },
            offer: heard.offer,
        };
        if self.claim != ClaimState::Held {
            self.aside.push(append);
            return None;
        }
        self.last_seq += 1;
        append.entry.seq = self.last_seq;
        Some(append)
    }

    /// Marks the log as fenced after the store refused its epoch. Returns true the first time.
    pub(super) fn fence(&mut self) -> bool {
        let is_news = self.claim == ClaimState::Held;
        if is_news {
            self.claim = ClaimState::Fenced;
        }
        is_news
    }

    /// Sets an attempted entry aside until it is known which node has the stream.
    pub(super) fn keep(&mut self, append: Append) {
        self.aside.push(append);
    }

    /// Resumes writing under a later epoch. Returns the entries set aside, renumbered, without those that turned out to
    /// be stored (up to the number `stored` of the previous epoch), and the bytes of the stored ones.
    pub(super) fn claimed(
        &mut self,
        epoch: i64,
        last_seq: u64,
        stored: u64,
    ) -> (Vec<Append>, usize) {
        // Before the epoch changes: `stored` counts under the old one.
        let (stored, mut waiting) = self.take_aside(stored);
        (self.epoch, self.last_seq, self.claim) = (epoch, last_seq, ClaimState::Held);
        for append in &mut waiting {
            self.last_seq += 1;
            (append.epoch, append.entry.seq) = (epoch, self.last_seq);
        }
        (waiting, stored)
    }

    /// Gives the stream up to another node. Returns the entries to offer to it, and the bytes of everything set aside.
    /// Entries that were offered to this node stay offered.
    pub(super) fn taken(&mut self, stored: u64, keeps_personal: bool) -> (Vec<Offer>, usize) {
        self.claim = ClaimState::Taken;
        let (stored, waiting) = self.take_aside(stored);
        let bytes = stored + waiting.iter().map(|it| entry_bytes(&it.entry.body)).sum::<usize>();
        let mut offers = Vec::new();
        for Append { entry, offer, .. } in waiting {
            let kind = entry.body.kind();
            // An entry that was offered to this node is still in the store. An entry that a daemon
            // made itself is about that daemon's run and would be wrong in another's log.
            if offer.is_none() && kind.is_of_zoom() && (keeps_personal || !kind.is_personal()) {
                self.places += 1;
                let (epoch, place) = (self.epoch, self.places);
                offers.push(Offer { epoch, place, at_ms: entry.at_ms, body: entry.body });
            }
        }
        (offers, bytes)
    }

    /// The figures to write under the current epoch; none while the log is not held.
    pub(super) fn update(&mut self, update: StreamUpdate) -> Option<StreamUpdate> {
        match self.claim {
            ClaimState::Held => Some(StreamUpdate { epoch: self.epoch, ..update }),
            ClaimState::Fenced => {
                self.update.get_or_insert_default().merge(update);
                None
            }
            // The other node writes its own figures.
            ClaimState::Taken => None,
        }
    }

    pub(super) fn take_update(&mut self) -> Option<StreamUpdate> {
        self.update.take()
    }

    /// Registers a flush request, answered when it is known which node has the stream.
    pub(super) fn wait(&mut self, waiting: oneshot::Sender<()>) {
        self.waiting.push(waiting);
    }

    pub(super) fn take_waiting(&mut self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether entries are set aside.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Takes the entries set aside. Returns the bytes of those stored under the current epoch (up to `stored`), and the
    /// others.
    fn take_aside(&mut self, stored: u64) -> (usize, Vec<Append>) {
        let is_stored = |append: &Append| {
            append.epoch == self.epoch && (1..=stored).contains(&append.entry.seq)
        };
        let aside = std::mem::take(&mut self.aside);
        let (stored, waiting): (Vec<_>, Vec<_>) = aside.into_iter().partition(is_stored);
        (stored.iter().map(|append| entry_bytes(&append.entry.body)).sum(), waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Speaker, TranscriptLine};

    fn line(text: &str) -> Heard {
        let line = TranscriptLine {
            speaker: Speaker::default(),
            text: text.into(),
            start_ms: 1,
            end_ms: 2,
            language: None,
            attribute: None,
        };
        Heard { at_ms: 2, body: EntryBody::Transcript(line), offer: None }
    }

    fn log() -> Log {
        Log {
            app: AppName::default(),
            context: Span::none(),
            session_id: SessionId(uuid::Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            stream_ordinal: 1,
            epoch: 3,
            last_seq: 10,
            claim: ClaimState::Held,
            aside: Vec::new(),
            is_revoked: false,
            places: 0,
            update: None,
            waiting: Vec::new(),
        }
    }

    /// A log with two attempted entries that were fenced, and a third that came afterwards.
    fn fenced() -> Log {
        let mut log = log();
        let tried: Vec<_> = ["a", "b"].map(|text| log.number(line(text)).unwrap()).into();
        assert_eq!(tried.iter().map(|it| it.entry.seq).collect::<Vec<_>>(), [11, 12]);
        assert!(log.fence() && !log.fence());
        tried.into_iter().for_each(|append| log.keep(append));
        assert!(log.number(line("c")).is_none());
        log
    }

    fn text(body: &EntryBody) -> &str {
        let EntryBody::Transcript(line) = body else { panic!("{body:?}") };
        &line.text
    }

    #[test]
    fn entries_set_aside_get_new_numbers_unless_they_were_stored() {
        let mut log = fenced();
        let (again, bytes) = log.claimed(5, 11, 11);
        let again: Vec<_> =
            again.iter().map(|it| (it.epoch, it.entry.seq, text(&it.entry.body))).collect();
        assert_eq!(again, [(5, 12, "b"), (5, 13, "c")]);
        assert!(bytes > 0 && !log.has_aside());
        assert_eq!(log.number(line("d")).unwrap().entry.seq, 14);
    }

    #[test]
    fn a_revoked_log_drops_what_people_said_and_continues_with_the_rest() {
        let mut log = fenced();
        log.number(Heard { body: EntryBody::Moved {}, ..line("") });
        assert_eq!(log.revoke(), 3 * line("a").bytes());
        let (again, _) = log.claimed(5, 10, 0);
        let again: Vec<_> = again.iter().map(|it| (it.entry.seq, &it.entry.body)).collect();
        assert_eq!(again, [(11, &EntryBody::Moved {})]);
        assert!(log.drops(&line("late").body) && !log.drops(&EntryBody::Moved {}));
    }

    #[test]
    fn another_node_is_offered_what_zoom_sent_and_nothing_that_it_offered_itself() {
        let mut log = fenced();
        let key = crate::store::OfferKey { epoch: 1, place: 7 };
        log.number(Heard { offer: Some(key), ..line("offered") });
        log.number(Heard { body: EntryBody::PickedUp {}, ..line("") });
        let (offers, _) = log.taken(11, true);
        let offered: Vec<_> = offers.iter().map(|it| (it.place, text(&it.body))).collect();
        assert_eq!(offered, [(1, "b"), (2, "c")]);
        log.number(line("late"));
        let (offers, _) = log.taken(0, true);
        assert_eq!((offers[0].epoch, offers[0].place), (3, 3));
        log.number(line("no personal entry if those are not stored"));
        assert_eq!(log.taken(0, false).0, []);
    }
}

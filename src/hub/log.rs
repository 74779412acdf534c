//! The writer's end of one stream that runs here: under which epoch it writes, which number comes next, and what is
//! kept aside while another node may have the stream.
//!
//! Numbers are given here, right before an entry is stored, and not when it is heard: what could not be stored has
//! none, and can get one under a later epoch, or from another node.

use tokio::sync::oneshot;

use super::queue::{Heard, entry_bytes};
use crate::model::{Entry, SessionId, StreamId, StreamRecord};
use crate::store::{Append, Offer, StreamUpdate};

/// One stream's log, as far as this node may write it.
pub(super) struct Log {
    session_id: SessionId,
    stream_id: StreamId,
    stream_ordinal: u32,
    epoch: i64,
    /// The last number that was given.
    last_seq: u64,
    standing: Standing,
    /// Heard and not stored, in order. Those that were tried have the number and the epoch of the try.
    aside: Vec<Append>,
    /// How many were offered to another node.
    places: i64,
    /// Figures that wait to be written.
    update: Option<StreamUpdate>,
    /// Whoever waits until it is known who has the stream.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Whether the stream is ours to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    /// The epoch has moved on, and nobody has said yet who has the stream.
    Fenced,
    /// Another node has it, or it has ended.
    Taken,
}

impl Log {
    /// Goes on after the entry `last_seq`.
    pub fn new(stream: &StreamRecord, last_seq: u64) -> Self {
        Self {
            session_id: stream.session_id,
            stream_id: stream.stream_id.clone(),
            stream_ordinal: stream.ordinal,
            epoch: stream.epoch,
            last_seq,
            standing: Standing::Held,
            aside: Vec::new(),
            places: 0,
            update: None,
            waiting: Vec::new(),
        }
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The next entry, numbered; none when it has to wait.
    pub fn number(&mut self, heard: Heard) -> Option<Append> {
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
        if self.standing != Standing::Held {
            self.aside.push(append);
            return None;
        }
        self.last_seq += 1;
        append.entry.seq = self.last_seq;
        Some(append)
    }

    /// It was not stored, because the epoch has moved on. True when that is news.
    pub fn fence(&mut self) -> bool {
        let is_news = self.standing == Standing::Held;
        if is_news {
            self.standing = Standing::Fenced;
        }
        is_news
    }

    /// Waits until it is known who has the stream.
    pub fn keep(&mut self, append: Append) {
        self.aside.push(append);
    }

    /// The stream is ours again, under a later epoch. What was kept aside gets its numbers anew, but for what turned
    /// out to be stored: up to the number `stored` of the epoch before. Returns it, and the bytes of the rest.
    pub fn claimed(&mut self, epoch: i64, last_seq: u64, stored: u64) -> (Vec<Append>, usize) {
        let (stored, mut waiting) = self.take_aside(stored);
        (self.epoch, self.last_seq, self.standing) = (epoch, last_seq, Standing::Held);
        for append in &mut waiting {
            self.last_seq += 1;
            (append.epoch, append.entry.seq) = (epoch, self.last_seq);
        }
        (waiting, stored)
    }

    /// The stream is another's. Returns what that node may want, and the bytes of everything that was kept aside.
    /// What was offered to us stays offered.
    pub fn taken(&mut self, stored: u64, keeps_personal: bool) -> (Vec<Offer>, usize) {
        self.standing = Standing::Taken;
        let (stored, waiting) = self.take_aside(stored);
        let bytes = stored + waiting.iter().map(|it| entry_bytes(&it.entry.body)).sum::<usize>();
        let mut offers = Vec::new();
        for Append { entry, offer, .. } in waiting {
            let kind = entry.body.kind();
            if offer.is_none() && kind.is_of_zoom() && (keeps_personal || !kind.is_personal()) {
                self.places += 1;
                let (epoch, place) = (self.epoch, self.places);
                offers.push(Offer { epoch, place, at_ms: entry.at_ms, body: entry.body });
            }
        }
        (offers, bytes)
    }

    /// Figures to be written under our epoch; none when they have to wait.
    pub fn update(&mut self, update: StreamUpdate) -> Option<StreamUpdate> {
        match self.standing {
            Standing::Held => Some(StreamUpdate { epoch: self.epoch, ..update }),
            Standing::Fenced => {
                self.update.get_or_insert_default().merge(update);
                None
            }
            Standing::Taken => None,
        }
    }

    pub fn take_update(&mut self) -> Option<StreamUpdate> {
        self.update.take()
    }

    /// Answered when it is known who has the stream.
    pub fn wait(&mut self, waiting: oneshot::Sender<()>) {
        self.waiting.push(waiting);
    }

    pub fn take_waiting(&mut self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether something waits for an answer.
    pub fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// What waits, without what is stored under our epoch up to `stored`, and the bytes of that.
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
    use crate::model::{EntryBody, Speaker, TranscriptLine};

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
            session_id: SessionId(uuid::Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            stream_ordinal: 1,
            epoch: 3,
            last_seq: 10,
            standing: Standing::Held,
            aside: Vec::new(),
            places: 0,
            update: None,
            waiting: Vec::new(),
        }
    }

    /// Two were tried and turned out to be fenced; a third came afterwards.
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
    fn what_was_kept_aside_gets_new_numbers_but_for_what_was_stored() {
        let mut log = fenced();
        let (again, bytes) = log.claimed(5, 11, 11);
        let again: Vec<_> =
            again.iter().map(|it| (it.epoch, it.entry.seq, text(&it.entry.body))).collect();
        assert_eq!(again, [(5, 12, "b"), (5, 13, "c")]);
        assert!(bytes > 0 && !log.has_aside());
        assert_eq!(log.number(line("d")).unwrap().entry.seq, 14);
    }

    #[test]
    fn another_node_is_offered_what_zoom_said_and_nothing_that_it_offered_itself() {
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
        log.number(line("nothing of people where that is not stored"));
        assert_eq!(log.taken(0, false).0, []);
    }
}

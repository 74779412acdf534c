//! What was lost of every medium of a stream, and why (pure). The state machine says what becomes of the links
//! ([`Change`]), the feed stamps it with the wall clock, and gaps come out of [`Ledger::closed`].
//!
//! A link is a TCP connection: what was sent before anything that arrived has arrived. So a gap begins at the last
//! sign of life (a frame's own time, or a keep-alive) and not when the loss is noticed; and a link that is alive
//! and brings nothing is silence, or everybody is muted, and no gap. A gap ends with the time of the first frame
//! after the rejoin: audio that Zoom kept meanwhile (section 9) makes it shorter, or closes it.
//!
//! Frames are placed by Zoom's clock, everything else by ours: both are taken to be right within a second.

mod book;

use std::collections::VecDeque;

use self::book::Book;
use super::message::Medium;
use super::stream::{Lane, LinkId};
use crate::model::{Account, FrameCount, Gap, GapCause};

/// What becomes of a stream's links. `at_ms` is Zoom's time, where it gave one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A media link's handshake was accepted. Mixed audio brings a frame every `audio_step_ms`.
    Up { link: LinkId, audio_step_ms: Option<u32> },
    /// A link is gone. With signaling all media are.
    Down { link: LinkId, cause: GapCause },
    /// A keep-alive came.
    Alive(LinkId),
    /// Zoom's server failed over: all links are gone.
    Moved,
    /// Zoom stopped sending because the stream is paused (section 3.5).
    Paused { at_ms: Option<i64> },
    /// Zoom sends everything again: states 1 and 6.
    Resumed { at_ms: Option<i64> },
    /// Zoom cannot send, though the links stand: state 2 for another reason than a link.
    Interrupted { at_ms: Option<i64> },
    /// An unreadable frame, line or message arrived.
    Unreadable { medium: Medium, at_ms: Option<i64> },
}

/// The account of every medium that a stream wants.
#[derive(Debug)]
pub struct Ledger {
    books: Vec<Book>,
    closed: VecDeque<(Medium, Gap)>,
}

impl Ledger {
    /// Continues what is stored. A medium without an account begins at `start_ms`, with the stream's announcement;
    /// one with an account was lost from its last sign of life until it comes again.
    pub fn new(stored: &[Account], media: &[Medium], start_ms: i64) -> Self {
        let mut closed = VecDeque::new();
        let mut books = Vec::with_capacity(media.len());
        for medium in media {
            let account = stored.iter().find(|account| account.medium == medium.as_str());
            let mut book = match account {
                Some(account) => Book::picked_up(*medium, account.clone()),
                None => Book::new(*medium, start_ms),
            };
            closed.extend(book.take_closed().map(|gap| (*medium, gap)));
            books.push(book);
        }
        Self { books, closed }
    }

    /// Takes a change into account.
    pub fn change(&mut self, now_ms: i64, change: Change) {
        match change {
            Change::Up { link, audio_step_ms } => self.each(link, |book| {
                let step_ms = audio_step_ms.filter(|_| book.medium == Medium::Audio);
                book.up(now_ms, step_ms.map(i64::from));
            }),
            Change::Down { link, cause } => self.each(link, |book| book.down(cause)),
            Change::Alive(LinkId::Signaling) => {
                self.each(LinkId::Signaling, |book| book.confirm(now_ms))
            }
            Change::Alive(link) => self.each(link, |book| book.alive(now_ms)),
            Change::Moved => self.each(LinkId::Signaling, Book::moved),
            Change::Paused { at_ms } => self.all(now_ms, at_ms, Book::paused),
            Change::Resumed { at_ms } => self.all(now_ms, at_ms, Book::resumed),
            Change::Interrupted { at_ms } => self.all(now_ms, at_ms, Book::interrupted),
            Change::Unreadable { medium, at_ms } => {
                self.one(medium, |book| book.unreadable(now_ms, at_ms))
            }
        }
    }

    /// Counts a frame, line or message that was received and kept.
    pub fn frame(&mut self, now_ms: i64, medium: Medium, at_ms: Option<i64>, bytes: u64) {
        self.one(medium, |book| book.frame(now_ms, at_ms, bytes));
    }

    /// Counts a frame, line or message that was received and could not be kept.
    pub fn overflow(&mut self, now_ms: i64, medium: Medium, at_ms: Option<i64>, bytes: u64) {
        self.one(medium, |book| book.overflow(now_ms, at_ms, bytes));
    }

    /// Records that a sink dropped `count` of the frames that were received between these times.
    pub fn left_out(&mut self, medium: Medium, first_ms: i64, last_ms: i64, count: FrameCount) {
        self.one(medium, |book| book.left_out(first_ms, last_ms, count));
    }

    /// Whether data of that time may have been missed here: of this medium or, for none, of any.
    pub fn is_missing(&self, medium: Option<Medium>, at_ms: i64) -> bool {
        let concerned = |book: &&Book| medium.is_none_or(|medium| book.medium == medium);
        self.books.iter().filter(concerned).any(|book| book.account.is_missing(at_ms))
    }

    /// Counts data that was missing here and was received by another daemon.
    pub fn handed_over(&mut self, medium: Medium, bytes: u64) {
        self.one(medium, |book| book.handed_over(bytes));
    }

    /// Closes the gaps of unreadable frames, which otherwise stay open a moment for further ones. Called before an
    /// account is stored, so that the account contains them.
    pub fn settle(&mut self) {
        self.each(LinkId::Signaling, Book::settle);
    }

    /// The stream is over: what is still open ends now.
    pub fn end(&mut self, now_ms: i64) {
        self.each(LinkId::Signaling, |book| book.end(now_ms));
    }

    /// The next closed gap that was not reported yet.
    pub fn closed(&mut self) -> Option<(Medium, Gap)> {
        self.closed.pop_front()
    }

    /// The accounts as they stand, to be stored.
    pub fn accounts(&self, now_ms: i64) -> Vec<Account> {
        self.books.iter().map(|book| book.account(now_ms)).collect()
    }

    fn all(&mut self, now_ms: i64, at_ms: Option<i64>, tell: fn(&mut Book, i64)) {
        let at_ms = book::placed(now_ms, at_ms);
        self.each(LinkId::Signaling, |book| tell(book, at_ms));
    }

    fn one(&mut self, medium: Medium, tell: impl Fn(&mut Book)) {
        self.each(LinkId::Media(Lane::Only(medium)), tell);
    }

    /// Tells every book that hangs on this link, and takes what it closes.
    fn each(&mut self, link: LinkId, tell: impl Fn(&mut Book)) {
        for book in &mut self.books {
            let hangs_on_it = match link {
                LinkId::Signaling | LinkId::Media(Lane::All) => true,
                LinkId::Media(Lane::Only(medium)) => medium == book.medium,
            };
            if hangs_on_it {
                tell(book);
                let medium = book.medium;
                self.closed.extend(book.take_closed().map(|gap| (medium, gap)));
            }
        }
    }
}

#[cfg(test)]
mod tests;

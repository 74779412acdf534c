//! Ends a stream's log: waits for its sinks, and appends what was missing and the summary of each medium.

use std::time::{Duration, Instant};

use super::Feed;
use crate::capture::event::Event;
use crate::model::{EntryBody, MediumAccount, Tally};

/// How long an ending stream waits for its sinks to settle the frames they took.
const SETTLE_LIMIT: Duration = Duration::from_secs(3);

/// How often an ended stream tries to queue its last entries. Between tries the store drains the queue.
const LAST_TRIES: u32 = 100;

impl Feed {
    /// Closes the ledger of an ended stream. [`Feed::finish`] appends the summary of each medium.
    pub fn end(&mut self) {
        self.ledger.end(self.now_ms());
        self.note_gaps();
        self.is_ended = true;
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

    /// Appends the summaries of an ended stream, for a log that no writer stores.
    pub fn close_log(&mut self) {
        self.summarize();
        self.close();
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

    /// Moves the frames that sinks dropped into the ledger.
    pub(super) fn take_left_out(&mut self) {
        for span in self.fanout.take_left_out() {
            self.ledger.left_out(span.medium, span.first_ms, span.last_ms, span.count);
        }
        self.note_gaps();
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

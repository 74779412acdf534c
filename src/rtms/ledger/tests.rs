//! The ledger: gaps and their causes, counts, hand-over, unreadable frames.

use super::coverage::{JOIN_GRACE_MS, MAX_GAPS, REJOIN_GRACE_MS};
use super::*;

const START_MS: i64 = 1_732_313_180_000;
/// The size of every frame.
const BYTES: u64 = 640;
const ALL: LinkId = LinkId::Media(Lane::All);

/// An account of these media whose one link came up a moment after the announcement. All times count from that.
struct Kept {
    ledger: Ledger,
    media: MediaSet,
}

impl Kept {
    fn live(media: impl Into<MediaSet>) -> Self {
        let mut kept = Self::announced(media);
        kept.up(100);
        for medium in kept.media.iter() {
            kept.frame(120, medium, 120);
        }
        kept
    }

    fn announced(media: impl Into<MediaSet>) -> Self {
        let media = media.into();
        Self { ledger: Ledger::new(&[], media, START_MS), media }
    }

    fn change(&mut self, at_ms: i64, change: Change) {
        self.ledger.change(START_MS + at_ms, change);
    }

    fn up(&mut self, at_ms: i64) {
        self.change(at_ms, Change::Up { link: ALL, audio_step_ms: Some(20) });
    }

    fn down(&mut self, at_ms: i64, cause: GapCause) {
        self.change(at_ms, Change::Down { link: ALL, cause });
    }

    fn alive(&mut self, at_ms: i64) {
        self.change(at_ms, Change::Alive(LinkId::Signaling));
        self.change(at_ms, Change::Alive(ALL));
    }

    /// A frame that Zoom made at `made_ms`.
    fn frame(&mut self, at_ms: i64, medium: Medium, made_ms: i64) {
        self.ledger.frame(START_MS + at_ms, medium, Some(START_MS + made_ms), BYTES);
    }

    /// An unreadable frame, and its own time where that can be read.
    fn unreadable(&mut self, at_ms: i64, medium: Medium, made_ms: Option<i64>) {
        let made_ms = made_ms.map(|made_ms| START_MS + made_ms);
        self.change(at_ms, Change::Unreadable { medium, at_ms: made_ms });
    }

    fn end(&mut self, at_ms: i64) {
        self.ledger.end(START_MS + at_ms);
    }

    /// Stored at one time, and taken up again at another.
    fn restarted(mut self, stored_ms: i64) -> Self {
        let stored = self.ledger.accounts(START_MS + stored_ms);
        self.ledger = Ledger::new(&stored, self.media, START_MS + stored_ms + 5_000);
        self
    }

    /// The gaps that were told since the last look.
    fn gaps(&mut self) -> Vec<(Medium, i64, i64, GapCause)> {
        let told = std::iter::from_fn(|| self.ledger.closed());
        told.map(|(medium, gap)| {
            (medium, gap.start_ms - START_MS, gap.end_ms - START_MS, gap.cause)
        })
        .collect()
    }

    fn account(&self, at_ms: i64) -> MediumAccount {
        self.ledger.accounts(START_MS + at_ms).remove(0)
    }
}

use GapCause::{
    DaemonRestarted, Failover, LeftOut, LinkLost, NeverConnected, Paused, SinkOverflow, Unreadable,
    ZoomInterrupted,
};
use Medium::{Audio, Transcript, Video};

#[test]
fn link_lost_lasts_from_the_last_sign_of_life_to_the_first_frame_after_the_rejoin() {
    let mut kept = Kept::live([Video]);
    kept.frame(5_000, Video, 4_990);
    kept.down(9_000, LinkLost);
    kept.up(9_500);
    kept.frame(9_600, Video, 9_590);
    kept.frame(9_640, Video, 9_630);
    assert_eq!(kept.gaps(), [(Video, 4_990, 9_590, LinkLost)]);
}

#[test]
fn a_medium_that_stays_silent_after_its_rejoin_is_there_again_when_its_link_has_settled() {
    let mut kept = Kept::live([Video]);
    kept.down(9_000, LinkLost);
    kept.up(9_500);
    kept.alive(10_000);
    assert_eq!(kept.gaps(), []);
    kept.alive(20_000);
    assert_eq!(kept.gaps(), [(Video, 120, 9_500 + REJOIN_GRACE_MS, LinkLost)]);
}

#[test]
fn a_link_that_is_alive_and_brings_nothing_is_silent_and_no_gap() {
    let mut kept = Kept::live([Video, Transcript]);
    (1..=12).for_each(|tens| kept.alive(tens * 10_000));
    kept.end(121_000);
    assert_eq!(kept.gaps(), []);
    assert_eq!(kept.account(121_000).completeness(), Some(1.0));
}

#[test]
fn a_keep_alive_moves_the_beginning_of_a_later_gap() {
    let mut kept = Kept::live([Video]);
    kept.alive(60_000);
    kept.down(65_000, LinkLost);
    kept.end(70_000);
    assert_eq!(kept.gaps(), [(Video, 59_000, 70_000, LinkLost)]);
}

#[test]
fn audio_that_zoom_kept_from_the_next_step_on_leaves_no_gap() {
    let mut kept = Kept::live([Audio]);
    kept.down(10_000, LinkLost);
    kept.up(12_000);
    (140..12_000).step_by(20).for_each(|made_ms| kept.frame(12_050, Audio, made_ms));
    assert_eq!(kept.gaps(), []);
    kept.end(12_100);
    assert_eq!(kept.account(12_100).lost_ms, 0);
}

#[test]
fn audio_that_zoom_kept_from_later_on_shortens_the_gap() {
    let mut kept = Kept::live([Audio]);
    kept.down(70_000, LinkLost);
    kept.up(75_000);
    kept.frame(75_050, Audio, 15_000);
    kept.frame(75_050, Audio, 15_020);
    assert_eq!(kept.gaps(), [(Audio, 120, 15_000, LinkLost)]);
}

#[test]
fn a_loss_in_the_middle_of_a_burst_begins_where_the_burst_was() {
    let mut kept = Kept::live([Audio]);
    kept.down(10_000, LinkLost);
    kept.up(30_000);
    kept.frame(30_010, Audio, 140);
    kept.alive(30_020);
    kept.down(30_030, LinkLost);
    kept.up(31_000);
    kept.frame(31_010, Audio, 31_000);
    assert_eq!(kept.gaps(), [(Audio, 140, 31_000, LinkLost)]);
}

#[test]
fn a_step_that_is_missing_of_mixed_audio_was_lost_at_zooms() {
    let mut kept = Kept::live([Audio, Video]);
    kept.frame(150, Audio, 148);
    kept.frame(200, Audio, 188);
    kept.frame(9_000, Video, 9_000);
    assert_eq!(kept.gaps(), [(Audio, 148, 188, ZoomInterrupted)]);
}

#[test]
fn a_link_that_zoom_reports_has_zoom_interrupted_for_a_cause() {
    let mut kept = Kept::live([Video]);
    kept.down(1_000, ZoomInterrupted);
    kept.up(2_000);
    kept.frame(2_100, Video, 2_050);
    assert_eq!(kept.gaps(), [(Video, 120, 2_050, ZoomInterrupted)]);
}

#[test]
fn an_interruption_behind_links_that_stand_ends_with_the_next_frame_or_zooms_word() {
    let mut kept = Kept::live([Video, Transcript]);
    kept.change(5_000, Change::Interrupted { at_ms: None });
    kept.frame(8_000, Video, 7_990);
    kept.change(9_000, Change::Resumed { at_ms: None });
    assert_eq!(
        kept.gaps(),
        [(Video, 5_000, 7_990, ZoomInterrupted), (Transcript, 5_000, 9_001, ZoomInterrupted)]
    );
}

#[test]
fn a_failover_is_the_cause_of_the_loss_that_came_before_its_webhook() {
    for is_lost_before in [false, true] {
        let mut kept = Kept::live([Video]);
        if is_lost_before {
            kept.down(500, LinkLost);
        }
        kept.change(1_000, Change::Moved);
        kept.up(2_000);
        kept.frame(2_100, Video, 2_050);
        assert_eq!(kept.gaps(), [(Video, 120, 2_050, Failover)]);
    }
}

#[test]
fn a_pause_is_a_gap_and_not_a_loss() {
    let mut kept = Kept::live([Video]);
    kept.change(5_010, Change::Paused { at_ms: Some(START_MS + 5_000) });
    kept.alive(8_000);
    kept.change(9_010, Change::Resumed { at_ms: Some(START_MS + 9_000) });
    kept.alive(18_000);
    kept.end(20_000);
    assert_eq!(kept.gaps(), [(Video, 5_000, 9_000, Paused)]);
    let account = kept.account(20_000);
    assert_eq!((account.paused_ms, account.completeness()), (4_000, Some(1.0)));
}

#[test]
fn frames_that_come_before_the_word_that_ends_a_pause_end_it() {
    let mut kept = Kept::live([Video]);
    kept.change(5_000, Change::Paused { at_ms: Some(START_MS + 5_000) });
    kept.frame(5_010, Video, 4_980);
    assert_eq!(kept.gaps(), []);
    kept.frame(9_020, Video, 9_000);
    kept.change(9_030, Change::Resumed { at_ms: Some(START_MS + 8_990) });
    assert_eq!(kept.gaps(), [(Video, 5_000, 9_000, Paused)]);
}

#[test]
fn a_link_that_is_down_when_a_pause_ends_goes_on_being_lost() {
    let mut kept = Kept::live([Video]);
    kept.change(5_000, Change::Paused { at_ms: None });
    kept.alive(6_500);
    kept.down(7_000, LinkLost);
    kept.change(9_000, Change::Resumed { at_ms: None });
    kept.up(11_000);
    kept.frame(11_020, Video, 11_010);
    assert_eq!(kept.gaps(), [(Video, 5_000, 9_000, Paused), (Video, 9_000, 11_010, LinkLost)]);
}

#[test]
fn what_a_dead_link_lost_before_a_pause_is_found_when_it_turns_out_to_be_dead() {
    let mut kept = Kept::live([Video]);
    kept.change(5_000, Change::Paused { at_ms: None });
    kept.down(65_000, LinkLost);
    kept.end(66_000);
    assert_eq!(kept.gaps(), [(Video, 120, 5_000, LinkLost), (Video, 5_000, 66_000, Paused)]);
}

#[test]
fn a_restart_costs_from_the_last_stored_sign_of_life_to_the_first_frame() {
    let mut kept = Kept::live([Video]);
    kept.frame(3_000, Video, 2_990);
    let mut kept = kept.restarted(3_500);
    kept.up(60_000);
    kept.frame(60_100, Video, 60_090);
    assert_eq!(kept.gaps(), [(Video, 2_990, 60_090, DaemonRestarted)]);
    assert_eq!(kept.account(60_100).since_ms, START_MS + 120, "one account, before and after");
}

#[test]
fn a_gap_that_was_open_at_the_restart_ends_there() {
    let mut kept = Kept::live([Video]);
    kept.down(3_000, LinkLost);
    let mut kept = kept.restarted(4_000);
    kept.end(9_000);
    assert_eq!(
        kept.gaps(),
        [(Video, 120, 4_000, LinkLost), (Video, 4_000, 9_000, DaemonRestarted)]
    );
}

#[test]
fn a_medium_that_never_came_up_was_never_connected() {
    let mut kept = Kept::announced([Video]);
    kept.down(2_000, LinkLost);
    kept.end(60_000);
    assert_eq!(kept.gaps(), [(Video, 0, 60_000, NeverConnected)]);
    assert_eq!(kept.account(60_000).completeness(), Some(0.0));
}

#[test]
fn joining_is_no_gap_until_it_takes_too_long() {
    for (joined_ms, gaps) in [
        (JOIN_GRACE_MS, vec![]),
        (JOIN_GRACE_MS + 1, vec![(Video, 0, JOIN_GRACE_MS + 1, NeverConnected)]),
    ] {
        let mut kept = Kept::announced([Video]);
        kept.up(joined_ms);
        kept.frame(joined_ms, Video, joined_ms);
        assert_eq!(kept.gaps(), gaps);
    }
}

#[test]
fn what_came_and_had_no_room_is_a_gap_until_something_is_kept() {
    let mut kept = Kept::live([Transcript]);
    let ledger = &mut kept.ledger;
    for made_ms in [5_000, 6_000] {
        ledger.overflow(START_MS + made_ms, Transcript, Some(START_MS + made_ms), BYTES);
    }
    kept.alive(8_000);
    kept.frame(9_000, Transcript, 8_900);
    assert_eq!(kept.gaps(), [(Transcript, 120, 8_900, SinkOverflow)]);
}

#[test]
fn mixed_audio_that_is_missing_at_the_end_is_a_gap() {
    let mut kept = Kept::live([Audio]);
    (140..=4_000).step_by(20).for_each(|made_ms| kept.frame(made_ms, Audio, made_ms));
    for at_ms in [10_000, 19_000] {
        kept.alive(at_ms);
    }
    kept.end(20_000);
    assert_eq!(kept.gaps(), [(Audio, 4_000, 20_000, ZoomInterrupted)]);

    let mut kept = Kept::live([Audio]);
    (140..=18_000).step_by(20).for_each(|made_ms| kept.frame(made_ms, Audio, made_ms));
    kept.end(20_000);
    assert_eq!(kept.gaps(), [], "the end of a stream takes a moment");
}

#[test]
fn a_link_that_was_silent_too_long_when_the_stream_ended_was_lost() {
    let mut kept = Kept::live([Video]);
    kept.end(40_000);
    assert_eq!(kept.gaps(), [(Video, 120, 40_000, LinkLost)]);
}

#[test]
fn a_time_that_cannot_be_true_is_replaced_by_ours() {
    let mut kept = Kept::live([Video]);
    kept.down(1_000, LinkLost);
    kept.up(2_000);
    kept.ledger.frame(START_MS + 2_100, Video, Some(7), BYTES);
    assert_eq!(kept.gaps(), [(Video, 120, 2_100, LinkLost)]);
}

#[test]
fn an_account_lists_the_newest_gaps_and_counts_the_others() {
    let mut kept = Kept::live([Video]);
    let many = MAX_GAPS as i64 + 10;
    for turn in 1..=many {
        kept.down(turn * 1_000, LinkLost);
        kept.up(turn * 1_000 + 100);
        kept.frame(turn * 1_000 + 200, Video, turn * 1_000 + 200);
    }
    assert_eq!(kept.gaps().len() as i64, many, "each of them is told");
    let account = kept.account(many * 1_000 + 200);
    assert_eq!((account.gaps.len(), account.earlier_gaps), (MAX_GAPS, 10));
    assert_eq!(account.lost_ms, many * 1_000 + 80);
}

#[test]
fn what_came_in_a_gap_is_counted_so_that_the_rest_is_exact() {
    let mut kept = Kept::live([Video]);
    // Two speakers of the newest moment: a third may be lost.
    kept.frame(200, Video, 140);
    kept.frame(200, Video, 140);
    kept.down(300, LinkLost);
    kept.up(400);
    kept.alive(10_400);
    assert_eq!(kept.gaps(), [(Video, 140, 2_400, LinkLost)]);
    assert_eq!(in_gaps(&kept), 2);
    // Kept by Zoom, and sent late.
    kept.frame(10_500, Video, 1_000);
    kept.frame(10_500, Video, 2_400);
    assert_eq!(in_gaps(&kept), 3);
}

/// The frame was received, so the received count does not change.
#[test]
fn frames_that_a_sink_drops_are_a_gap_of_their_own_and_count_as_received() {
    let mut kept = Kept::live([Audio]);
    (7..50).for_each(|n| kept.frame(20 * n, Audio, 20 * n));
    let count = FrameCount { frames: 5, bytes: 5 * BYTES };
    kept.ledger.left_out(Audio, START_MS + 200, START_MS + 280, count);
    kept.ledger.left_out(Audio, START_MS + 280, START_MS + 380, count);
    assert_eq!(kept.gaps(), [(Audio, 200, 300, LeftOut), (Audio, 300, 400, LeftOut)]);
    kept.frame(1_000, Audio, 250);
    let account = kept.account(1_000);
    assert_eq!(account.left_out, FrameCount { frames: 10, bytes: 10 * BYTES });
    assert_eq!((account.lost_ms, account.in_gaps), (200, FrameCount::default()));
    assert_eq!(kept.restarted(1_000).account(2_000).left_out.frames, 10);
}

#[test]
fn what_had_no_room_is_counted_as_being_in_a_gap() {
    let mut kept = Kept::live([Transcript]);
    kept.ledger.overflow(START_MS + 1_000, Transcript, Some(START_MS + 1_000), BYTES);
    kept.frame(2_000, Transcript, 2_000);
    // With the one before it, from which on something is missing.
    assert_eq!(in_gaps(&kept), 2);
}

fn in_gaps(kept: &Kept) -> u64 {
    let account = &kept.ledger.accounts(START_MS + 20_000)[0];
    let FrameCount { frames, bytes } = account.in_gaps;
    assert_eq!(bytes, frames * BYTES);
    frames
}

#[test]
fn a_keep_alive_of_a_medium_proves_nothing_while_signaling_is_silent() {
    let mut kept = Kept::live([Video]);
    kept.change(10_000, Change::Alive(LinkId::Signaling));
    kept.change(30_000, Change::Alive(ALL));
    kept.down(31_000, LinkLost);
    kept.up(32_000);
    kept.frame(32_100, Video, 32_050);
    assert_eq!(kept.gaps(), [(Video, 9_000, 32_050, LinkLost)]);
}

#[test]
fn what_another_daemon_received_counts_where_it_is_missing_here() {
    let mut kept = Kept::live([Medium::Transcript, Medium::Audio]).restarted(1_000);
    let is_missing =
        |kept: &Kept, medium, at_ms: i64| kept.ledger.is_missing(medium, START_MS + at_ms);
    let transcript = Some(Medium::Transcript);
    assert!(!is_missing(&kept, transcript, 100), "it was received here");
    assert!(is_missing(&kept, transcript, 120), "something of that time may have been lost");
    assert!(is_missing(&kept, transcript, 5_000), "nothing of that time has come yet");
    kept.up(8_000);
    kept.frame(8_100, Medium::Transcript, 7_900);
    kept.frame(8_100, Medium::Audio, 7_000);
    assert!(is_missing(&kept, transcript, 7_800));
    assert!(!is_missing(&kept, transcript, 7_900));
    assert!(is_missing(&kept, None, 7_800), "one medium was not connected");
    assert!(!is_missing(&kept, None, 7_900));

    let in_gaps = |kept: &Kept| {
        let accounts = kept.ledger.accounts(START_MS + 9_000);
        accounts.iter().find(|account| account.medium == Medium::Transcript).unwrap().in_gaps
    };
    let before = in_gaps(&kept);
    kept.ledger.handed_over(Medium::Transcript, 7);
    let after = in_gaps(&kept);
    assert_eq!((after.frames - before.frames, after.bytes - before.bytes), (1, 7));
}

#[test]
fn nothing_is_missing_in_a_pause() {
    let mut kept = Kept::live([Medium::Audio]);
    kept.change(1_000, Change::Paused { at_ms: Some(START_MS + 1_000) });
    assert!(!kept.ledger.is_missing(Some(Medium::Audio), START_MS + 1_500));
}

#[test]
fn an_unreadable_frame_is_a_gap_of_one_frame() {
    for made_ms in [Some(160), None] {
        let mut kept = Kept::live([Audio, Video]);
        kept.frame(140, Audio, 140);
        kept.unreadable(160, Audio, made_ms);
        (9..=200).for_each(|step| kept.frame(step * 20, Audio, step * 20));
        assert_eq!(kept.gaps(), [(Audio, 160, 180, Unreadable)]);
        let account = kept.account(4_000);
        assert_eq!(account.expected_ms() - account.covered_ms(), 20);
        assert_eq!(in_gaps(&kept), 0);
    }
}

#[test]
fn an_unreadable_line_is_a_gap_of_one_millisecond() {
    let mut kept = Kept::live([Transcript]);
    kept.unreadable(5_000, Transcript, None);
    kept.alive(10_000);
    assert_eq!(kept.gaps(), [(Transcript, 5_000, 5_001, Unreadable)]);
    kept.unreadable(15_000, Transcript, Some(14_000));
    kept.end(15_500);
    assert_eq!(kept.gaps(), [(Transcript, 14_000, 14_001, Unreadable)]);
}

#[test]
fn unreadable_frames_close_together_are_one_gap() {
    let mut kept = Kept::live([Audio]);
    // One of two speakers, for three seconds; all their frames are unreadable.
    for step in 7..157 {
        kept.frame(step * 20, Audio, step * 20);
        kept.unreadable(step * 20, Audio, Some(step * 20));
    }
    (157..=300).for_each(|step| kept.frame(step * 20, Audio, step * 20));
    assert_eq!(kept.gaps(), [(Audio, 140, 3_140, Unreadable)]);
    assert_eq!(in_gaps(&kept), 150);
}

#[test]
fn a_storm_of_unreadable_frames_is_reported_every_ten_seconds() {
    let mut kept = Kept::live([Audio]);
    (7..3_000).for_each(|step| kept.unreadable(step * 20, Audio, None));
    kept.end(60_000);
    let gaps = kept.gaps();
    assert!((6..=7).contains(&gaps.len()), "{gaps:?}");
    assert!(gaps.windows(2).all(|two| two[0].2 == two[1].1), "{gaps:?}");
    assert_eq!(kept.account(60_000).covered_ms(), 20);
}

#[test]
fn an_unreadable_frame_inside_a_gap_belongs_to_that_gap() {
    let mut kept = Kept::live([Audio]);
    kept.down(1_000, LinkLost);
    kept.unreadable(1_500, Audio, None);
    kept.frame(2_000, Audio, 2_000);
    assert_eq!(kept.gaps(), [(Audio, 120, 2_000, LinkLost)]);
    kept.unreadable(2_020, Audio, Some(2_020));
    kept.down(2_040, LinkLost);
    kept.up(2_500);
    kept.frame(2_600, Audio, 2_600);
    let gaps = [(Audio, 2_020, 2_040, Unreadable), (Audio, 2_040, 2_600, LinkLost)];
    assert_eq!(kept.gaps(), gaps);
}

/// Several participants can speak at once, so that their frames overtake each other.
#[test]
fn what_was_received_around_an_unreadable_frame_is_counted_to_the_frame() {
    let mut kept = Kept::live([Video]);
    kept.frame(500, Video, 480);
    kept.frame(500, Video, 480);
    kept.unreadable(505, Video, Some(460));
    kept.frame(510, Video, 470);
    kept.frame(520, Video, 490);
    kept.frame(560, Video, 540);
    kept.unreadable(600, Video, Some(530));
    kept.frame(610, Video, 540);
    kept.frame(700, Video, 700);
    kept.alive(2_000);
    assert_eq!(kept.gaps(), [(Video, 460, 570, Unreadable)]);
    // All frames except those of 120 and 700 ms.
    assert_eq!(in_gaps(&kept), 6);
}

#[test]
fn a_stored_account_contains_the_gap_of_unreadable_frames() {
    let mut kept = Kept::live([Audio]);
    kept.unreadable(140, Audio, Some(140));
    kept.ledger.settle();
    assert_eq!(kept.gaps(), [(Audio, 140, 160, Unreadable)]);
    let mut kept = kept.restarted(200);
    assert_eq!(kept.account(6_000).lost_ms, 20);
    kept.up(6_000);
    kept.frame(6_000, Audio, 6_000);
    assert_eq!(kept.gaps(), [(Audio, 160, 6_000, DaemonRestarted)]);
}

/// A frame that overtakes others is out of order with both the gaps and the received frames.
#[test]
fn a_late_unreadable_frame_is_a_gap_before_the_known_gaps() {
    let mut kept = Kept::live([Video]);
    kept.frame(1_000, Video, 1_000);
    kept.frame(1_000, Video, 980);
    kept.down(1_500, LinkLost);
    kept.up(1_600);
    kept.frame(1_700, Video, 1_690);
    assert_eq!(kept.gaps(), [(Video, 1_000, 1_690, LinkLost)]);
    kept.unreadable(1_710, Video, Some(975));
    assert_eq!(kept.gaps(), [(Video, 975, 1_000, Unreadable)]);
    // The frames of 980 and 1,000 ms.
    assert_eq!(in_gaps(&kept), 2);
    kept.unreadable(1_720, Video, Some(1_200));
    assert_eq!(kept.gaps(), [], "a gap already covers it");
    kept.down(2_000, LinkLost);
    kept.unreadable(2_100, Video, Some(2_050));
    kept.frame(2_110, Video, 2_010);
    assert_eq!(
        kept.gaps(),
        [(Video, 1_690, 2_090, LinkLost)],
        "the gap covers everything lost in it"
    );
}

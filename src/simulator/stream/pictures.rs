//! Video and screen share: decides which pictures of which participant are due, and sends them.

use tokio::time::Instant;

use super::Stream;
use super::media::Tally;
use crate::model::Medium;
use crate::rtms::message::msg_type;
use crate::rtms::server::params::{PictureParams, VIDEO_INDIVIDUAL};
use crate::simulator::picture::{self, Scene};
use crate::simulator::quirk::Quirk;
use crate::simulator::shared::MeetingState;
use crate::simulator::wire;

/// How far the pictures of a medium have been sent. Pictures are not buffered (section 9).
pub(super) struct PictureSchedule {
    /// Pictures before this script time have been sent or skipped.
    sent_to_ms: i64,
    /// Who is shown, and since which script time: the first picture of a person is a key frame.
    shown: Option<(usize, i64)>,
}

/// Pictures to send now.
struct DuePictures {
    who: usize,
    first_ms: i64,
    count: i64,
    /// The number of the first picture, counted from its key frame.
    index: i64,
}

impl PictureSchedule {
    pub(super) fn new(now_ms: i64) -> Self {
        Self { sent_to_ms: now_ms, shown: None }
    }

    /// The pictures that are due at `now_ms`: at most one second of them. They start with a key frame if older ones
    /// were skipped or if another person is shown.
    fn due(&mut self, now_ms: i64, step_ms: i64, who: Option<usize>) -> Option<DuePictures> {
        let passed = ((now_ms - self.sent_to_ms) / step_ms).max(0);
        // After a delay a live camera does not catch up; `passed != count` below restarts with a key frame.
        let count = passed.min(1000 / step_ms);
        self.sent_to_ms += passed * step_ms;
        // `sent_to_ms` has advanced already: pictures of the time without a camera or share are never sent.
        let Some(who) = who else {
            self.shown = None;
            return None;
        };
        let first_ms = self.sent_to_ms - count * step_ms;
        let since = self.shown.filter(|(shown, _)| *shown == who && passed == count);
        let (_, since_ms) = *self.shown.insert(since.unwrap_or((who, first_ms)));
        (count > 0).then_some(DuePictures {
            who,
            first_ms,
            count,
            index: (first_ms - since_ms) / step_ms,
        })
    }
}

impl Stream {
    /// Sends the pictures of both media that are due.
    pub(super) fn send_pictures(&mut self, now_ms: i64, meeting: &MeetingState) {
        if let Some(params) = self.open_for(Medium::Video).and_then(|media| media.params.video) {
            let individual = params.data_opt == Some(VIDEO_INDIVIDUAL);
            // By default video follows the active speaker (section 8.1, `data_opt` 3).
            let who = if individual { self.progress.video_of } else { meeting.speaker };
            let who = who.filter(|who| meeting.cameras.contains(who));
            let due = self.progress.video.due(now_ms, frame_ms(&params), who);
            self.send_due(Medium::Video, &params, due);
        }
        if let Some(params) = self.open_for(Medium::Share).and_then(|media| media.params.deskshare)
        {
            let due = self.progress.share.due(now_ms, frame_ms(&params), meeting.sharer);
            self.send_due(Medium::Share, &params, due);
        }
    }

    /// When the next picture is due.
    pub(super) fn picture_deadline(&self) -> Option<Instant> {
        let video = self.open_for(Medium::Video).and_then(|media| media.params.video);
        let share = self.open_for(Medium::Share).and_then(|media| media.params.deskshare);
        let due = |schedule: &PictureSchedule, params: PictureParams| {
            schedule.sent_to_ms + frame_ms(&params)
        };
        let video = video.map(|params| due(&self.progress.video, params));
        let share = share.map(|params| due(&self.progress.share, params));
        video.into_iter().chain(share).min().map(|due_ms| self.shared.clock.at(due_ms))
    }

    fn send_due(&self, medium: Medium, params: &PictureParams, due: Option<DuePictures>) {
        let (Some(due), Some(media)) = (due, self.open_for(medium)) else { return };
        let person = &self.shared.settings().script.people[due.who];
        let (scene, msg_type) = match medium {
            Medium::Share => (Scene::Slide, msg_type::MEDIA_DATA_SHARE),
            _ => (Scene::Camera(due.who), msg_type::MEDIA_DATA_VIDEO),
        };
        let large = self.shared.quirks.has(Quirk::LargeFrames);
        let make = if large { picture::large_payload } else { picture::frame_payload };
        let mut sent = Tally::default();
        for number in 0..due.count {
            // The cast is safe: `index` is the distance to an earlier key frame, so it is not negative.
            let payload = make(scene, params.codec, (due.index + number) as usize);
            let timestamp = self.shared.clock.wire_ms(due.first_ms + number * frame_ms(params));
            let text = wire::media_frame(msg_type, &person.frame_fields, &payload, timestamp);
            let taken = media.link.outbox.send(text);
            self.log_frame(medium, timestamp, || payload.bytes(), taken);
            sent.add(payload.length, taken);
        }
        self.record_sent(medium, &sent);
    }
}

/// The time from one picture to the next (section 9).
fn frame_ms(params: &PictureParams) -> i64 {
    1000 / params.fps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(
        schedule: &mut PictureSchedule,
        now_ms: i64,
        who: Option<usize>,
    ) -> Option<(i64, i64, i64)> {
        schedule.due(now_ms, 40, who).map(|due| (due.first_ms, due.count, due.index))
    }

    #[test]
    fn pictures_are_numbered_from_the_first_one_of_a_person() {
        let mut schedule = PictureSchedule::new(1_000);
        assert_eq!(indexes(&mut schedule, 1_090, Some(0)), Some((1_000, 2, 0)));
        assert_eq!(indexes(&mut schedule, 1_119, Some(0)), None);
        assert_eq!(indexes(&mut schedule, 1_120, Some(0)), Some((1_080, 1, 2)));
        assert_eq!(indexes(&mut schedule, 1_160, Some(1)), Some((1_120, 1, 0)));
        assert_eq!(indexes(&mut schedule, 1_200, None), None);
        assert_eq!(indexes(&mut schedule, 1_240, Some(1)), Some((1_200, 1, 0)));
    }

    #[test]
    fn after_a_long_delay_one_second_is_sent_starting_with_a_key_frame() {
        let mut schedule = PictureSchedule::new(0);
        assert_eq!(indexes(&mut schedule, 80, Some(0)), Some((0, 2, 0)));
        assert_eq!(indexes(&mut schedule, 10_000, Some(0)), Some((9_000, 25, 0)));
    }
}

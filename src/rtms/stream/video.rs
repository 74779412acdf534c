//! Individual video: whose camera Zoom is asked for (section 6.19). One at a time; a new request replaces the old
//! one. Whatever ends the video (a lost link, a camera that goes off) is followed by a new request, from what is known
//! here and not from a record of requests.

use std::time::{Duration, Instant};

use super::{Lane, LinkId, Outgoing, Stream};
use crate::model::{EntryBody, Medium, Participant, UserId};
use crate::rtms::message::status;
use crate::rtms::params::VideoSelect;

/// How many cameras take turns.
const MAX_CAMERAS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Cameras {
    /// Whose are on, in the order in which they take turns.
    on: Vec<UserId>,
    /// Whom a program has chosen.
    pinned: Option<UserId>,
    /// Whose video Zoom was asked for, unless it has ended since.
    asked: Option<UserId>,
    /// When the next camera has its turn.
    next_at: Option<Instant>,
}

impl Cameras {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// Who is next after the one whose turn it is.
    fn next(&self) -> Option<UserId> {
        let place = self.on.iter().position(|user_id| Some(*user_id) == self.asked);
        let next = place.map_or(0, |place| (place + 1) % self.on.len());
        self.on.get(next).copied()
    }
}

impl Stream {
    /// A program has chosen whose video it wants.
    pub(super) fn pin_video(&mut self, user_id: UserId) {
        self.cameras.pinned = Some(user_id);
        if self.select() == Some(VideoSelect::Individual) && self.is_video_live() {
            self.ask_for_video(user_id);
        }
    }

    /// A media link stands: if it is the one with video, Zoom knows nothing of what it was asked before.
    pub(super) fn video_joined(&mut self, now: Instant, id: LinkId) {
        let carries_video = matches!(id, LinkId::Media(Lane::All | Lane::Only(Medium::Video)));
        if !carries_video || !self.is_video_live() {
            return;
        }
        match self.select() {
            Some(VideoSelect::Individual) => {
                if let Some(user_id) = self.cameras.pinned {
                    self.ask_for_video(user_id);
                }
            }
            Some(VideoSelect::RoundRobin) => match self.cameras.asked {
                Some(user_id) => self.give_turn(now, user_id),
                None => self.turn(now),
            },
            _ => {}
        }
    }

    /// Video of a camera that was off does not come back by itself.
    pub(super) fn camera_on(&mut self, now: Instant, user_id: UserId) {
        let cameras = &mut self.cameras;
        if !cameras.on.contains(&user_id) && cameras.on.len() < MAX_CAMERAS {
            cameras.on.push(user_id);
        }
        let is_wanted = match self.select() {
            Some(VideoSelect::Individual) => self.cameras.pinned == Some(user_id),
            Some(VideoSelect::RoundRobin) => self.cameras.asked == Some(user_id),
            _ => return,
        };
        if is_wanted && self.is_video_live() {
            self.ask_for_video(user_id);
        } else if self.cameras.asked.is_none() {
            self.turn(now);
        }
    }

    /// A camera went off, or whose it is left.
    pub(super) fn camera_off(&mut self, now: Instant, user_id: UserId) {
        let was_asked = self.cameras.asked == Some(user_id);
        let next = self.cameras.next().filter(|next| *next != user_id);
        self.cameras.on.retain(|on| *on != user_id);
        if !was_asked {
            return;
        }
        self.cameras.asked = None;
        self.cameras.next_at = None;
        if let (Some(VideoSelect::RoundRobin), Some(next)) = (self.select(), next)
            && self.is_video_live()
        {
            self.give_turn(now, next);
        }
    }

    /// The camera that has its turn has had it.
    pub(super) fn cameras_due(&mut self, now: Instant) {
        if self.cameras.next_at.is_some_and(|at| now >= at) {
            self.turn(now);
        }
    }

    /// 44 says that it is so already.
    pub(super) fn video_answer(&mut self, user_id: UserId, status_code: i64) {
        let is_subscribed =
            [status::OK, status::DUPLICATE_VIDEO_SUBSCRIPTION].contains(&status_code);
        let person = self.roster.named(Participant { user_id, user_name: None });
        self.note(None, EntryBody::VideoSubscription { person, is_subscribed, status_code });
    }

    /// Whose camera is wanted, where that is for us to say.
    fn select(&self) -> Option<VideoSelect> {
        let params = &self.setup.params;
        let select = params.video.select;
        (params.wants(Medium::Video) && select != VideoSelect::Active).then_some(select)
    }

    fn is_video_live(&self) -> bool {
        let mut video = self
            .media
            .iter()
            .filter(|media| matches!(media.lane, Lane::All | Lane::Only(Medium::Video)));
        self.is_running() && self.signaling.is_live() && video.any(|media| media.link.is_live())
    }

    fn turn(&mut self, now: Instant) {
        self.cameras.next_at = None;
        if self.select() != Some(VideoSelect::RoundRobin) || !self.is_video_live() {
            return;
        }
        match self.cameras.next() {
            // Alone: asked for once is enough.
            Some(next) if self.cameras.asked == Some(next) => self.wait_for_turn(now),
            Some(next) => self.give_turn(now, next),
            None => {}
        }
    }

    fn give_turn(&mut self, now: Instant, user_id: UserId) {
        self.ask_for_video(user_id);
        self.wait_for_turn(now);
    }

    fn wait_for_turn(&mut self, now: Instant) {
        let dwell = Duration::from_secs(self.setup.params.video.dwell_s.into());
        self.cameras.next_at = Some(now + dwell);
    }

    fn ask_for_video(&mut self, user_id: UserId) {
        self.cameras.asked = Some(user_id);
        self.send(LinkId::Signaling, Outgoing::SubscribeVideo { user_id, at_ms: None });
    }
}

//! Individual video: subscribes to one participant's camera at a time; a new request replaces the old one
//! (rtms-protocol.md section 6.19). After anything that ends the video (a lost link, a camera that goes off) a
//! new request follows from the state kept here, not from a record of requests.

use std::time::{Duration, Instant};

use super::{Lane, LinkId, Outgoing, Stream};
use crate::model::params::VideoSelect;
use crate::model::{EntryBody, Medium, Participant, UserId};
use crate::rtms::message::status;

/// The most cameras that take turns.
const MAX_CAMERAS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Cameras {
    /// The participants with a camera that is on, in the order of their turns.
    on: Vec<UserId>,
    /// The participant that an API client chose.
    pinned: Option<UserId>,
    /// The participant of the last request, unless that video has ended since.
    asked: Option<UserId>,
    /// When the next camera's turn begins.
    next_at: Option<Instant>,
}

impl Cameras {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_at
    }

    /// The participant after the current one.
    fn next(&self) -> Option<UserId> {
        let place = self.on.iter().position(|user_id| Some(*user_id) == self.asked);
        let next = place.map_or(0, |place| (place + 1) % self.on.len());
        self.on.get(next).copied()
    }
}

impl Stream {
    /// Remembers the chosen participant and requests their video.
    pub(super) fn pin_video(&mut self, user_id: UserId) {
        self.cameras.pinned = Some(user_id);
        if self.select() == Some(VideoSelect::Individual) && self.is_video_live() {
            self.ask_for_video(user_id);
        }
    }

    /// Repeats the request after a link with video has joined: Zoom may not keep a subscription over a
    /// reconnect (rtms-protocol.md section 20).
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

    /// Requests the video again if it is wanted: it does not resume by itself when the camera comes on.
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

    /// Handles a camera that went off, also because its participant left.
    pub(super) fn camera_off(&mut self, now: Instant, user_id: UserId) {
        let was_asked = self.cameras.asked == Some(user_id);
        // Before the removal, which would move the place in the turn.
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

    /// Passes the turn on when it has ended.
    pub(super) fn cameras_due(&mut self, now: Instant) {
        if self.cameras.next_at.is_some_and(|at| now >= at) {
            self.turn(now);
        }
    }

    /// Records Zoom's answer. Status 44 means that the subscription exists already.
    pub(super) fn video_answer(&mut self, user_id: UserId, status_code: i64) {
        let is_subscribed =
            [status::OK, status::DUPLICATE_VIDEO_SUBSCRIPTION].contains(&status_code);
        let person = self.roster.named(Participant { user_id, user_name: None });
        self.note(None, EntryBody::VideoSubscription { person, is_subscribed, status_code });
    }

    /// How the camera is selected; none when Zoom selects it or video is not wanted.
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
            // The only camera: it was requested already.
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

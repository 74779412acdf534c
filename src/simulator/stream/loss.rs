//! How a stream notices that a link is gone, and what follows.

use serde_json::json;
use tokio::time::Instant;

use super::{NORMAL_CLOSE, Stream, Zombie, reason};
use crate::rtms::message::Medium;
use crate::simulator::link::KeepAliveCheck;
use crate::simulator::shared::MeetingState;
use crate::simulator::socket::Loss;
use crate::simulator::{event, lock, wire};

/// How a media link was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaLoss {
    /// The client closed it with 1000.
    Closed,
    /// It ended in another way, and not by the server.
    Broken,
    /// A fault of Zoom's.
    Cut,
    Unanswered,
    /// It belonged to a signaling connection that has been replaced.
    Replaced,
}

impl MediaLoss {
    /// What the state update says.
    fn update_reason(self) -> u16 {
        match self {
            Self::Closed | Self::Broken => reason::DATA_CLOSED,
            Self::Cut | Self::Unanswered | Self::Replaced => reason::DATA_INTERRUPTED,
        }
    }

    /// What ends the stream when the link does not come back.
    pub(super) fn stop_reason(self) -> u16 {
        match self {
            Self::Closed | Self::Broken => reason::DATA_CLOSED,
            Self::Cut => reason::DATA_INTERRUPTED,
            Self::Unanswered => reason::KEEP_ALIVE_TIMEOUT,
            Self::Replaced => reason::AWAIT_RECONNECTION_TIMEOUT,
        }
    }

    fn is_accident(self) -> bool {
        matches!(self, Self::Broken | Self::Cut | Self::Unanswered)
    }
}

impl Stream {
    /// A socket ended without the server wanting it.
    pub(crate) fn link_lost(
        &mut self,
        now: Instant,
        socket: u64,
        loss: Loss,
        meeting: &MeetingState,
    ) {
        if self.signaling.as_ref().is_some_and(|link| link.socket == socket) {
            self.signaling = None;
            if loss == Loss::Closed(NORMAL_CLOSE) && !self.had_accident() {
                self.end(now, reason::RECEIVER_CLOSED, meeting);
            } else {
                self.signaling_lost(now, reason::SIGNAL_CLOSED);
            }
        } else if let Some(index) = self.media.iter().position(|m| m.link.socket == socket) {
            let media = self.media.remove(index).media;
            let is_closed = loss == Loss::Closed(NORMAL_CLOSE);
            let how = if is_closed { MediaLoss::Closed } else { MediaLoss::Broken };
            self.media_lost(now, media, how);
        }
    }

    /// Whether a media link broke and is not back. Zoom's own client then closes signaling with 1000, as it
    /// does when it leaves, and comes back with everything a second later (measured).
    fn had_accident(&self) -> bool {
        self.media_windows.iter().any(|missing| missing.how.is_accident())
    }

    /// Loses the links whose sockets are gone already, though nobody has said so yet: a client that comes
    /// back at once must not be refused for its old sockets.
    pub(super) fn expire_dead_links(&mut self, now: Instant) {
        if self.signaling.take_if(|link| link.outbox.is_closed()).is_some() {
            self.signaling_lost(now, reason::SIGNAL_CLOSED);
        }
        let gone: Vec<_> =
            self.media.extract_if(.., |media| media.link.outbox.is_closed()).collect();
        for media in gone {
            self.media_lost(now, media.media, MediaLoss::Broken);
        }
    }

    /// Remembers a dead link for as long as the server takes to notice.
    fn keep_zombie(&mut self, now: Instant, media: Vec<Medium>) {
        let timings = &self.shared.settings().timings;
        if timings.dead_link_ms > 0 {
            let until = now + timings.wait(timings.dead_link_ms);
            self.zombies.push(Zombie { media, until });
        }
    }

    /// Signaling is gone: nothing flows until the client is back with everything.
    pub(super) fn signaling_lost(&mut self, now: Instant, reason: u16) {
        self.report().lost_links += 1;
        self.open_signaling_window(now, reason);
        self.keep_zombie(now, Vec::new());
        for media in &mut self.media {
            media.is_ready = false;
        }
        let now_ms = self.shared.wire_now(now);
        self.shared.send_webhook(event::rtms_interrupted(&self.shared.identity, &self.id, now_ms));
    }

    /// Told at once; ends the stream when the window passes.
    pub(super) fn media_lost(&mut self, now: Instant, media: Vec<Medium>, how: MediaLoss) {
        self.report().lost_links += 1;
        self.keep_zombie(now, media.clone());
        self.open_media_window(now, media, how);
        let event =
            wire::event(wire::EVENT_MEDIA_INTERRUPTED, self.shared.wire_now(now), json!({}));
        self.send_signaling(event);
        self.send_state(now, wire::STREAM_INTERRUPTED, how.update_reason());
    }

    pub(super) fn check_signaling_keep_alive(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let timings = &self.shared.settings().timings;
        let Some(link) = &mut self.signaling else { return };
        match link.check_keep_alive(now, wire_ms, timings) {
            KeepAliveCheck::NotDue => {}
            KeepAliveCheck::Sent => self.report().keep_alives.sent += 1,
            KeepAliveCheck::Unanswered | KeepAliveCheck::QueueFull => {
                self.report().keep_alives.timeouts += 1;
                self.signaling.take().into_iter().for_each(|link| link.outbox.drop_tcp());
                self.signaling_lost(now, reason::KEEP_ALIVE_TIMEOUT);
            }
        }
    }

    pub(super) fn check_media_keep_alives(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let mut dead = Vec::new();
        for media in &mut self.media {
            match media.link.check_keep_alive(now, wire_ms, &self.shared.state.settings.timings) {
                KeepAliveCheck::NotDue => {}
                KeepAliveCheck::Sent => lock(&self.report).keep_alives.sent += 1,
                KeepAliveCheck::Unanswered | KeepAliveCheck::QueueFull => {
                    dead.push(media.link.socket)
                }
            }
        }
        for gone in self.media.extract_if(.., |m| dead.contains(&m.link.socket)).collect::<Vec<_>>()
        {
            self.report().keep_alives.timeouts += 1;
            gone.link.outbox.drop_tcp();
            self.media_lost(now, gone.media, MediaLoss::Unanswered);
        }
    }
}

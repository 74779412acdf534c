//! Detects lost links by keep-alives and closed sockets, and interrupts the stream (section 3.6).

use serde_json::json;
use tokio::time::Instant;

use super::{NORMAL_CLOSE, Stream, Zombie, reason};
use crate::model::Medium;
use crate::simulator::link::KeepAliveCheck;
use crate::simulator::shared::MeetingState;
use crate::simulator::socket::Loss;
use crate::simulator::{event, lock, wire};

/// Why a media link was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaLoss {
    /// The client closed it with 1000.
    Closed,
    /// The client's connection ended in another way.
    Broken,
    /// A fault cut it.
    Cut,
    /// The client did not answer keep-alives.
    Unanswered,
    /// Its signaling connection was replaced by a new one.
    Replaced,
}

impl MediaLoss {
    /// The reason in the state update (message 8, state 2).
    fn update_reason(self) -> u16 {
        match self {
            Self::Closed | Self::Broken => reason::DATA_CLOSED,
            Self::Cut | Self::Unanswered | Self::Replaced => reason::DATA_INTERRUPTED,
        }
    }

    /// The stop reason if the link does not come back.
    pub(super) fn stop_reason(self) -> u16 {
        match self {
            Self::Closed | Self::Broken => reason::DATA_CLOSED,
            Self::Cut => reason::DATA_INTERRUPTED,
            Self::Unanswered => reason::KEEP_ALIVE_TIMEOUT,
            Self::Replaced => reason::AWAIT_RECONNECTION_TIMEOUT,
        }
    }

    /// Whether the client lost the link without wanting to.
    fn is_accident(self) -> bool {
        matches!(self, Self::Broken | Self::Cut | Self::Unanswered)
    }
}

impl Stream {
    /// Handles a socket that the client ended.
    pub(crate) fn link_lost(
        &mut self,
        now: Instant,
        socket: u64,
        loss: Loss,
        meeting: &MeetingState,
    ) {
        if self.signaling.as_ref().is_some_and(|link| link.socket == socket) {
            self.signaling = None;
            // Close 1000 on signaling means that the client leaves (section 22).
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

    /// Whether a media link broke and has not come back. Zoom's own client then closes signaling with 1000, as when
    /// it leaves, but reconnects everything a second later (measured; section 22).
    fn had_accident(&self) -> bool {
        self.media_windows.iter().any(|missing| missing.how.is_accident())
    }

    /// Handles the loss of links with an ended socket while their `Input::Lost` is still in the inbox. Otherwise a
    /// client that reconnects at once would be refused as a duplicate of its old sockets.
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

    /// Keeps a dead link as a zombie for as long as the server takes to notice that it is dead.
    fn keep_zombie(&mut self, now: Instant, media: Vec<Medium>) {
        let timings = &self.shared.settings().timings;
        if timings.dead_link_ms > 0 {
            let until = now + timings.wait(timings.dead_link_ms);
            self.zombies.push(Zombie { media, until });
        }
    }

    /// Interrupts the stream after the loss of signaling. No media is sent until the client has reconnected signaling
    /// and sent a new CLIENT_READY_ACK.
    pub(super) fn signaling_lost(&mut self, now: Instant, reason: u16) {
        self.report().lost_links += 1;
        self.absent(now);
        self.open_signaling_window(now, reason);
        // No media stands for signaling.
        self.keep_zombie(now, Vec::new());
        // The media sockets stay open, but must be confirmed with a new CLIENT_READY_ACK.
        for media in &mut self.media {
            media.is_ready = false;
        }
        let now_ms = self.shared.wire_now(now);
        self.shared.send_webhook(event::rtms_interrupted(&self.shared.identity, &self.id, now_ms));
    }

    /// Reports the loss of a media link on signaling (event 7 and state 2) and opens its reconnect window.
    pub(super) fn media_lost(&mut self, now: Instant, media: Vec<Medium>, how: MediaLoss) {
        self.report().lost_links += 1;
        self.keep_zombie(now, media.clone());
        self.open_media_window(now, media, how);
        let event = self.event(wire::EVENT_MEDIA_INTERRUPTED, self.shared.wire_now(now), json!({}));
        self.send_signaling(event);
        self.send_state(now, wire::STREAM_INTERRUPTED, how.update_reason());
    }

    /// Sends a due keep-alive request on signaling, or drops signaling if it is dead.
    pub(super) fn check_signaling_keep_alive(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let timings = &self.shared.settings().timings;
        let Some(link) = &mut self.signaling else { return };
        match link.check_keep_alive(now, wire_ms, timings) {
            KeepAliveCheck::NotDue => {}
            KeepAliveCheck::Sent => self.report().keep_alives.sent += 1,
            KeepAliveCheck::Unanswered | KeepAliveCheck::QueueFull => {
                self.report().keep_alives.timeouts += 1;
                // TCP is dropped without a Close frame: after a Close, Zoom's own client would not reconnect
                // (section 22).
                self.signaling.take().into_iter().for_each(|link| link.outbox.drop_tcp());
                self.signaling_lost(now, reason::KEEP_ALIVE_TIMEOUT);
            }
        }
    }

    /// Sends due keep-alive requests on media links, and drops the dead ones.
    pub(super) fn check_media_keep_alives(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let mut dead = Vec::new();
        for media in &mut self.media {
            match media.link.check_keep_alive(now, wire_ms, &self.shared.state.settings.timings) {
                KeepAliveCheck::NotDue => {}
                // `self.report()` would borrow all of `self` while `self.media` is borrowed.
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

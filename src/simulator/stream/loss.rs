//! How a stream notices that a link is gone, and what follows.

use serde_json::json;
use tokio::time::Instant;

use super::{Ghost, NORMAL_CLOSE, Stream, reason};
use crate::rtms::message::Medium;
use crate::simulator::link::Beat;
use crate::simulator::meeting::Stage;
use crate::simulator::socket::Loss;
use crate::simulator::{event, lock, wire};

impl Stream {
    /// A socket ended without the server wanting it.
    pub fn lost(&mut self, now: Instant, socket: u64, loss: Loss, stage: &Stage) {
        if self.signaling.as_ref().is_some_and(|link| link.socket == socket) {
            self.signaling = None;
            match loss {
                Loss::Closed(NORMAL_CLOSE) => self.end(now, reason::RECEIVER_CLOSED, stage),
                _ => self.signaling_lost(now, reason::SIGNAL_CLOSED),
            }
        } else if let Some(index) = self.media.iter().position(|m| m.link.socket == socket) {
            let media = self.media.remove(index).media;
            self.media_lost(now, media, reason::DATA_CLOSED, reason::DATA_CLOSED);
        }
    }

    /// Loses the links whose sockets are gone already, though nobody has said so yet: a client that comes
    /// back at once must not be refused for its old sockets.
    pub(super) fn bury(&mut self, now: Instant) {
        if self.signaling.take_if(|link| link.outbox.is_closed()).is_some() {
            self.signaling_lost(now, reason::SIGNAL_CLOSED);
        }
        let gone: Vec<_> =
            self.media.extract_if(.., |media| media.link.outbox.is_closed()).collect();
        for media in gone {
            self.media_lost(now, media.media, reason::DATA_CLOSED, reason::DATA_CLOSED);
        }
    }

    /// Remembers a dead link for as long as the server takes to notice.
    fn haunt(&mut self, now: Instant, media: Vec<Medium>) {
        let timings = &self.shared.settings().timings;
        if timings.dead_link_ms > 0 {
            let until = now + timings.wait(timings.dead_link_ms);
            self.ghosts.push(Ghost { media, until });
        }
    }

    /// Signaling is gone: nothing flows until the client is back with everything.
    pub(super) fn signaling_lost(&mut self, now: Instant, reason: u16) {
        self.report().lost_links += 1;
        self.open_signaling_window(now, reason);
        self.haunt(now, Vec::new());
        for media in &mut self.media {
            media.is_ready = false;
        }
        let now_ms = self.shared.wire_now(now);
        self.shared.mail.put(event::rtms_interrupted(&self.shared.who, &self.id, now_ms));
    }

    /// `state_reason` is told at once; `stop_reason` ends the stream when the window passes.
    pub(super) fn media_lost(
        &mut self,
        now: Instant,
        media: Vec<Medium>,
        state_reason: u16,
        stop_reason: u16,
    ) {
        self.report().lost_links += 1;
        self.haunt(now, media.clone());
        self.open_media_window(now, media, stop_reason);
        let event =
            wire::event(wire::EVENT_MEDIA_INTERRUPTED, self.shared.wire_now(now), json!({}));
        self.tell(event);
        self.state(now, wire::STREAM_INTERRUPTED, state_reason);
    }

    pub(super) fn beat_signaling(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let timings = &self.shared.settings().timings;
        let Some(link) = &mut self.signaling else { return };
        match link.beat(now, wire_ms, timings) {
            Beat::NotDue => {}
            Beat::Sent => self.report().keep_alives.sent += 1,
            Beat::Dead | Beat::Stuck => {
                self.report().keep_alives.timeouts += 1;
                self.signaling.take().into_iter().for_each(|link| link.outbox.drop_tcp());
                self.signaling_lost(now, reason::KEEP_ALIVE_TIMEOUT);
            }
        }
    }

    pub(super) fn beat_media(&mut self, now: Instant) {
        let wire_ms = self.shared.wire_now(now);
        let mut dead = Vec::new();
        for media in &mut self.media {
            match media.link.beat(now, wire_ms, &self.shared.world.settings.timings) {
                Beat::NotDue => {}
                Beat::Sent => lock(&self.report).keep_alives.sent += 1,
                Beat::Dead | Beat::Stuck => dead.push(media.link.socket),
            }
        }
        for gone in self.media.extract_if(.., |m| dead.contains(&m.link.socket)).collect::<Vec<_>>()
        {
            self.report().keep_alives.timeouts += 1;
            gone.link.outbox.drop_tcp();
            let (told, final_reason) = (reason::DATA_INTERRUPTED, reason::KEEP_ALIVE_TIMEOUT);
            self.media_lost(now, gone.media, told, final_reason);
        }
    }
}

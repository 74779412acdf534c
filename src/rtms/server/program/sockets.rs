//! The sockets of a program: opened, kept alive and lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DATA_CLOSED, Grant, NORMAL_CLOSE, Output, Program, is_individual};
use crate::model::Medium;
use crate::rtms::message::{MEDIA_TYPE_ALL, stream_state};
use crate::rtms::server::admission::check_duplicates;
use crate::rtms::server::handshake::{Route, requested_media};
use crate::rtms::server::keep_alive::{KeepAlive, KeepAliveTimings, KeepAlives};
use crate::rtms::server::message;
use crate::rtms::server::params::negotiate;
use crate::rtms::server::refusal::Refusal;

/// How long the old connection of a reconnecting program may take to answer a keep-alive.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// A socket with an accepted handshake.
#[derive(Debug)]
pub(super) struct Socket {
    pub id: u64,
    pub keep_alives: KeepAlives,
}

/// A media socket.
#[derive(Debug)]
pub(super) struct MediaSocket {
    pub socket: Socket,
    pub media: Vec<Medium>,
    /// Whether it was opened for all media, with `media_type` 32.
    is_all: bool,
    /// Whether message 7 followed its handshake.
    pub is_ready: bool,
    /// Whether it carries the video of one participant, chosen with message 28.
    pub has_individual_video: bool,
}

impl Socket {
    fn new(id: u64, now: Instant, timings: &KeepAliveTimings) -> Self {
        Self { id, keep_alives: KeepAlives::new(now, timings) }
    }
}

impl Program {
    /// Answers with message 2 and makes this the signaling socket. The sockets of an earlier connection are dropped.
    pub(super) fn open_signaling(
        &mut self,
        now: Instant,
        socket: u64,
        grant: Grant<'_>,
    ) -> Result<(), Refusal> {
        if let Some(signaling) = &mut self.signaling {
            // The old connection of a killed program, or from an earlier network, may look alive for a while. It gets a
            // keep-alive at once, and the program tries again after this refusal (section 3.4).
            if !signaling.keep_alives.is_unresponsive(now, PROBE_LIMIT) {
                signaling.keep_alives.ask_now(now);
                return Err(Refusal::DUPLICATE_SIGNALING);
            }
        }
        self.drop_sockets();
        self.signaling = Some(Socket::new(socket, now, &self.timings));
        self.has_connected = true;
        self.signal(message::signaling_accepted(grant.server_urls));
        // Event 1 needs no subscription (section 7).
        if let Some(first_packet_ms) = grant.first_packet_ms {
            let first = message::EVENT_FIRST_PACKET;
            self.signal(message::event(first, first_packet_ms, json!({})));
        }
        Ok(())
    }

    /// Answers with message 4 and adds the media socket.
    pub(super) fn open_media(
        &mut self,
        now: Instant,
        socket: u64,
        (route, media_type): (Route, i64),
        requested: &Value,
        grant: &Grant<'_>,
    ) -> Result<(), Refusal> {
        // The media URLs are in message 2, so a correct program has had a signaling connection.
        if !self.has_connected {
            return Err(Refusal::STREAM_ID);
        }
        let media = requested_media(route, media_type, grant.media)?;
        let is_all = media_type == i64::from(MEDIA_TYPE_ALL);
        let open = self.media.iter().map(|open| (&*open.media, open.is_all));
        check_duplicates(&media, is_all, open)?;
        // Only checked, because the stream's parameters are fixed. Lenient: a refusal would end the program's join.
        let asked = negotiate(&media, requested, true)?;
        let media_params = (grant.media_params)(&media);
        let asked_individual = is_individual(&serde_json::to_value(asked).unwrap_or_default());
        let has_individual_video = is_individual(&media_params) && asked_individual;
        // Nothing is sent before a subscription on this socket (section 6.19).
        if media.contains(&Medium::Video) && self.video_of.take().is_some() {
            self.outputs.push_back(Output::Video(None));
        }
        let text = message::media_accepted(media_params);
        self.outputs.push_back(Output::Send(socket, text));
        let socket = Socket::new(socket, now, &self.timings);
        let opened = MediaSocket { socket, media, is_all, is_ready: false, has_individual_video };
        self.media.push(opened);
        Ok(())
    }

    /// Whether a socket carries only the video that the program chooses with message 28.
    pub(crate) fn has_individual_video(&self, socket: u64) -> bool {
        let mut media = self.media.iter();
        media.any(|media| media.socket.id == socket && media.has_individual_video)
    }

    /// Drops every connection without a Close frame, so that the program connects again.
    pub(crate) fn drop_sockets(&mut self) {
        for socket in self.sockets().map(|socket| socket.id).collect::<Vec<_>>() {
            self.outputs.push_back(Output::Drop(socket));
        }
        (self.signaling, self.media) = (None, Vec::new());
    }

    /// Handles the end of a socket: `code` is that of the program's Close frame, if it sent one.
    pub(crate) fn lost(&mut self, now_ms: i64, socket: u64, code: Option<u16>) {
        if self.signaling.take_if(|signaling| signaling.id == socket).is_some() {
            self.signaling_lost(code == Some(NORMAL_CLOSE));
        } else if self.media.extract_if(.., |media| media.socket.id == socket).count() > 0 {
            self.media_lost(now_ms);
        }
    }

    /// The media sockets stay open, but media flow only after another handshake and message 7.
    fn signaling_lost(&mut self, is_wanted: bool) {
        for media in self.media.iter_mut().filter(|media| media.is_ready) {
            media.is_ready = false;
            self.outputs.push_back(Output::Hold(media.socket.id));
        }
        if !is_wanted {
            self.outputs.push_back(Output::Interrupted);
        }
    }

    fn media_lost(&mut self, now_ms: i64) {
        let interrupted = message::EVENT_MEDIA_INTERRUPTED;
        self.signal(message::event(interrupted, now_ms, json!({})));
        let state = stream_state::INTERRUPTED.unsigned_abs();
        self.signal(message::stream_state(&self.stream, state, DATA_CLOSED, now_ms));
    }

    /// Sends the keep-alives that are due, and drops the sockets of a program that does not answer them.
    pub(crate) fn advance(&mut self, now: Instant, now_ms: i64) {
        let timings = self.timings;
        let mut dead = Vec::new();
        let mut requests = Vec::new();
        for socket in self.sockets() {
            match socket.keep_alives.check(now, now_ms, &timings) {
                KeepAlive::NotDue => {}
                KeepAlive::Send(text) => requests.push(Output::Send(socket.id, text)),
                KeepAlive::Unanswered => dead.push(socket.id),
            }
        }
        self.outputs.extend(requests);
        for socket in dead {
            // Without a Close frame: after one, Zoom's own client would not reconnect (section 22).
            self.outputs.push_back(Output::Drop(socket));
            self.lost(now_ms, socket, None);
        }
    }

    /// Makes a keep-alive due on a socket, unless one is unanswered. The answer acknowledges everything that was sent
    /// before it.
    pub(crate) fn ask(&mut self, now: Instant, socket: u64) {
        let asked = self.sockets().find(|other| other.id == socket);
        if let Some(asked) = asked.filter(|socket| !socket.keep_alives.is_waiting()) {
            asked.keep_alives.ask_now(now);
        }
    }

    /// When [`Self::advance`] next has something to do.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        self.sockets().map(|socket| socket.keep_alives.next_at()).min()
    }

    pub(super) fn sockets(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.signaling.iter_mut().chain(self.media.iter_mut().map(|media| &mut media.socket))
    }
}

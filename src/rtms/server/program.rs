//! One program's view of a stream that a relay serves: its sockets, its event subscriptions and the states that it was
//! sent (rtms-protocol.md sections 3 to 7). Time is an argument; what is to be sent comes out as [`Output`].
//!
//! Unlike Zoom, it lets a program come back after an absence of any length.

mod sockets;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::handshake::{Handshake, HandshakeKind};
use super::keep_alive::KeepAliveTimings;
use super::message;
use super::params::VIDEO_INDIVIDUAL;
use super::refusal::Refusal;
use super::request::Request;
use crate::model::Medium;
use crate::rtms::message::{msg_type, session_state, stream_state};
use sockets::{MediaSocket, Socket};

/// The stop reason when a program asks for the end of its stream (section 10.6).
const RECEIVER_CLOSED: u16 = 20;
/// The reason of a lost media socket (section 10.6).
const DATA_CLOSED: u16 = 16;
/// The Close code with which a program leaves the stream (section 22).
const NORMAL_CLOSE: u16 = 1000;
/// The most event types that a program may subscribe to. Zoom has about twenty.
const MAX_SUBSCRIPTIONS: usize = 256;
/// The most sessions inside a stream with a stored state.
const MAX_SESSIONS: usize = 64;

/// What the owner of the program's sockets must do.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    Send(u64, String),
    /// Media may be sent on this socket from now on.
    Flow(u64),
    /// No media may be sent on this socket until it flows again.
    Hold(u64),
    /// Closes a socket after what was sent on it.
    Close(u64),
    /// Closes a socket that the program does not close by itself within a moment.
    CloseLater(u64),
    /// Ends the TCP connection without a Close frame, after which Zoom's own client reconnects (section 22).
    Drop(u64),
    /// The program subscribed to these event types: it expects the present state.
    Subscribed(Vec<u64>),
    /// The participant that the program wants as individual video.
    Video(Option<u32>),
    /// The signaling socket was lost without a normal close by the program.
    Interrupted,
    /// The program asked for the end of its stream.
    Left,
}

/// What a handshake can be granted.
pub(crate) struct Grant<'a> {
    /// Whether the signature is right and names the stream's conversation.
    pub is_signed: bool,
    /// The media that the program may have.
    pub media: &'a [Medium],
    /// The URLs of message 2.
    pub server_urls: Map<String, Value>,
    /// The time of the first packet, Unix milliseconds.
    pub first_packet_ms: Option<i64>,
    /// The effective parameters of the media (section 6.4).
    pub media_params: &'a dyn Fn(&[Medium]) -> Value,
}

/// One program's stream.
#[derive(Debug)]
pub(crate) struct Program {
    stream: String,
    timings: KeepAliveTimings,
    signaling: Option<Socket>,
    media: Vec<MediaSocket>,
    /// Subscribed event types. They survive a reconnect: Zoom's own client subscribes only once (section 22).
    subscriptions: BTreeSet<u64>,
    has_connected: bool,
    /// Whether media ever flowed.
    is_started: bool,
    is_paused: bool,
    /// The states of the sessions inside the stream (section 10.4).
    sessions: BTreeMap<String, i64>,
    video_of: Option<u32>,
    has_ended: bool,
    outputs: VecDeque<Output>,
}

impl Program {
    pub(crate) fn new(stream: &str, timings: KeepAliveTimings) -> Self {
        Self {
            stream: stream.to_owned(),
            timings,
            signaling: None,
            media: Vec::new(),
            subscriptions: BTreeSet::new(),
            has_connected: false,
            is_started: false,
            is_paused: false,
            sessions: BTreeMap::new(),
            video_of: None,
            has_ended: false,
            outputs: VecDeque::new(),
        }
    }

    /// Continues where the program was: its subscriptions, and whether it asked for the end of its stream.
    pub(crate) fn resume(&mut self, subscriptions: &[u64], has_left: bool) {
        self.subscriptions.extend(subscriptions);
        self.has_ended = has_left;
    }

    /// The next output for the owner of the sockets.
    pub(crate) fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.signaling.is_some()
    }

    /// Whether media flow on at least one socket.
    pub(crate) fn is_flowing(&self) -> bool {
        self.media.iter().any(|socket| socket.is_ready)
    }

    /// Whether a medium flows on a socket.
    pub(crate) fn flows(&self, medium: Medium) -> bool {
        self.media.iter().any(|socket| socket.is_ready && socket.media.contains(&medium))
    }

    /// The subscribed event types, in ascending order.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = u64> {
        self.subscriptions.iter().copied()
    }

    /// The participant whose video the program chose with message 28.
    pub(crate) fn video_of(&self) -> Option<u32> {
        self.video_of
    }

    /// The media that a socket carries.
    pub(crate) fn media_of(&self, socket: u64) -> &[Medium] {
        let found = self.media.iter().find(|media| media.socket.id == socket);
        found.map_or(&[], |media| &media.media)
    }

    /// Accepts or refuses the first message of a socket.
    pub(crate) fn handshake(
        &mut self,
        now: Instant,
        socket: u64,
        handshake: &Handshake,
        grant: Grant<'_>,
    ) {
        let accepted = match &handshake.kind {
            _ if !grant.is_signed => Err(Refusal::SIGNATURE),
            // The program asked for the end, so for it there is no such stream.
            _ if self.has_ended => Err(Refusal::STREAM_ID),
            HandshakeKind::Signaling { .. } => self.open_signaling(now, socket, grant),
            HandshakeKind::Media { media_type, media_params } => {
                self.open_media(now, socket, (handshake.route, *media_type), media_params, &grant)
            }
        };
        if let Err(refusal) = accepted {
            let text = message::handshake_refused(handshake.answer, refusal);
            self.outputs.push_back(Output::Send(socket, text));
            self.outputs.push_back(Output::Close(socket));
        }
    }

    /// Handles a message that follows the handshake. Unknown and malformed messages are ignored.
    pub(crate) fn message(&mut self, now: Instant, now_ms: i64, socket: u64, text: &str) {
        let Ok(request) = Request::parse(text) else { return };
        if let Request::KeepAliveAnswer { timestamp } = &request {
            if let Some(socket) = self.sockets().find(|other| other.id == socket) {
                socket.keep_alives.answered(now, timestamp.as_i64());
            }
        } else if self.signaling.as_ref().is_some_and(|signaling| signaling.id == socket) {
            self.request(now_ms, request);
        }
    }

    fn request(&mut self, now_ms: i64, request: Request) {
        match request {
            Request::Handshake => {
                let answer = msg_type::SIGNALING_HAND_SHAKE_RESP;
                self.signal(message::handshake_refused(answer, Refusal::DUPLICATE_SIGNALING));
            }
            Request::Subscribe { events, .. } => self.subscribe(&events),
            Request::Ready { stream } if stream == *self.stream => self.ready(now_ms),
            Request::SessionState { session } => {
                let state = self.sessions.get(&session).map(|state| state.unsigned_abs());
                self.signal(message::session_state_answer(&session, state, now_ms));
            }
            Request::StreamState => {
                let state = self.state().unsigned_abs();
                self.signal(message::stream_state_answer(&self.stream, state, now_ms));
            }
            Request::Close { stream } => self.close(&stream, now_ms),
            Request::Video { user_id, subscribe } => {
                let refusal = self.choose_video(&user_id, subscribe).err();
                self.signal(message::video_answer(&user_id, refusal, now_ms));
            }
            Request::Ready { .. } | Request::KeepAliveAnswer { .. } | Request::Unknown(_) => {}
        }
    }

    fn subscribe(&mut self, events: &[(u64, bool)]) {
        let mut wanted = Vec::new();
        for (event_type, is_wanted) in events {
            if *is_wanted && self.subscriptions.len() < MAX_SUBSCRIPTIONS {
                self.subscriptions.insert(*event_type);
                wanted.push(*event_type);
            } else if !*is_wanted {
                self.subscriptions.remove(event_type);
            }
        }
        if !wanted.is_empty() {
            self.outputs.push_back(Output::Subscribed(wanted));
        }
    }

    /// Message 7: media may flow on every media socket. States 9 and 8 follow.
    fn ready(&mut self, now_ms: i64) {
        let mut opened = false;
        for media in self.media.iter_mut().filter(|media| !media.is_ready) {
            media.is_ready = true;
            opened = true;
            self.outputs.push_back(Output::Flow(media.socket.id));
        }
        // A repeated 7 changes nothing. Programs send one after each media handshake (section 3.3).
        if !opened {
            return;
        }
        if !self.is_started {
            self.is_started = true;
            for (session, state) in self.sessions.clone() {
                self.signal(message::session_state(&session, state.unsigned_abs(), None, now_ms));
            }
        }
        let state = self.state().unsigned_abs();
        self.signal(message::stream_state(&self.stream, state, 0, now_ms));
    }

    fn state(&self) -> i64 {
        match () {
            () if self.has_ended => stream_state::TERMINATED,
            () if !self.is_started => stream_state::INACTIVE,
            () if self.is_paused => stream_state::PAUSED,
            () if self.is_flowing() => stream_state::ACTIVE,
            () => stream_state::INTERRUPTED,
        }
    }

    /// Message 21: ends the stream for this program alone (section 3.7).
    fn close(&mut self, stream: &Value, now_ms: i64) {
        let refusal = (*stream != *self.stream).then_some(Refusal::STREAM_ID);
        self.signal(message::close_answer(&self.stream, refusal, now_ms));
        if refusal.is_none() {
            self.end(RECEIVER_CLOSED, now_ms);
            self.outputs.push_back(Output::Left);
        }
    }

    fn choose_video(&mut self, user_id: &Value, subscribe: Option<bool>) -> Result<(), Refusal> {
        if !self.media.iter().any(|media| media.has_individual_video) {
            return Err(Refusal::VIDEO_DATA_OPT);
        }
        let user_id = user_id.as_u64().and_then(|id| u32::try_from(id).ok());
        let user_id = user_id.filter(|id| *id > 0).ok_or(Refusal::PAYLOAD)?;
        let wanted = match (subscribe.ok_or(Refusal::PAYLOAD)?, self.video_of == Some(user_id)) {
            (true, true) => return Err(Refusal::DUPLICATE_VIDEO),
            (true, false) => Some(user_id),
            (false, true) => None,
            (false, false) => return Ok(()),
        };
        self.video_of = wanted;
        self.outputs.push_back(Output::Video(wanted));
        Ok(())
    }

    /// Ends the individual video of a participant when the camera goes off, until the program subscribes again
    /// (section 6.19).
    pub(crate) fn camera_off(&mut self, user_id: u64) {
        if self.video_of.take_if(|chosen| u64::from(*chosen) == user_id).is_some() {
            self.outputs.push_back(Output::Video(None));
        }
    }

    /// Sends an event (section 7), if the program subscribed to its type or every program gets it.
    pub(crate) fn event(&mut self, event_type: u64, event: impl FnOnce() -> String) {
        let is_automatic = event_type == message::EVENT_FIRST_PACKET;
        if is_automatic || self.subscriptions.contains(&event_type) {
            self.signal(event());
        }
    }

    /// The stream was paused or resumed, or ends soon (section 10.5).
    pub(crate) fn stream_state(&mut self, state: i64, reason: u16, at_ms: i64) {
        match state {
            stream_state::PAUSED => self.is_paused = true,
            stream_state::RESUMED | stream_state::ACTIVE => self.is_paused = false,
            _ => {}
        }
        if self.is_started {
            let state = state.unsigned_abs();
            self.signal(message::stream_state(&self.stream, state, reason, at_ms));
        }
    }

    /// The state of a session inside the stream (section 10.4). `is_news` is false for a state from before the program
    /// connected.
    pub(crate) fn session_state(
        &mut self,
        session: &str,
        state: i64,
        reason: Option<u16>,
        (at_ms, is_news): (i64, bool),
    ) {
        let is_known = self.sessions.contains_key(session);
        if is_known || self.sessions.len() < MAX_SESSIONS {
            self.sessions.insert(session.to_owned(), state);
        }
        if is_news && self.is_started {
            self.signal(message::session_state(session, state.unsigned_abs(), reason, at_ms));
        }
    }

    /// Ends the stream: sends the last states and closes the sockets after what was sent on them. Zoom's own client takes
    /// a media socket that is closed before state 4 arrives for a loss, so media sockets close later.
    pub(crate) fn end(&mut self, stop_reason: u16, now_ms: i64) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        for (session, state) in std::mem::take(&mut self.sessions) {
            if state != session_state::STOPPED {
                let stopped = session_state::STOPPED.unsigned_abs();
                let reason = Some(stop_reason);
                self.signal(message::session_state(&session, stopped, reason, now_ms));
            }
        }
        // Last, because Zoom's own client closes everything when it arrives (section 22).
        let terminated = stream_state::TERMINATED.unsigned_abs();
        self.signal(message::stream_state(&self.stream, terminated, stop_reason, now_ms));
        let signaling = self.signaling.take();
        self.outputs.extend(signaling.map(|socket| Output::Close(socket.id)));
        let media = std::mem::take(&mut self.media);
        self.outputs.extend(media.iter().map(|media| Output::CloseLater(media.socket.id)));
    }

    /// Sends a message on signaling, if it is connected.
    fn signal(&mut self, text: String) {
        if let Some(signaling) = &self.signaling {
            self.outputs.push_back(Output::Send(signaling.id, text));
        }
    }
}

/// Whether the parameters are those of individual video (section 6.19).
fn is_individual(media_params: &Value) -> bool {
    media_params["video"]["data_opt"] == json!(VIDEO_INDIVIDUAL)
}

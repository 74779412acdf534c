//! One RTMS stream as Zoom holds it: its links, windows and states. Signaling, media and
//! what is done to it on purpose are in the folder.

mod actions;
mod handshake_faults;
mod loss;
mod media;
mod pictures;
mod signaling;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::control::ControlError;
use super::event::{self, Event};
use super::frame_log::FrameLog;
use super::handshake::{Handshake, HandshakeKind};
use super::link::Link;
use super::meeting::Input;
use super::quirk::Quirk;
use super::report::StreamReport;
use super::shared::{MeetingState, Shared};
use super::socket::Outbox;
use super::status::Refusal;
use super::{lock, wire};
use crate::rtms::message::{Medium, msg_type};
use loss::MediaLoss;
use media::{Admission, MediaLink, MediaProgress};

/// Stop reasons of section 10.6 that the server decides on.
mod reason {
    pub(super) const CONNECTION_TIMEOUT: u16 = 11;
    pub(super) const SIGNAL_INTERRUPTED: u16 = 13;
    pub(super) const DATA_INTERRUPTED: u16 = 14;
    pub(super) const SIGNAL_CLOSED: u16 = 15;
    pub(super) const DATA_CLOSED: u16 = 16;
    pub(super) const AWAIT_RECONNECTION_TIMEOUT: u16 = 19;
    pub(super) const RECEIVER_CLOSED: u16 = 20;
    pub(super) const KEEP_ALIVE_TIMEOUT: u16 = 24;
}

/// A WebSocket Close 1000 by the client is its way of leaving (section 22).
const NORMAL_CLOSE: u16 = 1000;

/// Something is missing; when it is not back in time, the stream ends with this reason.
struct Window {
    ends_at: Instant,
    reason: u16,
}

/// The media of a link that was lost and is not back.
struct MissingMedia {
    media: Vec<Medium>,
    how: MediaLoss,
    window: Window,
}

/// Links whose TCP connection is gone, which the server still takes for alive.
struct Zombie {
    /// The media of a media link; nothing for signaling.
    media: Vec<Medium>,
    until: Instant,
}

/// A handshake that was found right.
enum Admitted {
    Signaling { buffer_data: bool },
    Media(Box<Admission>),
}

pub(super) struct Stream {
    shared: Arc<Shared>,
    id: String,
    session_id: String,
    /// The Zoom user on whose behalf the app runs.
    operator_id: String,
    /// The number of the server that has the stream; failing over counts it up.
    server: u32,
    announcement: Event,
    signaling: Option<Link>,
    media: Vec<MediaLink>,
    signaling_window: Option<Window>,
    media_windows: Vec<MissingMedia>,
    zombies: Vec<Zombie>,
    /// Kept over a reconnect: Zoom's own client subscribes once (section 22).
    subscriptions: BTreeSet<u64>,
    has_connected: bool,
    /// The first CLIENT_READY_ACK came: the session is started.
    is_started: bool,
    is_paused: bool,
    progress: MediaProgress,
    ended: Option<u16>,
    /// Sockets that were refused, or not answered, and are left open.
    idle_sockets: VecDeque<Outbox>,
    report: Arc<Mutex<StreamReport>>,
    frame_log: Option<Arc<Mutex<FrameLog>>>,
}

impl Stream {
    /// A new stream on behalf of `operator_id`, told to the webhook endpoint; `ids` are those of the stream
    /// and its session.
    pub(super) fn announce(
        shared: Arc<Shared>,
        inbox: mpsc::Sender<Input>,
        ids: (String, String),
        operator_id: String,
    ) -> Result<Self, ControlError> {
        let now = Instant::now();
        let (id, session_id) = ids;
        let report = shared.state.directory.add_stream(
            StreamReport {
                meeting_id: shared.identity.meeting_id.clone(),
                instance_id: shared.identity.instance_id.clone(),
                stream_id: id.clone(),
                announced_ms: shared.wire_now(now),
                ..StreamReport::default()
            },
            inbox,
        )?;
        let remembers_frames = shared.settings().remembers_frames;
        let frame_log = remembers_frames.then(|| shared.state.directory.add_frame_log(&id));
        let progress = MediaProgress::new(shared.clock.ms(now));
        let announcement = build_announcement(&shared, &id, &operator_id, 1, now);
        let mut stream = Self {
            shared,
            id,
            session_id,
            operator_id,
            server: 1,
            announcement,
            signaling: None,
            media: Vec::new(),
            signaling_window: None,
            media_windows: Vec::new(),
            zombies: Vec::new(),
            subscriptions: BTreeSet::new(),
            has_connected: false,
            is_started: false,
            is_paused: false,
            progress,
            ended: None,
            idle_sockets: VecDeque::new(),
            report,
            frame_log,
        };
        if !stream.shared.quirks.has(Quirk::StopBeforeStart) {
            stream.shared.send_webhook(stream.announcement.clone());
        }
        stream.open_signaling_window(now, reason::CONNECTION_TIMEOUT);
        Ok(stream)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// A socket's first message.
    pub(super) fn handle_handshake(
        &mut self,
        now: Instant,
        socket: u64,
        handshake: Handshake,
        outbox: Outbox,
    ) {
        self.zombies.retain(|zombie| zombie.until > now);
        self.expire_dead_links(now);
        let Some(outbox) = self.apply_fault(&handshake, outbox) else { return };
        match self.check_handshake(&handshake) {
            Ok(Admitted::Signaling { buffer_data }) => {
                self.accept_signaling(now, self.link(now, socket, outbox), buffer_data);
            }
            Ok(Admitted::Media(admission)) => {
                self.accept_media(self.link(now, socket, outbox), *admission);
            }
            Err(refusal) => {
                self.report().refused(refusal);
                outbox.send(wire::handshake_refused(handshake.answer, refusal));
                self.after_refusal(outbox);
            }
        }
    }

    fn check_handshake(&mut self, handshake: &Handshake) -> Result<Admitted, Refusal> {
        self.authenticate(handshake)?;
        match &handshake.kind {
            HandshakeKind::Signaling { buffer_data } => {
                self.check_signaling()?;
                Ok(Admitted::Signaling { buffer_data: *buffer_data })
            }
            HandshakeKind::Media { media_type, media_params } => self
                .check_media(handshake.route, *media_type, media_params)
                .map(|admission| Admitted::Media(admission.into())),
        }
    }

    /// What every handshake must get right: refusals 2 and 3.
    fn authenticate(&self, handshake: &Handshake) -> Result<(), Refusal> {
        let stale =
            matches!(handshake.route, super::socket::Route::Signaling(n) if n != self.server);
        if stale || handshake.instance_id != self.shared.identity.instance_id {
            return Err(Refusal::STREAM_ID);
        }
        let settings = self.shared.settings();
        let expected = super::signature::handshake(
            &settings.client_id,
            settings.client_secret.expose(),
            &handshake.instance_id,
            &self.id,
        );
        if handshake.signature == expected { Ok(()) } else { Err(Refusal::SIGNATURE) }
    }

    /// A later message of a socket.
    pub(super) fn handle_text(
        &mut self,
        now: Instant,
        socket: u64,
        text: &str,
        meeting: &MeetingState,
    ) {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(msg_type) = message["msg_type"].as_u64() else {
            self.report().breach("a message that is no JSON object with a msg_type".to_owned());
            return;
        };
        if msg_type == u64::from(msg_type::KEEP_ALIVE_RESP) {
            self.keep_alive_answered(now, socket, &message);
        } else if self.signaling.as_ref().is_some_and(|link| link.socket == socket) {
            self.signaling_message(now, msg_type, &message, meeting);
        } else if self.media.iter().any(|link| link.link.socket == socket) {
            self.report().breach(format!("message {msg_type} on a media socket"));
        }
    }

    fn keep_alive_answered(&mut self, now: Instant, socket: u64, message: &Value) {
        let timestamp_ms = self.echoed_ms(message);
        let Some(link) = self.links().find(|link| link.socket == socket) else { return };
        let took = link.answered(now, timestamp_ms);
        let mut report = self.report();
        match took {
            Some(took) => report.keep_alives.answered_after(took),
            None => report.breach("a keep-alive answered with another timestamp".to_owned()),
        }
    }

    /// A client gives back what it was given, be it a text.
    fn echoed_ms(&self, message: &Value) -> Option<i64> {
        let timestamp = &message["timestamp"];
        match timestamp.as_str().filter(|_| self.shared.quirks.has(Quirk::TextTimestamps)) {
            Some(text) => text.parse().ok(),
            None => timestamp.as_i64(),
        }
    }

    /// Everything that is due: keep-alives, windows, media.
    pub(super) fn advance(&mut self, now: Instant, meeting: &MeetingState) {
        self.check_signaling_keep_alive(now);
        self.check_media_keep_alives(now);
        let windows = self.media_windows.iter().map(|missing| &missing.window);
        let passed = windows.chain(&self.signaling_window).find(|window| window.ends_at <= now);
        if let Some(reason) = passed.map(|window| window.reason) {
            self.end(now, reason, meeting);
            return;
        }
        if self.is_flowing() {
            self.send_media(now, meeting);
        }
    }

    /// When `advance` has something to do next.
    pub(super) fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let keep_alives = self.signaling.iter().chain(self.media.iter().map(|m| &m.link));
        let windows = self.media_windows.iter().map(|missing| &missing.window);
        let progress = if self.is_flowing() { self.media_deadline() } else { None };
        keep_alives
            .map(Link::next_keep_alive_at)
            .chain(windows.chain(&self.signaling_window).map(|window| window.ends_at))
            .chain(progress)
            .fold(far, Instant::min)
    }

    /// Ends the stream: everybody is told, sockets close, the webhook goes out.
    pub(super) fn end(&mut self, now: Instant, stop_reason: u16, meeting: &MeetingState) {
        if self.ended.replace(stop_reason).is_some() {
            return;
        }
        let now_ms = self.shared.wire_now(now);
        self.send_state(now, wire::STREAM_TERMINATING, stop_reason);
        let everybody: Vec<usize> = meeting.present.iter().copied().collect();
        self.send_presence(now, &everybody, false);
        self.send_signaling(wire::session_state(
            &self.session_id,
            wire::SESSION_STOPPED,
            Some(stop_reason),
            now_ms,
        ));
        if !self.shared.quirks.has(Quirk::NoTerminatedState) {
            self.send_state(now, wire::STREAM_TERMINATED, stop_reason);
        }
        self.signaling = None;
        self.media.clear();
        self.report().stop_reason = Some(stop_reason);
        let stopped = event::rtms_stopped(&self.shared.identity, &self.id, stop_reason, now_ms);
        self.shared.send_webhook(stopped);
        if self.shared.quirks.has(Quirk::StopBeforeStart) {
            self.shared.send_webhook(self.announcement.clone());
        }
    }

    fn link(&self, now: Instant, socket: u64, outbox: Outbox) -> Link {
        Link::new(socket, outbox, now, &self.shared.settings().timings)
    }

    fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.signaling.iter_mut().chain(self.media.iter_mut().map(|media| &mut media.link))
    }

    fn report(&self) -> MutexGuard<'_, StreamReport> {
        lock(&self.report)
    }

    fn is_flowing(&self) -> bool {
        self.signaling.is_some() && !self.is_paused
    }

    /// The state of section 10.5 that the stream is in.
    fn current_state(&self) -> u64 {
        if self.ended.is_some() {
            wire::STREAM_TERMINATED
        } else if !self.is_started {
            wire::STREAM_INACTIVE
        } else if self.signaling.is_none() || !self.media_windows.is_empty() {
            wire::STREAM_INTERRUPTED
        } else if self.is_paused {
            wire::STREAM_PAUSED
        } else {
            wire::STREAM_ACTIVE
        }
    }

    /// Sends a text on signaling. A client that does not read it loses the link at its next keep-alive.
    fn send_signaling(&self, text: String) {
        if let Some(link) = &self.signaling {
            link.outbox.send(text);
        }
    }

    fn send_state(&self, now: Instant, state: u64, reason: u16) {
        self.send_signaling(wire::stream_state(&self.id, state, reason, self.shared.wire_now(now)));
    }

    fn open_signaling_window(&mut self, now: Instant, reason: u16) {
        let timings = &self.shared.settings().timings;
        let ends_at = now + timings.wait(timings.signaling_window_ms);
        self.signaling_window = Some(Window { ends_at, reason });
    }

    fn open_media_window(&mut self, now: Instant, media: Vec<Medium>, how: MediaLoss) {
        let timings = &self.shared.settings().timings;
        let ends_at = now + timings.wait(timings.media_window_ms);
        let window = Window { ends_at, reason: how.stop_reason() };
        self.media_windows.push(MissingMedia { media, how, window });
    }
}

fn build_announcement(
    shared: &Shared,
    id: &str,
    operator_id: &str,
    server: u32,
    now: Instant,
) -> Event {
    let origin = match shared.quirks.has(Quirk::DeadUrl) {
        true => shared.state.dead_origin(),
        false => shared.state.origin.clone(),
    };
    let url = format!("{origin}/signaling/{server}");
    let of = event::Announced { stream: id, server_urls: &url, operator_id };
    event::rtms_started(&shared.identity, &of, shared.wire_now(now))
}

//! One RTMS stream from Zoom's side: its links, reconnect windows and states.
//!
//! The folder holds signaling, media, the loss of links, and the actions and faults.

mod actions;
mod admission;
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
use super::link::Link;
use super::meeting::Input;
use super::quirk::Quirk;
use super::report::StreamReport;
use super::shared::{MeetingState, Shared};
use super::socket::Outbox;
use super::{lock, wire};
use crate::model::Medium;
use crate::rtms::server::request::Request;
use loss::MediaLoss;
use media::{MediaLink, MediaProgress};

/// The stop reasons (section 10.6) that the server itself decides on.
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

/// The Close code with which a client leaves the stream (section 22).
const NORMAL_CLOSE: u16 = 1000;

/// A reconnect window. If the link is not back when it ends, the stream ends with this reason.
struct Window {
    ends_at: Instant,
    reason: u16,
}

/// The media of a lost link that has not come back.
struct MissingMedia {
    media: Vec<Medium>,
    how: MediaLoss,
    window: Window,
}

/// A link that has lost its TCP connection but that the server still considers alive (section 3.4).
struct Zombie {
    /// The media of a media link; empty for signaling.
    media: Vec<Medium>,
    until: Instant,
}

/// A live stream. The meeting's task owns it, so nothing in it is shared but the report and the frame log.
pub(super) struct Stream {
    shared: Arc<Shared>,
    id: String,
    session_id: String,
    /// The Zoom user who runs the app.
    operator_id: String,
    /// The number of the server that hosts the stream. A failover increments it.
    server: u32,
    /// The last `rtms_started`, kept for `repeat_announcement`.
    announcement: Event,
    signaling: Option<Link>,
    media: Vec<MediaLink>,
    signaling_window: Option<Window>,
    media_windows: Vec<MissingMedia>,
    zombies: Vec<Zombie>,
    /// Since when the media of a started stream have had no client.
    absent_since: Option<Instant>,
    /// Subscribed event types. They survive a reconnect: Zoom's own client subscribes only once (section 22).
    subscriptions: BTreeSet<u64>,
    /// Whether there ever was a signaling connection.
    has_connected: bool,
    /// Whether a CLIENT_READY_ACK has arrived, which starts the session.
    is_started: bool,
    is_paused: bool,
    progress: MediaProgress,
    /// The stop reason of an ended stream.
    ended: Option<u16>,
    /// Sockets that stay open after a refusal or a silent handshake. Dropping their outboxes closes them.
    idle_sockets: VecDeque<Outbox>,
    report: Arc<Mutex<StreamReport>>,
    frame_log: Option<Arc<Mutex<FrameLog>>>,
}

impl Stream {
    /// Starts a stream on behalf of `operator_id` and announces it with `rtms_started`. `ids` are the ids of the
    /// stream and of its session.
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
                client_id: shared.app.settings.client_id.clone(),
                operator_id: operator_id.clone(),
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
            absent_since: None,
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
        // A stream that no client joins has a stop reason of its own, 11 (section 10.6).
        stream.open_signaling_window(now, reason::CONNECTION_TIMEOUT);
        Ok(stream)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// Handles a message that follows the handshake.
    pub(super) fn handle_text(
        &mut self,
        now: Instant,
        socket: u64,
        text: &str,
        meeting: &MeetingState,
    ) {
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(problem) => return self.report().breach(problem.to_owned()),
        };
        // The only message that is legal on both kinds of socket (section 6.11).
        if let Request::KeepAliveAnswer { timestamp } = &request {
            self.keep_alive_answered(now, socket, timestamp);
        } else if self.signaling.as_ref().is_some_and(|link| link.socket == socket) {
            self.signaling_request(now, request, meeting);
        } else if self.media.iter().any(|link| link.link.socket == socket) {
            self.report().breach("a signaling message on a media socket".to_owned());
        }
        // Otherwise the server has just given this socket up, and its remaining messages are ignored.
    }

    fn keep_alive_answered(&mut self, now: Instant, socket: u64, timestamp: &Value) {
        let timestamp_ms = self.echoed_ms(timestamp);
        let Some(link) = self.links().find(|link| link.socket == socket) else { return };
        let took = link.answered(now, timestamp_ms);
        let mut report = self.report();
        match took {
            Some(took) => report.keep_alives.answered_after(took),
            None => report.breach("a keep-alive answered with another timestamp".to_owned()),
        }
    }

    /// The timestamp in a keep-alive answer. With the quirk `text_timestamps` the client echoes a string.
    fn echoed_ms(&self, timestamp: &Value) -> Option<i64> {
        match timestamp.as_str().filter(|_| self.shared.quirks.has(Quirk::TextTimestamps)) {
            Some(text) => text.parse().ok(),
            None => timestamp.as_i64(),
        }
    }

    /// Does everything that is due: keep-alives, expired windows, media.
    pub(super) fn advance(&mut self, now: Instant, meeting: &MeetingState) {
        self.check_signaling_keep_alive(now);
        self.check_media_keep_alives(now);
        // After the keep-alives, which may just have opened a window; before media, which an ended stream does not
        // send.
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

    /// When `advance` next has something to do.
    pub(super) fn deadline(&self) -> Instant {
        // Between signaling and media there may be nothing to wait for but a message.
        let far = Instant::now() + Duration::from_secs(3600);
        let keep_alives = self.signaling.iter().chain(self.media.iter().map(|m| &m.link));
        let windows = self.media_windows.iter().map(|missing| &missing.window);
        let next_frame = if self.is_flowing() { self.media_deadline() } else { None };
        keep_alives
            .filter_map(Link::next_keep_alive_at)
            .chain(windows.chain(&self.signaling_window).map(|window| window.ends_at))
            .chain(next_frame)
            .fold(far, Instant::min)
    }

    /// Ends the stream: sends the final states, closes the sockets and sends `rtms_stopped`.
    pub(super) fn end(&mut self, now: Instant, stop_reason: u16, meeting: &MeetingState) {
        // Several causes can coincide, such as an expired window and the end of the script. The first one counts.
        if self.ended.replace(stop_reason).is_some() {
            return;
        }
        let now_ms = self.shared.wire_now(now);
        // State 4 comes last, because Zoom's own client closes everything when it arrives (section 22).
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
        // Dropping the outboxes closes the sockets after what is queued.
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

    /// Whether media may be sent: only while signaling is connected and the stream is not paused.
    fn is_flowing(&self) -> bool {
        self.signaling.is_some() && !self.is_paused
    }

    /// The stream's current state (section 10.5).
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

    /// Sends a message on signaling, if it is connected. If the queue is full, the message is lost, and the next
    /// keep-alive check drops the link.
    fn send_signaling(&self, text: String) {
        if let Some(link) = &self.signaling {
            link.outbox.send(text);
        }
    }

    /// Sends a STREAM_STATE_UPDATE (message 8).
    fn send_state(&self, now: Instant, state: u64, reason: u16) {
        self.send_signaling(wire::stream_state(&self.id, state, reason, self.shared.wire_now(now)));
    }

    fn open_signaling_window(&mut self, now: Instant, reason: u16) {
        let timings = &self.shared.settings().timings;
        let ends_at = now + timings.wait(timings.signaling_window_ms);
        self.signaling_window = Some(Window { ends_at, reason });
    }

    /// Notes that media find no client from now on.
    fn absent(&mut self, now: Instant) {
        if self.is_started {
            self.absent_since.get_or_insert(now);
        }
    }

    fn open_media_window(&mut self, now: Instant, media: Vec<Medium>, how: MediaLoss) {
        self.absent(now);
        let timings = &self.shared.settings().timings;
        let ends_at = now + timings.wait(timings.media_window_ms);
        let window = Window { ends_at, reason: how.stop_reason() };
        self.media_windows.push(MissingMedia { media, how, window });
    }
}

/// The `rtms_started` webhook of a stream on this server.
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

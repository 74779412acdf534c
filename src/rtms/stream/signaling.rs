//! The signaling link of a stream: handshake, events and changes of state (rtms-protocol.md sections 6 and 7).

use std::time::{Duration, Instant};

use super::verdict::{Verdict, verdict};
use super::{End, LinkEvent, LinkId, LossReason, Output, Socket, Stream};
use crate::model::{
    EntryBody, Lost, Outcome, Participant, Product, StopReason, StreamStatus, Unreadable,
};
use crate::rtms::ledger::Change;
use crate::rtms::message::event_type::{CONTACT_CENTER_FIRST, CONTACT_CENTER_LAST};
use crate::rtms::message::{
    Event, EventUpdate, HandshakeAnswer, Message, Outgoing, event_type, msg_type, session_state,
    status, stream_state,
};

/// How long after a server's first "no such stream" to wait for the webhook that moves or ends a live stream.
const MOVE_GRACE: Duration = Duration::from_secs(5);
const CHECK_CREDENTIALS: &str = "; check ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET (for the Video SDK, ZOOM_VIDEO_SDK_KEY \
                                 and ZOOM_VIDEO_SDK_SECRET)";
/// The events subscribed to right after a good handshake. Events 1 and 7 come without a subscription
/// (rtms-protocol.md section 6.5).
const MEETING_EVENTS: [u16; 12] = [
    event_type::ACTIVE_SPEAKER_CHANGE,
    event_type::PARTICIPANT_JOIN,
    event_type::PARTICIPANT_LEAVE,
    event_type::SHARING_START,
    event_type::SHARING_STOP,
    event_type::PARTICIPANT_VIDEO_ON,
    event_type::PARTICIPANT_VIDEO_OFF,
    event_type::CHAT_GROUP_CREATE,
    event_type::CHAT_GROUP_DELETE,
    event_type::CHAT_GROUP_MEMBERS_ADD,
    event_type::CHAT_GROUP_MEMBERS_DELETE,
    event_type::CHAT_GROUP_MEMBER_STATUS_UPDATE,
];
/// The most characters of Zoom's reason for a refusal that are kept for the log.
const MAX_REASON_CHARS: usize = 200;

impl Stream {
    pub(super) fn signaling_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::SignalingAnswer(answer) => self.signaling_answer(now, &answer),
            Message::Event(update) => self.event_update(now, update),
            Message::StreamState { state, reason, at_ms } => {
                self.stream_state(now, state, reason, at_ms);
            }
            Message::SessionState { rtms_session_id, state, reason, at_ms } => {
                let state = session_state::name(state).into();
                self.note(at_ms, EntryBody::SessionState { rtms_session_id, state, reason });
            }
            Message::VideoAnswer { user_id, status_code } => {
                self.video_answer(user_id, status_code);
            }
            Message::Noted => {}
            Message::MediaAnswer(_)
            | Message::Frame(..)
            | Message::Transcript(..)
            | Message::Chat(..)
            | Message::KeepAlive(_)
            | Message::Unknown(_) => self.count_unknown(msg_type::UNDEFINED),
        }
    }

    fn signaling_answer(&mut self, now: Instant, answer: &HandshakeAnswer) {
        if !self.signaling.is_handshaking() {
            return;
        }
        let (id, status) = (LinkId::Signaling, answer.status_code);
        match verdict(status, &answer.reason) {
            Verdict::Accepted if self.is_running() && !answer.has_urls() => {
                self.without_urls(now);
            }
            Verdict::Accepted => self.joined(now, answer),
            // Zoom forgets a stream that it has ended. Its refusal must not replace the reason of the end.
            _ if !self.is_running() => {
                self.lost(now, id, LossReason::Refused(status), Socket::Open)
            }
            Verdict::Retry => self.lost(now, id, LossReason::Refused(status), Socket::Open),
            // This daemon has recorded nothing of the stream yet, so no consumer sees the attempt.
            Verdict::Duplicate if self.is_contested && !self.has_joined => self.leave_to_owner(),
            Verdict::Duplicate => self.lost(now, id, LossReason::Duplicate(status), Socket::Open),
            // A failover announces the new server by webhook, which may come after the old server's refusal.
            Verdict::Final(Outcome::Gone) if self.may_have_moved(now) => {
                self.lost(
                    now,
                    LinkId::Signaling,
                    LossReason::Refused(answer.status_code),
                    Socket::Open,
                );
            }
            Verdict::WithoutMedium => self.refused(Outcome::Refused, "signaling", answer),
            Verdict::Final(outcome) => self.refused(outcome, "signaling", answer),
        }
    }

    /// Handles an acceptance without a readable media URL like an unreadable message: another dial follows
    /// within the window.
    fn without_urls(&mut self, now: Instant) {
        let number = msg_type::SIGNALING_HAND_SHAKE_RESP;
        self.unreadable.add(Unreadable::new(number, Lost::Message, "server_urls"));
        self.lost(now, LinkId::Signaling, LossReason::UnreadableAnswer, Socket::Open);
    }

    pub(super) fn refused(&mut self, outcome: Outcome, link: &str, answer: &HandshakeAnswer) {
        // The text comes from outside and goes into a log line.
        let printable = answer.reason.chars().filter(|c| !c.is_control());
        let reason: String = printable.take(MAX_REASON_CHARS).collect();
        let code = answer.status_code;
        let advice = if code == status::INVALID_SIGNATURE { CHECK_CREDENTIALS } else { "" };
        let detail = format!("{link}: handshake refused with status {code}: {reason}{advice}");
        self.finish(End { outcome, stop_reason: None, detail });
    }

    /// Whether a live stream that its server no longer knows may have moved to another server (rtms-protocol.md
    /// section 3.6, case A): then the webhook with the new URL is on its way.
    pub(super) fn may_have_moved(&mut self, now: Instant) -> bool {
        let gone_at = *self.gone_at.get_or_insert(now + MOVE_GRACE);
        self.was_live && self.is_running() && now < gone_at
    }

    /// Handles accepted signaling: subscribes to the events and dials the media links of this answer. The
    /// subscription is repeated after a reconnect, because Zoom may not keep it (rtms-protocol.md section 20).
    fn joined(&mut self, now: Instant, answer: &HandshakeAnswer) {
        self.signaling.accepted(now, &self.setup.timings);
        self.has_joined = true;
        self.gone_at = None;
        self.link_events.push(LinkEvent::Up(LinkId::Signaling));
        self.note(None, EntryBody::LinkUp { link: LinkId::Signaling.as_str().into() });
        if !self.is_running() {
            return;
        }
        self.send(LinkId::Signaling, Outgoing::Subscribe(self.wanted_events()));
        self.dial_media(now, answer);
    }

    fn wanted_events(&self) -> Vec<u16> {
        let common = MEETING_EVENTS.into_iter().filter(|event| *event < CONTACT_CENTER_FIRST);
        match self.setup.instance.product {
            Product::ContactCenter => {
                common.chain(CONTACT_CENTER_FIRST..=CONTACT_CENTER_LAST).collect()
            }
            // Its own events are not published (rtms-protocol.md section 23.3).
            Product::Phone => common.collect(),
            Product::Meeting | Product::Webinar | Product::VideoSdk => MEETING_EVENTS.to_vec(),
        }
    }

    fn is_contact_center(&self) -> bool {
        self.setup.instance.product == Product::ContactCenter
    }

    fn stream_state(
        &mut self,
        now: Instant,
        state: i64,
        reason: Option<StopReason>,
        at_ms: Option<i64>,
    ) {
        let name = stream_state::name(state).into();
        self.note(at_ms, EntryBody::StreamState { state: name, reason });
        match state {
            stream_state::ACTIVE | stream_state::RESUMED => {
                // RESUMED counts as ACTIVE (rtms-protocol.md section 3.5).
                (self.paused, self.is_terminating) = (false, false);
                self.account(Change::Resumed { at_ms });
            }
            stream_state::PAUSED => {
                self.paused = true;
                self.account(Change::Paused { at_ms });
            }
            // Only a warning: media may still flow (rtms-protocol.md section 3.8).
            stream_state::TERMINATING => self.is_terminating = true,
            stream_state::TERMINATED => self.ended_by_zoom(now, reason),
            stream_state::INTERRUPTED => match reason {
                Some(reason) if reason.is_loss_of_signaling() => self.signaling_reported_lost(now),
                Some(reason) if reason.is_loss_of_media() => self.media_reported_lost(now),
                // A fault inside Zoom: the sockets here may be in order, so none is dropped.
                _ => self.account(Change::Interrupted { at_ms }),
            },
            _ => {}
        }
    }

    /// Handles Zoom's report that it lost the signaling connection. If the link is new or being rebuilt, the
    /// report is about its predecessor.
    pub(super) fn signaling_reported_lost(&mut self, now: Instant) {
        if self.is_running() && self.signaling.is_stable() {
            self.lost(now, LinkId::Signaling, LossReason::Reported, Socket::Open);
        }
    }

    /// Handles an event. The same number means different things in different products (rtms-protocol.md section
    /// 10.2).
    fn event_update(&mut self, now: Instant, update: EventUpdate) {
        let at_ms = update.at_ms;
        // What their numbers mean is not published (rtms-protocol.md section 23.3).
        if self.setup.instance.product == Product::Phone {
            return self.unknown_event(&update);
        }
        let own = match self.is_contact_center() {
            true => {
                let event = update.contact_center(&mut self.unreadable).map(Box::new);
                event.map(EntryBody::ContactCenterEvent)
            }
            false => {
                let event = update.chat_group(&mut self.unreadable).map(Box::new);
                event.map(EntryBody::ChatGroup)
            }
        };
        if let Some(body) = own {
            self.note(at_ms, body);
        } else if let Ok(event) = update.meeting(&mut self.unreadable) {
            self.event(now, &update, event);
        }
    }

    fn event(&mut self, now: Instant, update: &EventUpdate, event: Event) {
        let at_ms = update.at_ms;
        match event {
            Event::FirstPacket => self.first_packet(at_ms),
            Event::ActiveSpeaker(person) => self.person(at_ms, person, EntryBody::ActiveSpeaker),
            Event::Joined(people) => self.people_joined(at_ms, people),
            Event::Left(people) => self.people_left(now, at_ms, people),
            Event::SharingStarted(person) => self.person(at_ms, person, EntryBody::SharingStarted),
            Event::SharingStopped => self.note(at_ms, EntryBody::SharingStopped {}),
            Event::MediaInterrupted => self.media_reported_lost(now),
            Event::VideoOn(people) => {
                let cameras: Vec<_> = people.iter().map(|person| person.user_id).collect();
                self.people(at_ms, people, EntryBody::VideoOn);
                cameras.into_iter().for_each(|user_id| self.camera_on(now, user_id));
            }
            Event::VideoOff(people) => {
                let cameras: Vec<_> = people.iter().map(|person| person.user_id).collect();
                self.people(at_ms, people, EntryBody::VideoOff);
                cameras.into_iter().for_each(|user_id| self.camera_off(now, user_id));
            }
            Event::Unknown(_) => self.unknown_event(update),
        }
    }

    /// Keeps an event as it is.
    fn unknown_event(&mut self, update: &EventUpdate) {
        self.count_unknown(msg_type::EVENT_UPDATE);
        let event = update.unknown(&mut self.unreadable);
        self.note(update.at_ms, EntryBody::UnknownEvent(Box::new(event)));
    }

    /// Records the first packet once: Zoom repeats the event on every signaling connection.
    fn first_packet(&mut self, at_ms: Option<i64>) {
        if !std::mem::replace(&mut self.has_first_packet, true) {
            self.note(at_ms, EntryBody::FirstPacket {});
        }
    }

    fn person(
        &mut self,
        at_ms: Option<i64>,
        person: Participant,
        body: fn(Participant) -> EntryBody,
    ) {
        let person = self.roster.named(person);
        self.note(at_ms, body(person));
    }

    fn people_joined(&mut self, at_ms: Option<i64>, people: Vec<Participant>) {
        for person in people {
            if let Some(person) = self.roster.joined(person) {
                self.note(at_ms, EntryBody::ParticipantJoined(person));
            }
        }
    }

    fn people_left(&mut self, now: Instant, at_ms: Option<i64>, people: Vec<Participant>) {
        for person in people {
            self.camera_off(now, person.user_id);
            let person = self.roster.left(person);
            self.note(at_ms, EntryBody::ParticipantLeft(person));
        }
    }

    fn people(
        &mut self,
        at_ms: Option<i64>,
        people: Vec<Participant>,
        body: fn(Participant) -> EntryBody,
    ) {
        for person in people {
            self.person(at_ms, person, body);
        }
    }

    /// Remembers that the stream was live once.
    pub(super) fn note_liveness(&mut self) {
        self.was_live |= self.status() == StreamStatus::Live;
    }

    pub(super) fn lose_media_with_signaling(&mut self) {
        // The end that these losses waited for did not come: they were real.
        for id in self.link_ids() {
            self.account_deferred_loss(id);
        }
        let live = self.media.iter().filter(|media| media.link.is_live());
        let live: Vec<LinkId> = live.map(|media| LinkId::Media(media.lane)).collect();
        for id in live {
            self.link_events.push(LinkEvent::Lost(id, LossReason::WithSignaling.kind()));
            self.note_link_down(id, &LossReason::WithSignaling);
        }
        self.hang_up_media(super::HangUp::Silently);
    }

    pub(super) fn hang_up_media(&mut self, how: super::HangUp) {
        for media in self.media.drain(..).filter(|media| media.link.has_socket()) {
            self.outputs.push_back(Output::HangUp(LinkId::Media(media.lane), how));
        }
    }
}

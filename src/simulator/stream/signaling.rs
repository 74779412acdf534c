//! The signaling side of a stream: the handshake (messages 1 and 2) and the messages that follow it.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::loss::MediaLoss;
use super::{Stream, reason};
use crate::model::{Medium, Product};
use crate::rtms::message::msg_type;
use crate::rtms::server::params::VIDEO_INDIVIDUAL;
use crate::rtms::server::refusal::Refusal;
use crate::rtms::server::request::Request;
use crate::simulator::link::Link;
use crate::simulator::script::Person;
use crate::simulator::settings::Duplicates;
use crate::simulator::shared::MeetingState;
use crate::simulator::wire;

impl Stream {
    /// Fails with refusal 8 if the stream already has a signaling connection (section 3.4).
    pub(super) fn check_signaling(&self) -> Result<(), Refusal> {
        let zombie = self.zombies.iter().any(|zombie| zombie.media.is_empty());
        let refuse = self.shared.settings().duplicates == Duplicates::Refuse;
        if refuse && (self.signaling.is_some() || zombie) {
            return Err(Refusal::DUPLICATE_SIGNALING);
        }
        Ok(())
    }

    /// Answers with message 2 and makes this the stream's signaling link.
    pub(super) fn accept_signaling(&mut self, now: Instant, link: Link, buffer_data: bool) {
        // First, because the new link takes the place of the old one.
        self.replace_links(now);
        link.outbox.send(wire::signaling_accepted(self.server_urls()));
        self.signaling = Some(link);
        self.signaling_window = None;
        self.report().signaling_handshakes += 1;
        // `buffer_data` concerns only the backlog before the first connection (section 6.1).
        if !self.has_connected && !buffer_data {
            self.progress.skip_to(self.shared.clock.ms(now));
        }
        self.has_connected = true;
        // Event 1 needs no subscription (section 7).
        let began_ms = self.shared.clock.wire_ms(self.progress.began_ms());
        self.send_signaling(self.event(wire::EVENT_FIRST_PACKET, began_ms, json!({})));
    }

    /// Drops the links of the previous signaling connection. The client must reconnect the media that they carried.
    fn replace_links(&mut self, now: Instant) {
        let media: Vec<Vec<Medium>> = self.media.iter().map(|media| media.media.clone()).collect();
        self.drop_all_links();
        for media in media {
            self.open_media_window(now, media, MediaLoss::Replaced);
        }
    }

    /// The media URLs of message 2: one for each medium in scope, and `all`.
    fn server_urls(&self) -> Map<String, Value> {
        let settings = self.shared.settings();
        let url = |path: &str| Value::from(format!("{}/media/{path}", self.shared.state.origin));
        let media = settings.granted_media().into_iter().map(|medium| match medium {
            // The key that Zoom's own client expects (section 22).
            Medium::Share => ("deskshare".to_owned(), url("deskshare")),
            medium => (medium.as_str().to_owned(), url(medium.as_str())),
        });
        let all = settings.offer_all.then(|| ("all".to_owned(), url("all")));
        media.chain(all).collect()
    }

    /// Handles a message other than a keep-alive answer.
    pub(super) fn signaling_request(
        &mut self,
        now: Instant,
        request: Request,
        meeting: &MeetingState,
    ) {
        match request {
            Request::Handshake => self.handshake_again(),
            Request::Subscribe { events, malformed } => {
                for _ in 0..malformed {
                    self.report().breach("a subscription with a malformed event".to_owned());
                }
                self.subscribe(now, &events, meeting);
            }
            Request::Ready { stream } => self.client_ready(now, &stream),
            Request::SessionState { session } => self.answer_session_state(now, &session),
            Request::StreamState => {
                let state = self.current_state();
                let now_ms = self.shared.wire_now(now);
                self.send_signaling(wire::stream_state_answer(&self.id, state, now_ms));
            }
            Request::Close { stream } => self.close_requested(now, &stream, meeting),
            Request::Video { user_id, subscribe } => {
                self.subscribe_video(now, &user_id, subscribe, meeting);
            }
            // `handle_text` takes the answers to keep-alives of both kinds of socket.
            Request::KeepAliveAnswer { .. } => {}
            Request::Unknown(number) => {
                self.report().breach(format!("message {number} on the signaling socket"));
            }
        }
    }

    /// Refuses a second message 1 on the same socket.
    fn handshake_again(&mut self) {
        let refusal = Refusal::DUPLICATE_SIGNALING;
        self.report().refused(refusal);
        self.report().breach("a second handshake on one socket".to_owned());
        self.send_signaling(wire::handshake_refused(msg_type::SIGNALING_HAND_SHAKE_RESP, refusal));
    }

    /// Message 5, which has no answer. A subscription to joins first reports who is already there (section 3.2).
    fn subscribe(&mut self, now: Instant, events: &[(u64, bool)], meeting: &MeetingState) {
        for (event_type, is_wanted) in events {
            if *is_wanted {
                self.subscriptions.insert(*event_type);
                self.send_roster(now, *event_type, meeting);
            } else {
                self.subscriptions.remove(event_type);
            }
        }
    }

    /// Reports the present participants with events of this type, if it is the type for joining.
    fn send_roster(&self, now: Instant, event_type: u64, meeting: &MeetingState) {
        let script = &self.shared.settings().script;
        let is_covered = |who: &&usize| match script.is_engagement() {
            true => answered_or_ended(&script.people[**who], true) == event_type,
            false => event_type == wire::EVENT_JOIN,
        };
        let who: Vec<usize> = meeting.present.iter().filter(is_covered).copied().collect();
        self.send_presence(now, &who, true);
    }

    /// Reports that people joined or left: in a meeting with one event for all of them, in an engagement with one
    /// event for each.
    pub(crate) fn send_presence(&self, now: Instant, who: &[usize], is_there: bool) {
        let script = &self.shared.settings().script;
        let people = who.iter().map(|who| &script.people[*who]);
        if script.is_engagement() {
            for person in people {
                let event_type = answered_or_ended(person, is_there);
                self.send_engagement_event(now, event_type, person, &Map::new());
            }
        } else if !who.is_empty() {
            let (event_type, participants): (u64, Vec<Value>) = match is_there {
                true => (wire::EVENT_JOIN, people.map(Person::with_name).collect()),
                // A leave has no names (section 7).
                false => (
                    wire::EVENT_LEAVE,
                    people.map(|person| json!({"user_id": person.user_id})).collect(),
                ),
            };
            self.send_event(now, event_type, json!({"participants": participants}));
        }
    }

    /// Sends an event about a party of an engagement (section 7).
    pub(crate) fn send_engagement_event(
        &self,
        now: Instant,
        event_type: u64,
        party: &Person,
        more: &Map<String, Value>,
    ) {
        let mut fields = more.clone();
        fields.insert("event_ts".to_owned(), self.shared.wire_now(now).into());
        fields.insert("participant_info".to_owned(), party.party());
        self.send_event(now, event_type, fields.into());
    }

    /// Sends an event, if the client subscribed to it.
    pub(crate) fn send_event(&self, now: Instant, event_type: u64, fields: Value) {
        // Nobody can subscribe to codes that are not published.
        let is_wanted = self.is_call() || self.subscriptions.contains(&event_type);
        if self.signaling.is_some() && is_wanted {
            self.send_signaling(self.event(event_type, self.shared.wire_now(now), fields));
            self.report().events += 1;
        }
    }

    /// Message 6. The events of a phone call have only a code (section 23.3).
    pub(super) fn event(&self, event_type: u64, timestamp_ms: i64, fields: Value) -> String {
        match self.is_call() {
            true => wire::code_event(wire::PHONE_FIRST_CODE + event_type, timestamp_ms, fields),
            false => wire::event(event_type, timestamp_ms, fields),
        }
    }

    fn is_call(&self) -> bool {
        self.shared.settings().script.product == Product::Phone
    }

    /// Message 7: media may be sent on every established media socket. States 9 and 8 follow.
    fn client_ready(&mut self, now: Instant, stream: &Value) {
        self.report().ready_acks += 1;
        if *stream != *self.id {
            self.report().breach("message 7 for another stream".to_owned());
            return;
        }
        if self.media.is_empty() {
            // Not a breach if the media socket was lost while this message was on its way.
            if self.media_windows.is_empty() {
                self.report().breach("message 7 before a media handshake".to_owned());
            }
            return;
        }
        let any_opened = self.make_media_ready(now);
        // A repeated 7 changes nothing. Clients send one after each media handshake (section 3.3).
        if !any_opened {
            return;
        }
        let now_ms = self.shared.wire_now(now);
        if !self.is_started {
            self.is_started = true;
            let (session, state) = (&self.session_id, wire::SESSION_STARTED);
            self.send_signaling(wire::session_state(session, state, None, now_ms));
        }
        // Only when all lost media are back is the stream active again.
        if self.media_windows.is_empty() {
            self.present(now);
            self.send_state(now, self.current_state(), 0);
        }
    }

    /// Notes that all media find a client again.
    fn present(&mut self, now: Instant) {
        let Some(since) = self.absent_since.take() else { return };
        let absence_ms = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        let mut report = self.report();
        report.longest_absence_ms = report.longest_absence_ms.max(absence_ms);
    }

    /// Message 10, answered with 11.
    fn answer_session_state(&mut self, now: Instant, session: &str) {
        let state = (session == self.session_id).then(|| self.session_state());
        if state.is_none() {
            self.report().refused(Refusal::SESSION_ID);
        }
        self.send_signaling(wire::session_state_answer(session, state, self.shared.wire_now(now)));
    }

    /// The session's current state (section 10.4).
    fn session_state(&self) -> u64 {
        match (self.is_started, self.is_paused) {
            (false, _) => wire::SESSION_INITIALIZE,
            (true, true) => wire::SESSION_PAUSED,
            (true, false) => wire::SESSION_STARTED,
        }
    }

    /// Message 21: answers with 22 and ends the stream at the client's request (section 3.7).
    fn close_requested(&mut self, now: Instant, stream: &Value, meeting: &MeetingState) {
        // The answer comes before the final states.
        let refusal = (*stream != *self.id).then_some(Refusal::STREAM_ID);
        self.send_signaling(wire::close_answer(&self.id, refusal, self.shared.wire_now(now)));
        match refusal {
            Some(refusal) => self.report().refused(refusal),
            None => self.end(now, reason::RECEIVER_CLOSED, meeting),
        }
    }

    /// Message 28, answered with 29: subscribes to the video of one participant at a time (section 6.19).
    fn subscribe_video(
        &mut self,
        now: Instant,
        user_id: &Value,
        subscribe: Option<bool>,
        meeting: &MeetingState,
    ) {
        let outcome = self.choose_video(now, user_id, subscribe, meeting);
        if let Err(refusal) = outcome {
            self.report().refused(refusal);
        }
        let now_ms = self.shared.wire_now(now);
        self.send_signaling(wire::video_answer(user_id, outcome.err(), now_ms));
    }

    /// Ends the individual video of a participant after the camera went off, until the client subscribes again
    /// (section 6.19).
    pub(crate) fn camera_off(&mut self, who: usize) {
        self.progress.video_of.take_if(|chosen| *chosen == who);
    }

    fn choose_video(
        &mut self,
        now: Instant,
        user_id: &Value,
        subscribe: Option<bool>,
        meeting: &MeetingState,
    ) -> Result<(), Refusal> {
        // Individual video needs `data_opt` 4 in the media handshake.
        let video = self.media.iter().find_map(|media| media.params.video);
        if video.and_then(|video| video.data_opt) != Some(VIDEO_INDIVIDUAL) {
            return Err(Refusal::VIDEO_DATA_OPT);
        }
        let people = &self.shared.settings().script.people;
        let user_id = user_id.as_u64().ok_or(Refusal::PAYLOAD)?;
        let wanted = subscribe.ok_or(Refusal::PAYLOAD)?;
        let who = people.iter().position(|person| u64::from(person.user_id) == user_id);
        let who = who.filter(|who| meeting.present.contains(who)).ok_or(Refusal::PAYLOAD)?;
        match (wanted, self.progress.video_of == Some(who)) {
            // Another participant replaces the subscription; the same one again is an error (section 6.19).
            (true, true) => return Err(Refusal::DUPLICATE_VIDEO),
            (true, false) => {
                self.progress.video_of = Some(who);
                // A new picture starts with a key frame.
                self.progress.restart_pictures(self.shared.clock.ms(now));
            }
            (false, true) => self.progress.video_of = None,
            (false, false) => {}
        }
        Ok(())
    }
}

/// The event type for a party of an engagement that joined or left. Agents ("users") have a Zoom user id.
fn answered_or_ended(party: &Person, is_there: bool) -> u64 {
    match (party.zoom_user_id.is_some(), is_there) {
        (true, true) => wire::EVENT_USER_ANSWERED,
        (true, false) => wire::EVENT_USER_END,
        (false, true) => wire::EVENT_CONSUMER_ANSWERED,
        (false, false) => wire::EVENT_CONSUMER_END,
    }
}

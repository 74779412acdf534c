//! A meeting for one operator of one app: one task that plays the script's cues, owns at most one live stream and
//! handles all of its sockets. With several apps or operators, several tasks play the same meeting.

mod open;

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::control::{ControlError, MeetingAction};
use super::event;
use super::script::{Cue, Ending, end_reason};
use super::settings::Start;
use super::shared::{MeetingState, Shared};
use super::socket::{Loss, Outbox};
use super::stream::Stream;
use super::wire;
use crate::model::Medium;
use crate::rtms::server::handshake::Handshake;
use crate::rtms::server::refusal::Refusal;

pub(super) use self::open::open_meeting;

/// An input to a meeting's task.
pub(super) enum Input {
    /// The first message of a socket that names the meeting's stream.
    Handshake { socket: u64, handshake: Handshake, outbox: Outbox },
    /// A later message of a socket.
    Text { socket: u64, text: String },
    /// The client ended a socket.
    Lost { socket: u64, loss: Loss },
    /// An action over the simulator's API or from a test.
    Perform { action: MeetingAction, answer: oneshot::Sender<Result<(), ControlError>> },
}

pub(super) struct Meeting {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Input>,
    rng: StdRng,
    state: MeetingState,
    stream: Option<Stream>,
    next_cue: usize,
    /// The script time at which the current round of the timeline began.
    round_start_ms: i64,
    chats_sent: u64,
    is_over: bool,
}

impl Meeting {
    fn new(shared: Arc<Shared>, inbox: mpsc::Sender<Input>, rng: StdRng) -> Self {
        Self {
            shared,
            inbox,
            rng,
            state: MeetingState::default(),
            stream: None,
            next_cue: 0,
            round_start_ms: 0,
            chats_sent: 0,
            is_over: false,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let stop = self.shared.state.stop.clone();
        self.begin();
        while !self.is_over {
            let deadline = self.deadline();
            tokio::select! {
                // Stop first: a busy inbox must not delay the shutdown. Inputs before cues, so that an action
                // that was sent before a cue is due also happens before it.
                biased;
                () = stop.cancelled() => self.finish(self.end_reason()),
                Some(input) = inbox.recv() => self.handle(input),
                () = sleep_until(deadline) => {}
            }
            self.advance(Instant::now());
        }
    }

    fn begin(&mut self) {
        self.send_lifecycle_event("started");
        if self.shared.settings().start == Start::Auto {
            // Ignore the error: it fails only if the simulator is full, and the report then lacks the stream.
            let _ = self.start_stream(self.shared.operator_id.clone());
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Perform { action, answer } => {
                // Ignore the error: the caller has stopped waiting.
                let _ = answer.send(self.perform(now, &action));
            }
            Input::Handshake { socket, handshake, outbox } => {
                let outbox = outbox.with_quirks(self.shared.quirks.clone());
                match &mut self.stream {
                    Some(stream) => stream.handle_handshake(now, socket, handshake, outbox),
                    // The stream ended while this input was in the inbox.
                    None => {
                        _ = outbox
                            .send(wire::handshake_refused(handshake.answer, Refusal::STREAM_ID))
                    }
                }
            }
            Input::Text { socket, text } => {
                if let Some(stream) = &mut self.stream {
                    stream.handle_text(now, socket, &text, &self.state);
                }
            }
            Input::Lost { socket, loss } => {
                if let Some(stream) = &mut self.stream {
                    stream.link_lost(now, socket, loss, &self.state);
                }
            }
        }
        self.remove_ended_stream();
    }

    fn advance(&mut self, now: Instant) {
        let now_ms = self.shared.clock.ms(now);
        // All cues that are due: at a high speed, or after a delay, there are several.
        while !self.is_over && self.next_cue_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.play_next_cue(now);
        }
        if let Some(stream) = &mut self.stream {
            stream.advance(now, &self.state);
        }
        self.remove_ended_stream();
    }

    /// Removes an ended stream, so that later cues at the same time do not reach it.
    fn remove_ended_stream(&mut self) {
        if let Some(stream) = self.stream.take_if(|stream| stream.is_over()) {
            self.shared.state.directory.remove_stream(stream.id());
        }
    }

    fn deadline(&self) -> Instant {
        // There is always a next cue; the hour is only the start value of the minimum.
        let far = Instant::now() + Duration::from_secs(3600);
        let cue = self.next_cue_ms().map(|at_ms| self.shared.clock.at(at_ms));
        let stream = self.stream.as_ref().map(Stream::deadline);
        [cue, stream].into_iter().flatten().fold(far, Instant::min)
    }

    /// The script time of the next cue, of the end, or of the next round.
    fn next_cue_ms(&self) -> Option<i64> {
        let script = &self.shared.settings().script;
        let in_round_ms = match (script.cues.get(self.next_cue), script.ending) {
            (Some((at_ms, _)), _) => *at_ms,
            (None, Ending::At { at_ms, .. }) => at_ms,
            (None, Ending::Again { length_ms }) => length_ms,
        };
        Some(self.round_start_ms + i64::from(in_round_ms))
    }

    fn play_next_cue(&mut self, now: Instant) {
        // Clones the `Arc`, because the calls below borrow `self` mutably.
        let shared = self.shared.clone();
        let script = &shared.settings().script;
        let cue = script.cues.get(self.next_cue);
        self.next_cue += 1;
        match (cue, script.ending) {
            (Some((_, cue)), _) => self.perform_cue(now, cue),
            (None, Ending::At { stop_reason, .. }) => self.finish(stop_reason),
            (None, Ending::Again { length_ms }) => {
                self.round_start_ms += i64::from(length_ms);
                self.next_cue = 0;
            }
        }
        self.remove_ended_stream();
    }

    fn perform_cue(&mut self, now: Instant, cue: &Cue) {
        match cue {
            Cue::Join(who) => {
                if self.state.present.insert(*who) {
                    self.send_presence(now, *who, true);
                }
            }
            Cue::Leave(who) => self.leave(now, *who),
            Cue::Speak(utterance) => self.start_utterance(now, *utterance),
            Cue::Line(utterance) => {
                if let Some(stream) = &mut self.stream {
                    stream.transcript_line(now, *utterance, self.round_start_ms);
                }
            }
            Cue::Chat(chat) => {
                self.chats_sent += 1;
                if let Some(stream) = &mut self.stream {
                    stream.chat_message(now, *chat, self.chats_sent);
                }
            }
            Cue::ShareStart(who) => {
                self.state.sharer = Some(*who);
                self.send_sharing(now, wire::EVENT_SHARING_START, self.name_fields(*who));
            }
            Cue::ShareStop => {
                if self.state.sharer.take().is_some() {
                    self.send_sharing(now, wire::EVENT_SHARING_STOP, json!({}));
                }
            }
            Cue::VideoOn(who) => self.set_camera(now, *who, true),
            Cue::VideoOff(who) => self.set_camera(now, *who, false),
            Cue::Engagement(event) => {
                let script = &self.shared.settings().script;
                let event = &script.engagements[*event];
                if let Some(stream) = &self.stream {
                    let party = &script.people[event.who];
                    stream.send_engagement_event(now, event.event_type, party, &event.fields);
                }
            }
            // Ignore the error: without a stream a fault has nothing to break.
            Cue::Action(action) => drop(self.perform(now, action)),
        }
    }

    fn leave(&mut self, now: Instant, who: usize) {
        // Camera and share end first, so that their events name a participant who is still present.
        self.set_camera(now, who, false);
        if self.state.sharer == Some(who) {
            self.state.sharer = None;
            self.send_sharing(now, wire::EVENT_SHARING_STOP, json!({}));
        }
        if self.state.present.remove(&who) {
            self.send_presence(now, who, false);
        }
    }

    /// Sends an event about sharing, which an app gets only with the scope for the share (section 7).
    fn send_sharing(&mut self, now: Instant, event_type: u64, fields: Value) {
        if self.shared.settings().granted_media().contains(&Medium::Share) {
            self.send_event(now, event_type, fields);
        }
    }

    fn send_presence(&mut self, now: Instant, who: usize, is_there: bool) {
        if let Some(stream) = &mut self.stream {
            stream.send_presence(now, &[who], is_there);
        }
    }

    fn set_camera(&mut self, now: Instant, who: usize, on: bool) {
        let changed =
            if on { self.state.cameras.insert(who) } else { self.state.cameras.remove(&who) };
        if changed {
            let user_id = self.shared.settings().script.people[who].user_id;
            let event = if on { wire::EVENT_VIDEO_ON } else { wire::EVENT_VIDEO_OFF };
            // Switching a camera on again does not resume the video (section 6.19).
            if let Some(stream) = self.stream.as_mut().filter(|_| !on) {
                stream.camera_off(who);
            }
            self.send_event(now, event, json!({"participants": [{"user_id": user_id}]}));
        }
    }

    fn set_camera_of(&mut self, now: Instant, user_id: u32, on: bool) -> Result<(), ControlError> {
        let people = &self.shared.settings().script.people;
        let who = people.iter().position(|person| person.user_id == user_id);
        let who = who.filter(|who| self.state.present.contains(who));
        self.set_camera(now, who.ok_or(ControlError::NobodyThere)?, on);
        Ok(())
    }

    fn start_utterance(&mut self, now: Instant, utterance: usize) {
        let script = &self.shared.settings().script;
        let (who, is_engagement) = (script.utterances[utterance].who, script.is_engagement());
        if self.state.speaker.replace(who) != Some(who) && !is_engagement {
            self.send_event(now, wire::EVENT_ACTIVE_SPEAKER, self.name_fields(who));
        }
    }

    fn name_fields(&self, who: usize) -> Value {
        self.shared.settings().script.people[who].with_name()
    }

    fn send_event(&mut self, now: Instant, event_type: u64, fields: Value) {
        if let Some(stream) = &mut self.stream {
            stream.send_event(now, event_type, fields);
        }
    }

    fn perform(&mut self, now: Instant, action: &MeetingAction) -> Result<(), ControlError> {
        match action {
            MeetingAction::Start => self.start_stream(self.shared.operator_id.clone()),
            MeetingAction::StartAs { user_id } => self.start_stream(user_id.clone()),
            MeetingAction::End => {
                self.finish(self.end_reason());
                Ok(())
            }
            MeetingAction::Quirk { name, on } => {
                self.shared.quirks.set(*name, *on);
                Ok(())
            }
            MeetingAction::FailHandshakes { link, count, how } => {
                self.shared.handshake_faults.plan(*link, *count, *how);
                Ok(())
            }
            MeetingAction::Camera { user_id, on } => self.set_camera_of(now, *user_id, *on),
            // Once for each app, whatever the number of its operators.
            MeetingAction::EventSocket { how, count } => {
                let socket = self.shared.app.event_socket.as_ref();
                if let Some(socket) = socket.filter(|_| self.shared.is_first_operator) {
                    socket.plan(*how, *count);
                }
                Ok(())
            }
            // These concern the whole simulation, and every task of the meeting gets them.
            MeetingAction::FailCalls { .. }
            | MeetingAction::Deauthorize { .. }
            | MeetingAction::ExpireAccessTokens
                if !self.shared.is_first() =>
            {
                Ok(())
            }
            MeetingAction::FailCalls { call, count, how } => {
                self.shared.state.fault_plan.planned.plan(*call, *count, *how);
                Ok(())
            }
            MeetingAction::Deauthorize { user_id } => {
                self.shared.state.deauthorize(&self.shared.app, user_id);
                Ok(())
            }
            MeetingAction::ExpireAccessTokens => {
                self.shared.state.apps.expire_access_tokens();
                Ok(())
            }
            action => {
                let stream = self.stream.as_mut().ok_or(ControlError::NoStream)?;
                stream.perform(now, action, &self.state)
            }
        }
    }

    fn start_stream(&mut self, operator_id: String) -> Result<(), ControlError> {
        // A repeated start is not an error. Zoom's answer to it is not published (section 14.1).
        if self.stream.is_none() {
            // Stream ids are upper-case in Zoom's documentation (section 4).
            let ids = (self.random_uuid().to_uppercase(), self.random_uuid());
            let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
            self.stream = Some(Stream::announce(shared, inbox, ids, operator_id)?);
        }
        Ok(())
    }

    fn random_uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    /// The `stop_reason` when a meeting ends by an action or by shutdown.
    fn end_reason(&self) -> u16 {
        end_reason(self.shared.settings().script.product)
    }

    fn finish(&mut self, stop_reason: u16) {
        if let Some(mut stream) = self.stream.take() {
            // Before the lifecycle event: `rtms_stopped` precedes `meeting.ended`.
            stream.end(Instant::now(), stop_reason, &self.state);
            self.shared.state.directory.remove_stream(stream.id());
        }
        self.send_lifecycle_event("ended");
        self.is_over = true;
    }

    fn send_lifecycle_event(&self, what: &str) {
        if !self.shared.is_first_operator {
            return;
        }
        let clock = &self.shared.clock;
        let now_ms = self.shared.wire_now(Instant::now());
        if let Some(event) =
            event::meeting_lifecycle(&self.shared.identity, what, clock.wire_ms(0), now_ms)
        {
            self.shared.send_webhook(event);
        }
    }
}

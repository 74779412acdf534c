//! One scripted meeting: it plays its cues, has at most one live stream, and owns everything of both.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::control::{ControlError, Verb};
use super::event::{self, Identity};
use super::handshake::Hello;
use super::quirk::Quirks;
use super::script::{Cue, Ending};
use super::settings::{Settings, Start};
use super::shared::{HandshakeFaults, ScriptClock, Shared, Stage};
use super::socket::{Loss, Outbox};
use super::state::SimulatorState;
use super::status::Refusal;
use super::stream::Stream;
use super::webhook::Mailbox;
use super::{lock, wire};
use crate::clock;

/// What waits for a meeting: bounds how far a fast client gets ahead of it.
const MAX_HEAD_START_MS: i64 = 5 * 60 * 1000;
const INBOX: usize = 256;
/// `stop_reason` of a meeting that was told to end (section 10.6).
const MEETING_ENDED: u16 = 6;

/// What reaches a meeting from outside.
pub(super) enum Input {
    /// A socket's first message, for the stream of this meeting.
    Hello {
        socket: u64,
        hello: Hello,
        outbox: Outbox,
    },
    Text {
        socket: u64,
        text: String,
    },
    Lost {
        socket: u64,
        loss: Loss,
    },
    Do {
        verb: Verb,
        answer: oneshot::Sender<Result<(), ControlError>>,
    },
}

pub(super) struct Meeting {
    shared: Arc<Shared>,
    inbox: mpsc::Sender<Input>,
    rng: StdRng,
    stage: Stage,
    stream: Option<Stream>,
    next_cue: usize,
    /// The script time at which this round of the timeline began.
    lap_ms: i64,
    chats_sent: u64,
    over: bool,
}

/// Makes the next meeting and plays it in a task of its own; returns its meeting number.
pub(super) fn open_meeting(state: &Arc<SimulatorState>) -> Result<String, ControlError> {
    let index = state.directory.next_meeting()?;
    let mut rng =
        StdRng::seed_from_u64(state.settings.seed.wrapping_mul(0x9e37).wrapping_add(index));
    let who = new_identity(&state.settings, index, &mut rng);
    let meeting_id = who.meeting_id.clone();
    let (mail, deliver_all) = state.webhook_sender.mailbox();
    state.plays.spawn(deliver_all);
    state.plays.spawn(play_meeting(state.clone(), who, rng, mail));
    Ok(meeting_id)
}

fn new_identity(settings: &Settings, index: u64, rng: &mut StdRng) -> Identity {
    let script = &settings.script;
    let mut instance_id = BASE64_STANDARD.encode(rng.random::<[u8; 16]>());
    if index % 2 == 1 {
        // Some of Zoom's ids begin with a slash, and clients trip over it.
        instance_id.replace_range(..1, "/");
    }
    Identity {
        product: script.product,
        instance_id,
        meeting_id: (script.meeting_id + index).to_string(),
        account_id: script.account_id.clone(),
        host_id: script.host.clone(),
        topic: script.title.clone(),
    }
}

/// How far in the past a faster-than-real-time meeting begins, so that its timestamps do not lie in the future, which
/// clients reject. Bounded, because clients also reject timestamps that are too old.
fn head_start_ms(settings: &Settings) -> i64 {
    let gained = 1.0 - 1.0 / settings.speed.max(1.0);
    match settings.script.ending {
        Ending::At { at_ms, .. } => ((f64::from(at_ms) * gained) as i64).min(MAX_HEAD_START_MS),
        Ending::Again { .. } if gained > 0.0 => MAX_HEAD_START_MS,
        Ending::Again { .. } => 0,
    }
}

async fn play_meeting(state: Arc<SimulatorState>, who: Identity, rng: StdRng, mail: Mailbox) {
    tokio::select! {
        () = state.stop.cancelled() => return,
        _ = state.webhook_sender.validated() => {}
    }
    let (sender, inbox) = mpsc::channel(INBOX);
    let began_unix_ms = clock::now_ms() - head_start_ms(&state.settings);
    let clock = ScriptClock::new(Instant::now(), began_unix_ms, state.settings.speed);
    state.directory.add_meeting(&who, sender.clone());
    let shared = Arc::new(Shared {
        state: state.clone(),
        who: who.clone(),
        clock,
        mail,
        quirks: Arc::new(Quirks::of(&state.settings.all_quirks())),
        handshake_faults: HandshakeFaults::default(),
    });
    Meeting::new(shared, sender, rng).run(inbox).await;
    state.directory.remove_meeting(&who);
}

impl Meeting {
    fn new(shared: Arc<Shared>, inbox: mpsc::Sender<Input>, rng: StdRng) -> Self {
        Self {
            shared,
            inbox,
            rng,
            stage: Stage::default(),
            stream: None,
            next_cue: 0,
            lap_ms: 0,
            chats_sent: 0,
            over: false,
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let stop = self.shared.state.stop.clone();
        self.begin();
        while !self.over {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => self.finish(MEETING_ENDED),
                Some(input) = inbox.recv() => self.handle(input),
                () = sleep_until(deadline) => {}
            }
            self.advance(Instant::now());
        }
    }

    fn begin(&mut self) {
        self.tell_lifecycle("started");
        if self.shared.settings().start == Start::Auto {
            // Refused only when the simulator is full, which the report then shows.
            let _ = self.start_stream(self.shared.who.host_id.clone());
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Do { verb, answer } => {
                // The asker may have stopped waiting.
                let _ = answer.send(self.act(now, &verb));
            }
            Input::Hello { socket, hello, outbox } => {
                let outbox = outbox.bent_by(self.shared.quirks.clone());
                match &mut self.stream {
                    Some(stream) => stream.hello(now, socket, hello, outbox),
                    // It ended while the socket was on its way here.
                    None => _ = outbox.send(wire::refused(hello.answer, Refusal::STREAM_ID)),
                }
            }
            Input::Text { socket, text } => {
                if let Some(stream) = &mut self.stream {
                    stream.text(now, socket, &text, &self.stage);
                }
            }
            Input::Lost { socket, loss } => {
                if let Some(stream) = &mut self.stream {
                    stream.lost(now, socket, loss, &self.stage);
                }
            }
        }
        self.retire();
    }

    fn advance(&mut self, now: Instant) {
        let now_ms = self.shared.clock.ms(now);
        while !self.over && self.next_cue_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.play_next_cue(now);
        }
        if let Some(stream) = &mut self.stream {
            stream.advance(now, &self.stage);
        }
        self.retire();
    }

    /// Removes an ended stream, so that actions due at the same moment no longer reach it.
    fn retire(&mut self) {
        if let Some(stream) = self.stream.take_if(|stream| stream.is_over()) {
            self.shared.state.directory.remove_stream(stream.id());
        }
    }

    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let cue = self.next_cue_ms().map(|at_ms| self.shared.clock.at(at_ms));
        let stream = self.stream.as_ref().map(Stream::deadline);
        [cue, stream].into_iter().flatten().fold(far, Instant::min)
    }

    /// The script time of the next cue, or of the end.
    fn next_cue_ms(&self) -> Option<i64> {
        let script = &self.shared.settings().script;
        let in_lap = match (script.cues.get(self.next_cue), script.ending) {
            (Some((at_ms, _)), _) => *at_ms,
            (None, Ending::At { at_ms, .. }) => at_ms,
            (None, Ending::Again { length_ms }) => length_ms,
        };
        Some(self.lap_ms + i64::from(in_lap))
    }

    fn play_next_cue(&mut self, now: Instant) {
        let shared = self.shared.clone();
        let script = &shared.settings().script;
        let cue = script.cues.get(self.next_cue);
        self.next_cue += 1;
        match (cue, script.ending) {
            (Some((_, cue)), _) => self.cue(now, cue),
            (None, Ending::At { stop_reason, .. }) => self.finish(stop_reason),
            (None, Ending::Again { length_ms }) => {
                self.lap_ms += i64::from(length_ms);
                self.next_cue = 0;
            }
        }
        self.retire();
    }

    fn cue(&mut self, now: Instant, cue: &Cue) {
        match cue {
            Cue::Join(who) => {
                if self.stage.present.insert(*who) {
                    self.presence(now, *who, true);
                }
            }
            Cue::Leave(who) => self.leave(now, *who),
            Cue::Speak(utterance) => self.speak(now, *utterance),
            Cue::Line(utterance) => {
                if let Some(stream) = &mut self.stream {
                    stream.transcript_line(now, *utterance, self.lap_ms);
                }
            }
            Cue::Chat(chat) => {
                self.chats_sent += 1;
                if let Some(stream) = &mut self.stream {
                    stream.chat_message(now, *chat, self.chats_sent);
                }
            }
            Cue::ShareStart(who) => {
                self.stage.sharer = Some(*who);
                self.event(now, wire::EVENT_SHARING_START, self.user_with_name(*who));
            }
            Cue::ShareStop => {
                if self.stage.sharer.take().is_some() {
                    self.event(now, wire::EVENT_SHARING_STOP, json!({}));
                }
            }
            Cue::VideoOn(who) => self.camera(now, *who, true),
            Cue::VideoOff(who) => self.camera(now, *who, false),
            Cue::Engagement(event) => {
                let script = &self.shared.settings().script;
                let event = &script.engagements[*event];
                if let Some(stream) = &self.stream {
                    let party = &script.people[event.who];
                    stream.engagement(now, event.event_type, party, &event.fields);
                }
            }
            // A fault for a stream that is not there has nothing to break.
            Cue::Act(verb) => drop(self.act(now, verb)),
        }
    }

    fn leave(&mut self, now: Instant, who: usize) {
        self.camera(now, who, false);
        if self.stage.sharer == Some(who) {
            self.stage.sharer = None;
            self.event(now, wire::EVENT_SHARING_STOP, json!({}));
        }
        if self.stage.present.remove(&who) {
            self.presence(now, who, false);
        }
    }

    fn presence(&mut self, now: Instant, who: usize, is_there: bool) {
        if let Some(stream) = &mut self.stream {
            stream.presence(now, &[who], is_there);
        }
    }

    fn camera(&mut self, now: Instant, who: usize, on: bool) {
        let changed =
            if on { self.stage.cameras.insert(who) } else { self.stage.cameras.remove(&who) };
        if changed {
            let user_id = self.shared.settings().script.people[who].user_id;
            let event = if on { wire::EVENT_VIDEO_ON } else { wire::EVENT_VIDEO_OFF };
            if let Some(stream) = self.stream.as_mut().filter(|_| !on) {
                stream.camera_off(who);
            }
            self.event(now, event, json!({"participants": [{"user_id": user_id}]}));
        }
    }

    fn switch_camera(&mut self, now: Instant, user_id: u32, on: bool) -> Result<(), ControlError> {
        let people = &self.shared.settings().script.people;
        let who = people.iter().position(|person| person.user_id == user_id);
        let who = who.filter(|who| self.stage.present.contains(who));
        self.camera(now, who.ok_or(ControlError::NobodyThere)?, on);
        Ok(())
    }

    fn speak(&mut self, now: Instant, utterance: usize) {
        let script = &self.shared.settings().script;
        let (who, is_engagement) = (script.utterances[utterance].who, script.is_engagement());
        if self.stage.speaker.replace(who) != Some(who) && !is_engagement {
            self.event(now, wire::EVENT_ACTIVE_SPEAKER, self.user_with_name(who));
        }
    }

    fn user_with_name(&self, who: usize) -> serde_json::Value {
        self.shared.settings().script.people[who].with_name()
    }

    fn event(&mut self, now: Instant, event_type: u64, fields: serde_json::Value) {
        if let Some(stream) = &mut self.stream {
            stream.event(now, event_type, fields);
        }
    }

    fn act(&mut self, now: Instant, verb: &Verb) -> Result<(), ControlError> {
        match verb {
            Verb::Start => self.start_stream(self.shared.who.host_id.clone()),
            Verb::StartAs { user_id } => self.start_stream(user_id.clone()),
            Verb::End => {
                self.finish(MEETING_ENDED);
                Ok(())
            }
            Verb::Quirk { name, on } => {
                self.shared.quirks.set(*name, *on);
                Ok(())
            }
            Verb::FailHandshakes { link, count, how } => {
                self.shared.handshake_faults.plan(*link, *count, *how);
                Ok(())
            }
            Verb::Camera { user_id, on } => self.switch_camera(now, *user_id, *on),
            Verb::FailCalls { call, count, how } => {
                self.shared.state.fault_plan.plan(*call, *count, *how);
                Ok(())
            }
            Verb::Deauthorize { user_id } => {
                self.shared.state.deauthorize(user_id);
                Ok(())
            }
            Verb::ExpireAccessTokens => {
                lock(&self.shared.state.grants).expire_access_tokens();
                Ok(())
            }
            verb => {
                let stream = self.stream.as_mut().ok_or(ControlError::NoStream)?;
                stream.act(now, verb, &self.stage)
            }
        }
    }

    fn start_stream(&mut self, operator_id: String) -> Result<(), ControlError> {
        if self.stream.is_none() {
            let ids = (self.random_uuid().to_uppercase(), self.random_uuid());
            let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
            self.stream = Some(Stream::announce(shared, inbox, ids, operator_id)?);
        }
        Ok(())
    }

    fn random_uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    fn finish(&mut self, stop_reason: u16) {
        if let Some(mut stream) = self.stream.take() {
            stream.end(Instant::now(), stop_reason, &self.stage);
            self.shared.state.directory.remove_stream(stream.id());
        }
        self.tell_lifecycle("ended");
        self.over = true;
    }

    fn tell_lifecycle(&self, what: &str) {
        let clock = &self.shared.clock;
        let now_ms = self.shared.wire_now(Instant::now());
        if let Some(event) =
            event::meeting_lifecycle(&self.shared.who, what, clock.wire_ms(0), now_ms)
        {
            self.shared.post(event);
        }
    }
}

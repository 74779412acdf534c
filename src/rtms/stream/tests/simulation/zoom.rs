//! Zoom's side of the simulation: sockets that open, fail and lose frames at random.

use std::collections::{BTreeMap, VecDeque};

use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::{MEDIA_JOINED, SIGNALING, offer, refusal};
use super::client::{MEDIA, STEP_MS};
use crate::model::params::{AudioStreams, ConnectionMode};
use crate::model::{Medium, StopReason};
use crate::rtms::stream::{Input, Lane, LinkId, LossReason};

/// Unix milliseconds of a run's beginning.
pub(super) const START_MS: i64 = 1_732_313_180_000;
const KEEP_ALIVE_MS: i64 = 10_000;
/// Three keep-alives without an answer (section 11).
const NOTICE_MS: i64 = 30_000;
const SIGNALING_WINDOW_MS: i64 = 60_000;
const MEDIA_WINDOW_MS: i64 = 65_000;
/// How much audio is kept.
const KEPT_MS: i64 = 60_000;

/// What the daemon finds.
pub(super) enum Happens {
    Input(Input),
    Moved,
}

/// A connection as Zoom has it.
struct Socket {
    /// Nothing arrives any more, in either direction.
    dead_since_ms: Option<i64>,
    /// Zoom knows.
    is_noticed: bool,
    is_joined: bool,
    is_ready: bool,
    keep_alive_at_ms: i64,
    /// When what was sent last arrives: nothing overtakes.
    busy_until_ms: i64,
    on_its_way: VecDeque<(i64, Happens)>,
}

/// Zoom's side of one stream.
pub(super) struct Zoom {
    rng: SmallRng,
    mode: ConnectionMode,
    streams: AudioStreams,
    generation: u32,
    sockets: BTreeMap<LinkId, Socket>,
    webhooks: VecDeque<(i64, Happens)>,
    /// Dead connections that the daemon has given up: until when Zoom believes in them.
    ghosts: BTreeMap<LinkId, i64>,
    /// When a link died without a word, until it is dialled again.
    died_ms: BTreeMap<LinkId, i64>,
    /// Lines that are not written yet, by when they will be.
    lines: VecDeque<(i64, i64)>,
    kept_audio: VecDeque<i64>,
    next_frame_ms: BTreeMap<Medium, i64>,
    /// When it saw a link go.
    lost_ms: BTreeMap<LinkId, i64>,
    now_ms: i64,
    pub is_paused: bool,
    /// What is made is lost, though the links stand.
    pub is_in_trouble: bool,
    pub is_over: bool,
    pub dials_fail_until_ms: i64,
    pub refuse_next: Option<i64>,
    /// Says 8 to a second signaling connection while it holds the first.
    refuses_duplicates: bool,
    /// Every frame, by the time when it was made.
    pub sent: BTreeMap<Medium, Vec<i64>>,
}

impl Zoom {
    pub(super) fn new(mut rng: SmallRng, streams: AudioStreams, mode: ConnectionMode) -> Self {
        let refuses_duplicates = rng.random_bool(0.5);
        Self {
            rng,
            mode,
            streams,
            generation: 1,
            sockets: BTreeMap::new(),
            webhooks: VecDeque::new(),
            ghosts: BTreeMap::new(),
            died_ms: BTreeMap::new(),
            lines: VecDeque::new(),
            kept_audio: VecDeque::new(),
            next_frame_ms: MEDIA.into_iter().map(|medium| (medium, 0)).collect(),
            lost_ms: BTreeMap::from([(SIGNALING, 0)]),
            now_ms: 0,
            is_paused: false,
            is_in_trouble: false,
            is_over: false,
            dials_fail_until_ms: 0,
            refuse_next: None,
            refuses_duplicates,
            sent: BTreeMap::new(),
        }
    }

    pub(super) fn signaling_url(&self) -> String {
        format!("wss://s{}.zoom.us", self.generation)
    }

    /// The earliest news until then.
    pub(super) fn next(&mut self, until_ms: i64) -> Option<(i64, Happens)> {
        let first = |(link, socket): (&LinkId, &Socket)| {
            socket.on_its_way.front().map(|(at_ms, _)| (*at_ms, Some(*link)))
        };
        let webhook = self.webhooks.front().map(|(at_ms, _)| (*at_ms, None));
        let (at_ms, link) = self.sockets.iter().filter_map(first).chain(webhook).min()?;
        if at_ms > until_ms {
            return None;
        }
        let news = match link {
            Some(link) => self.sockets.get_mut(&link)?.on_its_way.pop_front()?,
            None => self.webhooks.pop_front()?,
        };
        if let Happens::Input(Input::Lost(link, _)) = &news.1 {
            self.sockets.remove(link);
        }
        Some(news)
    }

    pub(super) fn dialed(&mut self, now_ms: i64, link: LinkId, host: &str) {
        self.now_ms = now_ms;
        self.died_ms.remove(&link);
        let socket = Socket {
            dead_since_ms: None,
            is_noticed: false,
            is_joined: false,
            is_ready: false,
            keep_alive_at_ms: 0,
            busy_until_ms: now_ms,
            on_its_way: VecDeque::new(),
        };
        self.sockets.insert(link, socket);
        let generation = self.generation;
        let is_there = [format!("s{generation}.zoom.us"), format!("m{generation}.zoom.us")];
        let fails = now_ms < self.dials_fail_until_ms || self.is_over;
        match is_there.iter().any(|known| known == host) && !fails {
            true => self.tell(link, Input::Opened(link)),
            false => self.tell(link, Input::Lost(link, LossReason::Dial("refused".into()))),
        }
    }

    pub(super) fn hung_up(&mut self, now_ms: i64, link: LinkId) {
        self.now_ms = now_ms;
        let Some(socket) = self.sockets.remove(&link).filter(|socket| socket.is_joined) else {
            return;
        };
        match socket.dead_since_ms {
            Some(_) if socket.is_noticed => {}
            // Nothing is sent before we are ready.
            Some(dead_ms) if socket.is_ready || link == SIGNALING => {
                self.ghosts.insert(link, dead_ms + NOTICE_MS);
            }
            _ => drop(self.lost_ms.insert(link, now_ms)),
        }
    }

    pub(super) fn heard(&mut self, now_ms: i64, link: LinkId, text: &str) {
        self.now_ms = now_ms;
        let message: serde_json::Value = serde_json::from_str(text).expect("ours are JSON");
        if self.sockets.get(&link).is_none_or(|socket| socket.dead_since_ms.is_some()) {
            return;
        }
        match message["msg_type"].as_u64() {
            Some(1) => self.signaling_handshake(),
            Some(3) => self.media_handshake(link),
            Some(7) => self.ready(),
            Some(21) => self.stop(20),
            _ => {}
        }
    }

    fn signaling_handshake(&mut self) {
        let is_duplicate = self.refuses_duplicates && self.ghosts.contains_key(&SIGNALING);
        let refused = self.refuse_next.take().or(is_duplicate.then_some(8));
        if let Some(status) = refused {
            return self.say(SIGNALING, refusal(2, status));
        }
        self.joined(SIGNALING);
        let key = if self.mode == ConnectionMode::Unified { "all" } else { "audio" };
        let url = format!("wss://m{}.zoom.us", self.generation);
        let keys = [key, "video", "transcript"].map(|key| (key, url.as_str()));
        self.say(SIGNALING, offer(&keys));
    }

    fn media_handshake(&mut self, link: LinkId) {
        if let Some(status) = self.refuse_next.take() {
            return self.say(link, refusal(4, status));
        }
        self.joined(link);
        self.say(link, MEDIA_JOINED.to_owned());
    }

    fn joined(&mut self, link: LinkId) {
        self.lost_ms.remove(&link);
        self.ghosts.remove(&link);
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.is_joined = true;
            socket.keep_alive_at_ms = self.now_ms + KEEP_ALIVE_MS;
        }
    }

    /// What waits for it is sent: the audio that was kept, and the state.
    fn ready(&mut self) {
        let audio = self.link_of(Medium::Audio);
        let was_ready = self.is_ready(audio);
        for (_, socket) in self.sockets.iter_mut().filter(|(link, _)| **link != SIGNALING) {
            socket.is_ready |= socket.is_joined && socket.dead_since_ms.is_none();
        }
        if self.is_ready(audio) && !was_ready {
            for made_ms in std::mem::take(&mut self.kept_audio) {
                self.say(audio, frame(Medium::Audio, made_ms));
            }
        }
        self.say_state(if self.is_paused { 5 } else { 1 });
    }

    pub(super) fn is_ready(&self, link: LinkId) -> bool {
        self.sockets.get(&link).is_some_and(|socket| socket.is_ready)
    }

    /// Everything stands, and Zoom is right in thinking so.
    pub(super) fn is_well(&self) -> bool {
        let is_alive = |link| {
            let socket = self.sockets.get(&link);
            socket.is_some_and(|socket| socket.is_joined && socket.dead_since_ms.is_none())
        };
        is_alive(SIGNALING)
            && MEDIA.iter().all(|medium| {
                is_alive(self.link_of(*medium)) && self.is_ready(self.link_of(*medium))
            })
    }

    pub(super) fn say_state(&mut self, state: u16) {
        let at_ms = START_MS + self.now_ms;
        let text = format!(r#"{{"msg_type":8,"state":{state},"timestamp":{at_ms}}}"#);
        self.say(SIGNALING, text);
    }

    pub(super) fn say(&mut self, link: LinkId, text: String) {
        self.tell(link, Input::Received(link, text.into()));
    }

    /// Nothing overtakes on a link, and nothing arrives from a dead one.
    fn tell(&mut self, link: LinkId, input: Input) {
        let arrives_ms = self.now_ms + self.rng.random_range(5..200);
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if socket.dead_since_ms.is_none() {
            socket.busy_until_ms = socket.busy_until_ms.max(arrives_ms);
            socket.on_its_way.push_back((socket.busy_until_ms, Happens::Input(input)));
        }
    }

    pub(super) fn webhook(&mut self, happens: Happens) {
        let last_ms = self.webhooks.back().map_or(0, |(at_ms, _)| *at_ms);
        let arrives_ms = self.now_ms + self.rng.random_range(50..3_000);
        self.webhooks.push_back((arrives_ms.max(last_ms), happens));
    }

    pub(super) fn pass(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.notice();
        self.keep_alive();
        for medium in MEDIA {
            while self.next_frame_ms[&medium] <= now_ms {
                self.make(medium);
            }
        }
        while let Some((_, made_ms)) = self.lines.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) {
            self.count(Medium::Transcript, made_ms);
            self.send(Medium::Transcript, made_ms);
        }
    }

    /// Sees what died, and gives the stream up when it does not come back.
    fn notice(&mut self) {
        let now_ms = self.now_ms;
        for (link, socket) in &mut self.sockets {
            let is_due = socket.dead_since_ms.is_some_and(|dead_ms| dead_ms + NOTICE_MS <= now_ms);
            if is_due && socket.is_joined && !socket.is_noticed {
                socket.is_noticed = true;
                self.lost_ms.insert(*link, now_ms);
            }
        }
        let ghosts = self.ghosts.extract_if(.., |_, until_ms| *until_ms <= now_ms);
        self.lost_ms.extend(ghosts);
        let window_ms =
            |link: LinkId| if link == SIGNALING { SIGNALING_WINDOW_MS } else { MEDIA_WINDOW_MS };
        if self.lost_ms.iter().any(|(link, lost_ms)| lost_ms + window_ms(*link) <= now_ms) {
            self.stop(19);
        }
    }

    fn keep_alive(&mut self) {
        let (now_ms, mut due) = (self.now_ms, Vec::new());
        for (link, socket) in &mut self.sockets {
            if socket.is_joined && socket.keep_alive_at_ms <= now_ms {
                socket.keep_alive_at_ms = now_ms + KEEP_ALIVE_MS;
                due.push(*link);
            }
        }
        for link in due {
            self.say(link, format!(r#"{{"msg_type":12,"timestamp":{}}}"#, START_MS + now_ms));
        }
    }

    fn make(&mut self, medium: Medium) {
        let made_ms = self.next_frame_ms[&medium];
        let is_silence = self.rng.random_bool(0.03);
        let step_ms = match (medium, self.streams) {
            (Medium::Audio, AudioStreams::Mixed) => STEP_MS,
            (Medium::Transcript, _) => self.rng.random_range(500..6_000),
            _ if is_silence => self.rng.random_range(2_000..30_000),
            _ => STEP_MS,
        };
        self.next_frame_ms.insert(medium, made_ms + step_ms);
        if self.is_paused || self.is_over {
            return;
        }
        if medium != Medium::Transcript || self.is_in_trouble {
            self.count(medium, made_ms);
        }
        if self.is_in_trouble {
            return;
        }
        match medium {
            Medium::Transcript => {
                let before_ms = self.lines.back().map_or(0, |(at_ms, _)| *at_ms);
                let written_ms = made_ms + self.rng.random_range(0..3_000);
                self.lines.push_back((written_ms.max(before_ms), made_ms));
            }
            _ => self.send(medium, made_ms),
        }
    }

    /// A line counts when it is written: nobody misses it before.
    fn count(&mut self, medium: Medium, made_ms: i64) {
        self.sent.entry(medium).or_default().push(START_MS + made_ms);
    }

    /// Into a link that it takes for alive; else audio is kept for a while.
    fn send(&mut self, medium: Medium, made_ms: i64) {
        let link = self.link_of(medium);
        let socket = self.sockets.get(&link);
        let is_sent = self.ghosts.contains_key(&link)
            || socket.is_some_and(|socket| socket.is_ready && !socket.is_noticed);
        if is_sent {
            let is_spoiled = self.rng.random_bool(SPOILED);
            let text = if is_spoiled { spoiled } else { frame };
            return self.say(link, text(medium, made_ms));
        }
        if medium == Medium::Audio {
            self.kept_audio.push_back(made_ms);
            self.kept_audio.retain(|kept_ms| made_ms - kept_ms <= KEPT_MS);
        }
    }

    fn link_of(&self, medium: Medium) -> LinkId {
        match self.mode {
            ConnectionMode::Unified => LinkId::Media(Lane::All),
            ConnectionMode::Split => LinkId::Media(Lane::Only(medium)),
        }
    }

    pub(super) fn links(&self) -> Vec<LinkId> {
        let joined = self.sockets.iter().filter(|(_, socket)| socket.is_joined);
        joined.map(|(link, _)| *link).collect()
    }

    /// A socket is gone for both sides: what was on its way comes before a Close, and not after a reset.
    pub(super) fn cut(&mut self, link: LinkId, loss: LossReason) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if !matches!(loss, LossReason::Closed(_)) {
            socket.on_its_way.clear();
        }
        self.tell(link, Input::Lost(link, loss));
        self.die(link, true);
    }

    /// Nothing arrives any more, and nobody is told.
    pub(super) fn silence(&mut self, link: LinkId) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if socket.dead_since_ms.is_none() {
            socket.on_its_way.clear();
            self.died_ms.insert(link, self.now_ms);
            self.die(link, false);
        }
    }

    fn die(&mut self, link: LinkId, is_noticed: bool) {
        let now_ms = self.now_ms;
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        socket.dead_since_ms.get_or_insert(now_ms);
        if is_noticed && !std::mem::replace(&mut socket.is_noticed, true) && socket.is_joined {
            self.lost_ms.insert(link, now_ms);
        }
    }

    /// The server fails with everything that it kept; another takes over.
    pub(super) fn fail_over(&mut self) {
        self.generation += 1;
        self.kept_audio.clear();
        for (_, made_ms) in std::mem::take(&mut self.lines) {
            self.count(Medium::Transcript, made_ms);
        }
        self.ghosts.clear();
        for link in self.sockets.keys().copied().collect::<Vec<_>>() {
            match self.rng.random_bool(0.5) {
                true => self.cut(link, LossReason::Dropped("reset".into())),
                false => self.silence(link),
            }
        }
        self.lost_ms = BTreeMap::from([(SIGNALING, self.now_ms)]);
        self.webhook(Happens::Moved);
    }

    pub(super) fn stop(&mut self, reason: i64) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.lines.clear();
        self.say_state(4);
        for link in self.links() {
            self.tell(link, Input::Lost(link, LossReason::Closed(Some(1000))));
        }
        for _ in 0..self.rng.random_range(1..3) {
            self.webhook(Happens::Input(Input::Stopped { reason: Some(StopReason(reason)) }));
        }
    }

    /// When a link that this medium needs died without a word after `from_ms`, if nobody has seen it yet. Unix
    /// milliseconds.
    pub(super) fn dead_since(&self, medium: Medium, from_ms: i64) -> Option<i64> {
        let links = [SIGNALING, self.link_of(medium)];
        let died = links.iter().filter_map(|link| Some(START_MS + self.died_ms.get(link)?));
        died.filter(|died_ms| *died_ms >= from_ms).min()
    }
}

/// The share of frames that are unreadable.
const SPOILED: f64 = 0.01;

/// A frame of which only the time can be read.
fn spoiled(medium: Medium, made_ms: i64) -> String {
    let number = medium.msg_type();
    let at_ms = START_MS + made_ms;
    format!(
        r#"{{"msg_type":{number},"content":{{"user_id":null,"data":null,"timestamp":{at_ms}}}}}"#
    )
}

fn frame(medium: Medium, made_ms: i64) -> String {
    let (at_ms, data) = (START_MS + made_ms, "AAAB");
    let number = match medium {
        Medium::Audio => 14,
        Medium::Video => 15,
        _ => 17,
    };
    format!(
        r#"{{"msg_type":{number},"content":{{"user_id":7,"data":"{data}","timestamp":{at_ms}}}}}"#
    )
}

//! The media side of a stream: handshakes (messages 3 and 4), audio frames, transcript lines and chat messages.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::Stream;
use super::pictures::PictureSchedule;
use crate::model::Medium;
use crate::rtms::message::{MEDIA_TYPE_ALL, msg_type};
use crate::rtms::server::admission::check_duplicates;
use crate::rtms::server::handshake::{Route, requested_media};
use crate::rtms::server::params::{AUDIO_MIXED, AudioParams, MediaParams, negotiate};
use crate::rtms::server::refusal::Refusal;
use crate::simulator::audio::{Encoder, utterances_between};
use crate::simulator::link::Link;
use crate::simulator::lock;
use crate::simulator::script::{Ending, Script};
use crate::simulator::settings::Duplicates;
use crate::simulator::shared::MeetingState;
use crate::simulator::wire;

/// The most speakers in one audio interval (section 8.1).
const MAX_SPEAKERS: usize = 3;
/// The room in a client's queue that audio leaves for other media and for keep-alives.
const SPARE_ROOM: usize = 32;
/// How often a full queue is polled for room.
const ROOM_POLL: Duration = Duration::from_millis(20);

/// An established media socket.
pub(super) struct MediaLink {
    pub link: Link,
    pub media: Vec<Medium>,
    /// Whether it was opened for all media, with `media_type` 32.
    is_all: bool,
    /// Whether a CLIENT_READY_ACK followed its handshake, so that media may be sent.
    pub is_ready: bool,
    pub params: MediaParams,
    encoder: Option<Arc<Encoder>>,
}

/// An accepted media handshake.
pub(super) struct Admission {
    media: Vec<Medium>,
    is_all: bool,
    params: MediaParams,
}

/// How far each medium has been sent, in script milliseconds.
pub(super) struct MediaProgress {
    began_ms: i64,
    /// Audio is sent up to here. This stands still while the client is away, because audio is buffered.
    audio_ms: i64,
    /// When a full queue is polled again.
    audio_waits_until: Option<Instant>,
    pub video: PictureSchedule,
    pub share: PictureSchedule,
    /// The participant of the individual video subscription (message 28).
    pub video_of: Option<usize>,
}

impl MediaProgress {
    pub(super) fn new(began_ms: i64) -> Self {
        Self {
            began_ms,
            audio_ms: began_ms,
            audio_waits_until: None,
            video: PictureSchedule::new(began_ms),
            share: PictureSchedule::new(began_ms),
            video_of: None,
        }
    }

    pub(super) fn began_ms(&self) -> i64 {
        self.began_ms
    }

    /// Discards everything before this time.
    pub(super) fn skip_to(&mut self, now_ms: i64) {
        self.audio_ms = now_ms;
        self.restart_pictures(now_ms);
    }

    /// Restarts pictures with a key frame, without sending any for the time before: video is not buffered
    /// (section 9).
    pub(super) fn restart_pictures(&mut self, now_ms: i64) {
        self.video = PictureSchedule::new(now_ms);
        self.share = PictureSchedule::new(now_ms);
    }
}

impl Stream {
    /// Checks a media handshake. Fails with refusal 2 or with one of 9 to 43.
    pub(super) fn check_media(
        &mut self,
        route: Route,
        media_type: i64,
        requested: &Value,
    ) -> Result<Admission, Refusal> {
        // The media URLs are in message 2, so a correct client has had a signaling connection.
        if !self.has_connected {
            self.report().breach("a media handshake before the signaling handshake".to_owned());
            return Err(Refusal::STREAM_ID);
        }
        let settings = self.shared.settings();
        let media = requested_media(route, media_type, &settings.granted_media())?;
        let is_all = media_type == i64::from(MEDIA_TYPE_ALL);
        self.check_duplicates(&media, is_all)?;
        // Last: a duplicate is refused as one, whatever its parameters are.
        let params = negotiate(&media, requested, settings.lenient_params)?;
        Ok(Admission { media, is_all, params })
    }

    /// Fails with refusal 15 or 16 if the media already have a socket (section 3.3).
    fn check_duplicates(&self, media: &[Medium], is_all: bool) -> Result<(), Refusal> {
        // `accept_media` drops the older links.
        if self.shared.settings().duplicates == Duplicates::Kick {
            return Ok(());
        }
        let open = self.media.iter().map(|open| (&*open.media, open.is_all));
        let zombies = self.zombies.iter().map(|zombie| (&*zombie.media, false));
        check_duplicates(media, is_all, open.chain(zombies))
    }

    /// Answers with message 4 and adds the link. Older links for the same media are dropped.
    pub(super) fn accept_media(&mut self, link: Link, admission: Admission) {
        let Admission { media, is_all, params } = admission;
        let overlaps = |other: &[Medium]| other.iter().any(|medium| media.contains(medium));
        for kicked in self.media.extract_if(.., |open| overlaps(&open.media)) {
            kicked.link.outbox.drop_tcp();
        }
        // The media are back, in whatever grouping the client chose.
        self.media_windows.retain(|missing| !overlaps(&missing.media));
        if media.contains(&Medium::Video) {
            // Nothing is sent before a subscription on this socket (section 6.19).
            self.progress.video_of = None;
        }
        link.outbox.send(wire::media_accepted(params));
        let encoder = params.audio.map(|audio| self.shared.state.encoder(audio));
        self.media.push(MediaLink { link, media, is_all, is_ready: false, params, encoder });
        self.report().media_handshakes += 1;
    }

    /// Marks every established media socket as ready for media. Returns whether any was not ready before.
    pub(super) fn make_media_ready(&mut self, now: Instant) -> bool {
        let any_opened = self.media.iter().any(|media| !media.is_ready);
        for media in &mut self.media {
            media.is_ready = true;
        }
        if any_opened {
            // A new decoder needs a key frame.
            self.progress.restart_pictures(self.shared.clock.ms(now));
        }
        any_opened
    }

    /// The ready socket that carries this medium.
    pub(super) fn open_for(&self, medium: Medium) -> Option<&MediaLink> {
        self.media.iter().find(|media| media.is_ready && media.media.contains(&medium))
    }

    /// Sends all audio and pictures that are due.
    pub(super) fn send_media(&mut self, now: Instant, meeting: &MeetingState) {
        let now_ms = self.shared.clock.ms(now);
        self.send_audio(now, now_ms);
        self.send_pictures(now_ms, meeting);
    }

    /// When the next audio frame or picture is due.
    pub(super) fn media_deadline(&self) -> Option<Instant> {
        let clock = &self.shared.clock;
        let audio =
            self.open_for(Medium::Audio).and_then(|media| media.params.audio).map(|audio| {
                let due = clock.at(self.progress.audio_ms + audio.send_rate);
                self.progress.audio_waits_until.map_or(due, |until| due.max(until))
            });
        audio.into_iter().chain(self.picture_deadline()).min()
    }

    /// Sends every audio interval that has passed, as far as the client's queue has room. The rest stays buffered.
    fn send_audio(&mut self, now: Instant, now_ms: i64) {
        let Some(media) = self.open_for(Medium::Audio) else { return };
        let (Some(params), Some(encoder)) = (media.params.audio, media.encoder.clone()) else {
            return;
        };
        let mut from_ms = self.progress.audio_ms;
        let oldest_ms = now_ms - i64::from(self.shared.settings().timings.audio_backlog_ms);
        // The backlog is bounded (60 s, section 9): older intervals are dropped, but counted and logged.
        let lost = ((oldest_ms - from_ms) / params.send_rate).max(0);
        from_ms += lost * params.send_rate;
        for interval in 0..lost {
            let at_ms =
                self.shared.clock.wire_ms(self.progress.audio_ms + interval * params.send_rate);
            self.log_frame(Medium::Audio, at_ms, Vec::new, false);
        }
        let mut sent = Tally { dropped: lost as u64, ..Tally::default() };
        let mut has_room = true;
        while from_ms + params.send_rate <= now_ms {
            // Audio waits for room, since it is buffered; other media are dropped when the queue is full.
            has_room = media.link.outbox.room() > SPARE_ROOM;
            if !has_room {
                break;
            }
            self.send_interval(media, &params, &encoder, from_ms, &mut sent);
            from_ms += params.send_rate;
        }
        self.record_sent(Medium::Audio, &sent);
        self.progress.audio_ms = from_ms;
        // Without this the due audio would wake the task in a busy loop.
        self.progress.audio_waits_until = (!has_room).then(|| now + ROOM_POLL);
    }

    /// Sends one interval: a mixed frame, or one frame for each speaker.
    fn send_interval(
        &self,
        media: &MediaLink,
        params: &AudioParams,
        encoder: &Encoder,
        from_ms: i64,
        sent: &mut Tally,
    ) {
        let script = &self.shared.settings().script;
        let in_round_ms = from_ms - round_start(script, from_ms);
        let speakers =
            utterances_between(script, in_round_ms, in_round_ms + params.send_rate, MAX_SPEAKERS);
        let timestamp = self.shared.clock.wire_ms(from_ms);
        let audio = msg_type::MEDIA_DATA_AUDIO;
        // The parties of an engagement always have separate channels, even if mixed audio was requested.
        if params.data_opt == AUDIO_MIXED && !script.is_engagement() {
            let payload = encoder.mixed_voices(&speakers, in_round_ms);
            let text = wire::media_frame(audio, wire::MIXED, &payload, timestamp);
            let taken = media.link.outbox.send(text);
            self.log_frame(Medium::Audio, timestamp, || payload.bytes(), taken);
            sent.add(payload.length, taken);
            return;
        }
        for utterance in speakers {
            let person = &script.people[utterance.who];
            let payload = encoder.single_voice(utterance, in_round_ms);
            let text = wire::media_frame(audio, &person.frame_fields, &payload, timestamp);
            let taken = media.link.outbox.send(text);
            self.log_frame(Medium::Audio, timestamp, || payload.bytes(), taken);
            sent.add(payload.length, taken);
        }
    }

    /// Sends the transcript line of an utterance that has just ended. `round_start_ms` is the script time at which
    /// the current round began.
    pub(crate) fn transcript_line(&mut self, now: Instant, utterance: usize, round_start_ms: i64) {
        let script = &self.shared.settings().script;
        let utterance = &script.utterances[utterance];
        let Some(media) = self.flowing_for(Medium::Transcript) else {
            return self.log_missed(now, Medium::Transcript, &utterance.text);
        };
        let person = &script.people[utterance.who];
        let at = |ms: u32| self.shared.clock.wire_ms(round_start_ms + i64::from(ms));
        let times = [at(utterance.start_ms), at(utterance.end_ms()), self.shared.wire_now(now)];
        let text = wire::utterance(person, utterance, times);
        let taken = media.link.outbox.send(text);
        self.record_one(now, Medium::Transcript, &utterance.text, taken);
    }

    /// Sends a chat message. `number` makes its message id unique within the meeting.
    pub(crate) fn chat_message(&mut self, now: Instant, chat: usize, number: u64) {
        let script = &self.shared.settings().script;
        let chat = &script.chats[chat];
        let Some(media) = self.flowing_for(Medium::Chat) else {
            return self.log_missed(now, Medium::Chat, &chat.text);
        };
        let person = &script.people[chat.who];
        let id = format!("{}-{number}", self.shared.identity.meeting_id);
        let now_ms = self.shared.wire_now(now);
        let text = wire::chat_to_everyone(&id, person, &chat.text, now_ms);
        let taken = media.link.outbox.send(text);
        self.record_one(now, Medium::Chat, &chat.text, taken);
    }

    /// The ready socket that carries this medium, unless media is paused or interrupted.
    fn flowing_for(&self, medium: Medium) -> Option<&MediaLink> {
        self.open_for(medium).filter(|_| self.is_flowing())
    }

    /// Logs a line or message that was not sent because the client was away. In a pause nothing is logged, because
    /// nothing was to be sent.
    fn log_missed(&self, now: Instant, medium: Medium, text: &str) {
        if !self.is_paused {
            self.log_frame(medium, self.shared.wire_now(now), || text.into(), false);
        }
    }

    /// Adds a frame to the frame log, if there is one.
    pub(super) fn log_frame(
        &self,
        medium: Medium,
        at_ms: i64,
        payload: impl FnOnce() -> Vec<u8>,
        is_sent: bool,
    ) {
        if let Some(frame_log) = &self.frame_log {
            lock(frame_log).add(medium, at_ms, &payload(), is_sent);
        }
    }

    /// Logs and counts one line or message.
    fn record_one(&self, now: Instant, medium: Medium, text: &str, taken: bool) {
        self.log_frame(medium, self.shared.wire_now(now), || text.into(), taken);
        let mut sent = Tally::default();
        sent.add(text.len(), taken);
        self.record_sent(medium, &sent);
    }

    /// Adds the counts to the report.
    pub(super) fn record_sent(&self, medium: Medium, sent: &Tally) {
        let mut report = lock(&self.report);
        let medium = report.media.entry(medium.as_str()).or_default();
        medium.frames += sent.frames;
        medium.bytes += sent.bytes;
        medium.dropped += sent.dropped;
    }
}

/// Counts the frames of a medium that were queued, and those for which the queue had no room.
#[derive(Default)]
pub(super) struct Tally {
    frames: u64,
    bytes: u64,
    dropped: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: usize, taken: bool) {
        if taken {
            self.frames += 1;
            self.bytes += bytes as u64;
        } else {
            self.dropped += 1;
        }
    }
}

/// The script time at which the round began that contains `script_ms`.
fn round_start(script: &Script, script_ms: i64) -> i64 {
    match script.ending {
        Ending::At { .. } => 0,
        Ending::Again { length_ms } => script_ms - script_ms % i64::from(length_ms),
    }
}

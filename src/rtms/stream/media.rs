//! The media links of a stream: handshake, frames, loss and rejoin.

use std::time::{Duration, Instant};

use super::link::Link;
use super::verdict::{Verdict, verdict};
use super::{
    End, Lane, LinkEvent, LinkId, LossReason, MediaLink, Output, Socket, Stream, find_link,
};
use crate::model::params::{AudioStreams, ConnectionMode};
use crate::model::{EntryBody, MediaSet, Medium, Outcome};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::ledger::Change;
use crate::rtms::message::{
    Handshake, HandshakeAnswer, MEDIA_TYPE_ALL, Malformed, MediaFrame, Message, Outgoing,
    decode_head, msg_type,
};
use crate::rtms::params::Effective;

/// How long to wait for a socket to show the loss that Zoom has reported.
const REPORT_GRACE: Duration = Duration::from_secs(1);

/// The keys that may hold a medium's URL. Only some are documented (rtms-protocol.md sections 3.3 and 22).
fn url_keys(medium: Medium) -> &'static [&'static str] {
    match medium {
        Medium::Audio => &["audio"],
        Medium::Video => &["video"],
        Medium::Share => &["deskshare", "sharescreen", "share", "screenshare"],
        Medium::Transcript => &["transcript"],
        Medium::Chat => &["chat"],
    }
}

impl Stream {
    /// Returns the handshake for a link that just opened.
    pub(super) fn handshake(&self, id: LinkId) -> Outgoing {
        let setup = &self.setup;
        let who = Handshake {
            key: setup.instance.key,
            instance_id: setup.instance.id().to_owned(),
            stream_id: setup.stream_id.clone(),
            signature: setup.signature.clone(),
        };
        let LinkId::Media(lane) = id else {
            return Outgoing::SignalingHandshake { who, buffer_data: setup.params.buffer_data };
        };
        let media_type = match lane {
            // Never a combined mask: the docs know one medium or 32 (rtms-protocol.md section 3.3).
            Lane::All => MEDIA_TYPE_ALL,
            Lane::Only(medium) => medium.media_type(),
        };
        let media_params = setup.params.media_params(self.media_of(lane));
        Outgoing::MediaHandshake { who, media_type, media_params }
    }

    /// Dials one link for all media, or one for each, by the URLs of this answer.
    pub(super) fn dial_media(&mut self, now: Instant, answer: &HandshakeAnswer) {
        let lanes = self.lanes(answer);
        self.media.reserve_exact(lanes.len());
        for (lane, url) in lanes {
            match url.map(|url| self.setup.policy.endpoint(url)) {
                Some(Ok(endpoint)) => self.dial_lane(now, lane, endpoint),
                Some(Err(error)) => self.without(lane, &format!("its URL {error}")),
                None => self.without(lane, "not offered by Zoom"),
            }
        }
        if self.media.is_empty() {
            let detail = "no medium that is wanted has a URL that is allowed";
            self.finish(End {
                outcome: Outcome::Refused,
                stop_reason: None,
                detail: detail.to_owned(),
            });
        }
    }

    fn lanes<'a>(&self, answer: &'a HandshakeAnswer) -> Vec<(Lane, Option<&'a str>)> {
        let all = answer.media_url(&["all"]);
        if self.setup.params.mode == ConnectionMode::Unified && all.is_some() {
            return vec![(Lane::All, all)];
        }
        // A medium without a URL of its own uses the `all` URL with its single `media_type` (rtms-protocol.md
        // section 3.3).
        let lane =
            |medium: Medium| (Lane::Only(medium), answer.media_url(url_keys(medium)).or(all));
        self.setup.params.media.iter().map(lane).collect()
    }

    fn dial_lane(&mut self, now: Instant, lane: Lane, endpoint: Endpoint) {
        let timings = &self.setup.timings;
        let link = Link::dialing(now, timings.media_window, timings);
        self.outputs.push_back(Output::Dial(LinkId::Media(lane), endpoint.clone()));
        self.media.push(MediaLink { lane, endpoint, link, effective: None });
    }

    fn without(&mut self, lane: Lane, cause: &str) {
        let link = LinkId::Media(lane).as_str().into();
        self.note(None, EntryBody::LinkDown { link, cause: cause.to_owned() });
    }

    pub(super) fn media_message(&mut self, now: Instant, lane: Lane, message: Message) {
        match message {
            // Older docs carry the answer in message 2 (rtms-protocol.md conflict 19.30).
            Message::MediaAnswer(answer) | Message::SignalingAnswer(answer) => {
                self.media_answer(now, lane, &answer);
            }
            Message::Transcript(at_ms, mut line) => {
                line.speaker =
                    self.roster.speaker(line.speaker.in_product(self.setup.instance.product));
                self.entry(Medium::Transcript, at_ms, EntryBody::Transcript(line));
            }
            Message::Chat(at_ms, message) => {
                self.entry(Medium::Chat, at_ms, EntryBody::Chat(Box::new(message)));
            }
            _ => self.count_unknown(msg_type::UNDEFINED),
        }
    }

    /// Records a line or message if its medium is wanted: a socket for all media also carries others.
    fn entry(&mut self, medium: Medium, at_ms: Option<i64>, body: EntryBody) {
        if self.setup.params.wants(medium) {
            self.note(at_ms, body);
        }
    }

    pub(super) fn frame(&mut self, id: LinkId, frame: MediaFrame) {
        if id == LinkId::Signaling {
            self.count_unknown(msg_type::UNDEFINED);
        } else if self.setup.params.wants(frame.medium) {
            self.outputs.push_back(Output::Frame(frame));
        }
    }

    /// Counts a message that is too large to be read. Like any unreadable message, it is no sign of life.
    pub(super) fn too_large(&mut self, id: LinkId, head: &[u8]) {
        if self.link_mut(id).is_some_and(|link| link.is_open()) {
            let lost = decode_head(head, &mut self.unreadable);
            self.message_lost(id, &lost);
        }
    }

    /// Accounts for an unreadable message in every medium that it may have carried.
    pub(super) fn message_lost(&mut self, id: LinkId, malformed: &Malformed) {
        let LinkId::Media(lane) = id else { return };
        let (number, at_ms) = (malformed.kind.msg_type, malformed.at_ms);
        let is_live = self.link_mut(id).is_some_and(|link| link.is_live());
        let media = match Medium::of_message(number) {
            Some(medium) => medium.into(),
            // Without a type the message may have carried any medium of this link.
            None if number == msg_type::UNDEFINED && is_live => self.media_of(lane),
            None => MediaSet::default(),
        };
        for medium in media.iter().filter(|medium| self.setup.params.wants(*medium)) {
            self.outputs.push_back(Output::Ledger(Change::Unreadable { medium, at_ms }));
        }
    }

    fn media_answer(&mut self, now: Instant, lane: Lane, answer: &HandshakeAnswer) {
        let id = LinkId::Media(lane);
        if !self.link_mut(id).is_some_and(|link| link.is_handshaking()) {
            return;
        }
        let status = answer.status_code;
        match verdict(status, &answer.reason) {
            Verdict::Accepted => {
                self.keep_effective(lane, answer);
                self.media_joined(now, id);
            }
            // Zoom forgets a stream that it has ended. Its refusal must not replace the reason of the end.
            _ if !self.is_running() => {
                self.lost(now, id, LossReason::Refused(status), Socket::Open)
            }
            Verdict::Retry => self.lost(now, id, LossReason::Refused(status), Socket::Open),
            Verdict::Duplicate => self.lost(now, id, LossReason::Duplicate(status), Socket::Open),
            Verdict::Final(Outcome::Gone) if self.may_have_moved(now) => {
                self.lost(now, id, LossReason::Refused(answer.status_code), Socket::Open);
            }
            Verdict::WithoutMedium => self.refuse_lane(id, answer),
            Verdict::Final(outcome) => self.refused(outcome, id.as_str(), answer),
        }
    }

    fn keep_effective(&mut self, lane: Lane, answer: &HandshakeAnswer) {
        let asked = &self.setup.params;
        let effective = Effective::read(asked, self.media_of(lane), &answer.media_params);
        if let Some(media) = self.media.iter_mut().find(|media| media.lane == lane) {
            media.effective = Some(effective);
            self.has_new_effective = true;
        }
    }

    fn media_of(&self, lane: Lane) -> MediaSet {
        match lane {
            Lane::All => self.setup.params.media,
            Lane::Only(medium) => medium.into(),
        }
    }

    fn media_joined(&mut self, now: Instant, id: LinkId) {
        if let Some(link) = find_link(&mut self.signaling, &mut self.media, id) {
            link.accepted(now, &self.setup.timings);
        }
        self.gone_at = None;
        self.link_events.push(LinkEvent::Up(id));
        self.note(None, EntryBody::LinkUp { link: id.as_str().into() });
        self.account(Change::Up { link: id, audio_step_ms: self.audio_step_ms(id) });
        if self.is_running() {
            let stream_id = self.setup.stream_id.clone();
            // On signaling, after each media handshake, also after a reconnect (rtms-protocol.md section 3.3):
            // media starts after it (section 22).
            self.send(LinkId::Signaling, Outgoing::Ready(stream_id));
            self.video_joined(now, id);
        }
        self.note_liveness();
    }

    /// The fixed interval of audio frames, if there is one. Mixed audio is continuous, but Zoom sends a
    /// participant's or a channel's audio only while they speak (rtms-protocol.md section 9).
    fn audio_step_ms(&self, id: LinkId) -> Option<u32> {
        let LinkId::Media(lane) = id else { return None };
        let audio = self.effective(lane)?.audio.as_ref()?;
        let is_mixed = audio.streams == Some(AudioStreams::Mixed);
        audio.send_rate_ms.filter(|_| is_mixed && !self.setup.instance.product.names_channels())
    }

    /// Gives up a medium that Zoom will not send. The stream continues with the others, if there are any.
    fn refuse_lane(&mut self, id: LinkId, answer: &HandshakeAnswer) {
        self.outputs.push_back(Output::HangUp(id, super::HangUp::Politely));
        if let Some(link) = self.link_mut(id) {
            link.take_down();
        }
        self.note_link_down(id, &LossReason::Refused(answer.status_code));
        if self.media.iter().all(|media| media.link.is_down()) {
            self.refused(Outcome::Refused, id.as_str(), answer);
        }
        self.note_liveness();
    }

    /// Handles Zoom's report of a lost media link, which does not say which one. If a link is new or being
    /// rebuilt, the report is about that one. Otherwise the socket gets a moment to show the loss, so that the
    /// other media stay untouched.
    pub(super) fn media_reported_lost(&mut self, now: Instant) {
        if self.is_running() && self.stable_lanes().is_some() {
            self.media_report_due.get_or_insert(now + REPORT_GRACE);
        }
    }

    /// Redials all media links after a report that no socket confirmed: the fault may be in the other direction
    /// only.
    pub(super) fn act_on_media_report(&mut self, now: Instant) {
        self.media_report_due = None;
        let lanes = self.stable_lanes().filter(|_| self.is_running());
        for lane in lanes.unwrap_or_default() {
            self.lost(now, LinkId::Media(lane), LossReason::Reported, Socket::Open);
        }
    }

    /// The wanted media links, if all of them are stable.
    fn stable_lanes(&self) -> Option<Vec<Lane>> {
        let wanted = self.media.iter().filter(|media| !media.link.is_down());
        let is_stable = wanted.clone().all(|media| media.link.is_stable());
        is_stable.then(|| wanted.map(|media| media.lane).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::params::{Params, Preset};
    use crate::model::{IdKey, Instance, Product, StreamId};
    use crate::rtms::endpoint::{Policy, ZOOM_HOSTS};
    use crate::rtms::params::Effective;
    use crate::rtms::stream::{Input, Setup, Timings};
    use crate::secret::Secret;

    const AUDIO: Lane = Lane::Only(Medium::Audio);

    /// A stream for audio whose signaling is live and whose media link waits for its answer.
    fn handshaking(now: Instant) -> Stream {
        let policy = Policy::new(ZOOM_HOSTS.map(String::from).to_vec(), false);
        let endpoint = policy.endpoint("wss://rtms.zoom.us/").unwrap();
        let setup = Setup {
            stream_id: StreamId::parse("e1f2a3b4").unwrap(),
            instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "4444AAA==").unwrap(),
            signature: Secret::new("19302915".to_owned()),
            params: Preset::AudioOnly.params(),
            policy,
            timings: Timings::default(),
        };
        let mut stream = Stream::new(now, 1, setup, endpoint);
        let urls = json!({ "audio": "wss://media.zoom.us/audio" });
        let answer =
            json!({ "msg_type": 2, "status_code": 0, "media_server": { "server_urls": urls } });
        stream.handle(now, Input::Opened(LinkId::Signaling));
        stream.handle(now, Input::Received(LinkId::Signaling, answer.to_string().into()));
        stream.handle(now, Input::Opened(LinkId::Media(AUDIO)));
        stream
    }

    fn answer(stream: &mut Stream, now: Instant, answer: &serde_json::Value) {
        stream.handle(now, Input::Received(LinkId::Media(AUDIO), answer.to_string().into()));
    }

    #[test]
    fn what_zoom_gives_on_a_link_is_known_once_it_has_accepted() {
        let now = Instant::now();
        let mut stream = handshaking(now);
        assert_eq!(stream.effective(AUDIO), None);
        let media_params = json!({ "audio": { "codec": 4, "sample_rate": 3 } });
        let accepted = json!({ "msg_type": 4, "status_code": 0, "media_params": media_params });
        answer(&mut stream, now, &accepted);
        let asked = Preset::AudioOnly.params();
        let effective = stream.effective(AUDIO).unwrap();
        assert_eq!(*effective, Effective::read(&asked, Medium::Audio.into(), &media_params));
        let changed: Vec<String> =
            effective.differences(&asked).into_iter().map(|difference| difference.field).collect();
        assert_eq!(changed, ["audio.codec", "audio.sample_rate"]);
        assert_eq!(stream.effective(Lane::All), None);
    }

    #[test]
    fn odd_parameters_in_an_answer_do_not_end_a_link() {
        for odd in [json!(null), json!([]), json!("?"), json!({ "audio": 7 })] {
            let now = Instant::now();
            let mut stream = handshaking(now);
            let accepted = json!({ "msg_type": 4, "status_code": 0, "media_params": odd });
            answer(&mut stream, now, &accepted);
            let asked = Params { media: Medium::Audio.into(), ..Params::default() };
            assert_eq!(stream.effective(AUDIO).unwrap().differences(&asked), []);
        }
    }
}

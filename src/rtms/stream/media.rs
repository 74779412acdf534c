use std::time::Instant;

use super::link::Link;
use super::verdict::{Verdict, verdict};
use super::{Lane, LinkId, Loss, MediaLink, Output, Socket, Stream, find};
use crate::model::{EntryBody, Outcome, Participant};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::message::{
    FrameInfo, HandshakeAnswer, MEDIA_TYPE_ALL, Medium, Message, Outgoing, msg_type,
};
use crate::rtms::params::ConnectionMode;

/// The keys under which a medium's URL may come; only some are documented (section 3.3, section 22).
fn url_keys(medium: Medium) -> &'static [&'static str] {
    match medium {
        Medium::Audio => &["audio"],
        Medium::Video => &["video"],
        Medium::Share => &["deskshare", "sharescreen", "share", "screenshare"],
        Medium::Transcript => &["transcript"],
        Medium::Chat => &["chat"],
    }
}

impl<T: AsRef<str>> Stream<T> {
    /// The handshake of a link that just opened.
    pub(super) fn handshake(&self, id: LinkId) -> Outgoing {
        let setup = &self.setup;
        let key = setup.instance.key;
        let instance_id = setup.instance.id().to_owned();
        let stream_id = setup.stream_id.clone();
        let signature = setup.signature.clone();
        let LinkId::Media(lane) = id else {
            let buffer_data = setup.params.buffer_data;
            return Outgoing::SignalingHandshake {
                key,
                instance_id,
                stream_id,
                signature,
                buffer_data,
            };
        };
        let (media_type, media_params) = match lane {
            Lane::All => (MEDIA_TYPE_ALL, setup.params.media_params(&setup.params.media)),
            Lane::Only(medium) => (medium.bit(), setup.params.media_params(&[medium])),
        };
        Outgoing::MediaHandshake {
            key,
            instance_id,
            stream_id,
            signature,
            media_type,
            media_params,
        }
    }

    /// Dials one link for everything, or one per medium, by the URLs of this answer.
    pub(super) fn dial_media(&mut self, now: Instant, answer: &HandshakeAnswer) {
        for (lane, url) in self.lanes(answer) {
            match url.map(|url| self.setup.policy.endpoint(url)) {
                Some(Ok(endpoint)) => self.dial_lane(now, lane, endpoint),
                Some(Err(error)) => self.without(lane, &format!("its URL {error}")),
                None => self.without(lane, "not offered by Zoom"),
            }
        }
        if self.media.is_empty() {
            let detail = "no medium that is wanted has a URL that is allowed";
            self.finish(super::end(Outcome::Refused, None, detail));
        }
    }

    fn lanes<'a>(&self, answer: &'a HandshakeAnswer) -> Vec<(Lane, Option<&'a str>)> {
        let all = answer.media_url(&["all"]);
        if self.setup.params.mode == ConnectionMode::Unified && all.is_some() {
            return vec![(Lane::All, all)];
        }
        let lane =
            |medium: &Medium| (Lane::Only(*medium), answer.media_url(url_keys(*medium)).or(all));
        self.setup.params.media.iter().map(lane).collect()
    }

    fn dial_lane(&mut self, now: Instant, lane: Lane, endpoint: Endpoint) {
        let timings = &self.setup.timings;
        let link = Link::dialing(now, timings.media_window, timings);
        self.outputs.push_back(Output::Dial(LinkId::Media(lane), endpoint.clone()));
        self.media.push(MediaLink { lane, endpoint, link });
    }

    fn without(&mut self, lane: Lane, cause: &str) {
        let link = LinkId::Media(lane).as_str().into();
        self.note(None, EntryBody::LinkDown { link, cause: cause.to_owned() });
    }

    pub(super) fn media_message(&mut self, now: Instant, lane: Lane, message: Message<'_>) {
        match message {
            Message::MediaAnswer(answer) | Message::SignalingAnswer(answer) => {
                self.media_answer(now, lane, &answer);
            }
            Message::Transcript(at_ms, mut line) => {
                let speaker = Participant { user_id: line.user_id, user_name: line.user_name };
                line.user_name = self.named(speaker).user_name;
                self.entry(Medium::Transcript, at_ms, EntryBody::Transcript(line));
            }
            Message::Chat(at_ms, message) => {
                self.entry(Medium::Chat, at_ms, EntryBody::Chat(message));
            }
            _ => self.count_unknown(msg_type::UNDEFINED),
        }
    }

    /// One socket for everything also carries what was not asked for.
    fn entry(&mut self, medium: Medium, at_ms: Option<i64>, body: EntryBody) {
        if self.setup.params.wants(medium) {
            self.note(at_ms, body);
        }
    }

    pub(super) fn frame(&mut self, id: LinkId, medium: Medium, info: FrameInfo, text: T) {
        if id == LinkId::Signaling {
            self.count_unknown(msg_type::UNDEFINED);
        } else if self.setup.params.wants(medium) {
            self.outputs.push_back(Output::Frame(medium, info, text));
        }
    }

    fn media_answer(&mut self, now: Instant, lane: Lane, answer: &HandshakeAnswer) {
        let id = LinkId::Media(lane);
        if !self.link_mut(id).is_some_and(|link| link.is_handshaking()) {
            return;
        }
        let status = answer.status_code;
        match verdict(status, &answer.reason) {
            Verdict::Accepted => self.media_joined(now, id),
            // Zoom forgets a stream that it has ended: its answer must not hide why it did.
            _ if !self.is_running() => self.lost(now, id, Loss::Refused(status), Socket::Open),
            Verdict::Retry => self.lost(now, id, Loss::Refused(status), Socket::Open),
            Verdict::Duplicate => self.lost(now, id, Loss::Duplicate(status), Socket::Open),
            Verdict::WithoutMedium => self.refuse_lane(id, answer),
            Verdict::Final(outcome) => self.refused(outcome, id.as_str(), answer),
        }
    }

    fn media_joined(&mut self, now: Instant, id: LinkId) {
        if let Some(link) = find(&mut self.signaling, &mut self.media, id) {
            link.accepted(now, &self.setup.timings);
        }
        self.note(None, EntryBody::LinkUp { link: id.as_str().into() });
        if self.is_running() {
            let stream_id = self.setup.stream_id.clone();
            self.send(LinkId::Signaling, Outgoing::Ready(stream_id));
        }
        self.note_liveness();
    }

    /// Zoom will not give this medium. The stream goes on with the others, if there are any.
    fn refuse_lane(&mut self, id: LinkId, answer: &HandshakeAnswer) {
        self.outputs.push_back(Output::HangUp(id, super::HangUp::Politely));
        if let Some(link) = self.link_mut(id) {
            link.take_down();
        }
        self.note_link_down(id, &Loss::Refused(answer.status_code));
        if self.media.iter().all(|media| media.link.is_down()) {
            self.refused(Outcome::Refused, id.as_str(), answer);
        }
        self.note_liveness();
    }

    /// Zoom lost a media link of ours and does not say which. If one is being rebuilt or is new, it is that
    /// one; otherwise all of them are dialled again, since the fault may be in the other direction only.
    pub(super) fn media_reported_lost(&mut self, now: Instant) {
        if !self.is_running() {
            return;
        }
        let wanted = self.media.iter().filter(|media| !media.link.is_down());
        let stable: Vec<Lane> =
            wanted.clone().filter(|media| media.link.is_stable()).map(|media| media.lane).collect();
        if stable.len() == wanted.count() {
            for lane in stable {
                self.lost(now, LinkId::Media(lane), Loss::Reported, Socket::Open);
            }
        }
    }
}

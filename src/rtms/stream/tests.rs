//! What a stream promises: what it does about every message, every timer and every refusal, and what holds
//! whatever comes.

mod closing;
mod driver;
mod interruptions;
mod joining;
mod lanes;
mod loss;
mod messages;
mod refusals;
mod reports;
mod simulation;
mod sockets;
mod spoiled;
mod timers;
mod video;
mod walk;

use super::{Lane, LinkId, Setup, Timings};
use crate::model::params::{ConnectionMode, Params};
use crate::model::{IdKey, Instance, Medium, Product, StreamId};
use crate::rtms::endpoint::{Policy, ZOOM_HOSTS};
use crate::secret::Secret;

const SIGNALING: LinkId = LinkId::Signaling;
const ALL: LinkId = LinkId::Media(Lane::All);
const AUDIO: LinkId = only(Medium::Audio);
const VIDEO: LinkId = only(Medium::Video);
const SHARE: LinkId = only(Medium::Share);
const TRANSCRIPT: LinkId = only(Medium::Transcript);
const CHAT: LinkId = only(Medium::Chat);

/// Message 2 with a URL for every medium and one for all of them.
const JOINED: &str = r#"{"msg_type":2,"status_code":0,"reason":"","media_server":{"server_urls":{
    "audio":"wss://audio.zoom.us","video":"wss://video.zoom.us","deskshare":"wss://share.zoom.us",
    "transcript":"wss://transcript.zoom.us","chat":"wss://chat.zoom.us","all":"wss://all.zoom.us"}}}"#;
/// Message 4.
const MEDIA_JOINED: &str =
    r#"{"msg_type":4,"status_code":0,"reason":"","payload_encrypted":false}"#;
const KEEP_ALIVE: &str = r#"{"msg_type":12,"timestamp":1732313182000}"#;
const AUDIO_FRAME: &str =
    r#"{"msg_type":14,"content":{"user_id":7,"data":"AAAB","timestamp":1732313190020}}"#;
const LINE: &str =
    r#"{"msg_type":17,"content":{"user_id":7,"timestamp":1732313191600,"data":"Good morning"}}"#;
const MEDIA_INTERRUPTED: &str = r#"{"msg_type":6,"event":{"event_type":7,"timestamp":1}}"#;

const fn only(medium: Medium) -> LinkId {
    LinkId::Media(Lane::Only(medium))
}

fn setup(media: &[Medium], mode: ConnectionMode) -> Setup {
    Setup {
        stream_id: StreamId::parse("e1f2a3b4").unwrap(),
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "4444AAA==").unwrap(),
        signature: Secret::new("19302915".to_owned()),
        params: Params { media: media.iter().copied().collect(), mode, ..Params::default() },
        policy: Policy::new(ZOOM_HOSTS.map(String::from).to_vec(), false),
        timings: Timings::default(),
    }
}

/// The refusal of a handshake: message 2 or 4.
fn refusal(msg_type: u16, status: i64) -> String {
    format!(r#"{{"msg_type":{msg_type},"status_code":{status},"reason":"no"}}"#)
}

/// Message 2 with these media URLs only.
fn offer(urls: &[(&str, &str)]) -> String {
    let urls: serde_json::Map<_, _> =
        urls.iter().map(|(key, url)| ((*key).to_owned(), (*url).into())).collect();
    serde_json::json!({ "msg_type": 2, "status_code": 0, "media_server": { "server_urls": urls } })
        .to_string()
}

/// Message 8.
fn state(state: i64, reason: i64) -> String {
    format!(r#"{{"msg_type":8,"state":{state},"reason":{reason},"timestamp":1732313271881}}"#)
}

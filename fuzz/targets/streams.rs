//! Whatever a peer sends on either link of a live stream: what cannot be read ends neither, and what is good after it
//! comes through.

#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use rtmsd::model::{IdKey, Instance, Product, StreamId, UnreadableMessages, Medium};
use rtmsd::rtms::endpoint::{Policy, ZOOM_HOSTS};
use rtmsd::rtms::message::decode;
use rtmsd::model::params::Preset;
use rtmsd::rtms::stream::{Input, Output, Setup, Stream, Timings};
use rtmsd::rtms::{Lane, LinkId};
use rtmsd::secret::Secret;

const AUDIO: LinkId = LinkId::Media(Lane::Only(Medium::Audio));
const WELCOME: &str =
    r#"{"msg_type":2,"status_code":0,"media_server":{"server_urls":{"audio":"wss://m.zoom.us/"}}}"#;
const ACCEPTED: &str = r#"{"msg_type":4,"status_code":0}"#;
const GOOD: &str = r#"{"msg_type":14,"content":{"user_id":7,"data":"AAAB","timestamp":1}}"#;

fuzz_target!(|bytes: &[u8]| {
    if decode(bytes.to_vec().into(), &mut UnreadableMessages::default()).is_ok() {
        // What can be read may well be the end.
        return;
    }
    let now = Instant::now();
    let mut stream = live(now);
    for link in [LinkId::Signaling, AUDIO] {
        stream.handle(now, Input::Received(link, bytes.to_vec().into()));
        while let Some(output) = stream.poll() {
            assert!(matches!(output, Output::Ledger(_)), "a spoiled message never ends the stream");
        }
        assert_eq!(stream.take_unreadable().total(), 1, "it is counted");
    }
    stream.handle(now, Input::Received(AUDIO, GOOD.into()));
    assert!(matches!(stream.poll(), Some(Output::Frame(..))), "the rest is complete");
});

/// A stream for audio, both of whose links stand.
fn live(now: Instant) -> Stream {
    let policy = Policy::new(ZOOM_HOSTS.map(String::from).to_vec(), false);
    let endpoint = policy.endpoint("wss://rtms.zoom.us/").expect("a host of Zoom's");
    let setup = Setup {
        stream_id: StreamId::parse("s").expect("an id"),
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "m").expect("an id"),
        signature: Secret::new(String::new()),
        params: Preset::AudioOnly.params(),
        policy,
        timings: Timings::default(),
    };
    let mut stream = Stream::new(now, 1, setup, endpoint);
    stream.handle(now, Input::Opened(LinkId::Signaling));
    stream.handle(now, Input::Received(LinkId::Signaling, WELCOME.into()));
    stream.handle(now, Input::Opened(AUDIO));
    stream.handle(now, Input::Received(AUDIO, ACCEPTED.into()));
    while stream.poll().is_some() {}
    stream
}

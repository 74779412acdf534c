//! A Contact Center engagement with two parties, which Zoom identifies by channel, through every output of the daemon.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use rtmsd::simulator::Script;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::recordings::kit::{recorded, sounding_frames};
use crate::support::kit::{API_TOKEN, Api, Home, Page, Scene, TIMEOUT, zoom};
use crate::support::nats::Broker;
use crate::support::websocket::{Heard, WebSocket};

const AGENT: &str = "123abc";
const CONSUMER: &str = "456/def";
/// How long both parties speak, at the same time.
const SPEECH_MS: u32 = 2_000;

/// The agent has a display name; Zoom reports only the role of the consumer.
fn engagement() -> Script {
    let say = |who: &str, text: &str| json!({"at_ms": 1_000, "say": {"who": who, "text": text, "duration_ms": SPEECH_MS}});
    let script = json!({
        "title": "Call", "product": "contact_center", "meeting_id": "91234567890",
        "account_id": "acc-1", "host": "u-ana",
        "people": [
            {"key": "ana", "user_id": 1, "name": "Ana Silva", "zoom_user_id": "u-ana", "channel_id": AGENT},
            {"key": "cat", "user_id": 2, "name": "", "channel_id": CONSUMER},
        ],
        "timeline": [
            {"at_ms": 0, "join": "cat"},
            {"at_ms": 0, "join": "ana"},
            say("ana", "how can I help"),
            say("cat", "my order is late"),
            {"at_ms": 3_500, "engagement": {"who": "cat", "event_type": 34, "fields": {"digits": "42"}}},
            {"at_ms": 4_000, "leave": "cat"}
        ],
        "end": {"at_ms": 5_000, "stop_reason": 6}
    });
    Script::parse(&script.to_string()).unwrap()
}

async fn open(api: Api, path: &str) -> WebSocket {
    let authorization = format!("Bearer {API_TOKEN}");
    let socket = WebSocket::open(api.0, path, &[("authorization", &authorization)]).await;
    socket.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
}

/// Everything that one live consumer receives until the session ends: frames by channel, and lines.
async fn heard(mut socket: WebSocket) -> (BTreeMap<String, u64>, Vec<Value>) {
    let (mut frames, mut lines) = (BTreeMap::new(), Vec::new());
    loop {
        let Heard::Text(message) = socket.next().await else { panic!("a socket was cut") };
        match message["type"].as_str().unwrap() {
            "frame" => {
                let channel = message["channel_id"].as_str().unwrap_or("none").to_owned();
                *frames.entry(channel).or_default() += 1;
            }
            "entry" if message["kind"] == "transcript" => lines.push(message),
            "end" => return (frames, lines),
            _ => {}
        }
    }
}

fn spoken(lines: &[Value]) -> Vec<(&str, &str, &str)> {
    let mut spoken: Vec<_> = lines
        .iter()
        .map(|line| ["channel_id", "user_name", "text"].map(|name| line[name].as_str().unwrap()))
        .map(|[channel, name, text]| (channel, name, text))
        .collect();
    spoken.sort_unstable();
    spoken
}

const SPOKEN: [(&str, &str, &str); 2] =
    [(AGENT, "Ana Silva", "how can I help"), (CONSUMER, "Consumer", "my order is late")];

fn events(page: &Page) -> Vec<String> {
    let events = page.of("contact_center_event");
    events.iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn both_parties_of_an_engagement_are_recorded_and_named_everywhere() {
    for streams in ["per_participant", "mixed"] {
        an_engagement_is_delivered_completely(streams).await;
    }
}

async fn an_engagement_is_delivered_completely(streams: &str) {
    let broker = Broker::start("").await;
    let client = broker.client().await;
    let mut published = client.subscribe("rtms.*.*.audio.*").await.unwrap();
    client.flush().await.unwrap();
    let home = Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript")
        .set("AUDIO_STREAMS", streams)
        .set("RECORD", "audio,transcript")
        .set("NATS_URL", &broker.url())
        .set("NATS_MEDIA", "audio");
    let mut sockets = Vec::new();
    let settings = zoom(engagement());
    let scene = Scene::prepared(home, settings, async |api| {
        for filter in ["", "&channel=123abc", "&user=u-ana", "&user=7"] {
            let path = format!("/api/v1/live?format=json&media=audio,transcript{filter}");
            sockets.push(tokio::spawn(heard(open(api, &path).await)));
        }
    })
    .await;
    let page = scene.log.over().await;
    let sent = scene.zoom.medium("audio").frames;
    let each = sent / 2;
    assert!(each.abs_diff(u64::from(SPEECH_MS) / 20) <= 1, "{streams}: {sent} frames");

    let lines: Vec<Value> = page.of("transcript").into_iter().cloned().collect();
    assert_eq!(spoken(&lines), SPOKEN, "{streams}");
    assert_eq!(lines.iter().filter(|line| line["user_id"] == "u-ana").count(), 1);
    let known = ["consumer_answered", "user_answered", "ivr", "consumer_end", "user_end"];
    assert_eq!(events(&page), known, "{streams}");

    let mut by_filter = Vec::new();
    for socket in sockets {
        by_filter.push(timeout(TIMEOUT, socket).await.expect("every socket gets the end").unwrap());
    }
    let both = BTreeMap::from([(AGENT.to_owned(), each), (CONSUMER.to_owned(), each)]);
    assert_eq!((&by_filter[0].0, spoken(&by_filter[0].1)), (&both, SPOKEN.to_vec()));
    let agent = BTreeMap::from([(AGENT.to_owned(), each)]);
    for (frames, lines) in &by_filter[1..3] {
        assert_eq!((frames, spoken(lines)), (&agent, SPOKEN[..1].to_vec()));
    }
    assert_eq!(
        by_filter[3],
        (BTreeMap::new(), Vec::new()),
        "a text does not match a participant's number"
    );

    let mut subjects = BTreeMap::<String, u64>::new();
    for _ in 0..sent {
        let frame = timeout(TIMEOUT, published.next()).await.expect("every frame comes").unwrap();
        let headers = frame.headers.unwrap();
        let subject = frame.subject.as_str();
        assert!(subject.ends_with(headers.get("Rtms-Channel").unwrap().as_str()), "{subject}");
        *subjects.entry(subject.rsplit('.').next().unwrap().to_owned()).or_default() += 1;
    }
    let expected = [(AGENT, each), ("456%2Fdef", each)];
    assert_eq!(subjects, expected.map(|(channel, count)| (channel.to_owned(), count)).into());

    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let tracks = ["1-audio-channel-123abc-Ana_Silva.wav", "1-audio-channel-456_def-Consumer.wav"];
    for (track, channel) in tracks.into_iter().zip([AGENT, CONSUMER]) {
        assert_eq!(sounding_frames(&files[track]) as u64, each, "{streams}: {track}");
        let view = recorded.view["files"].as_array().unwrap();
        let file = view.iter().find(|file| file["file"] == track).unwrap();
        assert_eq!(file["channel_id"], channel);
    }
    let mixed = sounding_frames(&files["1-audio-mix.wav"]) as u64;
    assert!(mixed.abs_diff(each) <= 1, "{mixed}");
    let text = String::from_utf8(files["1-transcript.txt"].clone()).unwrap();
    assert!(text.contains("Ana Silva: how can I help"), "{text}");
    assert!(text.contains("Consumer: my order is late"), "{text}");
    let manifest = recorded.manifest().await;
    let names = |file: &&Value| file["channel_id"] == AGENT && file["user_name"] == "Ana Silva";
    assert_eq!(manifest["files"].as_array().unwrap().iter().filter(names).count(), 1);
    scene.zoom.close_clean().await;
}

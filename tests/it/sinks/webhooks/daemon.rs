//! The whole daemon, a simulated Zoom, and an endpoint of its configuration.

use serde_json::{Value, json};

use super::receiver::{Receiver, Reply};
use super::verifier::verify;
use crate::support::kit::{Home, Scene, Zoom, chatter, endless, eventually, script, zoom};
use crate::support::process::Process;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LINES: u32 = 10;

fn home(receiver: &Receiver, events: &[&str]) -> Home {
    let endpoint =
        json!({"name": "tests", "url": receiver.url(), "secret": SECRET, "events": events});
    Home::sqlite()
        .set("WEBHOOKS_OUT", &json!([endpoint]).to_string())
        .set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.0/8")
        .set("MEDIA_TYPES", "transcript,chat")
}

#[tokio::test]
async fn a_meeting_is_told_from_its_beginning_to_its_end_and_verifies() {
    let receiver = Receiver::start().await;
    let mut timeline = chatter(LINES, 3_000);
    timeline.push(json!({"at_ms": 15_000, "chat": {"who": "bo", "text": "a chat"}}));
    timeline.push(json!({"at_ms": 16_000, "join": "chidi"}));
    timeline.push(json!({"at_ms": 20_000, "leave": "chidi"}));
    let settings = rtmsd::simulator::Settings { speed: 20.0, ..zoom(script(timeline, 31_000)) };
    let scene = Scene::open(home(&receiver, &[]), settings).await;
    let page = scene.log.over().await;
    let said = page.texts();
    let letters = eventually("everything is told", async || {
        let kinds = receiver.kinds();
        let lines = kinds.iter().filter(|kind| *kind == "transcript.line").count();
        let is_over = ["session.ended", "stream.ended", "chat.message", "participant.left"]
            .iter()
            .all(|kind| kinds.iter().any(|told| told == kind));
        (is_over && lines >= said.len()).then(|| receiver.got())
    })
    .await;
    let of = |kind: &str| -> Vec<Value> {
        let mut data: Vec<_> = letters
            .iter()
            .map(|letter| letter.json())
            .filter(|body| body["type"] == kind)
            .map(|mut body| body["data"].take())
            .collect();
        data.sort_by_key(|data| data["seq"].as_i64());
        data
    };
    let texts: Vec<_> = of("transcript.line")
        .iter()
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, said);
    for kind in ["session.started", "stream.started", "stream.ended", "session.ended"] {
        let told = of(kind);
        assert_eq!(told.len(), 1, "{kind}");
        assert_eq!(told[0]["session_id"], scene.log.session_id(), "{kind}");
    }
    assert_eq!(of("stream.ended")[0]["stop_reason"], 6);
    let ended = of("stream.ended");
    assert_eq!(
        (&ended[0]["ordinal"], &ended[0]["stream"]),
        (&1.into(), &1.into()),
        "the former name"
    );
    assert_eq!(of("chat.message")[0]["text"], "a chat");
    let to_verify: Vec<_> = letters.iter().map(|letter| letter.to_verify(SECRET)).collect();
    let kinds: Vec<_> = letters.iter().map(|letter| letter.kind()).collect();
    assert_eq!(verify(&to_verify), kinds);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn what_was_sent_when_the_process_was_killed_comes_again_under_the_same_id() {
    let receiver = Receiver::start().await;
    receiver.reply_with(Reply { status: 200, header: None, is_held: true });
    let home = home(&receiver, &["session.started"]);
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(endless(500))).await;
    zoom.post.deliver_to(api.0);
    // Taken by the receiver, and not yet known as delivered.
    let first = receiver.has(1).await.remove(0);
    process.signal("KILL");
    assert_eq!(process.ended().await.status.code(), None);
    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let again = receiver.has(2).await.remove(1);
    assert_eq!((first.id(), &first.body), (again.id(), &again.body));
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
    assert_eq!(receiver.got().len(), 2);
}

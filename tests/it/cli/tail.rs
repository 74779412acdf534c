//! A live transcript on the terminal: over a restart of the daemon, with its gaps, to the end of the session.

use rtmsd::simulator::MeetingAction;
use serde_json::{Value, json};

use super::kit::{Client, home};
use crate::support::kit::{Home, Log, Scene, Zoom, chatter, endless, eventually, script, zoom};
use crate::support::process::Process;

/// The texts of the lines that a tail has printed for people.
fn said(out: &str) -> Vec<&str> {
    let text = |line: &'_ str| {
        let at = line.find(": line ")?;
        Some(at + 2)
    };
    out.lines().filter_map(|line| Some(&line[text(line)?..])).collect()
}

#[tokio::test]
async fn a_tail_shows_speakers_and_times_and_ends_with_the_session() {
    let mut timeline = chatter(6, 200);
    timeline.push(json!({"at_ms": 700, "chat": {"who": "bo", "text": "a\u{1b}[31m chat"}}));
    timeline.push(json!({"at_ms": 800, "join": "chidi"}));
    let scene = Scene::open(home(), zoom(script(timeline, 3_000))).await;
    let client = Client::of(scene.daemon.address);
    let tail = client.run(&["sessions", "tail", scene.log.session_id()]).await;
    assert_eq!(tail.code(), 0, "{tail:?}");
    let page = scene.log.over().await;
    assert_eq!(said(&tail.out), page.texts());
    let line = tail.out.lines().find(|line| line.contains("  Ana Silva: line ")).unwrap();
    let time = line.split("  ").next().unwrap();
    assert!(time.len() == 8 && time.split(':').all(|part| part.parse::<u8>().is_ok()), "{line}");
    assert!(tail.out.contains("  [chat] Bo: a [31m chat\n"), "{tail:?}");
    assert!(tail.out.contains("  -- Chidi joins\n"), "{tail:?}");
    assert!(tail.out.lines().last().unwrap().contains("-- the stream has ended"), "{tail:?}");

    let late = client.run(&["sessions", "tail", "latest", "--kinds", "transcript", "--json"]).await;
    let messages: Vec<Value> =
        late.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<_> = messages.iter().filter_map(|message| message["text"].as_str()).collect();
    assert_eq!(texts, page.texts());
    assert_eq!(messages.last().unwrap()["type"], "end");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_tail_goes_on_behind_the_last_line_when_the_daemon_was_restarted() {
    // The same port for both.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home: Home = home().set("PORT", &free.port().to_string());
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(endless(100))).await;
    zoom.post.deliver_to(api.0);
    let stream = zoom.announced().await;
    let log = Log::follow(api, &stream.instance_id).await;
    log.lines(5).await;
    let tail = Client::of(api.0).spawn(&["sessions", "tail", log.session_id()]);
    eventually("the tail shows lines", async || (said(&tail.out()).len() >= 5).then_some(())).await;

    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
    eventually("the tail says so", async || tail.err().contains("connecting again").then_some(()))
        .await;
    let shown = said(&tail.out()).len();
    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    eventually("the tail goes on", async || (said(&tail.out()).len() >= shown + 5).then_some(()))
        .await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let ended = tail.ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.err.contains("connected again"), "{ended:?}");
    assert_eq!(ended.err.matches("connecting again").count(), 1, "{ended:?}");
    let page = Log::of_session(api, log.session_id().to_owned()).over().await;
    assert_eq!(said(&ended.out), page.texts(), "each line once, and none is missing");
    let gaps = page.of("gap").iter().filter(|gap| gap["medium"] == "transcript").count();
    assert!(gaps > 0, "{:#?}", page.outline());
    assert_eq!(ended.out.matches("-- transcript is missing from").count(), gaps, "{ended:?}");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

#[tokio::test]
async fn a_tail_from_now_shows_nothing_that_was_said_before() {
    let scene = Scene::open(home(), zoom(endless(100))).await;
    scene.log.lines(5).await;
    let client = Client::of(scene.daemon.address);
    let tail = client.spawn(&["sessions", "tail", scene.log.session_id(), "--from", "now"]);
    eventually("the tail shows lines", async || (said(&tail.out()).len() >= 3).then_some(())).await;
    let out = tail.out();
    let number: usize = said(&out)[0].trim_start_matches("line ").parse().unwrap();
    assert!(number >= 5, "{out}");
    tail.signal("INT");
    let ended = tail.ended().await;
    assert_eq!((ended.code(), &*ended.err), (130, ""));
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_tail_that_asks_for_what_there_is_not_is_refused_with_the_apis_code() {
    let scene = Scene::open(home(), zoom(script(chatter(2, 100), 1_000))).await;
    let client = Client::of(scene.daemon.address);
    let id = scene.log.session_id();
    let wrong = client.run(&["sessions", "tail", id, "--kinds", "poems"]).await;
    assert_eq!(wrong.code(), 1, "{wrong:?}");
    assert!(wrong.err.contains("(invalid_value): kinds must be"), "{wrong:?}");
    let unknown = client.run(&["sessions", "tail", "01932b5e-0000-7000-8000-000000000000"]).await;
    assert_eq!(unknown.code(), 1, "{unknown:?}");
    assert!(unknown.err.contains("there is no session with this id"), "{unknown:?}");
}

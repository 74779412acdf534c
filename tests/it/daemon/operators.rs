//! Several users bring the app to one meeting: Zoom gives a stream for each, and `RTMS_STREAMS_PER_MEETING` decides
//! which are joined.

use std::collections::BTreeMap;

use rtmsd::simulator::{OAuthSettings, Settings, User};
use serde_json::Value;

use crate::support::kit::{Home, TestDaemon, Zoom, endless, eventually, send_webhook, zoom};

const HOST: &str = "u-ana";
const OTHER: &str = "u-bo";
const STARTED: &str = "meeting.rtms_started";

/// A meeting to which the host and another user bring the app.
struct Scene {
    home: Home,
    daemon: TestDaemon,
    zoom: Zoom,
    session: String,
}

/// Opens the meeting under a policy, and delivers the announcements of the users' streams in this order.
async fn announced(policy: &str, order: [&str; 2]) -> Scene {
    with_lost(policy, order, &[]).await
}

/// The same, without the webhooks of these names.
async fn with_lost(policy: &str, order: [&str; 2], lost: &[&str]) -> Scene {
    let home = Home::sqlite().set("RTMS_STREAMS_PER_MEETING", policy);
    let daemon = TestDaemon::start(&home).await;
    let (zoom, letters) = held_back(&daemon, lost).await;
    for (earlier, operator) in order.iter().enumerate() {
        if earlier > 0 {
            // The policy has decided on those before when the next one comes.
            settled(&daemon, &session_of(&daemon, &letters).await, earlier).await;
        }
        assert_eq!(zoom.post.send(&letters[*operator]).await, 200);
    }
    let session = session_of(&daemon, &letters).await;
    Scene { home, daemon, zoom, session }
}

/// Opens the meeting and holds back the announcements of the streams, so that the test knows their order. Returns them
/// by user.
async fn held_back(daemon: &TestDaemon, lost: &[&str]) -> (Zoom, BTreeMap<String, Value>) {
    let user = |id: &str| User { id: id.into(), name: id.into(), email: String::new() };
    let oauth = OAuthSettings { users: [HOST, OTHER].map(user).into(), ..Default::default() };
    let operators = [HOST, OTHER].map(str::to_owned).into();
    let zoom = Zoom::open(Settings { operators, oauth, ..zoom(endless(200)) }).await;
    for event in [STARTED].iter().chain(lost) {
        zoom.post.lose(event);
    }
    zoom.post.deliver_to(daemon.address);
    zoom.post.letter("meeting.started").await;
    let letters = eventually("both streams are announced", async || {
        let letters = zoom.post.letters().into_iter().filter(|letter| letter.event == STARTED);
        let operator = |body: &Value| body["payload"]["operator_id"].as_str().unwrap().to_owned();
        let letters: BTreeMap<_, _> =
            letters.map(|letter| (operator(&letter.body), letter.body)).collect();
        (letters.len() == 2).then_some(letters)
    })
    .await;
    (zoom, letters)
}

async fn session_of(daemon: &TestDaemon, letters: &BTreeMap<String, Value>) -> String {
    let instance_id = letters[HOST]["payload"]["meeting_uuid"].as_str().unwrap();
    daemon.api().session_of(instance_id).await
}

/// How this many streams are, by ordinal, once each is live or has ended.
async fn settled(daemon: &TestDaemon, session: &str, count: usize) -> Vec<String> {
    let path = format!("/api/v1/sdk/sessions/{session}");
    eventually("every stream is joined or left out", async || {
        let mut data = daemon.api().get(&path).await?.json()["data"].take();
        let streams: Vec<Value> = serde_json::from_value(data["streams"].take()).unwrap();
        let state = |stream: &Value| match (&stream["status"], &stream["outcome"]) {
            (Value::String(status), Value::Null) => status.clone(),
            (_, outcome) => outcome.as_str().unwrap_or_default().to_owned(),
        };
        let states: Vec<String> = streams.iter().map(state).collect();
        let is_settled = |state: &String| ["live", "left_out"].contains(&state.as_str());
        (states.len() == count && states.iter().all(is_settled)).then_some(states)
    })
    .await
}

impl Scene {
    /// How both streams are, by ordinal, once each is live or has ended.
    async fn settled(&self) -> Vec<String> {
        settled(&self.daemon, &self.session, 2).await
    }

    /// How often each user's stream was joined, as Zoom saw it.
    fn joins(&self) -> BTreeMap<String, u64> {
        let streams = self.zoom.simulator.report().streams;
        streams.into_iter().map(|it| (it.operator_id, it.signaling_handshakes)).collect()
    }

    async fn timeline(&self) -> Value {
        let path = format!("/api/v1/sdk/sessions/{}/timeline", self.session);
        self.daemon.api().get(&path).await.unwrap().json()["data"].take()
    }

    /// What the timeline says of the end of a stream.
    async fn ended(&self, ordinal: u32) -> String {
        let timeline = self.timeline().await;
        let missing = timeline["missing"].as_array().unwrap().iter();
        let of_it = format!("stream {ordinal} ");
        assert!(missing.clone().all(|it| !it["what"].as_str().unwrap().starts_with(&of_it)));
        let moments = timeline["moments"].as_array().unwrap();
        let is_end = |moment: &&Value| moment["what"] == "ended" && moment["ordinal"] == ordinal;
        moments.iter().find(is_end).expect("it ended")["detail"].as_str().unwrap().to_owned()
    }
}

fn joins(of_host: u64, of_other: u64) -> BTreeMap<String, u64> {
    [(HOST.to_owned(), of_host), (OTHER.to_owned(), of_other)].into()
}

#[tokio::test]
async fn all_streams_of_a_meeting_are_joined_by_default() {
    let scene = announced("all", [OTHER, HOST]).await;
    assert_eq!(scene.settled().await, ["live", "live"]);
    assert_eq!(scene.joins(), joins(1, 1));
}

#[tokio::test]
async fn first_joins_the_first_stream_and_the_timeline_says_what_was_left_out() {
    let scene = announced("first", [OTHER, HOST]).await;
    assert_eq!(scene.settled().await, ["live", "left_out"]);
    assert_eq!(scene.joins(), joins(0, 1));
    assert_eq!(
        scene.ended(2).await,
        "left_out: RTMS_STREAMS_PER_MEETING of the app default is first: stream 1 is joined instead"
    );
    // Requests to Zoom go on behalf of a user whose stream is joined.
    let session = scene.daemon.api().session(&scene.session).await;
    assert_eq!((&session["status"], &session["operator_id"]), (&"live".into(), &OTHER.into()));
}

#[tokio::test]
async fn host_joins_the_hosts_stream_whenever_it_comes() {
    let scene = announced("host", [HOST, OTHER]).await;
    assert_eq!(scene.settled().await, ["live", "left_out"]);
    let left_out = scene.ended(2).await;
    assert!(left_out.ends_with("is host: stream 1 of the host is joined instead"), "{left_out}");
    assert_eq!(scene.joins(), joins(1, 0));
    let scene = announced("host", [OTHER, HOST]).await;
    assert_eq!(scene.settled().await, ["left_out", "live"]);
    assert!(scene.ended(1).await.contains("the host has none yet"));
    assert_eq!(scene.joins(), joins(1, 0));
}

#[tokio::test]
async fn the_host_is_known_from_the_announcement_alone() {
    let scene = with_lost("host", [HOST, OTHER], &["meeting.started"]).await;
    assert_eq!(scene.settled().await, ["live", "left_out"]);
    assert_eq!(scene.daemon.api().session(&scene.session).await["host_id"], HOST);
}

#[tokio::test]
async fn a_stream_that_comes_before_the_host_is_known_is_joined() {
    let scene = with_lost("host", [OTHER, HOST], &["meeting.started"]).await;
    assert_eq!(scene.settled().await, ["live", "live"]);
    assert_eq!(scene.joins(), joins(1, 1));
}

#[tokio::test]
async fn a_stream_that_was_joined_stays_joined_under_another_policy() {
    let scene = announced("all", [OTHER, HOST]).await;
    assert_eq!(scene.settled().await, ["live", "live"]);
    let Scene { home, daemon, zoom, session } = scene;
    daemon.kill().await;
    let home = home.set("RTMS_STREAMS_PER_MEETING", "first");
    let daemon = TestDaemon::start(&home).await;
    let scene = Scene { home, daemon, zoom, session };
    let joined = eventually("both are joined again", async || {
        let joins = scene.joins();
        joins.values().all(|joins| *joins >= 2).then_some(joins)
    });
    joined.await;
    assert_eq!(scene.settled().await, ["live", "live"]);
}

#[tokio::test]
async fn two_daemons_that_are_asked_at_once_join_one_stream() {
    let home = Home::postgres().await.set("RTMS_STREAMS_PER_MEETING", "first");
    let (daemon, second) = (TestDaemon::start(&home).await, TestDaemon::start(&home).await);
    let (zoom, letters) = held_back(&daemon, &[]).await;
    let answers = tokio::join!(
        send_webhook(daemon.address, &letters[HOST]),
        send_webhook(second.address, &letters[OTHER]),
    );
    assert_eq!(answers, (200, 200));
    let session = session_of(&daemon, &letters).await;
    let scene = Scene { home, daemon, zoom, session };
    assert_eq!(scene.settled().await, ["live", "left_out"]);
    assert_eq!(scene.joins().values().sum::<u64>(), 1);
}

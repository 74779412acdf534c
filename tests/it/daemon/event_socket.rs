//! Zoom's events over a WebSocket that the daemon opens: the whole daemon without a public URL, against the simulator and
//! each of its faults, alone and beside another daemon.

use std::time::Duration;

use rtmsd::secret::Secret;
use rtmsd::simulator::{
    ApiFault, Call, EventSocketFault, EventSocketReport, Events, MeetingAction, OAuthSettings,
    Settings, Start,
};
use serde_json::Value;

use crate::support::kit::{
    API_TOKEN, Api, Home, Log, TestDaemon, Zoom, endless, eventually, send_webhook, started, zoom,
};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::proxy::Proxy;

const ACCESS_TOKEN: &str = "token-of-the-tests";

fn settings() -> Settings {
    let access_token = Some(Secret::new(ACCESS_TOKEN.to_owned()));
    Settings { events: Events::WebSocket, access_token, ..zoom(endless(100)) }
}

/// A home without a webhook secret that knows only the event socket.
fn at(home: Home, zoom: &Zoom) -> Home {
    let base_url = zoom.simulator.base_url();
    home.without("ZOOM_SECRET_TOKEN")
        .set("ZOOM_EVENTS_URL", &zoom.simulator.events_url().unwrap())
        .set("ZOOM_OAUTH_BASE_URL", &base_url)
        .set("ZOOM_API_BASE_URL", &base_url)
        .set("ZOOM_ACCESS_TOKEN", ACCESS_TOKEN)
        .set("API_TOKENS", &format!("tests:{API_TOKEN}:admin"))
        .set("MEDIA_TYPES", "transcript")
}

fn report(zoom: &Zoom) -> EventSocketReport {
    zoom.simulator.report().event_socket
}

async fn log_of(zoom: &Zoom, api: Api) -> Log {
    let stream = zoom.announced().await;
    Log::follow(api, &stream.instance_id).await
}

async fn webhooks(api: Api) -> Vec<Value> {
    let answer = api.get("/api/v1/zoom/webhooks?limit=200").await.unwrap().json();
    answer["data"]["webhooks"].as_array().unwrap().clone()
}

async fn event_socket(api: Api) -> Option<Value> {
    let answer = api.get("/api/v1/zoom/webhook-endpoints").await?.json();
    Some(answer["data"]["endpoints"][0]["event_socket"].clone())
}

async fn connected(api: Api) -> Value {
    eventually("a daemon is connected", async || {
        event_socket(api).await.filter(|socket| socket["connected"] == true)
    })
    .await
}

async fn problem(api: Api, code: &str) {
    eventually(&format!("the problem {code}"), async || {
        let socket = event_socket(api).await?;
        (socket["problem"] == code).then_some(())
    })
    .await;
}

async fn connections(zoom: &Zoom, count: u64) {
    eventually("more connections", async || (report(zoom).connections >= count).then_some(()))
        .await;
}

async fn codes(api: Api) -> Vec<String> {
    let answer = api.get("/api/v1/health").await.unwrap().json();
    let findings = answer["data"]["findings"].as_array().unwrap().clone();
    findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

async fn metrics(api: Api) -> String {
    api.get("/metrics").await.unwrap().text().to_owned()
}

/// A daemon that has joined the stream of the simulator's meeting.
async fn joined(home: Home, settings: Settings) -> (Home, TestDaemon, Zoom, Log) {
    let zoom = Zoom::open(settings).await;
    let home = at(home, &zoom);
    let daemon = TestDaemon::start(&home).await;
    let log = log_of(&zoom, daemon.api()).await;
    log.lines(2).await;
    (home, daemon, zoom, log)
}

#[tokio::test]
async fn a_meeting_needs_no_public_url() {
    let (_home, daemon, zoom, log) = joined(Home::sqlite(), settings()).await;
    zoom.perform(MeetingAction::FailOver).await;
    log.until("the stream moved", |page| !page.of("moved").is_empty()).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.entries("ended", 1).await.assert_numbered();
    let webhooks = eventually("the end is recorded", async || {
        let webhooks = webhooks(daemon.api()).await;
        let is_stop = |it: &Value| it["event"] == "meeting.rtms_stopped";
        webhooks.iter().any(is_stop).then_some(webhooks)
    })
    .await;
    assert!(webhooks.iter().all(|webhook| webhook["method"] == "websocket"), "{webhooks:?}");
    let mut reasons: Vec<_> = webhooks.iter().map(|it| it["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["meeting_started", "stream_moved", "stream_started", "stream_stopped"]);
    // Without a secret token, no webhook counts.
    assert_eq!(send_webhook(daemon.address, &started("forged", "ws://127.0.0.1:9")).await, 401);
    eventually("heartbeats", async || (report(&zoom).heartbeats > 2).then_some(())).await;
    let report = report(&zoom);
    assert_eq!((report.connections, report.missed.len(), report.breach_count), (1, 0, 0));
    let codes = codes(daemon.api()).await;
    let absent = ["event_socket_down", "event_gap", "no_webhook_yet"];
    assert!(!codes.iter().any(|code| absent.contains(&code.as_str())), "{codes:?}");
    daemon.stop().await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn each_event_both_ways_has_its_effect_once() {
    let zoom = Zoom::open(Settings { events: Events::Both, ..settings() }).await;
    let home = at(Home::sqlite(), &zoom).set("ZOOM_SECRET_TOKEN", "demoSecretToken01");
    let daemon = TestDaemon::start(&home).await;
    connected(daemon.api()).await;
    zoom.post.deliver_to(daemon.address);
    let log = log_of(&zoom, daemon.api()).await;
    log.lines(2).await;
    zoom.perform(MeetingAction::Interrupt).await;
    // A busy machine may cause more of them.
    eventually("every interruption came both ways and counts once", async || {
        let name = "meeting.rtms_interrupted";
        let sent = report(&zoom).delivered.get(name).copied()?;
        let posted = zoom.simulator.report().webhooks.delivered.get(name).copied()?;
        let stream = daemon.api().stream(log.session_id()).await?;
        let rows = webhooks(daemon.api()).await;
        let recorded = rows.iter().filter(|webhook| webhook["event"] == name).count() as u64;
        let counts = [posted, stream.interrupts.unsigned_abs(), recorded];
        counts.iter().all(|count| *count == sent).then_some(())
    })
    .await;
    let stream = daemon.api().stream(log.session_id()).await.unwrap();
    assert_eq!(stream.generation, 1, "the stream was announced once");
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_new_connection_with_a_fresh_token_takes_over_before_the_token_ends() {
    let oauth =
        OAuthSettings { access_token_life: Duration::from_secs(4), ..OAuthSettings::default() };
    let (_home, daemon, zoom, log) = joined(Home::sqlite(), Settings { oauth, ..settings() }).await;
    // Events all the time, so that one that finds no connection is noticed.
    let mut sent = 0;
    while report(&zoom).connections < 4 {
        zoom.perform(MeetingAction::RepeatAnnouncement).await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.entries("ended", 1).await.assert_numbered();
    let report = eventually("every event is sent", async || {
        let report = report(&zoom);
        report.delivered.contains_key("meeting.rtms_stopped").then_some(report)
    })
    .await;
    assert_eq!((report.expired, report.refused, report.missed.len()), (0, 0, 0), "{report:?}");
    assert_eq!(report.replaced, report.connections - 1);
    assert_eq!(report.delivered["meeting.rtms_started"], sent + 1, "{report:?}");
    let socket = event_socket(daemon.api()).await.unwrap();
    assert_eq!((&socket["last_gap"], &socket["connected"]), (&Value::Null, &Value::Bool(true)));
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_connection_that_is_lost_in_any_way_is_made_again_and_the_gap_is_known() {
    use EventSocketFault as F;
    for (fault, cause) in [(F::Drop, "dropped"), (F::Close, "closed"), (F::Silence, "silent")] {
        let (_home, daemon, zoom, log) = joined(Home::sqlite(), settings()).await;
        zoom.simulator.fail_event_socket(fault, 1);
        connections(&zoom, 2).await;
        let socket = eventually("the gap is known", async || {
            event_socket(daemon.api()).await.filter(|socket| socket["last_gap"] != Value::Null)
        })
        .await;
        assert_eq!(socket["connected"], true, "{socket}");
        // Counted after it is stored.
        let text = eventually("the gap is counted", async || {
            let text = metrics(daemon.api()).await;
            text.contains(r#"rtmsd_event_socket_gaps_total{app="default"} 1"#).then_some(text)
        })
        .await;
        let lost =
            format!(r#"rtmsd_event_socket_failures_total{{app="default",cause="{cause}"}} 1"#);
        assert!(text.contains(&lost), "{fault:?}: {text}");
        assert!(text.contains(r#"rtmsd_event_socket_connected{app="default"} 1"#), "{text}");
        let codes = codes(daemon.api()).await;
        assert!(codes.contains(&"event_gap".to_owned()), "{codes:?}");
        // Events come again, and the stream never noticed.
        zoom.perform(MeetingAction::Stop { reason: 6 }).await;
        log.entries("ended", 1).await;
        assert_eq!(zoom.stream().signaling_handshakes, 1);
        zoom.close_clean().await;
    }
}

#[tokio::test]
async fn a_refusal_is_a_finding_that_says_what_to_do_until_zoom_accepts() {
    let zoom = Zoom::open(settings()).await;
    // Of OAuth, before the upgrade, and by the first message.
    zoom.simulator.fail_calls(Call::Token, 2, ApiFault::MissingScope);
    let home = at(Home::sqlite(), &zoom);
    let daemon = TestDaemon::start(&home).await;
    connected(daemon.api()).await;
    for fault in [EventSocketFault::Refuse, EventSocketFault::Reject] {
        let before = report(&zoom).connections;
        zoom.simulator.fail_event_socket(fault, 1_000);
        zoom.simulator.fail_event_socket(EventSocketFault::Drop, 1);
        problem(daemon.api(), "refused").await;
        let codes = codes(daemon.api()).await;
        assert!(codes.contains(&"event_socket_down".to_owned()), "{codes:?}");
        zoom.simulator.forgive_event_socket();
        connections(&zoom, before + 1).await;
        connected(daemon.api()).await;
    }
    zoom.simulator.fail_calls(Call::Token, 1_000, ApiFault::InvalidToken);
    zoom.simulator.fail_event_socket(EventSocketFault::Refuse, 1);
    zoom.simulator.fail_event_socket(EventSocketFault::Drop, 1);
    problem(daemon.api(), "token_refused").await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn another_program_on_the_same_subscription_is_found() {
    let (_home, daemon, zoom, _log) = joined(Home::sqlite(), settings()).await;
    let mut count = report(&zoom).connections;
    for _ in 0..3 {
        zoom.simulator.fail_event_socket(EventSocketFault::Replace, 1);
        count += 1;
        connections(&zoom, count).await;
    }
    // The other program takes it again and again.
    eventually("the contest is found", async || {
        zoom.simulator.fail_event_socket(EventSocketFault::Replace, 1);
        let socket = event_socket(daemon.api()).await?;
        (socket["problem"] == "contested").then_some(())
    })
    .await;
    zoom.close_clean().await;
}

/// Keeps the event socket down until [`reconnect`].
async fn disconnect(zoom: &Zoom, api: Api) {
    zoom.simulator.fail_event_socket(EventSocketFault::Refuse, 100_000);
    zoom.simulator.fail_event_socket(EventSocketFault::Drop, 1);
    problem(api, "refused").await;
}

async fn reconnect(zoom: &Zoom, api: Api) {
    zoom.simulator.forgive_event_socket();
    connected(api).await;
}

#[tokio::test]
async fn zoom_is_asked_whether_a_meeting_still_runs_after_a_gap() {
    let (_home, daemon, zoom, log) = joined(Home::sqlite(), settings()).await;
    let api = daemon.api();
    disconnect(&zoom, api).await;
    reconnect(&zoom, api).await;
    let asked = eventually("Zoom was asked", async || {
        zoom.simulator.report().calls.answers.get("meeting").cloned()
    })
    .await;
    assert_eq!(asked.keys().collect::<Vec<_>>(), [&200]);
    assert_eq!(api.session(log.session_id()).await["status"], "live");
    // The stream ends and the meeting goes on, so that only an event can say when it ends.
    zoom.perform(MeetingAction::Stop { reason: 2 }).await;
    log.entries("ended", 1).await;
    disconnect(&zoom, api).await;
    assert_eq!(api.session(log.session_id()).await["status"], "stopped");
    zoom.perform(MeetingAction::End).await;
    eventually("the end is lost", async || {
        report(&zoom).missed.contains_key("meeting.ended").then_some(())
    })
    .await;
    reconnect(&zoom, api).await;
    eventually("the meeting is over", async || {
        let session = api.session(log.session_id()).await;
        (session["status"] == "ended").then_some(())
    })
    .await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_meeting_that_began_in_a_gap_is_started_by_the_policy() {
    let zoom = Zoom::open(Settings { start: Start::Rest, meetings: 0, ..settings() }).await;
    let home = at(Home::sqlite(), &zoom).set("RTMS_AUTO_START", "u-ana");
    let daemon = TestDaemon::start(&home).await;
    connected(daemon.api()).await;
    disconnect(&zoom, daemon.api()).await;
    zoom.simulator.announce().unwrap();
    eventually("the begin is lost", async || {
        report(&zoom).missed.contains_key("meeting.started").then_some(())
    })
    .await;
    reconnect(&zoom, daemon.api()).await;
    log_of(&zoom, daemon.api()).await.lines(2).await;
    let found = r#"rtmsd_event_gap_answers_total{app="default",result="found"} 1"#;
    let text = metrics(daemon.api()).await;
    assert!(text.contains(found), "{text}");
    zoom.close_clean().await;
}

async fn two_daemons() -> (Home, TestDaemon, TestDaemon, Zoom, Log) {
    let (home, first, zoom, log) = joined(Home::postgres().await, settings()).await;
    let second = TestDaemon::start(&home).await;
    (home, first, second, zoom, log)
}

#[tokio::test]
async fn one_of_two_daemons_is_connected_and_the_other_takes_over_when_it_is_killed() {
    let (_home, first, second, zoom, log) = two_daemons().await;
    let known = log.page().of("transcript").len();
    // Longer than a lease, which the first daemon therefore prolongs.
    log.lines(known + 30).await;
    assert_eq!(report(&zoom).connections, 1);
    first.kill().await;
    connections(&zoom, 2).await;
    let socket = connected(second.api()).await;
    assert_ne!(socket["last_gap"], Value::Null, "nobody was connected until the lease ended");
    let log = log.moved_to(second.api());
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.entries("ended", 1).await.assert_numbered();
    assert_eq!(report(&zoom).connections, 2);
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_daemon_that_stops_hands_the_event_socket_over_without_a_gap() {
    let (_home, first, second, zoom, log) = two_daemons().await;
    let stopping = tokio::spawn(first.stop());
    while report(&zoom).connections < 2 {
        zoom.perform(MeetingAction::RepeatAnnouncement).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stopping.await.unwrap();
    let socket = connected(second.api()).await;
    assert_eq!(socket["last_gap"], Value::Null);
    let report = report(&zoom);
    assert_eq!((report.connections, report.replaced, report.missed.len()), (2, 1, 0), "{report:?}");
    drop(log);
}

#[tokio::test]
async fn events_wait_while_the_store_is_away() {
    let mut proxy = Proxy::open().await;
    let url = postgres::fresh_database().await;
    let home = Home::sqlite().set("DATABASE_URL", &proxy.url(&url));
    let (_home, daemon, zoom, log) = joined(home, settings()).await;
    proxy.shut().await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    eventually("the event is sent", async || {
        report(&zoom).delivered.contains_key("meeting.rtms_stopped").then_some(())
    })
    .await;
    proxy.reopen().await;
    log.entries("ended", 1).await;
    eventually("it is recorded", async || {
        let webhooks = webhooks(daemon.api()).await;
        let is_stop = |it: &Value| it["event"] == "meeting.rtms_stopped";
        webhooks.iter().any(is_stop).then_some(())
    })
    .await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn no_token_and_no_secret_reaches_the_log() {
    let zoom = Zoom::open(settings()).await;
    let home = at(Home::sqlite(), &zoom).set("RUST_LOG", "trace");
    zoom.simulator.fail_event_socket(EventSocketFault::Refuse, 2);
    let (process, api) = Process::serve(&home).await;
    connected(api).await;
    zoom.simulator.fail_event_socket(EventSocketFault::Drop, 1);
    connections(&zoom, 2).await;
    process.signal("TERM");
    let ended = process.ended().await;
    assert_eq!(ended.code(), 0);
    let log = ended.err;
    assert!(log.contains("connected to Zoom's event socket") && log.len() > 10_000);
    for secret in ["access_token=", "eyJ", "demoClientSecret01", "subscriptionId"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

//! `GET /metrics`: who may read which series, and what they say.

use rtmsd::model::{EntryBody, Speaker, TranscriptLine, UserId};
use serde_json::json;

use super::server::{NOW_S, READER, Server};
use crate::support::client::Answer;

const SCRAPER: (&str, &str) = ("authorization", "Bearer scrape-token-of-tests");
const OF_ACME: (&str, &str) = ("authorization", "Bearer acme-scrape-token-of-tests");
const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");

async fn scrape(server: &Server, token: (&str, &str)) -> Answer {
    server.request("GET", "/metrics", &[token]).await
}

async fn series(server: &Server, token: (&str, &str)) -> Vec<String> {
    let answer = scrape(server, token).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[track_caller]
fn assert_has(series: &[String], expected: &str) {
    assert!(series.iter().any(|line| line == expected), "{expected} in {series:#?}");
}

#[tokio::test]
async fn only_a_token_with_the_scope_reads_the_metrics() {
    let server = Server::start().await;
    assert_eq!(server.request("GET", "/metrics", &[]).await.status, 401);
    let refused = scrape(&server, READER).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    for token in [SCRAPER, BOSS] {
        let answer = scrape(&server, token).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4"));
    }
    let sessions = server.request("GET", "/api/v1/sdk/sessions", &[SCRAPER]).await;
    assert_eq!(sessions.status, 403, "the scope opens nothing else");
}

#[tokio::test]
async fn a_token_of_an_app_sees_only_the_series_of_its_app() {
    let server = Server::start().await;
    server.start_stream("m1==", "s1").await;
    let all = series(&server, SCRAPER).await;
    assert!(all.iter().any(|line| line.starts_with("process_cpu_seconds_total ")), "{all:#?}");
    assert_has(
        &all,
        r#"rtms_webhooks_total{app="default",event="meeting.rtms_started",outcome="changed"} 1"#,
    );
    let own = series(&server, OF_ACME).await;
    assert!(own.iter().all(|line| line.contains(r#"{app="acme""#)), "{own:#?}");
    assert_has(&own, r#"rtmsd_token_refreshes_total{app="acme",result="rejected"} 0"#);
}

#[tokio::test]
async fn a_dead_store_is_reported_and_hides_only_what_it_counts() {
    let server = Server::start().await;
    let of_the_store = |series: &[String]| {
        series.iter().filter(|line| line.starts_with("rtmsd_streams_unclaimed")).count()
    };
    let before = series(&server, SCRAPER).await;
    assert_has(&before, "rtmsd_store_up 1");
    assert!(of_the_store(&before) > 0, "{before:#?}");
    server.state.store.close().await;
    // The readiness that it asks is cached for half a second.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let after = series(&server, SCRAPER).await;
    assert_has(&after, "rtmsd_store_up 0");
    assert_eq!(of_the_store(&after), 0, "{after:#?}");
    assert_has(&after, "rtms_worker_capacity 1000");
}

#[tokio::test]
async fn webhooks_are_counted_by_what_came_of_them_and_say_how_near_the_limit_is() {
    let server = Server::start().await;
    server.start_stream("m1==", "s1").await;
    server.start_stream("m1==", "s1").await;
    server.post(b"{}", &[]).await;
    let notice = |event: &str, payload| json!({"event": event, "event_ts": 1, "payload": payload});
    for (event, payload) in [
        (
            "rtms.concurrency_near_limit",
            json!({"concurrency_limit": 2000, "concurrency_number": 1650}),
        ),
        ("made.up", json!({})),
    ] {
        let body = notice(event, payload).to_string();
        assert_eq!(server.webhook(body.as_bytes()).await.status, 200);
    }
    let series = series(&server, SCRAPER).await;
    for (event, outcome) in [
        ("meeting.rtms_started", "changed"),
        ("meeting.rtms_started", "repeated"),
        ("", "refused"),
        ("rtms.concurrency_near_limit", "no_change"),
        ("other", "no_change"),
    ] {
        let labels = format!(r#"app="default",event="{event}",outcome="{outcome}""#);
        assert_has(&series, &format!("rtms_webhooks_total{{{labels}}} 1"));
    }
    assert_has(&series, r#"rtms_concurrent_streams{app="default"} 1650"#);
    assert_has(&series, r#"rtms_concurrent_streams_limit{app="default"} 2000"#);
    let at = format!(r#"rtms_concurrency_event_timestamp_seconds{{app="default"}} {NOW_S}"#);
    assert_has(&series, &at);
    assert_has(&series, r#"rtms_clock_difference_seconds{source="webhook"} 0"#);
    assert_has(&series, r#"rtms_webhook_latency_seconds_count{app="default"} 5"#);
}

#[tokio::test]
async fn what_a_stream_counted_stays_when_it_has_ended() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let mut feed = server.feed(&stream);
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(7), None),
        text: "hello".into(),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    };
    for _ in 0..2 {
        feed.note(None, EntryBody::Transcript(line.clone()));
    }
    let running = series(&server, SCRAPER).await;
    assert_has(&running, r#"rtms_streams{app="default",product="meeting",state="announced"} 1"#);
    let gaps = r#"rtms_gap_seconds_total{app="default",cause="link_lost",medium="audio"} 0"#;
    assert_has(&running, gaps);
    feed.finish().await;
    drop(feed);
    let ended = series(&server, SCRAPER).await;
    let labels = r#"app="default",medium="transcript",product="meeting""#;
    assert_has(&ended, &format!("rtms_media_frames_total{{{labels}}} 2"));
    assert_has(&ended, r#"rtmsd_entries_stored_total{kind="transcript"} 2"#);
    assert!(!ended.iter().any(|line| line.starts_with("rtms_streams{")), "{ended:#?}");
}

//! `rtmsd simulate` beside a daemon: what both say when they do not fit together.

use serde_json::Value;

use crate::support::kit::{Home, eventually};
use crate::support::process::{Ended, Process, free_address};

/// `rtmsd simulate` with the simulator's own credentials.
fn simulate(url: &str, more: &[&str]) -> Process {
    let args = [&["simulate", "--webhook-url", url], more].concat();
    Process::spawn(&args, &[], std::env::temp_dir().as_path())
}

fn warned(ended: &Ended, text: &str) {
    assert!(ended.err.contains(text), "{text}: {ended:?}");
}

#[tokio::test]
async fn a_wrong_secret_token_is_named_on_both_sides() {
    let home = Home::sqlite().set("ZOOM_SECRET_TOKEN", "another");
    let (process, api) = Process::serve(&home).await;
    let url = format!("http://{}/webhook", api.0);
    for _ in 0..2 {
        let ended = simulate(&url, &[]).ended().await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        warned(
            &ended,
            "the endpoint answered 401 to the URL validation; is --secret-token the daemon's ZOOM_SECRET_TOKEN?",
        );
    }
    process.signal("TERM");
    let daemon = process.ended().await;
    assert_eq!(daemon.err.matches("does not fit ZOOM_SECRET_TOKEN").count(), 1, "{daemon:?}");
    assert!(daemon.err.contains("\"level\":\"WARN\""), "{daemon:?}");
}

#[tokio::test]
async fn a_wrong_webhook_path_is_named_in_the_log() {
    let (_process, api) = Process::serve(&Home::sqlite()).await;
    let ended = simulate(&format!("http://{}/hook", api.0), &[]).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    warned(&ended, "WEBHOOK_PATH");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_named_at_once() {
    let url = format!("http://{}/webhook", free_address());
    let process = simulate(&url, &[]);
    eventually("it says so", async || {
        process.err().contains(&format!("{url} cannot be reached")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_repeated_seed_announces_streams_that_have_ended_and_the_log_says_so() {
    // It may not connect to the simulator's URLs.
    let home = Home::sqlite().set("RTMS_ALLOWED_HOSTS", ".zoom.us");
    let (process, api) = Process::serve(&home).await;
    let url = format!("http://{}/webhook", api.0);
    let mut seeds = Vec::new();
    for seed in [&["--seed", "5"][..], &["--seed", "5"], &[]] {
        let args = [seed, &["--seconds", "1"]].concat();
        let simulator = simulate(&url, &args);
        seeds.push(simulator.printed("ready").await["seed"].clone());
        let ended = simulator.ended().await;
        warned(&ended, "no client joined a stream");
    }
    assert_eq!(seeds[..2], [Value::from(5), Value::from(5)]);
    assert_ne!(seeds[2], Value::from(5), "it is random");
    let ignored = process.logged("the stream has already ended; the webhook is ignored").unwrap();
    assert_eq!(ignored["event"], "meeting.rtms_started");
    assert!(ignored["stream_id"].is_string(), "{ignored}");
}

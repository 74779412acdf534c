//! The command `rtmsd simulate`, called as `cli` calls it.

use std::future::pending;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use clap::{CommandFactory, Parser};
use rtmsd::simulator::{SimulateArgs, Verdict, command};

use super::kit::Endpoint;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

fn args(endpoint: &Endpoint, more: &[&str]) -> SimulateArgs {
    let start = ["simulate", "--webhook-url", &endpoint.url];
    Cli::try_parse_from(start.iter().chain(more)).unwrap().args
}

#[tokio::test]
async fn it_ends_with_its_meetings_and_is_clean_without_breaches() {
    let mut endpoint = Endpoint::good().await;
    let more = ["--speed", "100", "--meetings", "2", "--skip-url-validation"];
    let verdict = command(args(&endpoint, &more), pending()).await.unwrap();
    assert_eq!(verdict, Verdict::Clean);
    for _ in 0..2 {
        endpoint.next("meeting.ended").await;
    }
}

#[tokio::test]
async fn it_ends_after_the_given_seconds() {
    let mut endpoint = Endpoint::good().await;
    let verdict = command(args(&endpoint, &["--seconds", "1"]), pending()).await.unwrap();
    assert_eq!(verdict, Verdict::Clean);
    let stopped = endpoint.next("meeting.rtms_stopped").await.body;
    assert_eq!(stopped["payload"]["stop_reason"], 6);
}

#[tokio::test]
async fn it_ends_when_stop_completes() {
    let mut endpoint = Endpoint::good().await;
    let args = args(&endpoint, &[]);
    let stop = async { _ = endpoint.next("meeting.rtms_started").await };
    assert_eq!(command(args, stop).await.unwrap(), Verdict::Clean);
    endpoint.next("meeting.ended").await;
}

#[tokio::test]
async fn it_fails_at_once_if_the_endpoint_fails_the_url_validation() {
    let refuse = Arc::new(|_: &_| StatusCode::UNAUTHORIZED.into_response());
    let endpoint = Endpoint::answering(refuse).await;
    let verdict = command(args(&endpoint, &[]), pending()).await.unwrap();
    assert_eq!(verdict, Verdict::Breached);
}

#[test]
fn the_help_shows_the_credentials_of_the_app() {
    let help = Cli::command().render_long_help().to_string();
    for value in ["demoClientId01", "demoClientSecret01", "demoSecretToken01"] {
        assert!(help.contains(&format!("[default: {value}]")), "{help}");
    }
}

#[test]
fn a_webhook_url_without_http_is_refused() {
    let refused = Cli::try_parse_from(["simulate", "--webhook-url", "localhost:3000/webhook"]);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("--webhook-url") && message.contains("http://"), "{message}");
}

#[tokio::test]
async fn the_error_names_a_script_that_cannot_be_read() {
    let endpoint = Endpoint::good().await;
    let more = ["--script", "no/such/script.json"];
    let error = command(args(&endpoint, &more), pending()).await.unwrap_err();
    assert!(error.to_string().contains("no/such/script.json"), "{error}");
}

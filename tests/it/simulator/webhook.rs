//! Webhooks: signatures, URL validation and retries. Also TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use rtmsd::simulator::{Settings, Timings, Validation};
use serde_json::json;

use super::kit::{Client, Endpoint, SECRET_TOKEN, fast, good_answer, hmac_hex};
use super::kit::{handshake, settings, simulate};
use crate::support::wait::eventually;

#[tokio::test]
async fn every_webhook_is_signed_over_its_raw_body_with_a_timestamp_in_seconds() {
    let mut endpoint = Endpoint::good().await;
    let _simulator = simulate(settings(), &endpoint).await;
    for event in ["endpoint.url_validation", "meeting.started", "meeting.rtms_started"] {
        let hook = endpoint.next(event).await;
        let header = |name: &str| hook.headers[name].to_str().unwrap().to_owned();
        let timestamp = header("x-zm-request-timestamp");
        assert_eq!(timestamp.len(), 10);
        let signed = format!("v0:{timestamp}:{}", hook.raw);
        assert_eq!(header("x-zm-signature"), format!("v0={}", hmac_hex(SECRET_TOKEN, &signed)));
        assert_eq!(header("content-type"), "application/json; charset=utf-8");
        assert_eq!(header("user-agent"), "Zoom Marketplace/1.0a");
        assert!(!header("x-zm-request-id").is_empty());
        assert!(hook.body["event_ts"].is_i64());
    }
}

#[tokio::test]
async fn meeting_started_is_nested_and_rtms_started_flat() {
    let mut endpoint = Endpoint::good().await;
    let _simulator = simulate(settings(), &endpoint).await;
    let started = endpoint.next("meeting.started").await.body["payload"].take();
    assert_eq!(started["account_id"], "acc-1");
    assert_eq!(started["object"]["id"], "91234567890");
    assert_eq!(started["object"]["host_id"], "u-ana");
    let rtms = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    assert_eq!(rtms["meeting_uuid"], started["object"]["uuid"]);
    assert_eq!((&rtms["operator_id"], &rtms["is_original_host"]), (&json!("u-ana"), &json!(true)));
}

#[tokio::test]
async fn meetings_have_different_ids_and_some_uuids_start_with_a_slash() {
    let mut endpoint = Endpoint::good().await;
    let _simulator = simulate(Settings { meetings: 2, ..settings() }, &endpoint).await;
    let one = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    let other = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    for key in ["meeting_id", "meeting_uuid", "rtms_stream_id"] {
        assert_ne!(one[key], other[key]);
    }
    let uuids = [&one, &other].map(|payload| payload["meeting_uuid"].as_str().unwrap());
    assert!(uuids.iter().any(|uuid| uuid.starts_with('/')));
}

#[tokio::test]
async fn an_endpoint_that_fails_the_url_validation_gets_no_events() {
    let endpoint = Endpoint::answering(Arc::new(|_| {
        axum::Json(json!({"plainToken": "x", "encryptedToken": "y"})).into_response()
    }));
    let mut endpoint = endpoint.await;
    let simulator = simulate(settings(), &endpoint).await;
    assert_eq!(simulator.validated().await, Validation::Refused);
    let report = simulator.shutdown().await;
    assert_eq!(endpoint.rest(), ["endpoint.url_validation"]);
    assert!(report.webhooks.withheld >= 2);
    assert!(!report.is_clean());
    let problem = report.webhooks.validation_problem.unwrap();
    assert!(problem.contains("wrong answer") && problem.contains("ZOOM_SECRET_TOKEN"), "{problem}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_up_yet_is_validated_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let mut endpoint = Endpoint::answering(Arc::new(move |hook| {
        if asked.fetch_add(1, Ordering::Relaxed) < 2 {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        good_answer(hook)
    }))
    .await;
    let simulator = simulate(Settings { timings: fast(), ..settings() }, &endpoint).await;
    endpoint.next("meeting.rtms_started").await;
    assert_eq!(simulator.report().webhooks.validation, Some(Validation::Passed));
}

#[tokio::test]
async fn an_endpoint_that_fails_six_later_validations_in_a_row_gets_no_further_events() {
    let asked = Arc::new(AtomicU32::new(0));
    // Passes the first, fails five, passes the seventh and fails from then on.
    let endpoint = Endpoint::answering(Arc::new(move |hook| {
        let is_validation = hook.body["event"] == "endpoint.url_validation";
        if is_validation && ![0, 6].contains(&asked.fetch_add(1, Ordering::Relaxed)) {
            return StatusCode::NOT_FOUND.into_response();
        }
        good_answer(hook)
    }));
    let mut endpoint = endpoint.await;
    let timings = Timings { revalidation_ms: 2_000, ..fast() };
    let simulator = simulate(Settings { timings, ..settings() }, &endpoint).await;
    for _ in 0..13 {
        let passed = simulator.report().webhooks.validation;
        assert_ne!(passed, Some(Validation::Refused), "before the sixth failure in a row");
        endpoint.next("endpoint.url_validation").await;
    }
    eventually("the endpoint is refused", async || {
        (simulator.report().webhooks.validation == Some(Validation::Refused)).then_some(())
    })
    .await;
    let problem = simulator.report().webhooks.validation_problem.unwrap();
    assert!(problem.contains("failure 6 in a row"), "{problem}");
    endpoint.rest();
    let report = simulator.shutdown().await;
    assert!(report.webhooks.withheld >= 1, "the end of the meeting");
    assert_eq!(endpoint.rest(), [""; 0]);
}

#[tokio::test]
async fn an_endpoint_that_is_refused_later_gets_no_retries_either() {
    let asked = Arc::new(AtomicU32::new(0));
    let endpoint =
        Endpoint::answering(Arc::new(move |hook| match hook.body["event"].as_str().unwrap() {
            "endpoint.url_validation" if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
                good_answer(hook)
            }
            "meeting.started" => StatusCode::BAD_GATEWAY.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }));
    let mut endpoint = endpoint.await;
    // Refused after 120 ms; the first retry would come after a second.
    let timings = Timings { revalidation_ms: 2_000, webhook_retries_ms: [100_000; 3], ..fast() };
    let simulator = simulate(Settings { timings, ..settings() }, &endpoint).await;
    endpoint.next("meeting.started").await;
    // The announcement of the stream is answered with 404, which is final.
    eventually("both are given up", async || {
        (simulator.report().webhooks.given_up >= 2).then_some(())
    })
    .await;
    assert!(!endpoint.rest().contains(&"meeting.started".to_owned()));
}

#[tokio::test]
async fn the_url_validation_can_be_skipped() {
    let mut endpoint = Endpoint::good().await;
    let settings = Settings { skip_url_validation: true, ..settings() };
    let _simulator = simulate(settings, &endpoint).await;
    endpoint.next("meeting.started").await;
    assert!(!endpoint.rest().contains(&"endpoint.url_validation".to_owned()));
}

/// An endpoint that answers `meeting.started` with this status and everything else correctly.
async fn endpoint_that_answers(status: StatusCode) -> Endpoint {
    Endpoint::answering(Arc::new(move |hook| {
        if hook.body["event"] == "meeting.started" {
            let away = [("location", "/elsewhere")];
            return (status, away).into_response();
        }
        good_answer(hook)
    }))
    .await
}

/// Retries after 20, 40 and 60 ms.
fn quick_retries() -> Settings {
    let timings = Timings { webhook_retries_ms: [20, 40, 60], ..Timings::default() };
    Settings { timings, ..settings() }
}

#[tokio::test]
async fn a_5xx_is_retried_three_times_with_the_same_body_and_id() {
    let mut endpoint = endpoint_that_answers(StatusCode::SERVICE_UNAVAILABLE).await;
    let simulator = simulate(quick_retries(), &endpoint).await;
    let first = endpoint.next("meeting.started").await;
    for _ in 0..3 {
        let retry = endpoint.next("meeting.started").await;
        assert_eq!(retry.raw, first.raw);
        assert_eq!(retry.headers["x-zm-request-id"], first.headers["x-zm-request-id"]);
    }
    let report = simulator.shutdown().await;
    assert_eq!(report.webhooks.failed_attempts, 4);
    assert_eq!(report.webhooks.given_up, 1);
}

#[tokio::test]
async fn a_4xx_and_a_redirect_are_final() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS, StatusCode::FOUND] {
        let mut endpoint = endpoint_that_answers(status).await;
        let simulator = simulate(quick_retries(), &endpoint).await;
        endpoint.next("meeting.rtms_started").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let report = simulator.shutdown().await;
        assert_eq!((report.webhooks.given_up, report.webhooks.failed_attempts), (1, 0));
        assert!(!endpoint.rest().contains(&"meeting.started".to_owned()), "{status}");
    }
}

#[tokio::test]
async fn wss_is_served_at_localhost_and_a_second_run_reuses_the_ca() {
    use rustls::pki_types::pem::PemObject;
    let folder = tempfile::tempdir().unwrap();
    let tls = Settings { tls_dir: Some(folder.path().to_owned()), ..settings() };
    let mut endpoint = Endpoint::good().await;
    let simulator = simulate(tls.clone(), &endpoint).await;
    let ca_file = simulator.tls_files().unwrap().ca.clone();
    let ca = std::fs::read(&ca_file).unwrap();
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    let url = started["server_urls"].as_str().unwrap();
    assert!(url.starts_with("wss://localhost:") && simulator.base_url().starts_with("https://"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = tokio::net::TcpStream::connect(simulator.addr()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();
    let stream = connector.connect(name, tcp).await.unwrap();
    let mut client = Client::over(url, stream).await;
    client.send(&handshake(&started, "meeting_uuid", 1)).await;
    let answer = client.receive().await;
    let media = answer["media_server"]["server_urls"]["audio"].as_str().unwrap();
    assert!(media.starts_with("wss://localhost:"));
    assert!(simulator.shutdown().await.is_clean());

    let again = simulate(tls, &endpoint).await;
    assert_eq!(std::fs::read(&again.tls_files().unwrap().ca).unwrap(), ca);
}

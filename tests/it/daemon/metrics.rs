//! What a real Prometheus gets from a daemon that does everything.

use rtmsd::metrics::rows;
use rtmsd::simulator::{Events, Settings};
use serde_json::json;

use crate::deploy::{expressions, metrics_in};
use crate::support::client::{head, try_exchange};
use crate::support::kit::{Api, Home, Zoom, chatter, eventually, script, send_webhook, zoom};
use crate::support::nats::Broker;
use crate::support::process::{Process, free_address};
use crate::support::prometheus::{Prometheus, promtool};

/// Nobody listens there, so that deliveries wait.
const ENDPOINTS: &str = r#"[{"name": "crm", "url": "http://127.0.0.1:9/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}]"#;

async fn scrape(metrics: &str) -> String {
    let request = head("GET", "/metrics", &[]);
    let answer = try_exchange(metrics.parse().unwrap(), &request).await.expect("it answers");
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

/// The value of a series that is written exactly so.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// A daemon with every output, and a simulated Zoom with a meeting that it joins.
async fn busy(metrics: &str, broker: &Broker) -> (Home, Process, Api, Zoom) {
    let settings = zoom(script(chatter(4_000, 50), 200_000));
    let zoom = Zoom::open(Settings { events: Events::Both, ..settings }).await;
    let home = Home::sqlite()
        .set("METRICS_ADDR", metrics)
        .set("ZOOM_EVENTS_URL", &zoom.simulator.events_url().unwrap())
        .set("ZOOM_OAUTH_BASE_URL", &zoom.simulator.base_url())
        .set("RECORD", "audio,transcript")
        .set("NATS_URL", &broker.url())
        .set("NATS_MEDIA", "audio")
        .set("MAX_STREAMS_PER_APP", "100")
        .set("WEBHOOKS_ALLOWED_HOSTS", "127.0.0.1")
        .set("WEBHOOKS_OUT", ENDPOINTS);
    let (process, api) = Process::serve(&home).await;
    // Events find the socket only when it is there.
    eventually("the event socket is up", async || {
        (zoom.simulator.report().event_socket.connections > 0).then_some(())
    })
    .await;
    zoom.post.deliver_to(api.0);
    (home, process, api, zoom)
}

#[tokio::test]
async fn a_real_prometheus_finds_every_metric_that_the_alerts_and_the_board_name() {
    let (metrics, broker) = (free_address().to_string(), Broker::start("").await);
    let (_home, process, api, zoom) = busy(&metrics, &broker).await;
    let near = json!({"event": "rtms.concurrency_near_limit", "event_ts": 1,
        "payload": {"concurrency_limit": 2000, "concurrency_number": 1650, "percentage": 82}});
    assert_eq!(send_webhook(api.0, &near).await, 200);
    let text = eventually("media and entries are counted", async || {
        let text = scrape(&metrics).await;
        let labels = r#"app="default",medium="audio",product="meeting""#;
        let frames = value(&text, &format!("rtms_media_frames_total{{{labels}}}"))?;
        let is_alive = text.contains("rtms_keep_alive_answer_seconds_count{link=\"signaling\"}");
        let has_socket = text.contains("rtms_socket_events_total{")
            && text.contains("rtmsd_event_socket_connected{app=\"default\"} 1");
        let has_relay = text.contains("rtms_relay_lag_entries");
        (frames > 100.0 && is_alive && has_socket && has_relay).then_some(text)
    })
    .await;
    assert_eq!(promtool(&["check", "metrics"], &text).await.as_deref(), Ok(""), "{text}");
    let here = |name: &str| text.contains(&format!("# TYPE {name} "));
    let missing: Vec<_> = rows().map(|row| row.name).filter(|name| !here(name)).collect();
    // These need what does not happen here: a stream that ends or is lost, a request to Zoom.
    let rare = [
        "rtms_meeting_duration_seconds",
        "rtms_streams_ended_total",
        "rtms_reconnection_total",
        "rtms_connection_errors_total",
        "rtmsd_zoom_requests_total",
    ];
    let missing: Vec<_> = missing.into_iter().filter(|name| !rare.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} in {text}");

    let prometheus = Prometheus::start(&metrics).await;
    eventually("the target is up", async || {
        let up = prometheus.query("up{job=\"rtmsd\"} == 1").await.unwrap();
        (!up.is_empty()).then_some(())
    })
    .await;
    assert_eq!(prometheus.target().await["lastError"], "");
    for expression in expressions() {
        prometheus.query(&expression).await.unwrap();
    }
    let all = expressions();
    for name in metrics_in(all.iter().map(String::as_str)) {
        if rare.iter().any(|rare| name.starts_with(rare)) {
            continue;
        }
        assert!(!prometheus.query(&name).await.unwrap().is_empty(), "{name} has no series");
    }
    eventually("every rule was evaluated", async || {
        let rules = prometheus.rules().await;
        assert!(rules.iter().all(|(_, health)| health != "err"), "{rules:?}");
        (rules.len() > 20 && rules.iter().all(|(_, health)| health == "ok")).then_some(())
    })
    .await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
    drop(zoom);
}

#[tokio::test]
async fn what_happens_to_a_stream_is_counted_once_and_stays() {
    let metrics = free_address().to_string();
    let home = Home::sqlite().set("METRICS_ADDR", &metrics);
    let (_process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(script(chatter(20, 50), 3_000))).await;
    zoom.post.deliver_to(api.0);
    let text = eventually("the stream has ended", async || {
        let text = scrape(&metrics).await;
        text.contains("rtms_streams_ended_total").then_some(text)
    })
    .await;
    let of = |name: &str, labels: &str| value(&text, &format!("{name}{{{labels}}}"));
    let app = r#"app="default""#;
    let lines = zoom.medium("transcript").frames as f64;
    let transcript = format!(r#"{app},medium="transcript",product="meeting""#);
    assert_eq!(of("rtms_media_frames_total", &transcript), Some(lines));
    assert_eq!(of("rtmsd_entries_stored_total", r#"kind="transcript""#), Some(lines));
    let ended = format!(r#"{app},outcome="stopped",product="meeting""#);
    assert_eq!(of("rtms_streams_ended_total", &ended), Some(1.0));
    for name in ["webhook_to_dial", "webhook_to_first_media", "meeting_duration"] {
        let count = format!("rtms_{name}_seconds_count");
        assert_eq!(of(&count, &format!(r#"{app},product="meeting""#)), Some(1.0), "{name}");
    }
    assert_eq!(of("rtms_connections_total", &format!(r#"{app},link="signaling""#)), Some(1.0));
    assert_eq!(of("rtms_leases_total", r#"event="claimed""#), Some(1.0));
    assert!(!text.contains("\nrtms_active_meetings{"), "{text}");
    zoom.close_clean().await;
}

#[tokio::test]
async fn metrics_addr_answers_metrics_and_nothing_else() {
    let metrics = free_address().to_string();
    let home = Home::sqlite().set("METRICS_ADDR", &metrics);
    let (_process, api) = Process::serve(&home).await;
    let at_metrics = Api(metrics.parse().unwrap());
    assert_eq!(at_metrics.get("/metrics").await.unwrap().status, 200);
    for path in ["/", "/health/live", "/api/v1/sdk/sessions", "/docs"] {
        assert_eq!(at_metrics.get(path).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(at_metrics.post("/metrics", &json!({})).await.status, 405);
    assert_eq!(api.get("/metrics").await.unwrap().status, 403, "there a scope is needed");
    let taken = Home::sqlite().set("METRICS_ADDR", &metrics);
    let ended = Process::spawn(&["serve"], taken.variables(), taken.folder()).ended().await;
    assert_eq!(ended.code(), 1);
    assert!(ended.err.contains("METRICS_ADDR"), "{ended:?}");
}

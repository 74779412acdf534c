//! Tests of the findings: each fault is found, and says what to do.

use super::*;
use crate::http::arrivals::RefusedCount;
use crate::http::health_report::{
    Broker, Clock, Daemon, Outgoing, Recordings, Signs, StoreHealth, Streams,
};
use crate::http::zoom_urls::EventSocketView;
use crate::model::AppName;
use crate::store::EventSocketRow;

const NOW_MS: i64 = 1_732_313_172_000;

type Fault = fn(&mut HealthReport);

fn well() -> HealthReport {
    HealthReport {
        status: "ok",
        findings: Vec::new(),
        daemon: Daemon { public_url_is_https: true, ..Daemon::default() },
        store: StoreHealth { ok: true, latency_ms: Some(1), ..StoreHealth::default() },
        streams: Streams { max_waiting_bytes: 100, unclaimed: Some(0), ..Streams::default() },
        recordings: Recordings {
            spool_bytes: Some(0),
            spool_max_bytes: Some(1000),
            disk_free_bytes: Some(u64::MAX),
            by_status: Some([("failed".to_owned(), 0)].into()),
        },
        outgoing: Outgoing { waiting: Some(0), oldest_seconds: None },
        installations: Some([("needs_reconnect".to_owned(), 0)].into()),
        broker: Some(Broker { connected: true, waiting_entries: Some(0) }),
        clock: Clock { difference_seconds: Some(1), tolerance_seconds: 300 },
        zoom: vec![endpoint()],
        signs: Signs { now_ms: NOW_MS, ..Signs::default() },
    }
}

fn endpoint() -> ZoomEndpoint {
    ZoomEndpoint {
        app: AppName::default(),
        path: "/webhook".to_owned(),
        validated_at: None,
        validated_at_ms: Some(1),
        validated_with: Some(1),
        secret_tokens: 1,
        last_received_at: None,
        last_received_at_ms: Some(2),
        clock_difference_seconds: None,
        event_socket: None,
        refused: Vec::new(),
    }
}

/// Of a daemon that has been connected since a minute after the gap.
fn socket(problem: Option<Problem>, gap_until_ms: Option<i64>) -> ZoomEndpoint {
    let row = EventSocketRow {
        app: "default".to_owned(),
        owner: Some("a".to_owned()),
        lease_until_ms: NOW_MS + 1,
        connected_at_ms: problem.is_none().then_some(NOW_MS - 5),
        seen_at_ms: Some(NOW_MS - 1),
        problem: problem.map(|problem| problem.as_str().to_owned()),
        gap_from_ms: gap_until_ms.map(|until_ms| until_ms - 7_000),
        gap_until_ms,
    };
    let view = EventSocketView::of(Some(&row), NOW_MS);
    ZoomEndpoint { event_socket: Some(view), ..endpoint() }
}

fn refused(code: &'static str, last_at_ms: i64) -> Vec<RefusedCount> {
    vec![RefusedCount { code, count: 1, last_at: None, last_at_ms }]
}

fn codes(report: &HealthReport) -> Vec<&'static str> {
    find(report).iter().map(|finding| finding.code).collect()
}

#[test]
fn a_daemon_that_is_well_has_no_finding() {
    assert_eq!(codes(&well()), [] as [&str; 0]);
    assert_eq!(status_of(&[]), "ok");
}

#[test]
fn each_fault_is_found_and_says_what_to_do() {
    let cases: [(&str, Fault); 21] = [
        ("store_unavailable", |it| it.store.ok = false),
        ("store_slow", |it| it.store.latency_ms = Some(250)),
        ("unreadable_rows", |it| it.store.unreadable_rows = 1),
        ("draining", |it| it.daemon.draining = true),
        ("part_restarted", |it| it.daemon.restarts = [("nats".to_owned(), 2)].into()),
        ("panics", |it| it.daemon.panics = 1),
        ("not_https", |it| it.daemon.public_url_is_https = false),
        ("disk_unavailable", |it| it.recordings.spool_bytes = None),
        ("disk_full", |it| it.recordings.disk_free_bytes = Some(1)),
        ("spool_full", |it| it.recordings.spool_bytes = Some(800)),
        ("recordings_failed", |it| {
            it.recordings.by_status = Some([("failed".to_owned(), 1)].into())
        }),
        ("streams_unclaimed", |it| it.streams.unclaimed = Some(1)),
        ("starts_wait", |it| it.streams.waiting_starts = Some(1)),
        ("streams_wait", |it| it.signs.shortage = Some("full".to_owned())),
        ("entries_wait", |it| it.streams.waiting_bytes = 51),
        ("clock_wrong", |it| it.clock.difference_seconds = Some(-301)),
        ("clock_off", |it| it.clock.difference_seconds = Some(30)),
        ("broker_away", |it| it.broker = Some(Broker { connected: false, waiting_entries: None })),
        ("outgoing_late", |it| it.outgoing.oldest_seconds = Some(LATE_DELIVERY_S + 1)),
        ("grants_lost", |it| it.installations = Some([("needs_reconnect".to_owned(), 1)].into())),
        ("static_token", |it| it.signs.apps_with_static_tokens = vec!["default".to_owned()]),
    ];
    for (code, break_it) in cases {
        let mut report = well();
        break_it(&mut report);
        let findings = find(&report);
        assert_eq!(findings.len(), 1, "{code}: {findings:?}");
        assert_eq!(findings[0].code, code);
        assert!(findings[0].todo.ends_with('.') && findings[0].what.len() > 3, "{findings:?}");
    }
}

#[test]
fn the_url_of_an_app_is_looked_at() {
    let of = |endpoint: ZoomEndpoint| codes(&HealthReport { zoom: vec![endpoint], ..well() });
    let recent = NOW_MS - RECENT_MS + 1;
    let wrong = |last| ZoomEndpoint { refused: refused("signature_invalid", last), ..endpoint() };
    assert_eq!(of(wrong(recent)), ["signatures_wrong"]);
    assert_eq!(of(wrong(recent - 2)), [] as [&str; 0]);
    let other = ZoomEndpoint { refused: refused("other_app", recent), ..endpoint() };
    assert_eq!(of(other), ["product_missing"]);
    let new = ZoomEndpoint { validated_at_ms: None, last_received_at_ms: None, ..endpoint() };
    assert_eq!(of(new), ["no_webhook_yet"]);
    assert_eq!(
        of(ZoomEndpoint { validated_with: None, ..endpoint() }),
        ["validated_with_old_secret"]
    );
}

#[test]
fn an_event_socket_that_is_down_or_was_down_is_a_finding() {
    let of = |endpoint: ZoomEndpoint| find(&HealthReport { zoom: vec![endpoint], ..well() });
    assert_eq!(of(socket(None, None)), []);
    assert_eq!(of(socket(None, Some(NOW_MS - RECENT_MS))), []);
    let gap = of(socket(None, Some(NOW_MS - RECENT_MS + 1)));
    assert_eq!((gap.len(), gap[0].code, gap[0].severity), (1, "event_gap", Severity::Warning));
    assert!(gap[0].what.contains("for 7 s"), "{gap:?}");
    let mut words = Vec::new();
    for problem in Problem::ALL {
        let down = of(socket(Some(problem), None));
        assert_eq!((down.len(), down[0].code), (1, "event_socket_down"), "{problem:?}");
        assert_eq!(down[0].app.as_deref(), Some("default"));
        words.push((down[0].what.clone(), down[0].todo));
    }
    words.dedup();
    assert_eq!(words.len(), 6, "the causes that a person can mend have words of their own");
    // Nobody holds it: the daemon that did is gone.
    let never = ZoomEndpoint {
        event_socket: Some(EventSocketView::of(None, NOW_MS)),
        secret_tokens: 0,
        validated_at_ms: None,
        last_received_at_ms: None,
        ..endpoint()
    };
    assert_eq!(of(never).len(), 1, "there is no URL to validate");
}

#[test]
fn the_worst_finding_comes_first_and_is_the_status() {
    let mut report = well();
    report.daemon.public_url_is_https = false;
    assert_eq!(status_of(&find(&report)), "ok");
    report.streams.unclaimed = Some(3);
    assert_eq!(status_of(&find(&report)), "degraded");
    report.store.ok = false;
    assert_eq!(codes(&report), ["store_unavailable", "streams_unclaimed", "not_https"]);
    assert_eq!(status_of(&find(&report)), "failing");
}

//! `GET /dashboard/health`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::html;
use super::viewer::Viewer;
use crate::doctor::{self, Status};
use crate::http::AppState;
use crate::http::error::ApiError;
use crate::http::health_report::{self, HealthReport, Severity, read_health};
use crate::web::dashboard::Section;
use crate::web::dashboard::health::{Check, Doctor, Finding, Health, Replica};
use crate::web::dashboard::marks::{self, Mark};

/// The page, which reads itself again every few seconds.
pub(in crate::http) async fn page(
    State(state): State<Arc<AppState>>,
    viewer: Viewer,
) -> Result<Response, ApiError> {
    let report = read_health(&state, &viewer.caller).await;
    let findings = report.findings.iter();
    let replicas = report.streams.daemons.iter();
    let page = Health {
        layout: viewer.layout(Section::Health, "Health"),
        status: report.status,
        findings: findings.map(finding).collect(),
        groups: groups(&report),
        replicas: replicas
            .map(|it| Replica {
                node: it.node.clone(),
                is_this: it.is_this,
                streams: it.streams,
                max_streams: it.max_streams,
                load: it.load_percent.map(|percent| format!("{percent} %")),
                cpu: it.cpu_percent.map(|percent| format!("{percent} %")),
                oldest: it.oldest_stream_at.clone(),
                lease_until: it.lease_until.clone(),
            })
            .collect(),
        started: report.daemon.started_at.clone(),
        // The checks concern every app.
        doctor: viewer.caller.apps.names().is_none().then(|| doctor(&state.doctor)),
    };
    Ok(html(page.html()))
}

/// The last checks, what is wrong first.
fn doctor(doctor: &doctor::Doctor) -> Doctor {
    let is_running = doctor.is_running();
    let Some(report) = doctor.last() else { return Doctor { is_running, ..Doctor::default() } };
    let rank = |status| match status {
        Status::Fail => 0,
        Status::Warn => 1,
        Status::Ok => 2,
        Status::Skipped => 3,
    };
    let mut checks: Vec<&doctor::Check> = report.checks.iter().collect();
    checks.sort_by_key(|check| rank(check.status));
    let (checked_at, summary) = (report.checked_at.clone(), report.summary());
    Doctor { is_running, checked_at, summary, checks: checks.into_iter().map(check).collect() }
}

fn check(check: &doctor::Check) -> Check {
    let (word, tone) = match check.status {
        Status::Ok => ("ok", "good"),
        Status::Warn => ("warning", "warn"),
        Status::Fail => ("failed", "bad"),
        Status::Skipped => ("skipped", ""),
    };
    let (subject, seen, todo) = (check.subject.clone(), check.seen.clone(), check.todo.clone());
    Check { mark: Mark { word, tone }, id: check.id, subject, seen, todo }
}

fn finding(finding: &health_report::Finding) -> Finding {
    let (tone, word) = match finding.severity {
        Severity::Error => ("bad", "Error"),
        Severity::Warning => ("warn", "Warning"),
        Severity::Info => ("", "Note"),
    };
    let (app, what) = (finding.app.clone(), finding.what.clone());
    Finding { tone, word, app, what, todo: finding.todo }
}

type Facts = Vec<(&'static str, String)>;

/// The figures, by subject.
fn groups(report: &HealthReport) -> Vec<(&'static str, Facts)> {
    let mut groups = vec![
        ("Daemon", daemon(report)),
        ("Store", store(report)),
        ("Streams", streams(report)),
        ("Recordings", recordings(report)),
        ("Outgoing webhooks", outgoing(report)),
        ("Installations", counts(report.installations.as_ref())),
    ];
    if let Some(broker) = &report.broker {
        let state = if broker.connected { "connected" } else { "away" };
        groups.push((
            "NATS",
            vec![
                ("Connection", state.to_owned()),
                ("Waiting entries", number(broker.waiting_entries)),
            ],
        ));
    }
    groups
}

fn daemon(report: &HealthReport) -> Facts {
    let daemon = &report.daemon;
    let clock = match report.clock.difference_seconds {
        Some(-2..=2) => "within 2 s of Zoom’s".to_owned(),
        Some(difference_s) => {
            let direction = if difference_s > 0 { "ahead of" } else { "behind" };
            format!("{} s {direction} Zoom’s", difference_s.unsigned_abs())
        }
        None => "known after the first webhook".to_owned(),
    };
    vec![
        ("Version", daemon.version.to_owned()),
        ("Id since its start", daemon.node.clone()),
        ("Clock", clock),
        ("Faults in requests", daemon.panics.to_string()),
    ]
}

fn store(report: &HealthReport) -> Facts {
    let store = &report.store;
    let answer = match (store.ok, store.latency_ms) {
        (true, Some(latency_ms)) => format!("within {latency_ms} ms"),
        _ => "none".to_owned(),
    };
    vec![
        ("Kind", store.kind.to_owned()),
        ("Answer", answer),
        ("Waiting to be stored", bytes(Some(report.streams.waiting_bytes as u64))),
    ]
}

fn streams(report: &HealthReport) -> Facts {
    let streams = &report.streams;
    vec![
        ("Running here", format!("{} of {}", streams.running_here, streams.max_here)),
        ("Without a daemon", number(streams.unclaimed)),
        ("Starts that wait for room", number(streams.waiting_starts)),
    ]
}

fn recordings(report: &HealthReport) -> Facts {
    let disk = &report.recordings;
    let spool = format!("{} of {}", bytes(disk.spool_bytes), bytes(disk.spool_max_bytes));
    let mut facts = vec![("Spool", spool), ("Free on its disk", bytes(disk.disk_free_bytes))];
    facts.extend(counts(disk.by_status.as_ref()));
    facts
}

fn outgoing(report: &HealthReport) -> Facts {
    let oldest = report.outgoing.oldest_seconds;
    let mut facts = vec![("Waiting", number(report.outgoing.waiting))];
    facts.extend(oldest.map(|age_s| ("The oldest waits for", format!("{age_s} s"))));
    facts
}

/// Counts by status, in words.
fn counts(counts: Option<&std::collections::BTreeMap<String, i64>>) -> Facts {
    let Some(counts) = counts else { return vec![("All", "unknown".to_owned())] };
    let words = |status: &str| match status {
        "recording" => "Being recorded",
        "uploading" => "Being uploaded",
        "failed" => "Lost",
        "deleting" => "Being deleted",
        "connected" => "Connected",
        "needs_reconnect" => "Need a reconnect",
        "revoked" => "Revoked",
        _ => "Others",
    };
    if counts.is_empty() {
        return vec![("All", "0".to_owned())];
    }
    counts.iter().map(|(status, count)| (words(status), count.to_string())).collect()
}

fn number(count: Option<i64>) -> String {
    count.map_or_else(|| "unknown".to_owned(), |count| count.to_string())
}

fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), marks::bytes)
}

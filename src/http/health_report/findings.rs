//! What is wrong with the daemon, and what to do about it (pure).

use serde::Serialize;

use super::HealthReport;
use crate::doctor::{self, Fault};
use crate::http::zoom_urls::ZoomEndpoint;
use crate::zoom::event_socket::Problem;

/// From this age on, a waiting outgoing webhook is late: it has failed several times.
const LATE_DELIVERY_S: i64 = 15 * 60;
/// How long after a refused request it is reported as a finding.
const RECENT_MS: i64 = 60 * 60 * 1000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Severity {
    /// Data is lost, or about to be.
    Error,
    /// The daemon works, but a person should look at it.
    Warning,
    /// Nothing is wrong now.
    Info,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::http) struct Finding {
    pub severity: Severity,
    /// Names the kind of finding, for programs.
    pub code: &'static str,
    /// The app that the finding concerns; `None` if it concerns the whole daemon.
    pub app: Option<String>,
    pub what: String,
    /// What a person should do about it.
    pub todo: &'static str,
}

/// The worst of the findings.
pub(super) fn status_of(findings: &[Finding]) -> &'static str {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => "failing",
        Some(Severity::Warning) => "degraded",
        Some(Severity::Info) | None => "ok",
    }
}

/// Everything that is wrong, the worst first.
pub(super) fn find(report: &HealthReport) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.of_store(report);
    findings.of_daemon(report);
    findings.of_disk(report);
    findings.of_streams(report);
    findings.of_clock(report);
    findings.of_others(report);
    for endpoint in &report.zoom {
        findings.of_endpoint(endpoint, report.signs.now_ms);
    }
    findings.0.sort_by_key(|finding| finding.severity);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        what: impl Into<String>,
        todo: &'static str,
    ) {
        self.0.push(Finding { severity, code, app: None, what: what.into(), todo });
    }

    /// Adds a fault that the doctor finds as well.
    fn add_fault(&mut self, code: &'static str, fault: Option<Fault>) {
        let Some(Fault { is_error, what, todo }) = fault else { return };
        let severity = if is_error { Severity::Error } else { Severity::Warning };
        self.add(severity, code, what, todo);
    }

    fn of_store(&mut self, report: &HealthReport) {
        let store = &report.store;
        if !store.ok {
            let todo = "See that the database runs and that DATABASE_URL or the disk of DATA_DIR is right. Zoom repeats what it sends meanwhile, for 85 minutes.";
            self.add(Severity::Error, "store_unavailable", "The store does not answer.", todo);
        } else {
            self.add_fault("store_slow", store.latency_ms.and_then(doctor::store_latency));
        }
        if store.unreadable_rows > 0 {
            let what = format!(
                "{} rows of the store cannot be read and are left out.",
                store.unreadable_rows
            );
            self.add(
                Severity::Warning,
                "unreadable_rows",
                what,
                "The log says which. A newer version may have written them.",
            );
        }
    }

    fn of_daemon(&mut self, report: &HealthReport) {
        let daemon = &report.daemon;
        if daemon.draining {
            self.add(
                Severity::Warning,
                "draining",
                "The daemon is stopping.",
                "Wait for it, or ask another daemon.",
            );
        }
        for (part, count) in &daemon.restarts {
            let what = format!("The part {part} stopped and was started again, {count} times.");
            self.add(
                Severity::Warning,
                "part_restarted",
                what,
                "This is a fault of rtmsd: report it with the lines of the log around it.",
            );
        }
        if daemon.panics > 0 {
            let what = format!("{} requests failed by a fault of rtmsd.", daemon.panics);
            self.add(
                Severity::Warning,
                "panics",
                what,
                "Report it with the lines of the log around it.",
            );
        }
        if !daemon.public_url_is_https {
            let todo = "Put something that terminates HTTPS in front of it, and set PUBLIC_URL: Zoom sends webhooks to https only.";
            self.add(Severity::Info, "not_https", "PUBLIC_URL is not https.", todo);
        }
    }

    fn of_disk(&mut self, report: &HealthReport) {
        let disk = &report.recordings;
        let (Some(bytes), Some(max_bytes)) = (disk.spool_bytes, disk.spool_max_bytes) else {
            let todo = "See that the disk of DATA_DIR works.";
            return self.add(
                Severity::Error,
                "disk_unavailable",
                "The disk of the spool does not answer.",
                todo,
            );
        };
        self.add_fault("disk_full", disk.disk_free_bytes.and_then(doctor::free_disk));
        self.add_fault("spool_full", doctor::spool(bytes, max_bytes));
        let failed = disk.by_status.as_ref().and_then(|counts| counts.get("failed"));
        if let Some(failed) = failed.filter(|count| **count > 0) {
            let what = format!("{failed} recordings were lost before they were stored.");
            self.add(
                Severity::Warning,
                "recordings_failed",
                what,
                "The log says why, at the time of each.",
            );
        }
    }

    fn of_streams(&mut self, report: &HealthReport) {
        let streams = &report.streams;
        if let Some(unclaimed) = streams.unclaimed.filter(|count| *count > 0) {
            let what = format!("No daemon runs {unclaimed} streams that Zoom announced.");
            let todo =
                "Unless this passes within seconds, start another daemon or raise MAX_STREAMS.";
            self.add(Severity::Warning, "streams_unclaimed", what, todo);
        }
        if let Some(waiting) = streams.waiting_starts.filter(|count| *count > 0) {
            let what = format!("{waiting} starts by policy wait until a daemon has room.");
            let todo = "Raise MAX_STREAMS, or start another daemon.";
            self.add(Severity::Warning, "starts_wait", what, todo);
        }
        if let Some(shortage) = &report.signs.shortage {
            let todo = "Raise MAX_STREAMS or the app’s quota, or start another daemon.";
            self.add(Severity::Warning, "streams_wait", shortage.clone(), todo);
        }
        if streams.waiting_bytes.saturating_mul(2) > streams.max_waiting_bytes {
            let todo =
                "See why the store is slow. When ENTRY_BUFFER_BYTES are full, entries are lost.";
            self.add(Severity::Error, "entries_wait", "Entries wait to be stored.", todo);
        }
    }

    fn of_clock(&mut self, report: &HealthReport) {
        let Some(difference_s) = report.clock.difference_seconds else { return };
        let fault = doctor::clock(difference_s, report.clock.tolerance_seconds);
        let is_refused = fault.as_ref().is_some_and(|fault| fault.is_error);
        self.add_fault(if is_refused { "clock_wrong" } else { "clock_off" }, fault);
    }

    fn of_others(&mut self, report: &HealthReport) {
        if report.broker.as_ref().is_some_and(|broker| !broker.connected) {
            let todo = "See that NATS runs and that NATS_URL is right. Entries wait in the store; frames are lost.";
            self.add(Severity::Error, "broker_away", "NATS is not connected.", todo);
        }
        if report.outgoing.oldest_seconds.is_some_and(|age_s| age_s > LATE_DELIVERY_S) {
            let todo = "See in Outgoing webhooks which endpoint does not answer.";
            self.add(
                Severity::Warning,
                "outgoing_late",
                "Outgoing webhooks have waited for more than 15 minutes.",
                todo,
            );
        }
        let lost = report.installations.as_ref().and_then(|counts| counts.get("needs_reconnect"));
        if let Some(lost) = lost.filter(|count| **count > 0) {
            let what = format!("{lost} grants need a reconnect: Zoom rejects their tokens.");
            let todo = "Ask these users to install the app again: Installations says who they are.";
            self.add(Severity::Warning, "grants_lost", what, todo);
        }
        for app in &report.signs.apps_with_static_tokens {
            let what = format!("The app {app} uses an access token that expires after an hour.");
            self.add(
                Severity::Warning,
                "static_token",
                what,
                "Install the app instead of setting ZOOM_ACCESS_TOKEN.",
            );
        }
    }

    fn of_endpoint(&mut self, endpoint: &ZoomEndpoint, now_ms: i64) {
        let app = Some(endpoint.app.to_string());
        let mut add = |severity, code, what: &str, todo| {
            let (app, what) = (app.clone(), what.to_owned());
            self.0.push(Finding { severity, code, app, what, todo });
        };
        let recent = |code: &str| {
            let is_recent = |ms: i64| now_ms.saturating_sub(ms) < RECENT_MS;
            endpoint.refused.iter().any(|it| it.code == code && is_recent(it.last_at_ms))
        };
        if recent("signature_invalid") {
            add(
                Severity::Warning,
                "signatures_wrong",
                "Requests with a wrong signature came to the webhook URL within the last hour.",
                "If Zoom sent them, copy the Secret Token of the Zoom app again. Strangers may send them, too.",
            );
        }
        if recent("other_app") {
            add(
                Severity::Warning,
                "product_missing",
                "Zoom sent events of a product that the app does not have in its products.",
                "Add the product to the app, then process the refused webhooks again.",
            );
        }
        if let Some(socket) = &endpoint.event_socket {
            if !socket.connected {
                let (what, todo) = socket_problem(socket.problem);
                add(Severity::Error, "event_socket_down", what, todo);
            }
            let gap = socket.last_gap.as_ref();
            if let Some(gap) = gap.filter(|gap| now_ms.saturating_sub(gap.until_ms) < RECENT_MS) {
                let seconds = (gap.length_ms() / 1000).max(1);
                let what = format!(
                    "No daemon was connected to the app’s event socket for {seconds} s within the last hour: events of Zoom may be lost."
                );
                let todo = "Zoom was asked which meetings run; other lost events stay unknown. See the log for the cause, and run two daemons to keep one connected.";
                add(Severity::Warning, "event_gap", &what, todo);
            }
        }
        let has_url = endpoint.secret_tokens > 0;
        let has_nothing =
            endpoint.last_received_at_ms.is_none() && endpoint.validated_at_ms.is_none();
        if has_url && has_nothing && endpoint.event_socket.is_none() {
            add(
                Severity::Info,
                "no_webhook_yet",
                "Zoom has neither validated the webhook URL nor sent anything.",
                "Enter the URL in the Zoom app, press Validate, and subscribe to its events.",
            );
        }
        if endpoint.validated_at_ms.is_some() && endpoint.validated_with.is_none() {
            add(
                Severity::Info,
                "validated_with_old_secret",
                "The webhook URL was last validated with a secret token that is no longer configured.",
                "Press Validate in the Zoom app again.",
            );
        }
    }
}

/// What keeps an event socket down, and what to do.
fn socket_problem(problem: Option<Problem>) -> (&'static str, &'static str) {
    let down = "No daemon is connected to the app’s event socket: events of Zoom are lost.";
    match problem {
        Some(Problem::TokenRefused) => (
            "Zoom refuses a token for the app’s event socket: events of Zoom are lost.",
            "Check the app’s client id and secret, and ZOOM_ACCOUNT_ID if it is a server-to-server app.",
        ),
        Some(Problem::Refused) => (
            "Zoom refuses the connection to the app’s event socket: events of Zoom are lost.",
            "Copy ZOOM_EVENTS_URL again from the app’s page.",
        ),
        Some(Problem::Contested) => (
            "Zoom closes every connection to the app’s event socket soon: another program uses its subscription.",
            "Stop the other program, or give it a subscription of its own.",
        ),
        Some(Problem::OAuthUnreachable) => {
            (down, "Zoom’s OAuth does not answer: check the network and HTTPS_PROXY.")
        }
        Some(Problem::Unreachable) => {
            (down, "Its server cannot be reached: check the network, HTTPS_PROXY and CA_FILE.")
        }
        Some(Problem::Closed | Problem::Dropped | Problem::Silent) | None => {
            (down, "Unless this passes within seconds, see the log of the daemons.")
        }
    }
}

#[cfg(test)]
mod tests;

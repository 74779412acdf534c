//! Waits until a session is live.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cell::plain;
use super::daemon::{Daemon, Request};
use super::failure::Failure;
use crate::model::SessionStatus;

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Waits until the session is live, and returns it as it is then.
pub(super) async fn until_live(
    daemon: &Daemon,
    id: &str,
    limit: Duration,
) -> Result<Value, Failure> {
    let path = ["api", "v1", "sdk", "sessions", id].map(str::to_owned).to_vec();
    let show = Request { method: "GET".to_owned(), path, ..Request::default() };
    let end = Instant::now() + limit;
    loop {
        let status = match daemon.call(&show).await {
            Ok(answer) => {
                let status = plain(&answer.data["session"]["status"]);
                match progress(&status) {
                    Progress::Live => return Ok(answer.data),
                    Progress::Over => return Err(not_live(id, &status)),
                    Progress::Under => status,
                }
            }
            Err(failure) if failure.is_temporary() => "unknown".to_owned(),
            Err(failure) => return Err(failure),
        };
        if Instant::now() >= end {
            let problem = format!(
                "the session is not live after {} s: its status is {status}; rtmsd sessions show {id} has the details",
                limit.as_secs()
            );
            return Err(Failure::NotReached(problem));
        }
        sleep(POLL_INTERVAL).await;
    }
}

enum Progress {
    Under,
    Live,
    Over,
}

fn progress(status: &str) -> Progress {
    match SessionStatus::parse(status) {
        Some(SessionStatus::Live) => Progress::Live,
        Some(
            SessionStatus::StartRefused
            | SessionStatus::StartTimedOut
            | SessionStatus::Stopped
            | SessionStatus::Ended,
        ) => Progress::Over,
        // A status of a newer daemon is waited for, too.
        _ => Progress::Under,
    }
}

fn not_live(id: &str, status: &str) -> Failure {
    Failure::NotReached(format!(
        "the session did not become live: its status is {status}; rtmsd webhooks list --session {id} has what Zoom sent"
    ))
}

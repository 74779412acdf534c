//! A live consumer: a session's entries as one daemon sends them, over any number of connections.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::node::API_TOKEN;
use super::zoom::{Problem, http};

const RETRY: Duration = Duration::from_millis(500);

pub(crate) struct Reader {
    heard: Arc<Mutex<Heard>>,
    following: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    entries: Vec<Value>,
    last_id: Option<String>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Reader {
    pub(crate) fn follow(address: SocketAddr, session: &str) -> Result<Self, Problem> {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let url = format!("http://{address}/api/v1/sdk/sessions/{session}/events");
        let following = tokio::spawn(follow(http()?, url, heard.clone()));
        Ok(Self { heard, following })
    }

    /// Everything that came, once the daemon has sent the log's end.
    pub(crate) async fn over(mut self, limit: Duration) -> Result<Vec<Value>, Problem> {
        let ended = timeout(limit, &mut self.following).await;
        let entries = std::mem::take(&mut lock(&self.heard).entries);
        match ended {
            Ok(followed) => followed.map(|()| entries).map_err(Into::into),
            Err(_) => Err(format!("a log does not end; it has {} entries", entries.len()).into()),
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(http: reqwest::Client, url: String, heard: Arc<Mutex<Heard>>) {
    while let Ok(ControlFlow::Continue(())) | Err(_) = read(&http, &url, &heard).await {
        sleep(RETRY).await;
    }
}

/// Reads over one connection, from where the last one ended.
async fn read(
    http: &reqwest::Client,
    url: &str,
    heard: &Mutex<Heard>,
) -> Result<ControlFlow<()>, Problem> {
    let last_id = lock(heard).last_id.clone();
    let mut request = http.get(url).bearer_auth(API_TOKEN);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let mut answer = request.send().await?.error_for_status()?;
    if answer.status() == StatusCode::NO_CONTENT {
        return Ok(ControlFlow::Break(()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = bytes.drain(..end + 2).collect();
            if take(std::str::from_utf8(&event)?, heard)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Keeps one event. Breaks at the log's end.
fn take(event: &str, heard: &Mutex<Heard>) -> Result<ControlFlow<()>, Problem> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    // A comment, or the time of a retry.
    let Some(data) = field("data: ") else { return Ok(ControlFlow::Continue(())) };
    let mut heard = lock(heard);
    heard.last_id = field("id: ").map(ToOwned::to_owned);
    if field("event: ") == Some("end") {
        return Ok(ControlFlow::Break(()));
    }
    heard.entries.push(serde_json::from_str(data)?);
    Ok(ControlFlow::Continue(()))
}

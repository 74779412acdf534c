//! A session's log as a client reads it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::daemon::{API_TOKEN, Api};
use super::{POLL_INTERVAL, TIMEOUT};
use crate::support::client::SseClient;

/// A session's entries as one subscriber gets them, over any number of connections.
pub(crate) struct Log {
    session_id: String,
    pages: watch::Sender<Page>,
    following: JoinHandle<()>,
}

/// The entries so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub entries: Vec<Value>,
    /// The server has sent the end of the log.
    pub is_over: bool,
    /// The cursor after the last entry.
    last_id: Option<String>,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Log {
    /// From the beginning of the session of this instance.
    pub(crate) async fn follow(api: Api, instance_id: &str) -> Self {
        Self::of_session(api, api.session_of(instance_id).await)
    }

    pub(crate) fn of_session(api: Api, session_id: String) -> Self {
        Self::from(api, session_id, Page::default())
    }

    /// The same subscriber at another daemon, or after a restart: goes on where it was.
    pub(crate) fn moved_to(&self, api: Api) -> Self {
        self.following.abort();
        Self::from(api, self.session_id.clone(), self.page())
    }

    fn from(api: Api, session_id: String, page: Page) -> Self {
        let pages = watch::Sender::new(page);
        let following = tokio::spawn(follow(api, session_id.clone(), pages.clone()));
        Self { session_id, pages, following }
    }

    pub(crate) fn session_id(&self) -> &str {
        &self.session_id
    }

    pub(crate) fn page(&self) -> Page {
        self.pages.borrow().clone()
    }

    /// Waits until what has come is enough, and returns it.
    pub(crate) async fn until(&self, what: &str, is_enough: impl Fn(&Page) -> bool) -> Page {
        let mut pages = self.pages.subscribe();
        let found = timeout(TIMEOUT, pages.wait_for(|page| is_enough(page))).await;
        match found {
            Ok(page) => page.expect("the log outlives its readers").clone(),
            Err(_) => panic!("never happened: {what}; the log: {:#?}", self.page().outline()),
        }
    }

    /// Waits for so many transcript lines.
    pub(crate) async fn lines(&self, count: usize) -> Page {
        self.until(&format!("{count} lines"), |page| page.of("transcript").len() >= count).await
    }

    /// Waits for so many entries of a kind.
    pub(crate) async fn entries(&self, kind: &str, count: usize) -> Page {
        self.until(&format!("{count} of {kind}"), |page| page.of(kind).len() >= count).await
    }

    /// Waits until the server has nothing more to send.
    pub(crate) async fn over(&self) -> Page {
        self.until("the end of the log", |page| page.is_over).await
    }
}

impl Page {
    pub(crate) fn of(&self, kind: &str) -> Vec<&Value> {
        self.entries.iter().filter(|entry| entry["kind"] == kind).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.of("transcript").iter().map(|line| line["text"].as_str().unwrap()).collect()
    }

    /// Which links came up or went down, as in `+audio` and `-signaling`.
    pub(crate) fn links(&self) -> Vec<String> {
        let sign = |entry: &Value| match entry["kind"].as_str() {
            Some("link_up") => Some("+"),
            Some("link_down") => Some("-"),
            _ => None,
        };
        let link = |entry: &Value| entry["link"].as_str().unwrap().to_owned();
        self.entries.iter().filter_map(|e| Some(format!("{}{}", sign(e)?, link(e)))).collect()
    }

    /// The kinds of the entries and some details, without texts.
    pub(crate) fn outline(&self) -> Vec<String> {
        let describe = |entry: &Value| {
            let detail = ["link", "cause", "state", "outcome", "reason"];
            let detail = detail.iter().filter(|name| !entry[**name].is_null());
            let detail: Vec<_> = detail.map(|name| entry[*name].to_string()).collect();
            format!("{} {} {}", entry["seq"], entry["kind"], detail.join(" "))
        };
        self.entries.iter().map(describe).collect()
    }

    /// Asserts that each stream's entries are numbered from 1 without holes, in the order they came.
    pub(crate) fn assert_numbered(&self) {
        let mut last = BTreeMap::<u64, u64>::new();
        for entry in &self.entries {
            let (stream, seq) =
                (entry["ordinal"].as_u64().unwrap(), entry["seq"].as_u64().unwrap());
            let last = last.entry(stream).or_default();
            assert_eq!(seq, *last + 1, "stream {stream}, {:#?}", self.outline());
            *last = seq;
        }
    }

    /// Asserts that the chatter's lines came in order and none twice; returns how many came.
    pub(crate) fn assert_chatter(&self) -> usize {
        let texts = self.texts();
        let number = |text: &&str| text.strip_prefix("line ").unwrap().parse::<u32>().unwrap();
        let numbers: Vec<u32> = texts.iter().map(number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?} {:#?}", self.outline());
        numbers.len()
    }
}

/// Connects again and again, as a browser does, until the log is over.
async fn follow(api: Api, session_id: String, pages: watch::Sender<Page>) {
    while read(api, &session_id, &pages).await.is_continue() {
        sleep(POLL_INTERVAL).await;
    }
}

async fn read(api: Api, session_id: &str, pages: &watch::Sender<Page>) -> ControlFlow<()> {
    let last_id = pages.borrow().last_id.clone();
    let authorization = format!("Bearer {API_TOKEN}");
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(last_id.as_deref().map(|id| ("last-event-id", id)));
    let path = format!("/api/v1/sdk/sessions/{session_id}/events");
    let Some((status, mut client)) = SseClient::try_open(api.0, &path, &headers).await else {
        return ControlFlow::Continue(());
    };
    if status == 204 {
        pages.send_modify(|page| page.is_over = true);
        return ControlFlow::Break(());
    }
    while let Some(event) = client.next().await {
        let is_end = event.event == "end";
        pages.send_modify(|page| {
            page.last_id = Some(event.id);
            page.is_over = is_end;
            page.entries.extend((!is_end).then_some(event.data));
        });
        if is_end {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

//! A daemon's HTTP side and control, beside a Zoom that can be told what to say.

use std::sync::Arc;
use std::time::Duration;

use rtmsd::control::Control;
use rtmsd::model::{ActionRecord, ActionStatus, Outcome, SessionId, StopReason};
use rtmsd::secret::Secret;
use rtmsd::zoom::retry::Pauses;
use rtmsd::zoom::token::Configured;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::server::{Server, Wiring};
use crate::support::client::Answer;
use crate::support::wait::eventually;
use crate::support::zoom::FakeZoom;

pub(super) const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");
pub(super) const NUMBER: &str = "91234567890";

pub(super) struct Kit {
    pub server: Server,
    pub zoom: Arc<FakeZoom>,
    worker: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Drop for Kit {
    fn drop(&mut self) {
        if let Some((task, _)) = &self.worker {
            task.abort();
        }
    }
}

/// No wait of a test's is a real one.
pub(super) fn short_pauses() -> Pauses {
    let pause = Duration::from_millis(5);
    Pauses {
        not_live: vec![pause, pause],
        unavailable: vec![pause, pause],
        rate_limited: pause,
        longest_limit: Duration::from_secs(2),
        limits: 2,
    }
}

impl Kit {
    /// Without the background worker.
    pub(super) async fn start() -> Self {
        Self::wired(|_| {}).await
    }

    pub(super) async fn wired(change: impl FnOnce(&mut Wiring)) -> Self {
        let zoom = Arc::new(FakeZoom::start().await);
        let mut wiring = Wiring {
            now_ms: rtmsd::clock::now_ms,
            pauses: short_pauses(),
            zoom: (zoom.url(), Configured::Static(Secret::new("zoom-token".into()))),
            ..Wiring::default()
        };
        change(&mut wiring);
        Self { server: Server::wired(wiring).await, zoom, worker: None }
    }

    /// With it.
    pub(super) async fn working(change: impl FnOnce(&mut Wiring)) -> Self {
        let mut kit = Self::wired(change).await;
        kit.work();
        kit
    }

    pub(super) fn work(&mut self) {
        let stop = CancellationToken::new();
        let control: Arc<Control> = Arc::clone(&self.server.state.control);
        self.worker = Some((tokio::spawn(control.run(stop.clone())), stop));
    }

    /// Ends the worker as a restart would.
    pub(super) async fn rest(&mut self) {
        let (task, stop) = self.worker.take().expect("a worker");
        stop.cancel();
        task.await.expect("no panic");
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[BOSS]).await
    }

    pub(super) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/api/v1/sdk/sessions{path}");
        self.server.post_to(&path, body.as_bytes(), headers).await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let path = format!("/api/v1/sdk/sessions{path}");
        let answer = self.server.request("GET", &path, &[BOSS]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].clone()
    }

    /// A session of the meeting `NUMBER`, made over REST.
    pub(super) async fn create(&self) -> String {
        let answer = self.post("", &json!({"platform": "zoom", "meeting_id": NUMBER})).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()["data"]["session"]["id"].as_str().expect("an id").to_owned()
    }

    pub(super) async fn act(&self, id: &str, action: &str) -> Answer {
        self.post(&format!("/{id}/rtms/{action}"), &Value::Null).await
    }

    pub(super) async fn webhook(&self, event: &str, payload: Value) {
        let now_ms = (self.server.state.now_ms)();
        let body = json!({"event": event, "event_ts": now_ms, "payload": payload});
        let answer = self.server.webhook(body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(super) async fn meeting(&self, event: &str, uuid: &str) {
        let object =
            json!({"id": NUMBER.parse::<u64>().unwrap(), "uuid": uuid, "host_id": "host1"});
        self.webhook(event, json!({"account_id": "acc1", "object": object})).await;
    }

    pub(super) async fn announce(&self, uuid: &str, stream: &str) {
        let payload = json!({"meeting_uuid": uuid, "meeting_id": NUMBER, "rtms_stream_id": stream,
            "server_urls": "wss://a.zoom.us"});
        self.webhook("meeting.rtms_started", payload).await;
    }

    /// Ends a stream as its runner would.
    pub(super) async fn end_stream(&self, stream: &str, outcome: Outcome, reason: Option<i64>) {
        let record = self.server.stream(stream).await;
        let (store, now_ms) = (&self.server.state.store, (self.server.state.now_ms)());
        let (id, epoch, generation) = (&record.stream_id, record.epoch, record.generation);
        let ended =
            store.finish_stream(id, epoch, generation, outcome, reason.map(StopReason), now_ms);
        assert!(ended.await.expect("the store works").is_some(), "the stream lived");
    }

    pub(super) async fn status(&self, id: &str) -> String {
        let session = self.get(&format!("/{id}")).await;
        session["session"]["status"].as_str().expect("a status").to_owned()
    }

    pub(super) async fn becomes(&self, id: &str, status: &str) {
        eventually(&format!("the session is {status}"), async || {
            (self.status(id).await == status).then_some(())
        })
        .await;
    }

    /// What the policies have wanted of the only session, once they have seen everything.
    pub(super) async fn planned(&self) -> Vec<String> {
        let store = &self.server.state.store;
        eventually("the policies have reviewed every session", async || {
            store.sessions_to_review(1).await.expect("the store works").is_empty().then_some(())
        })
        .await;
        let id = session_id(&self.only_session().await);
        let snapshot = store.snapshot(id).await.expect("the store works").expect("a session");
        snapshot.actions.into_iter().filter_map(|action| action.cause).collect()
    }

    /// What came of the only session's planned action with this cause.
    pub(super) async fn settled(&self, cause: &str) -> ActionStatus {
        self.action_where(cause, |action| !action.status.is_open()).await.status
    }

    /// The same, once it has been tried, even if it will be tried again.
    pub(super) async fn answered(&self, cause: &str) -> ActionRecord {
        self.action_where(cause, |action| action.answer.is_some()).await
    }

    async fn action_where(&self, cause: &str, is_it: fn(&ActionRecord) -> bool) -> ActionRecord {
        let id = session_id(&self.only_session().await);
        eventually("the action has the wanted state", async || {
            let snapshot = self.server.state.store.snapshot(id).await.expect("the store works");
            let mut actions = snapshot.expect("a session").actions.into_iter();
            actions.find(|action| action.cause.as_deref() == Some(cause)).filter(is_it)
        })
        .await
    }

    /// The sessions' only one.
    pub(super) async fn only_session(&self) -> String {
        let sessions = self.get("").await["sessions"].as_array().expect("sessions").clone();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions[0]["id"].as_str().expect("an id").to_owned()
    }
}

pub(super) fn session_id(id: &str) -> SessionId {
    SessionId::parse(id).expect("a UUID")
}

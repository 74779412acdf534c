//! Two apps in one server, with data of every kind, and a token of each.

use rtmsd::model::{
    AppName, AuditRow, Cursor, Entry, EntryBody, Forward, ForwardId, MeetingChange, Notice,
    RecordedFile, RecordingId, RelayId, SpoolId, TranscriptLine, UserId,
};
use rtmsd::model::{Outcome, Speaker, StopReason};
use rtmsd::store::{GrantedTo, NewRecording, NewRelayEvent, RelayStream, SealedTokens, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::server::Server;
use crate::store::webhooks::*;
use crate::support::client::Answer;

/// An app with an object of every kind, whose names occur nowhere else.
pub(super) struct Tenant {
    pub app: AppName,
    /// The token of this app only.
    pub token: &'static str,
    pub session: String,
    pub stream: String,
    pub file: String,
    pub forward: String,
    pub endpoint: String,
    pub relay: String,
    pub delivery: String,
    pub installation: String,
    pub api_token: String,
    pub webhook: String,
    user: String,
}

/// Stands for the token of the operator, who sees all apps.
pub(super) const OPERATOR: &str = "Bearer boss-token-of-tests";

impl Tenant {
    pub(super) async fn fill(server: &Server, name: &str, token: &'static str) -> Self {
        let app = AppName::parse(name).unwrap();
        let store = &server.state.store;
        let body = json!({ "url": format!("https://{name}.example/hook"), "apps": [name],
                           "description": format!("of-{name}") });
        let created = call(server, OPERATOR, "POST", "/api/v1/webhooks/endpoints", &body).await;
        let endpoint = created.json()["data"]["endpoint"]["id"].as_str().unwrap().to_owned();
        let (stream, user) = (format!("stream-of-{name}"), format!("user-of-{name}"));
        let session_id = stream_with_data(store, &app, &stream, &user).await;
        let installation = install(store, &app, &user).await;
        let tenant = Self {
            forward: forward(store, session_id, name).await,
            file: record_file(store, session_id, &stream, name).await,
            delivery: first_delivery(server, &endpoint).await,
            session: session_id.to_string(),
            token,
            endpoint,
            relay: relay(server, store, name, (&stream, session_id)).await,
            installation,
            api_token: api_token(server, name).await,
            webhook: signed_by(&app, started_by(&user, &stream, 1)).digest,
            app,
            stream,
            user,
        };
        let notice = Notice { operator_id: Some(tenant.user.clone()), ..Notice::default() };
        let mut notice = notice_of(5, notice);
        notice.body = json!({ "payload": { "of": tenant.user } }).to_string();
        record(store, signed_by(&tenant.app, notice)).await;
        tenant
    }

    /// Texts that no answer to the token of another app may contain.
    pub(super) fn marks(&self) -> Vec<String> {
        let name = &self.app;
        let own =
            [&self.session, &self.stream, &self.file, &self.forward, &self.endpoint, &self.relay];
        let more = [&self.delivery, &self.installation, &self.api_token, &self.user, &self.webhook];
        let texts = [format!("{name}.example"), format!("of-{name}"), format!("\"{name}\"")];
        own.into_iter().chain(more).cloned().chain(texts).collect()
    }

    /// The value of a path's parameter, by the path's first object.
    pub(super) fn parameter(&self, path: &str, name: &str) -> String {
        let value = match name {
            "id" if path.starts_with("/api/v1/sdk/sessions/") => &self.session,
            "id" if path.starts_with("/api/v1/zoom/installations/") => &self.installation,
            "id" if path.starts_with("/api/v1/webhooks/endpoints/") => &self.endpoint,
            "id" if path.starts_with("/api/v1/relays/") => &self.relay,
            "id" if path.starts_with("/api/v1/tokens/") => &self.api_token,
            "webhook" => &self.webhook,
            "app" => return self.app.to_string(),
            "file" => &self.file,
            "forward" => &self.forward,
            "delivery" => &self.delivery,
            _ => panic!("{path}: say here which object {{{name}}} is, and make one for each app"),
        };
        value.clone()
    }
}

pub(super) async fn call(
    server: &Server,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.send(method, path, body.as_bytes(), &[("authorization", token)]).await
}

async fn stream_with_data(
    store: &Store,
    app: &AppName,
    stream: &str,
    user: &str,
) -> rtmsd::model::SessionId {
    record(store, signed_by(app, started_by(user, stream, 1))).await;
    let begun = read(store, stream).await;
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(7), Some(user.into())),
        text: format!("of-{app}"),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    };
    let entry = Entry {
        session_id: begun.session_id,
        stream_id: begun.stream_id.clone(),
        stream_ordinal: 1,
        seq: 1,
        at_ms: 2,
        body: EntryBody::Transcript(line),
    };
    store.write_entries(&unclaimed(&[entry])).await.unwrap();
    record(store, signed_by(app, stopped(stream, 3, Some(6)))).await;
    let (id, reason) = (&begun.stream_id, Some(StopReason(6)));
    store.finish_stream(id, 0, 1, Outcome::Stopped, reason, 4).await.unwrap().unwrap();
    record(store, signed_by(app, numbered_meeting_changed(4, MeetingChange::Ended))).await;
    begun.session_id
}

async fn install(store: &Store, app: &AppName, user: &str) -> String {
    let granted = GrantedTo {
        app: app.clone(),
        account_id: "acc1".into(),
        user_id: user.into(),
        display_name: Some(user.into()),
        email: None,
        scope: "user:read:user".into(),
        api_base_url: None,
        address: None,
    };
    let seal = |_| SealedTokens { access: "v1.k.a".into(), refresh: None, expires_at_ms: None };
    store.save_installation(&granted, seal, 5).await.unwrap().id.to_string()
}

async fn forward(store: &Store, session_id: rtmsd::model::SessionId, name: &str) -> String {
    let forward = Forward {
        id: ForwardId(Uuid::now_v7()),
        session_id,
        url: format!("wss://{name}.example/"),
        asked: serde_json::Map::new(),
        cursor: Cursor::default(),
        created_at_ms: 1,
    };
    let act = AuditRow::new(1, "rtmsd", "forward.create", "");
    assert!(store.add_forward(&forward, 10, &act).await.unwrap());
    forward.id.to_string()
}

/// A relay with a stream and a webhook.
async fn relay(
    server: &Server,
    store: &Store,
    name: &str,
    (stream, session_id): (&str, rtmsd::model::SessionId),
) -> String {
    let body = json!({
        "name": format!("of-{name}"), "webhook_url": format!("https://{name}.example/zoom"),
        "client_id": "c", "client_secret": "s", "secret_token": "t", "apps": [name],
    });
    let made = call(server, OPERATOR, "POST", "/api/v1/relays", &body).await.json();
    let id = made["data"]["relay"]["id"].as_str().expect("a relay").to_owned();
    let relay_id = RelayId::parse(&id).unwrap();
    let row = RelayStream {
        relay_id,
        stream_id: stream_id(stream),
        session_id,
        server_url: format!("wss://{name}.example/relay"),
        announcements: 1,
        acknowledged: 1,
        gaps: Vec::new(),
        subscriptions: Vec::new(),
        has_left: false,
        updated_at_ms: 1,
    };
    store.put_relay_stream(&row).await.unwrap();
    let event = NewRelayEvent {
        id: format!("{id}:started"),
        relay_id,
        stream_id: stream_id(stream),
        session_id,
        name: "meeting.rtms_started".into(),
        body: "{}".into(),
        created_at_ms: 1,
    };
    store.add_relay_event(&event).await.unwrap();
    id
}

async fn record_file(
    store: &Store,
    session_id: rtmsd::model::SessionId,
    stream: &str,
    name: &str,
) -> String {
    let (id, stream_id) = (RecordingId(Uuid::now_v7()), stream_id(stream));
    let spool = SpoolId(Uuid::nil());
    let stream_id = &stream_id;
    let new = NewRecording { id, session_id, stream_id, ordinal: 1, spool, started_at_ms: 1 };
    let recording = store.begin_recording(&new).await.unwrap();
    let api_name = format!("1-audio-of-{name}.wav");
    let file = RecordedFile {
        name: "audio.wav".into(),
        api_name: api_name.clone(),
        path: format!("{name}/audio.wav"),
        medium: "audio".into(),
        speaker: Speaker::default(),
        content_type: "audio/wav".into(),
        bytes: 44,
        sha256: "ab".into(),
        first_ms: Some(1),
        last_ms: None,
    };
    assert!(store.finish_recording(&recording, std::slice::from_ref(&file), 2).await.unwrap());
    assert!(store.store_recording(&recording, &[file], 3).await.unwrap());
    api_name
}

async fn api_token(server: &Server, name: &str) -> String {
    let body = json!({ "name": format!("token-of-{name}"), "apps": [name] });
    let made = call(server, OPERATOR, "POST", "/api/v1/tokens", &body).await.json();
    made["data"]["token"]["id"].as_str().expect("a token").to_owned()
}

async fn first_delivery(server: &Server, endpoint: &str) -> String {
    let path = format!("/api/v1/webhooks/endpoints/{endpoint}/deliveries");
    let listed = call(server, OPERATOR, "GET", &path, &Value::Null).await.json();
    listed["data"]["deliveries"][0]["event_id"].as_str().expect("a delivery").to_owned()
}

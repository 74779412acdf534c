//! Tokens of two apps: neither sees anything of the other, over every call of the API.

mod kit;

use rtmsd::model::{AppName, EntryBody, Participant, SessionId, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use self::kit::{OPERATOR, Tenant, call};
use super::server::Server;
use crate::store::webhooks::{URL, read, record, signed_by, started, started_in};
use crate::support::client::Answer;
use crate::support::websocket::{Heard, WebSocket};

const ACME: &str = "Bearer acme-token-of-tests";
const DEFAULT: &str = "Bearer default-token-of-tests";

/// The same kind of name as an event's or a file's, of nothing.
const NOTHING: &str = "evt_00000000000000000000000000000000";

/// One operation of the document.
struct Operation {
    id: String,
    method: String,
    path: String,
}

impl Operation {
    fn parameters(&self) -> Vec<&str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
    }

    /// The path with values for its parameters.
    fn with(&self, value: impl Fn(&str) -> String) -> String {
        self.parameters().iter().fold(self.path.clone(), |path, name| {
            path.replace(&format!("{{{name}}}"), &value(name))
        })
    }

    fn is_of_path(&self) -> bool {
        !self.parameters().is_empty()
    }

    /// A body that is good for an own object.
    fn body(&self) -> Value {
        match self.id.as_str() {
            "createForward" => json!({ "url": "ws://127.0.0.1:9/" }),
            "subscribeVideo" => json!({ "user_id": 7 }),
            "changeEndpoint" => json!({ "description": "changed" }),
            "changeRelay" => json!({ "name": "changed" }),
            "changeApp" => json!({}),
            _ => Value::Null,
        }
    }
}

/// The operations that need a token.
async fn operations(server: &Server) -> Vec<Operation> {
    let document = server.request("GET", "/openapi.json", &[]).await.json();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str();
            let needs_token = operation["security"].as_array().is_some_and(|all| !all.is_empty());
            if let (Some(id), true) = (id, needs_token) {
                let (id, path) = (id.to_owned(), path.clone());
                operations.push(Operation { id, method: method.to_uppercase(), path });
            }
        }
    }
    assert!(operations.len() > 30, "the document has the operations");
    operations
}

async fn server_with_two() -> (Server, Tenant, Tenant) {
    let server = Server::start().await;
    let acme = Tenant::fill(&server, "acme", ACME).await;
    let default = Tenant::fill(&server, "default", DEFAULT).await;
    (server, acme, default)
}

/// What a client can tell two answers apart by.
fn seen(answer: &Answer) -> (u16, Option<String>, String) {
    let kind = answer.header("content-type").map(str::to_owned);
    let text = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut body) => {
            if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
                error.remove("request_id");
            }
            body.to_string()
        }
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    (answer.status, kind, text)
}

#[tokio::test]
async fn an_object_of_another_app_is_answered_like_an_unknown_one_by_every_operation() {
    let (server, acme, default) = server_with_two().await;
    for operation in operations(&server).await.iter().filter(|operation| operation.is_of_path()) {
        for (own, other) in [(&acme, &default), (&default, &acme)] {
            let ask = async |path: String| {
                let answer =
                    call(&server, own.token, &operation.method, &path, &operation.body()).await;
                seen(&answer)
            };
            let unknown = |name: &str| match name {
                "id" | "forward" => Uuid::now_v7().to_string(),
                _ => NOTHING.to_owned(),
            };
            let foreign = operation.with(|name| other.parameter(&operation.path, name));
            let expected = ask(operation.with(unknown)).await;
            assert_eq!(expected.0, 404, "{}", operation.id);
            assert_eq!(ask(foreign).await, expected, "{}", operation.id);
            // A part of an object of another app, under an own object.
            if operation.parameters().len() > 1 {
                let under_own = |part: &dyn Fn(&str) -> String| {
                    operation.with(|name| match name {
                        "id" => own.parameter(&operation.path, name),
                        _ => part(name),
                    })
                };
                let part = |name: &str| other.parameter(&operation.path, name);
                // Two endpoints may have a delivery of one event, but no event of two apps.
                assert_eq!(ask(under_own(&part)).await, ask(under_own(&unknown)).await);
            }
        }
    }
}

#[tokio::test]
async fn no_answer_to_a_token_of_one_app_holds_anything_of_another() {
    let (server, acme, default) = server_with_two().await;
    let mut operations = operations(&server).await;
    // What deletes comes last, and parts before the whole.
    operations.sort_by_key(|operation| {
        let rank =
            ["GET", "PATCH", "PUT", "POST", "DELETE"].iter().position(|it| *it == operation.method);
        (rank, usize::MAX - operation.path.len())
    });
    for operation in &operations {
        for (own, other) in [(&acme, &default), (&default, &acme)] {
            let path = operation.with(|name| own.parameter(&operation.path, name));
            let body = match operation.id.as_str() {
                "createSession" => {
                    json!({ "platform": "zoom", "product": "contact_center", "meeting_id": "e1" })
                }
                "createEndpoint" => json!({ "url": "https://127.0.0.1/hook" }),
                "createRelay" => json!({
                    "name": "r", "webhook_url": "https://127.0.0.1/zoom", "client_id": "c",
                    "client_secret": "s", "secret_token": "t",
                }),
                "createToken" => json!({ "name": "ci" }),
                "createTicket" => json!({ "path": "/api/v1/live" }),
                _ => operation.body(),
            };
            let answer = call(&server, own.token, &operation.method, &path, &body).await;
            // They concern every app.
            if ["changeLogLevel", "showDoctor", "runDoctor"].contains(&operation.id.as_str()) {
                assert_eq!((answer.status, answer.code().as_str()), (403, "operator_only"));
                continue;
            }
            let is_refused = [401, 403, 404].contains(&answer.status);
            assert!(!is_refused, "{}: {} {}", operation.id, answer.status, answer.text());
            let text = String::from_utf8_lossy(&answer.body);
            for mark in other.marks() {
                assert!(!text.contains(&mark), "{} shows {mark}: {text}", operation.id);
            }
        }
    }
}

#[tokio::test]
async fn every_list_shows_the_own_apps_and_the_operator_sees_both() {
    let (server, acme, default) = server_with_two().await;
    let lists: Vec<_> = operations(&server)
        .await
        .into_iter()
        .filter(|operation| operation.id.starts_with("list") && !operation.is_of_path())
        .collect();
    let names: Vec<_> = lists.iter().map(|list| list.id.as_str()).collect();
    assert_eq!(
        names,
        [
            "listApps",
            "listAudit",
            "listRelays",
            "listSessions",
            "listTokens",
            "listEndpoints",
            "listInstallations",
            "listNotices",
            "listZoomEndpoints",
            "listWebhooks"
        ]
    );
    for list in &lists {
        let ask = async |token| call(&server, token, "GET", &list.path, &Value::Null).await;
        let everything = ask(OPERATOR).await.text().to_owned();
        for (own, other) in [(&acme, &default), (&default, &acme)] {
            let text = ask(own.token).await.text().to_owned();
            let shown = |text: &str, tenant: &Tenant| {
                tenant.marks().iter().any(|mark| text.contains(mark.as_str()))
            };
            assert!(shown(&text, own), "{}: {text}", list.id);
            assert!(!shown(&text, other), "{}: {text}", list.id);
            assert!(shown(&everything, own), "{}: {everything}", list.id);
        }
    }
}

#[tokio::test]
async fn the_pages_of_a_list_have_no_rows_of_others_in_between() {
    let (server, acme, default) = server_with_two().await;
    let store = &server.state.store;
    for n in 0..6 {
        let own = if n % 2 == 0 { &acme.app } else { &default.app };
        let webhook = started_in(&format!("more-{n}"), &format!("stream-{n}"), 10 + n, URL);
        record(store, signed_by(own, webhook)).await;
    }
    let mut path = "/api/v1/sdk/sessions?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = call(&server, ACME, "GET", &path, &Value::Null).await.json();
        let sessions = page["data"]["sessions"].as_array().unwrap().clone();
        assert!(sessions.iter().all(|session| session["app"] == "acme"), "{sessions:?}");
        pages.push(sessions.len());
        let Some(next) = page["data"]["next"].as_str() else { break };
        path = format!("/api/v1/sdk/sessions?limit=2&before={next}");
    }
    assert_eq!(pages, [2, 2]);
    // The cursor of another app's page is only a place in time.
    let foreign = format!("/api/v1/sdk/sessions?before={}", default.session);
    let page = call(&server, ACME, "GET", &foreign, &Value::Null).await;
    assert!(!page.text().contains(&default.session), "{}", page.text());
}

#[tokio::test]
async fn filters_of_the_audit_trail_do_not_reach_other_apps() {
    let (server, acme, default) = server_with_two().await;
    let user = format!("user-of-{}", default.app);
    let of_default = [
        format!("actor={user}"),
        "actor=boss".into(),
        "action=api.refused".into(),
        format!("app={}", default.app),
        format!("session={}", default.session),
        format!("subject={}", default.session),
        "from=0&to=9999999999999&outcome=ok".into(),
    ];
    for query in of_default {
        let path = format!("/api/v1/audit?limit=200&{query}");
        let rows = call(&server, acme.token, "GET", &path, &Value::Null).await.json();
        let rows = rows["data"]["audit"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row["app"] == "acme"), "{query}: {rows:?}");
    }
}

#[tokio::test]
async fn an_attempt_on_another_app_is_in_the_trail_of_its_own_app_only() {
    let (server, acme, default) = server_with_two().await;
    let path = format!("/api/v1/sdk/sessions/{}", default.session);
    assert_eq!(call(&server, acme.token, "DELETE", &path, &Value::Null).await.status, 404);
    let refused = async |token: &str| {
        let path = "/api/v1/audit?action=api.refused";
        let rows = call(&server, token, "GET", path, &Value::Null).await.json();
        rows["data"]["audit"].as_array().unwrap().len()
    };
    assert_eq!(refused(acme.token).await, 1);
    assert_eq!(refused(default.token).await, 0);
    let session = server.state.store.session(SessionId::parse(&default.session).unwrap());
    assert!(session.await.unwrap().is_some());
}

#[tokio::test]
async fn an_answer_is_not_repeated_to_a_token_that_has_other_apps_by_now() {
    let server = Server::start().await;
    let ask = async |server: &Server| {
        let headers = [("authorization", ACME), ("idempotency-key", "k")];
        let body = json!({ "url": "https://127.0.0.1/hook" }).to_string();
        server.send("POST", "/api/v1/webhooks/endpoints", body.as_bytes(), &headers).await
    };
    let first = ask(&server).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["data"]["endpoint"]["apps"], json!(["acme"]));
    assert_eq!(ask(&server).await.json(), first.json());
    let moved = server.beside("acme:acme-token-of-tests:admin@default").await;
    let refused = ask(&moved).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn an_endpoint_is_made_and_changed_within_the_apps_of_the_token() {
    let (server, acme, default) = server_with_two().await;
    let own = format!("/api/v1/webhooks/endpoints/{}", acme.endpoint);
    let nobody = json!({ "url": "https://127.0.0.1/", "apps": ["nobody"] });
    for apps in [json!(["default"]), json!(["acme", "default"])] {
        let body = json!({ "url": "https://127.0.0.1/", "apps": apps });
        for (method, path) in [("POST", "/api/v1/webhooks/endpoints"), ("PATCH", &own)] {
            let foreign = seen(&call(&server, acme.token, method, path, &body).await);
            let unknown = seen(&call(&server, acme.token, method, path, &nobody).await);
            assert_eq!((foreign.0, &foreign), (404, &unknown), "{method} {apps}");
        }
    }
    // All means all that the token may see.
    let body = json!({ "apps": [] });
    let changed = call(&server, acme.token, "PATCH", &own, &body).await.json();
    assert_eq!(changed["data"]["endpoint"]["apps"], json!(["acme"]));
    // An endpoint of all apps, or of more than the token's, is not the token's.
    for apps in [json!([]), json!(["acme", "default"])] {
        let body = json!({ "apps": apps });
        assert_eq!(call(&server, OPERATOR, "PATCH", &own, &body).await.status, 200);
        assert_eq!(call(&server, acme.token, "GET", &own, &Value::Null).await.status, 404);
        let listed = call(&server, acme.token, "GET", "/api/v1/webhooks/endpoints", &Value::Null);
        assert!(!listed.await.text().contains(&acme.endpoint));
    }
    drop(default);
}

/// The operator narrows an endpoint that has received the events of all apps.
#[tokio::test]
async fn the_log_of_an_endpoint_shows_no_events_from_before_it_was_the_tokens() {
    let server = Server::start().await;
    let body = json!({ "url": "https://127.0.0.1/hook" });
    let created = call(&server, OPERATOR, "POST", "/api/v1/webhooks/endpoints", &body).await;
    let id = created.json()["data"]["endpoint"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/webhooks/endpoints/{id}");
    let _acme = Tenant::fill(&server, "acme", ACME).await;
    let _default = Tenant::fill(&server, "default", DEFAULT).await;
    let body = json!({ "apps": ["acme"] });
    assert_eq!(call(&server, OPERATOR, "PATCH", &path, &body).await.status, 200);
    let test = format!("{path}/test");
    assert_eq!(call(&server, ACME, "POST", &test, &Value::Null).await.status, 202);
    let log = async |token: &str| {
        let path = format!("{path}/deliveries?limit=200");
        call(&server, token, "GET", &path, &Value::Null).await.json()["data"]["deliveries"]
            .as_array()
            .unwrap()
            .clone()
    };
    let (all, own) = (log(OPERATOR).await, log(ACME).await);
    assert!(own.iter().all(|delivery| delivery["app"] == "acme"), "{own:?}");
    assert!(own.iter().any(|delivery| delivery["type"] == "test"), "{own:?}");
    let foreign = all.iter().find(|delivery| delivery["app"] == "default").expect("of both");
    let resend = async |event: &str| {
        let path = format!("{path}/deliveries/{event}/resend");
        seen(&call(&server, ACME, "POST", &path, &Value::Null).await)
    };
    let (foreign, own) = (foreign["event_id"].as_str(), own[0]["event_id"].as_str());
    assert_eq!(resend(foreign.unwrap()).await, resend(NOTHING).await);
    assert_eq!(resend(own.unwrap()).await.0, 202);
}

#[tokio::test]
async fn a_ticket_is_only_made_for_a_path_of_the_tokens_apps() {
    let (server, acme, default) = server_with_two().await;
    let make = async |path: String| {
        let body = json!({ "path": path });
        seen(&call(&server, acme.token, "POST", "/api/v1/tickets", &body).await)
    };
    for rest in ["events".to_owned(), "live".to_owned(), format!("recordings/{}", default.file)] {
        let of = |session: &str| format!("/api/v1/sdk/sessions/{session}/{rest}");
        let foreign = make(of(&default.session)).await;
        assert_eq!(foreign.0, 404, "{rest}");
        assert_eq!(foreign, make(of(&Uuid::now_v7().to_string())).await, "{rest}");
    }
    let own = format!("/api/v1/sdk/sessions/{}/events", acme.session);
    let body = json!({ "path": own });
    let made = call(&server, acme.token, "POST", "/api/v1/tickets", &body).await;
    assert_eq!(made.status, 201);
    // The ticket shrinks with its token.
    let url = made.json()["data"]["url"].as_str().unwrap().to_owned();
    let moved = server.beside("acme:acme-token-of-tests:admin@default").await;
    assert_eq!(moved.request("GET", &url, &[]).await.status, 404);
    assert_eq!(server.request("GET", &url, &[]).await.status, 200);
}

/// A live stream of each app, with one person in it.
async fn two_live() -> (Server, [rtmsd::hub::Feed; 2]) {
    let server = Server::start().await;
    let mut feeds = Vec::new();
    for (name, stream) in [("acme", "s-acme"), ("default", "s-default")] {
        let app = AppName::parse(name).unwrap();
        record(&server.state.store, signed_by(&app, started(stream, 1, URL))).await;
        let mut feed = server.feed(&read(&server.state.store, stream).await);
        let user_name = Some(format!("person-of-{name}"));
        let person = Participant { user_id: UserId(7), user_name };
        feed.note(None, EntryBody::ParticipantJoined(person));
        feeds.push(feed);
    }
    server.state.hub.flush().await;
    let feeds = feeds.try_into().unwrap_or_else(|_| panic!("two"));
    (server, feeds)
}

#[tokio::test]
async fn a_live_socket_of_all_sessions_has_only_those_of_the_tokens_apps() {
    let (server, mut feeds) = two_live().await;
    let [own, foreign] = ["s-acme", "s-default"].map(|name| name.to_owned());
    let own = read(&server.state.store, &own).await.session_id;
    let foreign = read(&server.state.store, &foreign).await.session_id;
    // The cursor of a session of another app finds as little as that of an unknown one.
    let cursors = json!({ own.to_string(): "1:0", foreign.to_string(): "1:0" });
    for first in [json!({ "from": "start" }), json!({ "from": cursors })] {
        let opened = WebSocket::open(server.address, "/api/v1/live", &[("authorization", ACME)]);
        let mut socket = opened.await.unwrap_or_else(|answer| panic!("{}", answer.text()));
        socket.say(&first.to_string()).await;
        let hello = socket.text().await;
        let streams = hello["streams"].as_array().unwrap_or_else(|| panic!("{hello}"));
        assert_eq!(streams.len(), 1, "{hello}");
        assert_eq!(
            (&streams[0]["stream_id"], &streams[0]["app"]),
            (&json!("s-acme"), &json!("acme"))
        );
        for feed in feeds.iter_mut().rev() {
            feed.note(None, EntryBody::SharingStopped {});
        }
        server.state.hub.flush().await;
        for kind in ["participant_joined", "sharing_stopped"] {
            let entry = socket.text().await;
            assert_eq!((&entry["stream_id"], &entry["kind"]), (&json!("s-acme"), &json!(kind)));
        }
    }
}

#[tokio::test]
async fn a_session_that_a_query_or_a_first_message_names_is_unknown_to_another_app() {
    let (server, _feeds) = two_live().await;
    let foreign = read(&server.state.store, "s-default").await.session_id;
    let headers = [("authorization", ACME)];
    let mut refusals = Vec::new();
    for session in [foreign.to_string(), Uuid::now_v7().to_string()] {
        let path = format!("/api/v1/live?session={session}");
        let Err(answer) = WebSocket::open(server.address, &path, &headers).await else {
            panic!("{session} is served")
        };
        let mut socket = WebSocket::open(server.address, "/api/v1/live", &headers).await;
        let socket = socket.as_mut().unwrap_or_else(|answer| panic!("{}", answer.text()));
        socket.say(&json!({ "session": session }).to_string()).await;
        let (said, closed) = (socket.text().await, socket.next().await);
        assert!(matches!(closed, Heard::Close(..)), "{closed:?}");
        refusals.push((seen(&answer), said, closed));
    }
    assert_eq!(refusals[0].0.0, 404);
    assert_eq!(refusals[0], refusals[1]);
}

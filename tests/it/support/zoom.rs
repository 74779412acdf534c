//! Zoom's OAuth as these tests need it: strict where Zoom is (one-use codes and refresh tokens, PKCE, the client's
//! password), countable, and able to fail on demand. Written from rtms-protocol.md section 15.

mod rest;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::rest::Rest;
pub(crate) use self::rest::Say;

pub(crate) const CLIENT_ID: &str = "demoClientId01";
pub(crate) const CLIENT_SECRET: &str = "demoClientSecret01";

pub(crate) struct FakeZoom {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    rest: Arc<Rest>,
    serving: JoinHandle<()>,
}

pub(crate) struct World {
    /// The `expires_in` of the next tokens; none leaves it out.
    pub expires_in: Option<i64>,
    pub gives_refresh_tokens: bool,
    /// The next answers of the token endpoint are this status.
    pub failing: Vec<u16>,
    /// The next answers of `users/me` and of the revocation are these.
    pub me_failing: Vec<u16>,
    pub revoke_failing: Vec<u16>,
    /// How long the token endpoint takes.
    pub delay: Duration,
    pub user_id: String,
    pub user_name: String,
    /// The number of requests to the token endpoint.
    pub asked: usize,
    /// Grant types that were asked for and answered with tokens, in order.
    pub granted: Vec<String>,
    pub revoked: Vec<String>,
    /// Every token that was ever given.
    pub given: Vec<String>,
    codes: HashMap<String, Code>,
    /// The user of each token.
    refresh_tokens: HashMap<String, String>,
    access_tokens: HashMap<String, String>,
    counter: u32,
}

struct Code {
    challenge: String,
    redirect_uri: String,
    user_id: String,
}

impl Drop for FakeZoom {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeZoom {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(Mutex::new(World {
            expires_in: Some(3599),
            gives_refresh_tokens: true,
            failing: Vec::new(),
            me_failing: Vec::new(),
            revoke_failing: Vec::new(),
            delay: Duration::ZERO,
            user_id: "userAna01".into(),
            user_name: "Ana Ruiz".into(),
            asked: 0,
            granted: Vec::new(),
            revoked: Vec::new(),
            given: Vec::new(),
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            counter: 0,
        }));
        let rest = Arc::new(Rest::default());
        let router = Router::new()
            .route("/oauth/authorize", get(authorize))
            .route("/oauth/decide", get(decide))
            .route("/oauth/token", post(token))
            .route("/oauth/revoke", post(revoke))
            .route("/v2/users/me", get(me))
            .with_state(Arc::clone(&world))
            .merge(rest::routes(Arc::clone(&rest)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, world, rest, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// How many refreshes were answered with tokens.
    pub(crate) fn refreshes(&self) -> usize {
        self.world().granted.iter().filter(|grant| *grant == "refresh_token").count()
    }
}

type Shared = State<Arc<Mutex<World>>>;

/// The consent page. A person decides; a test may add `decision` itself.
async fn authorize(Query(query): Query<HashMap<String, String>>) -> Response {
    for (name, expected) in
        [("response_type", "code"), ("client_id", CLIENT_ID), ("code_challenge_method", "S256")]
    {
        if query.get(name).map(String::as_str) != Some(expected) {
            return (StatusCode::BAD_REQUEST, format!("{name} is wrong")).into_response();
        }
    }
    let link = |decision: &str| {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(&query).append_pair("decision", decision);
        format!("/oauth/decide?{}", pairs.finish().replace('&', "&amp;"))
    };
    Html(format!(
        "<!doctype html><title>Zoom</title><h1>Allow rtmsd?</h1>\
         <a id=allow href=\"{}\">Allow</a> <a id=deny href=\"{}\">Decline</a>",
        link("allow"),
        link("deny")
    ))
    .into_response()
}

async fn decide(State(world): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let redirect_uri = query["redirect_uri"].clone();
    let state = url::form_urlencoded::byte_serialize(query["state"].as_bytes()).collect::<String>();
    if query.get("decision").map(String::as_str) != Some("allow") {
        let target = format!("{redirect_uri}?error=access_denied&state={state}");
        return Redirect::to(&target).into_response();
    }
    let mut world = world.lock().unwrap();
    let code = world.next("code");
    let target = format!("{redirect_uri}?code={code}&state={state}");
    let (challenge, user_id) = (query["code_challenge"].clone(), world.user_id.clone());
    world.codes.insert(code, Code { challenge, redirect_uri, user_id });
    Redirect::to(&target).into_response()
}

async fn token(
    State(world): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let delay = world.lock().unwrap().delay;
    tokio::time::sleep(delay).await;
    let mut world = world.lock().unwrap();
    world.asked += 1;
    if let Some(status) = world.failing.pop() {
        return trouble(status);
    }
    if !is_our_client(&headers) {
        return refused(401, "invalid_client", "Invalid client_id or client_secret");
    }
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let grant_type = field("grant_type");
    let user_id = match grant_type.as_str() {
        "authorization_code" => {
            let Some(code) = world.codes.remove(&field("code")) else {
                let reason = format!("Invalid authorization code {}", field("code"));
                return refused(400, "invalid_grant", &reason);
            };
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
            if challenge != code.challenge || field("redirect_uri") != code.redirect_uri {
                return refused(400, "invalid_request", "Redirect URI mismatch or wrong verifier");
            }
            // A second authorisation revokes the user's earlier tokens (section 15.3).
            world.refresh_tokens.retain(|_, user_id| *user_id != code.user_id);
            world.access_tokens.retain(|_, user_id| *user_id != code.user_id);
            Some(code.user_id)
        }
        "refresh_token" => {
            let Some(user_id) = world.refresh_tokens.remove(&field("refresh_token")) else {
                return refused(401, "invalid_request", "Invalid Token!");
            };
            Some(user_id)
        }
        "account_credentials" if field("account_id") == "acc1" => None,
        "account_credentials" => return refused(400, "invalid_request", "Account does not exist"),
        _ => return refused(400, "unsupported_grant_type", ""),
    };
    world.granted.push(grant_type);
    Json(world.tokens(user_id)).into_response()
}

impl World {
    fn next(&mut self, kind: &str) -> String {
        self.counter += 1;
        // Long enough that it occurs nowhere by chance: tests search for it.
        format!("{kind}-{}-{:032x}", self.counter, rand::random::<u128>())
    }

    /// Without a user they are the account's.
    fn tokens(&mut self, user_id: Option<String>) -> Value {
        let access = self.next("access");
        self.access_tokens.insert(access.clone(), user_id.clone().unwrap_or_default());
        self.given.push(access.clone());
        let mut answer = json!({
            "access_token": access,
            "token_type": "bearer",
            "scope": "meeting:read:meeting_transcript user:read:user",
            "api_url": "https://api.zoom.us",
        });
        if let Some(seconds) = self.expires_in {
            answer["expires_in"] = seconds.into();
        }
        let Some(user_id) = user_id else { return answer };
        answer["refresh_token"] = Value::Null;
        if self.gives_refresh_tokens {
            let refresh = self.next("refresh");
            self.refresh_tokens.insert(refresh.clone(), user_id);
            self.given.push(refresh.clone());
            answer["refresh_token"] = refresh.into();
        }
        answer
    }

    /// As if the refresh tokens had been used elsewhere.
    pub(crate) fn forget_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }
}

async fn revoke(
    State(world): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    if !is_our_client(&headers) {
        return refused(401, "invalid_client", "Invalid client_id or client_secret");
    }
    let mut world = world.lock().unwrap();
    if let Some(status) = world.revoke_failing.pop() {
        return trouble(status);
    }
    world.revoked.push(form["token"].clone());
    Json(json!({"status": "success"})).into_response()
}

async fn me(State(world): Shared, headers: HeaderMap) -> Response {
    let mut world = world.lock().unwrap();
    if let Some(status) = world.me_failing.pop() {
        return trouble(status);
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let Some(user_id) = token.and_then(|token| world.access_tokens.get(token)) else {
        let body = json!({"code": 124, "message": "Invalid access token."});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    };
    Json(json!({
        "id": user_id, "account_id": "acc1", "email": "ana@example.com",
        "display_name": world.user_name,
    }))
    .into_response()
}

fn trouble(status: u16) -> Response {
    (StatusCode::from_u16(status).unwrap(), "<html>trouble</html>").into_response()
}

fn is_our_client(headers: &HeaderMap) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    headers.get(header::AUTHORIZATION).is_some_and(|value| *value == *expected)
}

fn refused(status: u16, error: &str, reason: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, Json(json!({"error": error, "reason": reason}))).into_response()
}

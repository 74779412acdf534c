//! OAuth: installing the app in a browser, and the life of its tokens.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::header::{CONTENT_SECURITY_POLICY, LOCATION};
use rtmsd::simulator::{ApiFault, Call, Consent, OAuthSettings, Settings, Simulator, Start, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use super::kit::{CLIENT_ID, CLIENT_SECRET, Endpoint, http, settings, simulate};

const CALLBACK: &str = "http://127.0.0.1:9/callback";
// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn zoom(oauth: OAuthSettings) -> Simulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start(Settings { oauth, start: Start::Rest, ..settings() }, listener).await.unwrap()
}

fn allowing() -> OAuthSettings {
    OAuthSettings { consent: Consent::Allow, ..OAuthSettings::default() }
}

fn authorize_url(zoom: &Simulator, more: &[(&str, &str)]) -> Url {
    let query = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("state", "state-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    Url::parse_with_params(&zoom.authorize_url(), query.iter().chain(more)).unwrap()
}

/// A field of the query with which the browser is redirected back.
fn returned(response: &reqwest::Response, name: &str) -> Option<String> {
    assert_eq!(response.status(), 303);
    let url = Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(CALLBACK));
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

async fn code_of(zoom: &Simulator) -> String {
    let response = http().get(authorize_url(zoom, &[])).send().await.unwrap();
    returned(&response, "code").unwrap()
}

async fn post(zoom: &Simulator, path: &str, secret: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let basic = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}"));
    let response = http()
        .post(format!("{}/oauth/{path}", zoom.base_url()))
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn exchange(zoom: &Simulator, code: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    post(zoom, "token", CLIENT_SECRET, &form).await
}

async fn refresh(zoom: &Simulator, token: &Value) -> (u16, Value) {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
    post(zoom, "token", CLIENT_SECRET, &form).await
}

async fn me(zoom: &Simulator, token: &Value) -> (u16, Value) {
    let url = format!("{}/v2/users/me", zoom.base_url());
    let request = http().get(url).bearer_auth(token.as_str().unwrap());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_authorize_page_loads_nothing_and_asks_which_user_allows() {
    let zoom = zoom(OAuthSettings::default()).await;
    let url = authorize_url(&zoom, &[]);
    let page = http().get(url.clone()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'"));
    let html = page.text().await.unwrap();
    for part in ["value=\"allow\"", "value=\"deny\"", "value=\"u-ana\"", "user:read:user"] {
        assert!(html.contains(part), "{part}");
    }
    let decide =
        async |form: &'static str| http().post(url.clone()).body(form).send().await.unwrap();
    let denied = decide("decision=deny").await;
    assert_eq!(returned(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!(returned(&denied, "state").as_deref(), Some("state-1"));
    let allowed = decide("decision=allow&user_id=u-ana").await;
    assert_eq!(returned(&allowed, "state").as_deref(), Some("state-1"));
    let tokens = exchange(&zoom, &returned(&allowed, "code").unwrap()).await.1;
    assert_eq!(me(&zoom, &tokens["access_token"]).await.1["id"], "u-ana");
    let unknown = decide("decision=allow&user_id=nobody").await;
    assert_eq!(unknown.status(), 200, "the page is shown again");
}

#[tokio::test]
async fn automated_clients_decide_in_the_query_and_choose_the_user() {
    let users = ["u-ana", "u-bo"].map(|id| rtmsd::simulator::User {
        id: id.to_owned(),
        name: format!("{id} Name"),
        email: format!("{id}@example.com"),
    });
    let zoom = zoom(OAuthSettings { users: users.to_vec(), ..OAuthSettings::default() }).await;
    let more = [("simulator_decision", "allow"), ("simulator_user", "u-bo")];
    let response = http().get(authorize_url(&zoom, &more)).send().await.unwrap();
    let tokens = exchange(&zoom, &returned(&response, "code").unwrap()).await.1;
    let bo = me(&zoom, &tokens["access_token"]).await.1;
    assert_eq!((&bo["id"], &bo["email"]), (&json!("u-bo"), &json!("u-bo@example.com")));
    assert_eq!(bo["account_id"], "acc-1");
    let deny = authorize_url(&zoom, &[("simulator_decision", "deny")]);
    let response = http().get(deny).send().await.unwrap();
    assert_eq!(returned(&response, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn an_unknown_client_gets_a_page_and_no_redirect() {
    let zoom = zoom(allowing()).await;
    let url = authorize_url(&zoom, &[]).as_str().replace(CLIENT_ID, "other");
    let response = http().get(url).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("4702"));
}

#[tokio::test]
async fn an_exchange_returns_the_fields_of_section_15_2() {
    let zoom = zoom(allowing()).await;
    let (status, tokens) = exchange(&zoom, &code_of(&zoom).await).await;
    assert_eq!(status, 200);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("bearer"), &json!(3599)));
    assert_eq!(tokens["api_url"], zoom.base_url());
    assert!(tokens["scope"].as_str().unwrap().split(' ').any(|scope| scope == "user:read:user"));
    assert_ne!(tokens["access_token"], tokens["refresh_token"]);
}

#[tokio::test]
async fn the_token_endpoint_refuses_with_zooms_texts() {
    let zoom = zoom(allowing()).await;
    let refused = async |secret: &str, form: &[(&str, &str)]| {
        let (status, body) = post(&zoom, "token", secret, form).await;
        (status, body["error"].as_str().unwrap().to_owned(), body["reason"].clone())
    };
    let error = |status: u16, error: &str, reason: &str| (status, error.to_owned(), json!(reason));
    let code = code_of(&zoom).await;
    let grant = [("grant_type", "authorization_code"), ("code", &code)];
    let invalid_client = error(401, "invalid_client", "Invalid client_id or client_secret");
    assert_eq!(refused("wrong", &grant).await, invalid_client);
    let elsewhere = [grant[0], grant[1], ("redirect_uri", "http://127.0.0.1:9/other")];
    let mismatch = error(400, "invalid_request", "Redirect URI mismatch");
    assert_eq!(refused(CLIENT_SECRET, &elsewhere).await, mismatch);
    let code = code_of(&zoom).await;
    let no_verifier = [grant[0], ("code", &code), ("redirect_uri", CALLBACK)];
    assert_eq!(refused(CLIENT_SECRET, &no_verifier).await.1, "invalid_grant");
    let dead = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let invalid_token = error(400, "invalid_grant", "Invalid Token!");
    assert_eq!(refused(CLIENT_SECRET, &dead).await, invalid_token);
    let foreign = [("grant_type", "account_credentials"), ("account_id", "other")];
    let no_account = error(400, "invalid_request", "Account does not exist");
    assert_eq!(refused(CLIENT_SECRET, &foreign).await, no_account);
    let password = [("grant_type", "password")];
    assert_eq!(refused(CLIENT_SECRET, &password).await.1, "unsupported_grant_type");
    assert_eq!(zoom.report().oauth.refusals["invalid_client"], 1);
}

#[tokio::test]
async fn a_refresh_rotates_the_refresh_token_and_a_reuse_is_reported() {
    let zoom = zoom(allowing()).await;
    let first = exchange(&zoom, &code_of(&zoom).await).await.1;
    let (status, second) = refresh(&zoom, &first["refresh_token"]).await;
    assert_eq!(status, 200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(me(&zoom, &second["access_token"]).await.0, 200);
    let report = zoom.report();
    assert_eq!((report.oauth.exchanges, report.oauth.refreshes), (1, 1));
    assert!(report.is_clean());
    assert_eq!(refresh(&zoom, &first["refresh_token"]).await.0, 400);
    let report = zoom.report();
    assert_eq!((report.oauth.refreshes, report.oauth.reused_refresh_tokens), (1, 1));
    assert!(!report.is_clean());
}

#[tokio::test]
async fn expired_revoked_and_replaced_tokens_are_answered_401_124() {
    let zoom = zoom(allowing()).await;
    let first = exchange(&zoom, &code_of(&zoom).await).await.1;
    let is_dead = async |token: &Value| {
        let (status, body) = me(&zoom, token).await;
        (status, body["code"].as_i64()) == (401, Some(124))
    };
    zoom.expire_access_tokens();
    assert!(is_dead(&first["access_token"]).await);
    let fresh = refresh(&zoom, &first["refresh_token"]).await.1;
    assert!(!is_dead(&fresh["access_token"]).await);
    let second = exchange(&zoom, &code_of(&zoom).await).await.1;
    assert!(is_dead(&fresh["access_token"]).await);
    assert_eq!(zoom.report().oauth.replaced_authorizations, 1);
    let form = [("token", second["access_token"].as_str().unwrap())];
    let revoked = post(&zoom, "revoke", CLIENT_SECRET, &form).await;
    assert_eq!(revoked, (200, json!({"status": "success"})));
    assert!(is_dead(&second["access_token"]).await);
    assert_eq!(refresh(&zoom, &second["refresh_token"]).await.0, 400);
}

#[tokio::test]
async fn tokens_without_a_user_have_no_refresh_token() {
    let zoom = zoom(allowing()).await;
    let account = [("grant_type", "account_credentials"), ("account_id", "acc-1")];
    let (status, tokens) = post(&zoom, "token", CLIENT_SECRET, &account).await;
    assert_eq!((status, &tokens["refresh_token"]), (200, &json!(null)));
    assert_eq!(me(&zoom, &tokens["access_token"]).await.1["id"], "u-ana");
    let app = [("grant_type", "client_credentials")];
    let (status, tokens) = post(&zoom, "token", CLIENT_SECRET, &app).await;
    assert_eq!(status, 200);
    let (status, body) = me(&zoom, &tokens["access_token"]).await;
    assert_eq!((status, body["code"].as_i64()), (400, Some(4711)));
}

#[tokio::test]
async fn a_stream_is_started_with_a_users_token_on_behalf_of_that_user() {
    let mut endpoint = Endpoint::good().await;
    let oauth = OAuthSettings {
        users: vec![rtmsd::simulator::User {
            id: "u-bo".to_owned(),
            name: "Bo".to_owned(),
            email: "bo@example.com".to_owned(),
        }],
        ..allowing()
    };
    let settings = Settings { oauth, start: Start::Rest, ..settings() };
    let zoom = simulate(settings, &endpoint).await;
    endpoint.next("meeting.started").await;
    let url = authorize_url(&zoom, &[("simulator_user", "u-bo")]);
    let code = returned(&http().get(url).send().await.unwrap(), "code").unwrap();
    let token = exchange(&zoom, &code).await.1["access_token"].take();
    let patch = async |settings: Value| {
        let url = format!("{}/v2/live_meetings/91234567890/rtms_app/status", zoom.base_url());
        let body = json!({"action": "start", "settings": settings});
        let request = http().patch(url).bearer_auth(token.as_str().unwrap()).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(
        patch(json!({"participant_user_id": "u-ana"})).await,
        403,
        "Ana has not installed the app"
    );
    assert_eq!(patch(json!({"participant_user_id": "u-eve"})).await, 403, "Eve is not a user");
    assert_eq!(patch(json!({})).await, 204);
    let started = endpoint.next("meeting.rtms_started").await.body["payload"].take();
    assert_eq!(started["operator_id"], "u-bo");
    assert_eq!(started["is_original_host"], false);
}

#[tokio::test]
async fn a_token_without_the_scope_is_answered_4711_and_starts_nothing() {
    let scopes = vec!["user:read:user".to_owned()];
    let zoom = zoom(OAuthSettings { scopes, ..allowing() }).await;
    let token = exchange(&zoom, &code_of(&zoom).await).await.1["access_token"].take();
    let url = format!("{}/v2/live_meetings/91234567890/rtms_app/status", zoom.base_url());
    let request = http().patch(url).bearer_auth(token.as_str().unwrap());
    let response = request.json(&json!({"action": "start"})).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.json::<Value>().await.unwrap()["code"], 4711);
    assert!(zoom.report().streams.is_empty());
}

#[tokio::test]
async fn a_lost_refresh_answer_leaves_the_user_without_a_valid_token() {
    let zoom = zoom(allowing()).await;
    let tokens = exchange(&zoom, &code_of(&zoom).await).await.1;
    zoom.fail_calls(Call::Token, 1, ApiFault::LoseAnswer);
    let basic = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let token = tokens["refresh_token"].as_str().unwrap();
    let lost = http()
        .post(zoom.token_url())
        .header("authorization", format!("Basic {basic}"))
        .body(format!("grant_type=refresh_token&refresh_token={token}"))
        .send()
        .await;
    assert!(lost.is_err());
    let (status, body) = refresh(&zoom, &tokens["refresh_token"]).await;
    assert_eq!((status, &body["reason"]), (400, &json!("Invalid Token!")));
    assert_eq!(zoom.report().oauth.refreshes, 1);
}

//! The pages for operators in a real browser: what a person does there, and texts that would do harm.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::kit::{Scope, Stage};
use crate::support::client::{exchange, head};
use crate::support::kit::send_webhook;
use crate::support::wait::eventually;

/// Would run, and would break the layout.
const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'></td></table><b>WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW";

async fn seen(stage: &Stage, script: &str) -> bool {
    stage.browser.run(&format!("return !!({script})")).await == json!(true)
}

async fn until(stage: &Stage, what: &str, script: &str) {
    eventually(what, async || seen(stage, script).await.then_some(())).await;
}

/// Answers *yes* to every question from now on.
async fn agree(stage: &Stage) {
    stage.browser.run("window.confirm = () => true").await;
}

async fn execute(stage: &Stage, sql: &'static str, value: &str) {
    let file = stage.scene.home.data().join("rtmsd.db");
    let mut raw: SqliteConnection =
        SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query(sql).bind(value).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
}

async fn api(stage: &Stage, path: &str) -> Value {
    let token = format!("Bearer {}", Scope::Admin.token());
    let request = head("GET", path, &[("authorization", &token)]);
    exchange(stage.scene.daemon.address, &request).await.json()
}

#[tokio::test]
async fn hostile_texts_run_nothing_and_break_no_page() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    // An event name, an unreadable webhook, an installation, an endpoint, an audit row and a delivery of theirs.
    let event = json!({ "event": HOSTILE, "payload": {} });
    assert_eq!(send_webhook(stage.scene.daemon.address, &event).await, 200);
    let notice = json!({ "event": "rtms.start_failed", "payload": { "operator_id": HOSTILE, "reason": HOSTILE } });
    assert_eq!(send_webhook(stage.scene.daemon.address, &notice).await, 200);
    let installation = "INSERT INTO installations (id, app, account_id, user_id, display_name, email, scope, status,
            tokens_at_ms, generation, created_at_ms, updated_at_ms, installed_at_ms)
        VALUES ('01932b5e-7a10-7000-8000-000000000001', 'default', $1, $1, $1, $1, '', 'needs_reconnect', 1, 1, 1, 1, 1)";
    execute(&stage, installation, HOSTILE).await;
    let row = "INSERT INTO audit (id, at_ms, actor, action, subject, outcome, detail)
        VALUES ('fff32b5e-7a10-7000-8000-000000000001', 1, $1, $1, $1, $1, '{\"x\": \"<script>window.hacked=1</script>\"}')";
    execute(&stage, row, HOSTILE).await;
    stage.visit("/dashboard/endpoints").await;
    let made = "const done = arguments[arguments.length - 1];
        import(document.querySelector('script[src*=calls]').src.replace('calls', 'api')).then(({ call }) =>
          call('POST', '/api/v1/webhooks/endpoints', { url: 'https://crm.example.com/hook', description: arguments[0] }))
          .then(({ data }) => done(data.endpoint.id), (error) => done(String(error)));";
    let endpoint = stage.browser.ask(made, json!([HOSTILE])).await;
    let endpoint = endpoint.as_str().unwrap().to_owned();
    let answer = "UPDATE outgoing_deliveries SET last_answer = $1, last_error = $1";
    stage.browser.ask(
        "const done = arguments[arguments.length - 1];
         import(document.querySelector('script[src*=calls]').src.replace('calls', 'api')).then(({ call }) =>
           call('POST', `/api/v1/webhooks/endpoints/${arguments[0]}/test`)).then(() => done(), done);",
        json!([endpoint]),
    )
    .await;
    execute(&stage, answer, HOSTILE).await;
    let webhooks = api(&stage, "/api/v1/zoom/webhooks?outcome=notice").await;
    let webhook = webhooks["data"]["webhooks"][0]["id"].as_str().unwrap().to_owned();
    for (name, path) in [
        ("webhooks", "/dashboard/webhooks".to_owned()),
        ("webhook", format!("/dashboard/webhooks/{webhook}")),
        ("installations", "/dashboard/installations".to_owned()),
        ("endpoints", "/dashboard/endpoints".to_owned()),
        ("endpoint", format!("/dashboard/endpoints/{endpoint}")),
        ("audit", "/dashboard/audit".to_owned()),
    ] {
        stage.check(&format!("hostile-admin-{name}"), &path, "h1").await;
        assert!(
            seen(&stage, "document.body.textContent.includes('window.hacked=1')").await,
            "{name} shows it"
        );
        assert!(!seen(&stage, "window.hacked").await, "{name} runs it");
    }
}

#[tokio::test]
async fn an_administrator_adds_an_endpoint_keeps_its_secret_tests_rotates_and_deletes_it() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    stage.visit("/dashboard/endpoints").await;
    stage.browser.type_into("#url", "https://crm.example.com/hook").await;
    stage.browser.click("input[value='session.ended']").await;
    stage.browser.click("form[data-call] button.primary").await;
    until(&stage, "the secret is shown", "document.querySelector('#secret')?.open && document.querySelector('#secret-value').value.startsWith('whsec_')").await;
    stage.check_here("endpoints-secret").await;
    stage.browser.click("#secret button.primary").await;
    until(
        &stage,
        "the endpoint is listed",
        "document.querySelector('td .name')?.textContent.includes('crm.example.com')",
    )
    .await;
    stage.browser.click("td .name").await;
    until(&stage, "its page is open", "document.querySelector('[data-call$=\"/test\"]')").await;
    stage.browser.click("[data-call$='/test']").await;
    until(
        &stage,
        "the test is listed",
        "document.querySelector('table')?.textContent.includes('evt_')",
    )
    .await;
    stage.check_here("endpoint").await;
    agree(&stage).await;
    stage.browser.click("[data-call$='/rotate-secret']").await;
    until(&stage, "the new secret is shown", "document.querySelector('#secret')?.open").await;
    stage.browser.click("#secret button.primary").await;
    until(
        &stage,
        "the old secret signs for a day",
        "document.body.textContent.includes('Old secret signs until')",
    )
    .await;
    agree(&stage).await;
    stage.browser.click("button[data-call^='DELETE']").await;
    until(&stage, "the list is empty", "document.body.textContent.includes('No endpoint yet')")
        .await;
}

#[tokio::test]
async fn a_refused_webhook_is_found_and_processed_from_its_page() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    // As if it had come while the clock was wrong.
    let payload = json!({ "meeting_uuid": "late==", "rtms_stream_id": "late-stream", "operator_id": "u9",
                          "server_urls": "wss://127.0.0.1:9" });
    let body = json!({ "event": "meeting.rtms_started", "event_ts": 1_732_313_171_881_i64, "payload": payload });
    assert_eq!(send_webhook(stage.scene.daemon.address, &body).await, 200);
    execute(&stage, "UPDATE deliveries SET effect = 'refused', reason = 'timestamp_out_of_window', operator_id = 'u9' WHERE stream_id = $1", "late-stream").await;
    stage.visit("/dashboard/webhooks?outcome=refused").await;
    until(&stage, "it is listed", "document.querySelectorAll('tbody tr').length === 1").await;
    stage.check_here("webhooks-refused").await;
    stage.browser.click("tbody a").await;
    until(&stage, "its page is open", "document.querySelector('[data-call$=\"/process\"]')").await;
    stage.check_here("webhook-refused").await;
    assert!(
        seen(&stage, "document.querySelector('pre.body').textContent.includes('late-stream')")
            .await
    );
    stage.browser.click("[data-call$='/process']").await;
    until(&stage, "it was processed", "document.body.textContent.includes('Processed again')")
        .await;
    assert!(!seen(&stage, "document.querySelector('[data-call$=\"/process\"]')").await);
}

#[tokio::test]
async fn a_reader_sees_the_log_without_bodies_and_buttons() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Read).await;
    stage.visit("/dashboard/webhooks").await;
    stage.browser.click("tbody a").await;
    until(&stage, "its page is open", "document.querySelector('.facts')").await;
    assert!(!seen(&stage, "document.querySelector('pre.body, button[data-call]')").await);
    let sections = stage
        .browser
        .run("return [...document.querySelectorAll('.top nav a')].map((a) => a.textContent)")
        .await;
    assert_eq!(sections, json!(["Sessions", "Zoom’s webhooks", "API"]));
}

#[tokio::test]
async fn a_token_is_made_used_and_revoked() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    stage.visit("/dashboard/tokens").await;
    stage.browser.type_into("#name", "crm").await;
    stage.browser.click("form[data-call] button.primary").await;
    until(&stage, "the secret is shown", "document.querySelector('#secret')?.open").await;
    let secret = stage.browser.run("return document.querySelector('#secret-value').value").await;
    let authorization = format!("Bearer {}", secret.as_str().unwrap());
    let ask = async || {
        let request = head("GET", "/api/v1/sdk/sessions", &[("authorization", &authorization)]);
        exchange(stage.scene.daemon.address, &request).await.status
    };
    assert_eq!(ask().await, 200);
    stage.browser.click("#secret button.primary").await;
    until(&stage, "it is listed", "document.querySelector('td .name')?.textContent === 'crm'")
        .await;
    stage.check_here("tokens-made").await;
    agree(&stage).await;
    stage.browser.click("button[data-call^='DELETE']").await;
    until(&stage, "it is gone", "document.body.textContent.includes('No token was made here yet')")
        .await;
    assert_eq!(ask().await, 401);
}

#[tokio::test]
async fn an_administrator_runs_the_doctor_and_reads_what_to_do() {
    let stage = Stage::without_zoom().await;
    stage.sign_in(Scope::Admin).await;
    stage.visit("/dashboard/health").await;
    until(&stage, "the button is there", "document.querySelector('#doctor button')").await;
    assert!(!seen(&stage, "document.querySelector('#doctor table')").await);
    stage.browser.click("#doctor button").await;
    until(
        &stage,
        "the checks are listed",
        "document.querySelectorAll('#doctor tbody tr').length > 15",
    )
    .await;
    // What is broken comes first, with what to do.
    let first = "document.querySelector('#doctor tbody tr .mark').textContent === 'failed'";
    assert!(seen(&stage, first).await);
    assert!(seen(&stage, "document.querySelector('#doctor tbody strong')").await);
    stage.check_here("health-doctor").await;
}

#[tokio::test]
async fn the_page_of_the_health_finds_a_new_fault_by_itself() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    stage.visit("/dashboard/health").await;
    until(&stage, "it says who runs the stream", "document.body.textContent.includes('this one')")
        .await;
    assert!(!seen(&stage, "document.body.textContent.includes('wrong signature')").await);
    let unsigned = head("POST", "/webhook", &[("content-length", "0")]);
    assert_eq!(exchange(stage.scene.daemon.address, &unsigned).await.status, 401);
    until(&stage, "the fault is found", "document.body.textContent.includes('wrong signature')")
        .await;
    stage.check_here("health-degraded").await;
}

//! The list with ten thousand sessions: it is walked to its end, and measured.

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::kit::{Scope, Stage};

const SESSIONS: usize = 10_000;

/// Inserts ended sessions with a stream each, as a year leaves them.
async fn fill(stage: &Stage) {
    let file = stage.scene.home.data().join("rtmsd.db");
    let mut store = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SESSIONS})"
    );
    let id = "printf('00000000-0000-7000-8000-%012d', n)";
    let sessions = format!(
        "{numbers} INSERT INTO sessions (id, product, id_key, instance_id, meeting_id, status,
                                         created_at_ms, updated_at_ms, ended_at_ms, host_id, metadata)
         SELECT {id}, 'meeting', 'meeting_uuid', 'uuid-' || n, CAST(90000000000 + n AS TEXT), 'ended',
                n * 60000, n * 60000, n * 60000 + 1800000, 'host-' || (n % 100),
                '{{\"deal\":\"D-' || n || '\"}}'
           FROM numbers"
    );
    sqlx::query(sqlx::AssertSqlSafe(sessions)).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_sessions_are_listed_searched_and_walked() {
    let stage = Stage::open().await;
    fill(&stage).await;
    stage.sign_in(Scope::Read).await;
    stage.check("sessions-10000", "/", "#list table").await;
    let figures = stage
        .browser
        .run(
            "const [page] = performance.getEntriesByType('navigation');
             const paint = performance.getEntriesByName('first-contentful-paint')[0];
             const files = performance.getEntriesByType('resource');
             return { first_paint_ms: Math.round(paint.startTime), page_bytes: page.encodedBodySize,
                      answered_ms: Math.round(page.responseEnd),
                      file_bytes: files.reduce((sum, file) => sum + file.encodedBodySize, 0) };",
        )
        .await;
    println!("with {SESSIONS} sessions: {figures}");
    // The size of a page does not depend on how many sessions there are.
    assert!(figures["page_bytes"].as_u64().unwrap() < 150_000, "{figures}");
    stage.visit("/dashboard/sessions?q=D-4242").await;
    let found = stage.browser.run("return document.querySelectorAll('#list .name').length").await;
    assert_eq!(found, json!(1));
    // Page by page to the end, as the links of the page lead.
    let api = stage.scene.daemon.api();
    let (mut before, mut seen) = (String::new(), 0);
    loop {
        let path = format!("/api/v1/sdk/sessions?limit=200&status=ended&before={before}");
        let page = api.get(&path).await.expect("the daemon answers").json()["data"].clone();
        seen += page["sessions"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        before = next.to_owned();
    }
    assert_eq!(seen, SESSIONS);
    stage.visit(&format!("/dashboard/sessions?status=ended&before={before}")).await;
    let last = stage.browser.run("return document.querySelectorAll('#list .name').length").await;
    assert_eq!(last, json!(50));
}

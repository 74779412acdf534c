//! The API reference at `/docs` in a real browser.

use serde_json::{Value, json};

use super::kit::{Scope, Stage};
use crate::support::client::{exchange, head};
use crate::support::wait::eventually;

/// Opens the operation with this id and presses *Execute*, after filling in fields by their parameter's name.
async fn execute(stage: &Stage, id: &str, fields: &[(&str, &str)]) -> String {
    let block = format!("[id$='-{id}']");
    stage.browser.click(&format!("{block} .opblock-summary-control")).await;
    for (name, value) in fields {
        let field = format!("{block} tr[data-param-name={name}] input");
        eventually("the field is there", async || {
            let is_there = format!("return !!document.querySelector(\"{field}\")");
            (stage.browser.run(&is_there).await == json!(true)).then_some(())
        })
        .await;
        stage.browser.type_into(&field, value).await;
    }
    stage.browser.click(&format!("{block} .execute")).await;
    let answer = format!("{block} .live-responses-table .response .response-col_status");
    eventually("the daemon has answered", async || {
        let status = format!("return document.querySelector(\"{answer}\")?.textContent ?? null");
        stage.browser.run(&status).await.as_str().map(str::to_owned)
    })
    .await
}

/// The number of operations in the document, and on the page.
async fn counts(stage: &Stage) -> (usize, Value) {
    let document =
        exchange(stage.scene.daemon.address, &head("GET", "/openapi.json", &[])).await.json();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    (all, stage.browser.run("return document.querySelectorAll('.opblock').length").await)
}

#[tokio::test]
async fn the_reference_shows_every_operation_loads_nothing_from_elsewhere_and_is_accessible() {
    let stage = Stage::open().await;
    stage.check("reference", "/docs", ".opblock").await;
    let (all, shown) = counts(&stage).await;
    assert!(all > 50);
    assert_eq!(shown, json!(all));
    let own = format!("http://{}", stage.scene.daemon.address);
    let loaded = stage
        .browser
        .run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        .await;
    let loaded = loaded.as_array().unwrap();
    assert!(loaded.iter().any(|name| name.as_str().unwrap().ends_with("/openapi.json")));
    // Pictures of the style sheet are part of it.
    let is_own = |name: &&Value| {
        let name = name.as_str().unwrap();
        name.starts_with(&own) || name.starts_with("data:")
    };
    let others: Vec<_> = loaded.iter().filter(|name| !is_own(name)).collect();
    assert_eq!(others, [] as [&Value; 0]);
    // An open operation has its samples and fields, and is as accessible.
    stage.browser.run("document.querySelector('#operations-Sessions-createSession .opblock-summary-control').click()").await;
    eventually("the samples are there", async || {
        let text =
            stage.browser.run("return document.querySelector('.samples pre')?.textContent").await;
        text.as_str().is_some_and(|text| text.contains("$TOKEN")).then_some(())
    })
    .await;
    stage.check_here("reference-open").await;
}

#[tokio::test]
async fn the_reference_sends_requests_with_the_token_that_it_is_given() {
    let stage = Stage::open().await;
    stage.visit("/docs").await;
    eventually("the page is complete", async || {
        let found = stage.browser.run("return !!document.querySelector('.btn.authorize')").await;
        (found == json!(true)).then_some(())
    })
    .await;
    assert!(execute(&stage, "listSessions", &[]).await.starts_with("401"));
    stage.browser.click(".btn.authorize").await;
    stage.browser.type_into("#auth-bearer-value", &Scope::Read.token()).await;
    stage.browser.click(".modal-ux form:has(#auth-bearer-value) .authorize").await;
    stage.browser.click(".modal-ux .btn-done").await;
    stage.browser.click("[id$='-listSessions'] .execute").await;
    let body = "[id$='-listSessions'] .live-responses-table .highlight-code";
    eventually("the session is there", async || {
        let text = stage
            .browser
            .run(&format!("return document.querySelector(\"{body}\")?.textContent"))
            .await;
        text.as_str().is_some_and(|text| text.contains(&stage.session)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_reference_makes_changes_for_a_person_who_is_signed_in() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Admin).await;
    stage.visit("/docs").await;
    eventually("the page is complete", async || {
        let found = stage.browser.run("return !!document.querySelector('.btn.authorize')").await;
        (found == json!(true)).then_some(())
    })
    .await;
    // With the cookie, and the value against forged requests.
    let id = "01932b5e-0000-7000-8000-000000000000";
    assert!(execute(&stage, "revokeToken", &[("id", id)]).await.starts_with("404"));
}

#[tokio::test]
async fn a_browser_without_scripts_is_sent_to_the_plain_page() {
    let stage = Stage::open().await;
    let page = exchange(stage.scene.daemon.address, &head("GET", "/docs", &[])).await;
    let (_, noscript) = page.text().split_once("<noscript>").unwrap();
    assert!(noscript.contains("href=\"/docs/plain\""));
    stage.check("reference-plain", "/docs/plain", "main").await;
    let script =
        "return [...document.querySelectorAll('p, dd')].map((part) => part.textContent).join()";
    let prose = stage.browser.run(script).await;
    assert!(!prose.as_str().unwrap().contains('`'));
}

//! Names, a topic, a chat line, a phrase and metadata that try to run a script or to break the layout, on every page.

use rtmsd::simulator::Script;
use serde_json::{Value, json};

use super::PAGES;
use super::kit::{Scope, Stage};
use crate::support::client::{exchange, head};
use crate::support::kit::API_TOKEN;

/// A picture that fails, a script, an attribute that ends early, a template, a change of direction, and no place to break.
fn hostile() -> String {
    let long = "W".repeat(300);
    format!(
        "<img src=x onerror=\"window.hostile=1\"><script>window.hostile=1</script>\
         '\"><svg onload=window.hostile=1>{{{{7*7}}}}\u{202e}\u{200f}{long}"
    )
}

fn script() -> Script {
    let text = hostile();
    let say = |at_ms: u32, who: &str| json!({"at_ms": at_ms, "say": {"who": who, "text": text, "duration_ms": 1000}});
    let mut timeline = vec![
        json!({"at_ms": 0, "join": "eve"}),
        json!({"at_ms": 0, "join": "rtl"}),
        json!({"at_ms": 200, "share_start": "eve"}),
        json!({"at_ms": 1200, "chat": {"who": "eve", "text": text}}),
    ];
    for n in 0..200 {
        timeline.push(say(1500 + n * 2000, if n % 2 == 0 { "eve" } else { "rtl" }));
    }
    let script = json!({
        "title": text, "meeting_id": "91234567890", "account_id": "acc-1", "host": "u-eve",
        "people": [{"key": "eve", "user_id": 16_778_240, "name": text},
                   {"key": "rtl", "user_id": 16_779_264, "name": "\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd}"}],
        "timeline": timeline,
        "end": {"at_ms": 3_600_000, "stop_reason": 6}
    });
    Script::parse(&script.to_string()).unwrap()
}

/// Describes the running meeting with hostile metadata, as a program does.
async fn describe(stage: &Stage) {
    let metadata: Value = json!({ hostile(): hostile(), "deal": "\u{202e}</td></tr>" });
    let body = json!({ "platform": "zoom", "meeting_id": "91234567890", "metadata": metadata })
        .to_string();
    let (bearer, length) = (format!("Bearer {API_TOKEN}"), body.len().to_string());
    let headers = [("authorization", &*bearer), ("content-length", &length)];
    let mut request = head("POST", "/api/v1/sdk/sessions", &headers);
    request.extend_from_slice(body.as_bytes());
    let answer = exchange(stage.scene.daemon.address, &request).await;
    assert_eq!(answer.status, 200, "the session of the running meeting: {}", answer.text());
}

#[tokio::test]
async fn hostile_texts_run_nothing_and_break_no_layout() {
    let stage = Stage::play(script(), &[]).await;
    describe(&stage).await;
    stage.scene.log.lines(2).await;
    stage.sign_in(Scope::Admin).await;
    for page in PAGES {
        let path = page.path.replace("{session}", &stage.session);
        stage.check(&format!("hostile-{}", page.name), &path, page.ready).await;
        let ran = stage.browser.run("return window.hostile === undefined").await;
        assert_eq!(ran, json!(true), "{}", page.name);
    }
    // The texts are there, as texts.
    stage.visit(&format!("/dashboard/sessions/{}", stage.session)).await;
    let shown = "return document.body.textContent.includes('<img src=x onerror=')";
    assert_eq!(stage.browser.run(shown).await, json!(true));
    // A search for one of them is shown in its field.
    stage.visit("/dashboard/sessions?q=%22%3E%3Cscript%3Ewindow.hostile%3D1%3C%2Fscript%3E").await;
    let field =
        stage.browser.run("return [document.querySelector('#q').value, window.hostile ?? 0]").await;
    assert_eq!(field, json!(["\"><script>window.hostile=1</script>", 0]));
}

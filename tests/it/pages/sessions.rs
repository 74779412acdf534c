//! The list of sessions in a browser: it updates by itself, and its filters are in the address.

use rtmsd::simulator::MeetingAction;
use serde_json::json;

use super::kit::{Scope, Stage};
use crate::support::wait::eventually;

#[tokio::test]
async fn the_list_updates_by_itself_and_moves_a_session_that_ended() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Read).await;
    let link = format!("a[href='/dashboard/sessions/{}']", stage.session);
    let is_in = async |section: &str| {
        let script = format!("return !!document.querySelector(\"{section} {link}\")");
        stage.browser.run(&script).await == json!(true)
    };
    assert!(is_in("#live").await && !is_in("#list").await);
    eventually("the rate of the audio is measured", async || {
        let rate =
            stage.browser.run("return document.querySelector('[data-rate]')?.textContent").await;
        rate.as_str().is_some_and(|rate| rate.ends_with("B/s")).then_some(())
    })
    .await;
    // The keyboard stays where it is while the list is replaced.
    let focused = format!("document.querySelector(\"#live {link}\").focus()");
    stage.browser.run(&focused).await;
    stage.scene.zoom.perform(MeetingAction::End {}).await;
    eventually("the session is among the earlier ones", async || {
        (is_in("#list").await && !is_in("#live").await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn filters_are_applied_while_typing_and_are_in_the_address() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Control).await;
    stage.browser.type_into("#q", "no such meeting").await;
    eventually("nothing matches", async || {
        let script = "return document.querySelector('#list').textContent";
        let text = stage.browser.run(script).await;
        text.as_str().is_some_and(|text| text.contains("Nothing matches")).then_some(())
    })
    .await;
    let url = stage.browser.url().await;
    assert!(url.ends_with("/dashboard/sessions?q=no%20such%20meeting"), "{url}");
    let focused = stage.browser.run("return document.activeElement.id").await;
    assert_eq!(focused, json!("q"), "the field keeps the keyboard");
    stage
        .visit("/dashboard/sessions?q=91234567890&status=rtms_start_requested,connecting,live")
        .await;
    let seen = stage
        .browser
        .run("return [document.querySelector('#q').value, document.querySelector('#status').selectedIndex,
                      document.querySelectorAll('#list .name').length]")
        .await;
    assert_eq!(seen, json!(["91234567890", 1, 1]));
}

#[tokio::test]
async fn a_start_for_a_meeting_shows_the_answer_in_words() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Control).await;
    stage.browser.click(".start summary").await;
    stage.browser.type_into("#meeting", "845 1234 5678").await;
    stage.browser.click("#start button").await;
    eventually("the answer", async || {
        let tone =
            stage.browser.run("return document.querySelector('#start-answer').className").await;
        (tone == json!("notice bad")).then_some(())
    })
    .await;
    // Nobody has installed the app: the page says so, and the session is there to try again.
    let text = stage.browser.text("#start-answer").await;
    assert!(text.contains("install"), "{text}");
    eventually("the session is in the list", async || {
        let list =
            stage.browser.run("return document.body.textContent.includes('845 1234 5678')").await;
        if list == json!(true) {
            return Some(());
        }
        stage.visit("/").await;
        None
    })
    .await;
}

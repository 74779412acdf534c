//! The page of one session in a browser, while its meeting plays.

use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::{Value, json};

use super::kit::{Scope, Stage};
use crate::support::wait::eventually;

async fn open(scope: Scope) -> Stage {
    let stage = Stage::open().await;
    stage.sign_in(scope).await;
    stage.visit(&format!("/dashboard/sessions/{}", stage.session)).await;
    stage
}

/// Waits until a script returns true.
async fn until(stage: &Stage, what: &str, script: &str) {
    eventually(what, async || {
        (stage.browser.run(&format!("return {script}")).await == json!(true)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_said_and_written_appears_as_it_comes() {
    let stage = open(Scope::Read).await;
    until(&stage, "lines", "document.querySelectorAll('#said > div').length > 2").await;
    until(&stage, "the chat", "document.querySelector('#chat').textContent.includes('agenda')")
        .await;
    until(&stage, "two people", "document.querySelectorAll('#people li').length === 2").await;
    let colours = "new Set([...document.querySelectorAll('#said .voice')].map((v) => v.className)).size === 2";
    until(&stage, "a colour for each", colours).await;
    // The newest line comes while the page is open.
    let newest = "return document.querySelector('#said > div:last-child').textContent";
    let before = stage.browser.run(newest).await;
    eventually("a newer line", async || (stage.browser.run(newest).await != before).then_some(()))
        .await;
    let buttons = "return document.querySelectorAll('[data-action], #forward').length";
    assert_eq!(stage.browser.run(buttons).await, json!(0), "a reader can change nothing");
}

#[tokio::test]
async fn events_that_were_refused_are_asked_for_again() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Read).await;
    // A browser gives up for good on an answer such as this 422.
    let source = "const Real = EventSource;
        let tries = 0;
        window.EventSource = class extends Real {
          constructor(url) { super(tries++ === 0 ? `${url}&after=x` : url); }
        };";
    let script = json!({ "source": source });
    stage.browser.command("Page.addScriptToEvaluateOnNewDocument", script).await;
    stage.visit(&format!("/dashboard/sessions/{}", stage.session)).await;
    until(&stage, "lines", "document.querySelectorAll('#said > div').length > 2").await;
}

#[tokio::test]
async fn many_lines_at_once_do_not_freeze_the_page() {
    let stage = Stage::open().await;
    stage.sign_in(Scope::Read).await;
    // 5,000 lines come in one task, and reads that cost a layout are counted.
    let source = "const height = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollHeight');
        window.layouts = 0;
        Object.defineProperty(Element.prototype, 'scrollHeight', {
          get() { window.layouts += 1; return height.get.call(this); },
        });
        window.EventSource = class extends EventTarget {
          constructor() { super(); setTimeout(() => this.play()); }
          close() {}
          play() {
            for (let n = 0; n < 5000; n += 1) {
              const data = JSON.stringify({ at: '2026-11-28T23:00:00Z', user_id: n % 5, text: `line ${n}` });
              this.dispatchEvent(new MessageEvent('transcript', { data, lastEventId: `1:${n}` }));
            }
          }
        };";
    let script = json!({ "source": source });
    stage.browser.command("Page.addScriptToEvaluateOnNewDocument", script).await;
    stage.visit(&format!("/dashboard/sessions/{}", stage.session)).await;
    let newest =
        "document.querySelector('#said > div:last-child')?.textContent.includes('line 4999')";
    until(&stage, "the newest line", &format!("!!{newest}")).await;
    let lines = "return document.querySelectorAll('#said > div').length";
    assert_eq!(stage.browser.run(lines).await, json!(500));
    let at_end = "document.querySelector('#said').scrollTop > 1000";
    until(&stage, "the end of the log", at_end).await;
    let layouts = stage.browser.run("return window.layouts").await;
    assert!(layouts.as_u64().unwrap() < 50, "{layouts} layouts");
}

#[tokio::test]
async fn a_gap_is_shown_in_the_colour_of_its_cause_and_read_with_the_keyboard() {
    let stage = open(Scope::Read).await;
    until(&stage, "the bands", "!!document.querySelector('#ledger svg')").await;
    // The sound comes every 20 ms: something of it is lost.
    let cut = MeetingAction::Cut { link: LinkName::Audio, how: CutKind::Reset };
    stage.scene.zoom.perform(cut).await;
    let gap = "#ledger rect.gap:is(.link_lost, .zoom_interrupted)";
    until(&stage, "the gap", &format!("!!document.querySelector('{gap}')")).await;
    stage.browser.run(&format!("document.querySelector('{gap}').focus()")).await;
    until(
        &stage,
        "its words",
        "/audio: .* for \\d+/.test(document.querySelector('#gap').textContent)",
    )
    .await;
    stage.browser.emulate(1280, false).await;
    stage.browser.screenshot("session-gap-1280-light").await;
    let colours = format!(
        "const gap = document.querySelector('{gap}');
         const key = document.querySelector('.key.' + gap.classList[1]);
         return [getComputedStyle(gap).fill, getComputedStyle(key).backgroundColor]"
    );
    let colours = stage.browser.run(&colours).await;
    assert_eq!(colours[0], colours[1], "the legend has the colour of the gap");
    assert_ne!(colours[0], json!("rgb(0, 0, 0)"));
}

#[tokio::test]
async fn an_operator_hears_the_meeting_and_sees_the_shared_screen() {
    let stage = open(Scope::Control).await;
    stage.browser.click("#listen").await;
    until(&stage, "sound", "document.querySelector('#level').textContent.startsWith('Playing')")
        .await;
    until(&stage, "the picture", "document.querySelector('#shared').naturalWidth > 0").await;
    for (width, name) in [(380, "session-live-380-dark"), (1280, "session-live-1280-dark")] {
        stage.browser.emulate(width, true).await;
        stage.browser.screenshot(name).await;
    }
    stage.browser.click("#listen").await;
    until(&stage, "silence", "document.querySelector('#listen').textContent === 'Listen'").await;
}

#[tokio::test]
async fn pause_is_asked_of_zoom_and_its_answer_is_shown_in_words() {
    let stage = open(Scope::Control).await;
    until(&stage, "the button", "!!document.querySelector('#do-pause')").await;
    // In one step: the button is replaced every few seconds.
    stage.browser.run("document.querySelector('#do-pause').click()").await;
    let answered = "!document.querySelector('#answer').textContent.startsWith('Asking')
                    && document.querySelector('#answer').className.includes('bad')";
    // No installation can ask: the page says so, and what to do.
    until(&stage, "the answer", answered).await;
    let text = stage.browser.text("#answer").await;
    assert!(text.len() > 30 && !text.contains("undefined"), "{text}");
}

#[tokio::test]
async fn recordings_are_played_and_downloaded_when_the_meeting_is_over() {
    let stage = Stage::recorded().await;
    stage.sign_in(Scope::Read).await;
    stage.scene.log.lines(3).await;
    stage.scene.zoom.perform(MeetingAction::End {}).await;
    stage.visit(&format!("/dashboard/sessions/{}", stage.session)).await;
    until(&stage, "the players", "document.querySelectorAll('#recordings audio').length > 0").await;
    let play = "const done = arguments[arguments.length - 1];
        const audio = document.querySelector('#recordings audio');
        audio.ontimeupdate = () => audio.currentTime > 0.1 && done(audio.duration > 0);
        audio.onerror = () => done(audio.error.message);
        audio.play();";
    assert_eq!(stage.browser.ask(play, json!([])).await, json!(true));
    // The film has the transcript as its captions.
    let film = "const done = arguments[arguments.length - 1];
        const film = document.querySelector('#recordings video');
        film.muted = true;
        film.ontimeupdate = () => {
          const cues = film.textTracks[0].cues;
          if (film.currentTime > 0.1 && cues?.length) done([film.videoWidth > 0, cues[0].text.includes('line ')]);
        };
        film.onerror = () => done(film.error.message);
        film.play();";
    assert_eq!(stage.browser.ask(film, json!([])).await, json!([true, true]));
    let size = "const done = arguments[arguments.length - 1];
        fetch(document.querySelector('#recordings a[download]').href).then(async (answer) =>
          done([answer.status, (await answer.arrayBuffer()).byteLength > 44]));";
    assert_eq!(stage.browser.ask(size, json!([])).await, json!([200, true]));
    until(&stage, "the end", "document.querySelector('#state').textContent === 'ended'").await;
    let path = format!("/dashboard/sessions/{}", stage.session);
    stage.check("session-ended", &path, "#recordings audio").await;
    let raw: Value =
        stage.browser.run("return document.querySelector('code[data-path]').textContent").await;
    let address = stage.scene.daemon.address;
    assert!(
        raw.as_str()
            .unwrap()
            .ends_with(&format!("http://{address}/api/v1/sdk/sessions/{}", stage.session))
    );
}

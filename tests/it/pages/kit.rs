//! A browser before a daemon, for which a simulated meeting plays.

use std::path::Path;

use rtmsd::simulator::Script;
use serde_json::{Value, json};

use super::WIDTHS;
use crate::support::browser::Browser;
use crate::support::kit::{Home, Scene, chatter, script, zoom};
use crate::support::wait::eventually;

/// The scope of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Read,
    Control,
    Admin,
}

impl Scope {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Control => "control",
            Self::Admin => "admin",
        }
    }

    pub(super) fn token(self) -> String {
        format!("{}-token-of-the-pages", self.name())
    }
}

/// A browser, a daemon and a meeting that plays.
pub(super) struct Stage {
    pub browser: Browser,
    pub scene: Scene,
    /// The id of the session that plays.
    pub session: String,
}

impl Stage {
    /// A meeting with speech, chat and a shared screen.
    pub(super) async fn open() -> Self {
        Self::play(meeting(), &[]).await
    }

    /// The same, and nothing answers in Zoom's place but the servers of the meeting.
    pub(super) async fn without_zoom() -> Self {
        let dead = "http://127.0.0.1:9";
        Self::play(meeting(), &[("ZOOM_API_BASE_URL", dead), ("ZOOM_OAUTH_BASE_URL", dead)]).await
    }

    /// The same, and its sound and text are recorded.
    pub(super) async fn recorded() -> Self {
        let record = [("RECORD", "audio,video,transcript")];
        Self::play(meeting(), &record).await
    }

    pub(super) async fn play(script: Script, settings: &[(&str, &str)]) -> Self {
        let tokens = [Scope::Read, Scope::Control, Scope::Admin].map(|scope| {
            let more = if scope == Scope::Control { "read+control" } else { scope.name() };
            format!("{}:{}:{more}", scope.name(), scope.token())
        });
        let tests = format!("tests:{}:read+control,", crate::support::kit::API_TOKEN);
        let home = Home::sqlite().set("API_TOKENS", &(tests + &tokens.join(",")));
        let home = settings.iter().fold(home, |home, (name, value)| home.set(name, value));
        let scene = Scene::open(home, zoom(script)).await;
        let session = scene.log.session_id().to_string();
        Self { browser: Browser::open(false).await, scene, session }
    }

    pub(super) async fn visit(&self, path: &str) {
        self.browser.visit(&format!("http://{}{path}", self.scene.daemon.address)).await;
    }

    /// Signs in with a token of this scope, as a person does.
    pub(super) async fn sign_in(&self, scope: Scope) {
        self.visit("/").await;
        self.browser.type_into("#token", &scope.token()).await;
        self.browser.click("form button").await;
        eventually("the person is signed in", async || {
            let found = self.browser.run("return !!document.querySelector('.who')").await;
            (found == json!(true)).then_some(())
        })
        .await;
    }

    /// Looks at a page on every screen and in both schemes. Asserts that it fits, that nothing of it was refused or
    /// failed, and that axe-core finds nothing.
    pub(super) async fn check(&self, name: &str, path: &str, ready: &str) {
        self.browser.console().await;
        self.visit(path).await;
        let selector = json!(ready);
        eventually("the page is complete", async || {
            let found =
                self.browser.run(&format!("return !!document.querySelector({selector})")).await;
            (found == json!(true)).then_some(())
        })
        .await;
        self.check_here(name).await;
    }

    /// The same for the page as it is now.
    pub(super) async fn check_here(&self, name: &str) {
        for width in WIDTHS {
            for is_dark in [false, true] {
                self.browser.emulate(width, is_dark).await;
                let scheme = if is_dark { "dark" } else { "light" };
                let picture = format!("{name}-{width}-{scheme}");
                self.browser.screenshot(&picture).await;
                self.check_fit(&picture).await;
                let findings = self.findings().await;
                assert!(findings.is_empty(), "{picture}: {findings:#?}");
            }
        }
        let console = self.browser.console().await;
        assert!(console.is_empty(), "{name}: {console:#?}");
    }

    /// Asserts that nothing is wider than the screen.
    async fn check_fit(&self, picture: &str) {
        let wide = self
            .browser
            .run(
                "const width = document.documentElement.clientWidth;
                 if (document.documentElement.scrollWidth <= width) return [];
                 return [...document.querySelectorAll('body *')]
                   .filter((element) => element.getBoundingClientRect().right > width + 1)
                   .map((element) => element.outerHTML.slice(0, 120));",
            )
            .await;
        assert_eq!(wide, json!([]), "{picture} is wider than the screen");
    }

    /// What axe-core finds.
    async fn findings(&self) -> Vec<Value> {
        let expression = axe();
        self.browser.command("Runtime.evaluate", json!({ "expression": expression })).await;
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then(
              ({ violations }) => done(violations.map(({ id, help, nodes }) =>
                ({ id, help, nodes: nodes.map(({ html, any }) => [html, any.map(({ message }) => message)]) }))),
              (error) => done([String(error)]));";
        let found = self.browser.ask(script, json!([])).await;
        found.as_array().expect("a list").clone()
    }
}

fn axe() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(path).expect("axe-core, which tests/setup installs")
}

/// Ana and Bo talk, write and share a screen for longer than any test.
fn meeting() -> Script {
    let mut timeline = chatter(600, 2_000);
    timeline.push(json!({"at_ms": 100, "share_start": "bo"}));
    timeline.push(json!({"at_ms": 200, "video_on": "ana"}));
    timeline.push(
        json!({"at_ms": 1500, "chat": {"who": "bo", "text": "The agenda is in the document."}}),
    );
    timeline.sort_by_key(|item| item["at_ms"].as_u64());
    script(timeline, 3_600_000)
}

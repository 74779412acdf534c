//! A real browser, headless: from the install link to Zoom's page and back.

use rtmsd::simulator::{self, OAuthSettings, Settings, Simulator, Start, User};
use tokio::net::TcpListener;

use super::daemon::{Daemon, INSTALL};
use crate::simulator::kit::settings;
use crate::support::browser::Browser;
use crate::support::wait::eventually;

const ALLOW: &str = "button[value=allow]";

/// Decides on Zoom's page, and waits until the browser is back.
async fn decide(browser: &Browser, selector: &str) {
    browser.click(selector).await;
    eventually("Zoom sends the browser back", async || {
        browser.url().await.contains("/oauth/callback?").then_some(())
    })
    .await;
}

/// The simulated Zoom, whose page a person sees, and a daemon.
async fn both() -> (Simulator, Daemon) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ana = User {
        id: "u-ana".to_owned(),
        name: "Ana Ruiz".to_owned(),
        email: "ana@example.com".to_owned(),
    };
    let oauth = OAuthSettings { users: vec![ana], ..OAuthSettings::default() };
    let settings = Settings { oauth, start: Start::Rest, ..settings() };
    let zoom = simulator::start(settings, listener).await.unwrap();
    let daemon = Daemon::start_at(&zoom.base_url(), &[]).await;
    (zoom, daemon)
}

#[tokio::test]
async fn a_person_installs_the_app_in_a_real_browser() {
    let (zoom, daemon) = both().await;
    let browser = Browser::open(false).await;
    browser.visit(&format!("http://{}{INSTALL}", daemon.address)).await;
    assert!(browser.url().await.starts_with(&format!("{}?", zoom.authorize_url())));
    decide(&browser, ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
    assert!(browser.text("main").await.contains("Ana Ruiz"));
    assert!(browser.is_styled().await, "the policy allows the page's own style");
    browser.screenshot("installed").await;
    // Once more with the same link of Zoom's, as a reload does.
    let back = browser.url().await;
    browser.visit(&back).await;
    assert_eq!(browser.text("h1").await, "Already installed");
    browser.screenshot("installed-before").await;
    let list = daemon.api("GET", "/api/v1/zoom/installations").await.json();
    assert_eq!(list["data"]["installations"][0]["user_id"], "u-ana");
    // Another browser gets nowhere with somebody's way back.
    let other = Browser::open(true).await;
    other.visit(&back).await;
    assert_eq!(other.text("h1").await, "The app is not installed yet");
    other.screenshot("other-browser-dark").await;
}

#[tokio::test]
async fn a_person_declines_and_may_still_install_from_the_page() {
    let (_zoom, daemon) = both().await;
    let browser = Browser::open(true).await;
    browser.visit(&format!("http://{}{INSTALL}", daemon.address)).await;
    decide(&browser, "button[value=deny]").await;
    assert_eq!(browser.text("h1").await, "The app was not installed");
    assert!(browser.is_styled().await);
    browser.screenshot("declined-dark").await;
    browser.click(".action").await;
    decide(&browser, ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
    browser.screenshot("installed-dark").await;
    // From the Marketplace's "Add" people come with a code and no state.
    browser.visit(&format!("http://{}/api/v1/zoom/oauth/callback?code=x", daemon.address)).await;
    assert_eq!(browser.text("h1").await, "One more step");
    browser.screenshot("one-more-step-dark").await;
    browser.click(".action").await;
    decide(&browser, ALLOW).await;
    assert_eq!(browser.text("h1").await, "Zoom is connected");
}

//! A daemon that reaches Zoom through a proxy, or past an address that does not answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rtmsd::secret::Secret;
use rtmsd::simulator::{Settings, Start};

use crate::support::connect_proxy::{ConnectProxy, Manner};
use crate::support::kit::{Home, Scene, Zoom, chatter, endless, script, zoom};
use crate::support::network::{BlackHole, names};

#[tokio::test]
async fn a_meeting_is_joined_although_its_hosts_first_address_does_not_answer() {
    let zoom = Zoom::open_tls(zoom(script(chatter(20, 50), 3_000))).await;
    let port = zoom.simulator.addr().port();
    let _hole = BlackHole::open(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port))).await;
    let mut home = Home::sqlite();
    home.resolver = names(&[("localhost", &["127.0.0.2", "127.0.0.1"])]);
    let scene = Scene::over_tls(home, zoom).await;
    let page = scene.log.over().await;
    assert!(page.assert_chatter() > 0);
    scene.zoom.close_clean().await;
}

/// Only the proxy can resolve Zoom's host name, so REST, signaling and media all pass through it.
#[tokio::test]
async fn a_meeting_is_started_and_joined_through_the_proxy() {
    let settings = Settings {
        start: Start::Rest,
        access_token: Some(Secret::new("zoom-token".into())),
        tls_host: "rtms.zoom.test".into(),
        ..zoom(script(chatter(20, 50), 3_000))
    };
    let zoom = Zoom::open_tls(settings).await;
    let proxy = ConnectProxy::start(Manner::Credentials("ana:p@ss")).await;
    let mut home = Home::sqlite()
        .set("HTTPS_PROXY", &format!("http://ana:p%40ss@{}", proxy.address))
        .set("RTMS_ALLOWED_HOSTS", ".zoom.test")
        .set("CA_FILE", &zoom.simulator.tls_files().unwrap().ca.display().to_string())
        .set("ZOOM_API_BASE_URL", &zoom.simulator.base_url())
        .set("ZOOM_ACCESS_TOKEN", "zoom-token")
        .set("RTMS_AUTO_START", "all");
    home.resolver = names(&[]);
    let scene = Scene::over_tls(home, zoom).await;
    let page = scene.log.over().await;
    assert!(page.assert_chatter() > 0);
    let host = format!("rtms.zoom.test:{}", scene.zoom.simulator.addr().port());
    let opened = proxy.opened();
    assert!(opened.len() >= 3, "REST, signaling and media: {opened:?}");
    assert!(opened.iter().all(|opened| *opened == host), "{opened:?}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_proxy_that_hangs_ends_in_the_windows_time() {
    let settings = Settings { tls_host: "rtms.zoom.test".into(), ..zoom(endless(100)) };
    let zoom = Zoom::open_tls(settings).await;
    let proxy = ConnectProxy::start(Manner::Silent).await;
    let mut home = Home::sqlite()
        .set("HTTPS_PROXY", &format!("http://{}", proxy.address))
        .set("RTMS_ALLOWED_HOSTS", ".zoom.test");
    home.timings.dial = Duration::from_millis(500);
    home.timings.signaling_window = Duration::from_secs(2);
    let scene = Scene::over_tls(home, zoom).await;
    let ended = scene.ended().await;
    assert_eq!(ended.outcome.as_deref(), Some("window_expired"));
}

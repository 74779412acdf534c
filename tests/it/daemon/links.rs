//! Every link is cut in every way, and the meeting goes on.

use std::time::Duration;

use rtmsd::simulator::{CutKind, LinkName, MeetingAction, Settings};

use crate::support::kit::{Home, Scene, endless, real, zoom};

const LINE_MS: u32 = 200;
/// The distance between lines, long enough for a link that is cut after one line to be back before the next, even on a
/// busy machine.
const LINE_AFTER_REJOIN_MS: u32 = 900;
/// How long a link must stay up to count as stable. The webhook about a loss must arrive earlier, or it would concern
/// the new link.
const STABLE: Duration = Duration::from_millis(600);

async fn live(home: Home, settings: Settings) -> Scene {
    let home = home.set("MEDIA_TYPES", "transcript,audio,chat");
    let scene = Scene::open(home, settings).await;
    scene.live().await;
    scene
}

/// The links that came and went from entry number `from` on.
fn links_since(scene: &Scene, from: usize) -> Vec<String> {
    scene.log.page().links().split_off(from)
}

/// Cuts right after a line, waits until everything stands again, and returns what came and went.
async fn cut(scene: &Scene, verb: MeetingAction) -> Vec<String> {
    let page = scene.log.lines(scene.log.page().of("transcript").len() + 1).await;
    let known = page.links().len();
    scene.zoom.perform(verb).await;
    scene.log.until("a link is lost", |page| page.links().len() > known).await;
    scene.live().await;
    scene.log.lines(scene.log.page().of("transcript").len() + 1).await;
    links_since(scene, known)
}

async fn survives_cuts_of(link: LinkName, expected: &[&str], mut home: Home) {
    home.timings.stable = STABLE;
    let scene = live(home, zoom(endless(LINE_AFTER_REJOIN_MS))).await;
    for how in [CutKind::Drop, CutKind::Reset, CutKind::Close] {
        let mut links = cut(&scene, MeetingAction::Cut { link, how }).await;
        // Media are rebuilt side by side.
        links.sort();
        assert_eq!(links, expected, "{how:?}: {:#?}", scene.log.page().outline());
    }
    scene.all_lines().await;
    let page = scene.log.page();
    page.assert_numbered();
    page.assert_chatter();
    // Said again by Zoom with every signaling handshake, and no news.
    assert_eq!((page.of("first_packet").len(), page.of("participant_joined").len()), (1, 2));
    assert_eq!(scene.zoom.stream().keep_alives.timeouts, 0);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn signaling_that_is_cut_comes_back_with_all_media_and_nothing_is_lost() {
    let all = [
        "+audio",
        "+chat",
        "+signaling",
        "+transcript",
        "-audio",
        "-chat",
        "-signaling",
        "-transcript",
    ];
    survives_cuts_of(LinkName::Signaling, &all, Home::sqlite()).await;
}

#[tokio::test]
async fn one_medium_that_is_cut_comes_back_alone_and_nothing_is_lost() {
    survives_cuts_of(LinkName::Audio, &["+audio", "-audio"], Home::postgres().await).await;
}

#[tokio::test]
async fn the_socket_for_all_media_comes_back_alone_and_nothing_is_lost() {
    let home = Home::sqlite().set("MEDIA_SOCKET_CONNECTION_MODE", "unified");
    survives_cuts_of(LinkName::Media, &["+all", "-all"], home).await;
}

#[tokio::test]
async fn all_media_that_are_cut_at_once_come_back_without_a_new_signaling_handshake() {
    let all = ["+audio", "+chat", "+transcript", "-audio", "-chat", "-transcript"];
    survives_cuts_of(LinkName::Media, &all, Home::sqlite()).await;
}

#[tokio::test]
async fn a_silent_link_is_given_up_and_rebuilt() {
    let mut home = Home::sqlite();
    home.timings.silence = Duration::from_millis(1_500);
    let scene = live(home, zoom(endless(LINE_MS))).await;
    for link in [LinkName::Chat, LinkName::Signaling] {
        // It holds back keep-alives, too.
        let links = cut(&scene, MeetingAction::Stall { link, for_ms: 60_000 }).await;
        let name = format!("{link:?}").to_lowercase();
        assert_eq!(links[0], format!("-{name}"), "{:#?}", scene.log.page().outline());
        assert!(links.contains(&format!("+{name}")));
    }
    let page = scene.log.page();
    page.assert_numbered();
    page.assert_chatter();
}

#[tokio::test]
async fn a_link_without_keep_alives_lives_as_long_as_frames_come() {
    let mut home = Home::sqlite();
    home.timings.silence = Duration::from_millis(1_000);
    let scene = live(home, zoom(endless(LINE_MS))).await;
    let known = scene.log.lines(1).await.links().len();
    scene.zoom.perform(MeetingAction::StopKeepAlives { link: LinkName::Transcript }).await;
    scene.log.lines(scene.log.page().of("transcript").len() + 10).await;
    assert_eq!(links_since(&scene, known), [""; 0]);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_stream_waits_for_a_connection_that_zoom_still_considers_alive() {
    for (link, status) in [(LinkName::Signaling, 8), (LinkName::Audio, 16)] {
        let mut settings = zoom(endless(LINE_MS));
        settings.timings.dead_link_ms = real(500);
        let scene = live(Home::sqlite(), settings).await;
        cut(&scene, MeetingAction::Cut { link, how: CutKind::Drop }).await;
        let refusals = scene.zoom.stream().refusals;
        assert!(refusals.get(&status).is_some_and(|count| *count >= 1), "{refusals:?}");
        let page = scene.log.page();
        page.assert_numbered();
        page.assert_chatter();
    }
}

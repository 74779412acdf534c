//! What the webhooks do to streams, in every order and with every one of them lost.

use rtmsd::simulator::{LinkName, MeetingAction, Settings};
use serde_json::json;

use super::peer::Peer;
use crate::support::kit::{
    Home, Scene, TestDaemon, endless, eventually, send_webhook, started, stopped, zoom,
};

const LINE_MS: u32 = 100;

fn settings() -> Settings {
    zoom(endless(LINE_MS))
}

async fn live(home: Home) -> Scene {
    let scene = Scene::open(home.set("MEDIA_TYPES", "transcript,audio"), settings()).await;
    scene.live().await;
    scene
}

#[tokio::test]
async fn a_start_webhook_that_is_repeated_makes_one_stream() {
    let scene = live(Home::sqlite()).await;
    for repeat in 2..5 {
        scene.zoom.perform(MeetingAction::RepeatAnnouncement).await;
        eventually("the repeat is answered", async || {
            let letters = scene.zoom.post.letters();
            let starts = letters.iter().filter(|letter| letter.event == "meeting.rtms_started");
            let answers: Vec<u16> = starts.map(|letter| letter.status).collect();
            (answers == vec![200; repeat]).then_some(())
        })
        .await;
    }
    let page = scene.log.lines(scene.log.page().of("transcript").len() + 3).await;
    page.assert_numbered();
    assert_eq!(page.links().len(), 3, "{:#?}", page.outline());
    assert_eq!(scene.stream().await.generation, 1);
    assert_eq!(scene.zoom.stream().signaling_handshakes, 1);
    assert_eq!(scene.daemon.api().sessions().await.len(), 1);
    scene.zoom.close_clean().await;
}

async fn fails_over(home: Home) {
    let scene = live(home).await;
    let before = scene.log.lines(3).await.assert_chatter();
    scene.zoom.perform(MeetingAction::FailOver).await;
    eventually("the stream is live at the other server", async || {
        let stream = scene.stream().await;
        (stream.generation == 2 && stream.status == "live").then_some(())
    })
    .await;
    let page = scene.log.lines(before + 5).await;
    page.assert_numbered();
    page.assert_chatter();
    assert_eq!(scene.daemon.api().sessions().await.len(), 1);
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = scene.log.over().await;
    page.assert_numbered();
    let counts = ["moved", "picked_up", "first_packet", "ended"].map(|kind| page.of(kind).len());
    assert_eq!(counts, [1, 0, 1, 1], "{:#?}", page.outline());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn after_a_failover_a_stream_continues_its_numbering_at_the_new_url_on_sqlite() {
    fails_over(Home::sqlite()).await;
}

#[tokio::test]
async fn after_a_failover_a_stream_continues_its_numbering_at_the_new_url_on_postgres() {
    fails_over(Home::postgres().await).await;
}

#[tokio::test]
async fn a_stream_that_moves_while_its_old_server_still_answers_is_moved_at_once() {
    let scene = live(Home::sqlite()).await;
    let letter = scene.zoom.post.letter("meeting.rtms_started").await;
    let mut peer = Peer::listen().await;
    let mut moved = letter.body;
    moved["event_ts"] = (moved["event_ts"].as_i64().unwrap() + 1).into();
    moved["payload"]["server_urls"] = peer.url().into();
    assert_eq!(scene.zoom.post.send(&moved).await, 200);
    let handshake = peer.accept().await.hear().await;
    assert_eq!(handshake["msg_type"], 1);
    assert_eq!(handshake["rtms_stream_id"], scene.zoom.stream().stream_id);
    scene.log.entries("moved", 1).await.assert_numbered();
}

#[tokio::test]
async fn a_stop_that_comes_before_its_start_is_remembered() {
    let home = Home::sqlite();
    let daemon = TestDaemon::start(&home).await;
    let mut peer = Peer::listen().await;
    assert_eq!(send_webhook(daemon.address, &stopped("first", 6)).await, 200);
    assert_eq!(send_webhook(daemon.address, &started("first", &peer.url())).await, 200);
    assert_eq!(send_webhook(daemon.address, &started("second", &peer.url())).await, 200);
    // Streams are joined in the order of their webhooks, and the first one was not.
    let handshake = peer.accept().await.hear().await;
    assert_eq!(handshake["rtms_stream_id"], "second");
    let session = daemon.api().session_of("first").await;
    assert_eq!(daemon.api().stream(&session).await.unwrap().status, "ended");
}

#[tokio::test]
async fn state_4_ends_a_stream_without_a_stop_webhook() {
    let scene = live(Home::sqlite()).await;
    scene.zoom.post.lose("meeting.rtms_stopped");
    scene.zoom.perform(MeetingAction::Stop { reason: 10 }).await;
    assert_eq!(scene.ended().await.end(), ("stopped", Some(10)));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn the_stop_webhook_ends_a_stream_without_state_4() {
    let scene = live(Home::sqlite()).await;
    scene.zoom.perform(MeetingAction::Stall { link: LinkName::Signaling, for_ms: 60_000 }).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 10 }).await;
    // Zoom closes the media sockets, too, and knows nothing of the stream when they are dialled again.
    assert_eq!(scene.ended().await.end(), ("stopped", Some(10)));
}

#[tokio::test]
async fn a_stream_is_found_gone_when_every_message_of_its_end_is_lost() {
    let scene = live(Home::sqlite()).await;
    scene.zoom.post.lose("meeting.rtms_stopped");
    scene.zoom.perform(MeetingAction::Stall { link: LinkName::Signaling, for_ms: 60_000 }).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 10 }).await;
    assert_eq!(scene.ended().await.end(), ("gone", None));
}

#[tokio::test]
async fn an_interruption_is_repaired_once_whichever_of_its_signs_come() {
    for event_that_is_lost in [None, Some("meeting.rtms_interrupted")] {
        let scene = live(Home::sqlite()).await;
        event_that_is_lost.into_iter().for_each(|event| scene.zoom.post.lose(event));
        let before = scene.log.lines(3).await.assert_chatter();
        scene.zoom.perform(MeetingAction::Interrupt).await;
        scene.zoom.post.letter("meeting.rtms_interrupted").await;
        let page = scene.log.lines(before + 5).await;
        page.assert_numbered();
        page.assert_chatter();
        assert_eq!(scene.zoom.stream().signaling_handshakes, 2, "{:#?}", page.outline());
        let interrupts = i64::from(event_that_is_lost.is_none());
        assert_eq!(scene.stream().await.interrupts, interrupts);
        scene.zoom.close_clean().await;
    }
}

#[tokio::test]
async fn an_interrupted_webhook_alone_makes_a_new_handshake() {
    let scene = live(Home::sqlite()).await;
    // Long enough to be stable.
    scene.log.lines(5).await;
    let mut interrupted = scene.zoom.post.letter("meeting.rtms_started").await.body;
    interrupted["event"] = "meeting.rtms_interrupted".into();
    interrupted["payload"]["server_urls"] = json!(null);
    assert_eq!(scene.zoom.post.send(&interrupted).await, 200);
    let page = scene.log.until("signaling is rebuilt", |page| {
        page.links().iter().filter(|link| *link == "+signaling").count() == 2
    });
    page.await.assert_numbered();
    scene.live().await;
}

#[tokio::test]
async fn an_interrupted_webhook_that_comes_minutes_late_changes_nothing() {
    let scene = live(Home::sqlite()).await;
    let mut interrupted = scene.zoom.post.letter("meeting.rtms_started").await.body;
    interrupted["event"] = "meeting.rtms_interrupted".into();
    interrupted["event_ts"] = (interrupted["event_ts"].as_i64().unwrap() - 300_000).into();
    assert_eq!(scene.zoom.post.send(&interrupted).await, 200);
    let page = scene.log.lines(scene.log.page().of("transcript").len() + 5).await;
    assert!(page.of("link_down").is_empty(), "{:#?}", page.outline());
    assert_eq!(scene.stream().await.interrupts, 0);
}

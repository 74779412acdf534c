//! Subscribers who come and go while links are cut see each entry once, in order.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rtmsd::simulator::{CutKind, LinkName, MeetingAction};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::client::SseClient;
use crate::support::kit::{API_TOKEN, Api, Home, Scene, endless, eventually, zoom};

const SUBSCRIBERS: u64 = 8;

/// Reads a few entries, goes, comes back, and so on until the log is over.
async fn wander(api: Api, session_id: String, seed: u64) -> Vec<Value> {
    let mut rng = StdRng::seed_from_u64(seed);
    let authorization = format!("Bearer {API_TOKEN}");
    let path = format!("/api/v1/sdk/sessions/{session_id}/events");
    let (mut entries, mut last_id) = (Vec::new(), String::from("1:0"));
    loop {
        let headers = [("authorization", authorization.as_str()), ("last-event-id", &last_id)];
        let (status, mut client) = SseClient::open(api.0, &path, &headers).await;
        if status == 204 {
            return entries;
        }
        for _ in 0..rng.random_range(1..20) {
            let event = client.next().await.expect("the daemon lives");
            if event.event == "end" {
                return entries;
            }
            last_id = event.id;
            entries.push(event.data);
        }
    }
}

async fn everybody_sees_everything(home: Home) {
    let settings = zoom(endless(40));
    let scene = Scene::open(home.set("MEDIA_TYPES", "transcript,chat"), settings).await;
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut wanderers = JoinSet::new();
    for index in 0..SUBSCRIBERS {
        let (api, session) = (scene.daemon.api(), scene.log.session_id().to_owned());
        wanderers.spawn(wander(api, session, seed.wrapping_add(index)));
    }
    for link in [LinkName::Transcript, LinkName::Signaling, LinkName::Media] {
        scene.live().await;
        let known = scene.log.page().of("transcript").len();
        scene.log.lines(known + 15).await;
        // What was sent before the last cut may still be on its way, and the link not back yet.
        let cut = MeetingAction::Cut { link, how: CutKind::Drop };
        eventually("the link is up and cut", async || {
            scene.zoom.try_perform(cut.clone()).await.ok()
        })
        .await;
    }
    scene.live().await;
    scene.zoom.perform(MeetingAction::End).await;
    let page = scene.log.over().await;
    page.assert_numbered();
    page.assert_chatter();
    while let Some(entries) = wanderers.join_next().await {
        let entries = entries.unwrap();
        assert_eq!(entries, page.entries, "seed {seed}");
    }
}

#[tokio::test]
async fn subscribers_who_come_and_go_see_each_entry_once_on_sqlite() {
    everybody_sees_everything(Home::sqlite()).await;
}

#[tokio::test]
async fn subscribers_who_come_and_go_see_each_entry_once_on_postgres() {
    everybody_sees_everything(Home::postgres().await).await;
}

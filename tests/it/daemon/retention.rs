//! What is kept at rest.

use std::fs;
use std::path::Path;

use super::kit::{Home, Log, Scene, TestDaemon, chatter, script, zoom};

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        match file.is_dir() {
            true => found.extend(files(&file)),
            false => found.push(fs::read(file).unwrap()),
        }
    }
    found
}

fn is_somewhere(folder: &Path, text: &str) -> bool {
    let holds = |file: &Vec<u8>| file.windows(text.len()).any(|window| window == text.as_bytes());
    files(folder).iter().any(holds)
}

async fn scene(retention: &str) -> Scene {
    let home =
        Home::sqlite().set("RETENTION_ENTRIES", retention).set("RETENTION_DELIVERIES", retention);
    Scene::open(
        home,
        rtmsd::simulator::Settings { speed: 10.0, ..zoom(script(chatter(10, 2_000), 21_000)) },
    )
    .await
}

#[tokio::test]
async fn with_zero_retention_all_comes_live_and_nothing_that_was_said_is_on_the_disk() {
    let scene = scene("zero").await;
    let live = scene.log.over().await;
    assert!(live.of("transcript").len() > 2, "{:#?}", live.outline());
    let folder = scene.home.folder().to_owned();
    let spoken = live.texts().last().unwrap().to_string();
    let (home, session) = (scene.home, scene.log.session_id().to_owned());
    scene.daemon.stop().await;
    assert!(!is_somewhere(&folder, &spoken) && !is_somewhere(&folder, "Ana Silva"));
    let daemon = TestDaemon::start(&home).await;
    let late = Log::of_session(daemon.api(), session).over().await;
    late.assert_numbered();
    assert_eq!(late.entries.len(), live.entries.len(), "every number is accounted for");
    assert!(late.of("transcript").is_empty());
    assert!(late.of("not_kept").iter().any(|entry| entry["what"] == "transcript"));
}

#[tokio::test]
async fn what_is_kept_is_on_the_disk() {
    let scene = scene("forever").await;
    let live = scene.log.over().await;
    let (folder, spoken) =
        (scene.home.folder().to_owned(), live.texts().last().unwrap().to_string());
    scene.daemon.stop().await;
    assert!(is_somewhere(&folder, &spoken), "or the other test proves nothing");
}

//! A restore drill: the compiled binary is backed up under load, killed, restored and started again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rtmsd::simulator::MeetingAction;
use rtmsd::store::Location;
use serde_json::Value;

use crate::support::kit::{Home, Log, Zoom, endless, zoom};
use crate::support::process::{Ended, Process};
use crate::support::raw::Raw;

const LINE_MS: u32 = 50;

/// Without the settings that only the daemon needs: under systemd they may be credentials.
async fn command(home: &Home, command: &str, file: &Path) -> Ended {
    let is_needed = |name: &str| ["DATA_DIR", "DATABASE_URL"].contains(&name);
    let variables: Vec<_> =
        home.variables().iter().filter(|(name, _)| is_needed(name)).cloned().collect();
    let file = file.to_str().unwrap();
    Process::spawn(&[command, file], &variables, home.folder()).ended().await
}

async fn count_entries(store: &Path) -> i64 {
    let mut raw = Raw::connect(&Location::Sqlite(store.to_owned())).await;
    raw.count("SELECT COUNT(*) FROM entries").await
}

fn texts(entries: &[Value]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry["text"].as_str()).collect()
}

#[tokio::test]
async fn a_restored_store_has_everything_up_to_the_backup_and_the_log_goes_on() {
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript,audio").set("RECORD", "transcript");
    let backup = home.folder().join("backup.db");
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(endless(LINE_MS))).await;
    zoom.post.deliver_to(api.0);
    let stream = zoom.announced().await;
    let log = Log::follow(api, &stream.instance_id).await;
    // What a subscriber has got is stored.
    let before = log.lines(40).await;
    let ended = command(&home, "backup", &backup).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    for part in ["backed up the store", "TOKEN_ENCRYPTION_KEYS", "spool"] {
        assert!(ended.out.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(backup.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The daemon did not stop for it, and goes on.
    let lines = log.page().of("transcript").len();
    log.lines(lines + 40).await;
    let refused = command(&home, "restore", &backup).await;
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert!(refused.err.contains("another rtmsd uses the data folder"), "{refused:?}");
    process.signal("KILL");
    process.ended().await;

    let restored = command(&home, "restore", &backup).await;
    assert_eq!(restored.code(), 0, "{restored:?}");
    let store = home.data().join("rtmsd.db");
    let kept = usize::try_from(count_entries(&store).await).unwrap();
    assert!(kept >= before.entries.len(), "{kept} {}", before.entries.len());
    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let log = Log::of_session(api, log.session_id().to_owned());
    let page = log.entries("picked_up", 1).await;
    assert_eq!(page.entries[..before.entries.len()], before.entries);
    assert_eq!(page.entries[kept]["kind"], "picked_up", "{:#?}", page.outline());
    log.lines(page.of("transcript").len() + 10).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = log.over().await;
    page.assert_numbered();
    page.assert_chatter();

    // What came between the backup and the start is a gap, and claimed nowhere.
    let gap = page.of("gap").into_iter().find(|gap| gap["medium"] == "transcript").unwrap();
    assert_eq!(gap["cause"], "daemon_restarted");
    let number = |text: &str| text.trim_start_matches("line ").parse::<i64>().unwrap();
    let (old, new) = (texts(&page.entries[..kept]), texts(&page.entries[kept..]));
    let missing = number(new[0]) - number(old[old.len() - 1]) - 1;
    assert!(missing >= 40, "{missing}");
    let gap_ms = gap["end_ms"].as_i64().unwrap() - gap["start_ms"].as_i64().unwrap();
    assert!(gap_ms >= (missing - 1) * i64::from(LINE_MS), "{missing} lines, {gap}");
    let ended = api.reaches(log.session_id(), "ended").await;
    // A killed daemon has not stored what it had counted since the stream was joined.
    assert!(ended.tally.transcript.frames <= page.of("transcript").len() as u64, "{ended:?}");
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);

    // The store of before the restore is whole, with what the killed daemon had only in its log.
    let aside = fs::read_dir(home.data()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> =
        aside.filter(|path| path.to_str().unwrap().contains(".before-restore-")).collect();
    let [aside] = aside.as_slice() else { panic!("{aside:?}") };
    assert!(restored.out.contains(aside.file_name().unwrap().to_str().unwrap()), "{restored:?}");
    assert!(count_entries(aside).await >= i64::try_from(kept).unwrap() + 40);
}

#[tokio::test]
async fn with_postgres_both_commands_name_postgres_own() {
    let home = Home::sqlite().set("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x");
    for (name, tool) in [("backup", "pg_dump --format=custom"), ("restore", "pg_restore --clean")] {
        let ended = command(&home, name, &home.folder().join("file")).await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.err.contains(tool) && !ended.err.contains("hunter2"), "{ended:?}");
    }
}

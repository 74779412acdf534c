//! Findings about the store, the disk, the place of recordings, and NATS.

use super::kit::{at_zoom, visit, zoom, zoom_settings};
use crate::support::kit::Home;
use crate::support::nats::Broker;
use crate::support::pgbouncer::{self, PgBouncer};
use crate::support::postgres;
use crate::support::process::Process;
use crate::support::s3::S3;

async fn home() -> (rtmsd::simulator::Simulator, Home) {
    let zoom = zoom(zoom_settings()).await;
    let home = at_zoom(Home::sqlite(), &zoom);
    (zoom, home)
}

async fn migrate(home: &Home) {
    let ended = Process::spawn(&["migrate"], home.variables(), home.folder()).ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
}

#[tokio::test]
async fn a_dead_store_is_found() {
    let (_zoom, home) = home().await;
    let home = home.set("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/x");
    let found = visit(&home, None).await;
    found.assert_fails("store.reachable", "The store is unavailable");
    for id in ["store.schema", "store.latency", "store.pooler", "oauth.token"] {
        assert_eq!(found.status(id), "skipped", "{id}: {}", found.out);
    }
}

#[tokio::test]
async fn a_store_without_tables_is_found_until_it_is_migrated() {
    let (_zoom, home) = home().await;
    let home = home.set("DATABASE_URL", &postgres::copy_of(postgres::EMPTY).await);
    visit(&home, None).await.assert_fails("store.schema", "no tables");
    migrate(&home).await;
    let found = visit(&home, None).await;
    for id in ["store.reachable", "store.schema", "store.pooler"] {
        assert_eq!(found.status(id), "ok", "{}", found.out);
    }
}

#[tokio::test]
async fn a_sqlite_file_that_is_not_there_yet_is_no_fault_and_is_not_made() {
    let (_zoom, home) = home().await;
    let found = visit(&home, None).await;
    assert_eq!(found.status("store.reachable"), "skipped", "{}", found.out);
    assert!(!home.data().exists());
    migrate(&home).await;
    assert_eq!(visit(&home, None).await.status("store.schema"), "ok");
}

#[tokio::test]
async fn a_pooler_in_the_way_is_found() {
    let (_zoom, home) = home().await;
    let database = postgres::copy_of(postgres::EMPTY).await;
    let home = home.set("DATABASE_URL", &pgbouncer::in_transaction_mode().url(&database));
    migrate(&home).await;
    let found = visit(&home, None).await;
    found.assert_warns("store.pooler", "transaction mode");
    assert_eq!(found.status("store.schema"), "ok", "{}", found.out);
    let pooler = PgBouncer::start("statement");
    let home = home.set("DATABASE_URL", &pooler.url(&database));
    visit(&home, None).await.assert_fails("store.pooler", "statement mode");
}

#[tokio::test]
async fn a_full_spool_is_found() {
    let (_zoom, home) = home().await;
    let files = home.data().join("spool/0/x/files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("audio.wav"), vec![0; 1024 * 1024]).unwrap();
    let home = home.set("RECORDINGS_SPOOL_BYTES", "1048576");
    visit(&home, None).await.assert_fails("disk.spool", "almost full");
}

#[tokio::test]
async fn a_folder_that_takes_no_files_is_found() {
    let (_zoom, home) = home().await;
    // Refuses files whoever asks.
    let home = home.set("RECORDINGS_URL", "/sys/kernel/recordings");
    visit(&home, None).await.assert_fails("recordings.place", "cannot be written");
    let free = home.folder().join("a/b").display().to_string();
    let home = home.set("RECORDINGS_URL", &free);
    assert_eq!(visit(&home, None).await.check("recordings.place")["subject"], free.as_str());
    assert_eq!(visit(&home, None).await.status("recordings.place"), "ok");
    let left: Vec<_> = std::fs::read_dir(home.folder()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_object_store_that_refuses_is_found() {
    let (_zoom, home) = home().await;
    let s3 = S3::open().await;
    let variables = s3.variables();
    let mut home = home.set("RECORDINGS_URL", "s3://bucket/place");
    for (name, value) in variables.as_object().unwrap() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        home = home.set(name, &value);
    }
    assert_eq!(visit(&home, None).await.status("recordings.place"), "ok");
    assert!(s3.keys().is_empty(), "nothing is left");
    let stranger = home.set("AWS_ACCESS_KEY_ID", "stranger");
    visit(&stranger, None).await.assert_fails("recordings.place", "lack the permission");
}

#[tokio::test]
async fn a_broker_that_is_away_or_has_no_jetstream_is_found() {
    let (_zoom, home) = home().await;
    let mut broker = Broker::start("").await;
    let home = home.set("NATS_URL", &broker.url());
    assert_eq!(visit(&home, None).await.status("nats"), "ok");
    broker.kill().await;
    visit(&home, None).await.assert_fails("nats", "NATS cannot be used");
    // An account without JetStream.
    let accounts = r#"accounts { APP: { users: [ { user: "u", password: "hunter2" } ] } }"#;
    let broker = Broker::start(accounts).await;
    let stranger = home.set("NATS_URL", &broker.url());
    visit(&stranger, None).await.assert_fails("nats", "NATS cannot be used");
    let url = broker.url().replace("nats://", "nats://u:hunter2@");
    visit(&stranger.set("NATS_URL", &url), None).await.assert_fails("nats", "no JetStream");
}

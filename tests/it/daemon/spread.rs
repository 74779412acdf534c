//! Several daemons on one Postgres divide the streams by their load, whichever of them gets the webhooks.

use std::collections::BTreeMap;
use std::time::Duration;

use rtmsd::model::NodeId;
use rtmsd::sessions::Leases;
use rtmsd::simulator::{MeetingAction, Settings};
use rtmsd::store::{Heartbeat, Store};
use uuid::Uuid;

use crate::support::connect_proxy::{ConnectProxy, Manner};
use crate::support::kit::{Home, Log, TestDaemon, Zoom, endless, eventually, zoom};
use crate::support::postgres;

const MEETINGS: u32 = 12;

async fn home() -> Home {
    home_on(&postgres::fresh_database().await)
}

fn home_on(database_url: &str) -> Home {
    let mut home =
        Home::sqlite().set("DATABASE_URL", database_url).set("MEDIA_TYPES", "transcript");
    let interval = Duration::from_millis(200);
    home.leases = Leases {
        // Longer than any pause of a busy machine: no stream moves because of one.
        lease: Duration::from_secs(20),
        poll_interval: interval,
        place_interval: interval,
        unreachable_after: Duration::from_secs(1),
        counts_cpu_time: false,
    };
    home
}

async fn meetings() -> Zoom {
    Zoom::open(Settings { meetings: MEETINGS, ..zoom(endless(500)) }).await
}

/// Waits until the daemon has seen so many others.
async fn knows(daemon: &TestDaemon, others: usize) {
    eventually("the daemons know each other", async || {
        let nobody = NodeId(Uuid::nil());
        let alive = daemon.store.other_daemons(nobody).await.ok()?;
        (alive.len() == others + 1).then_some(())
    })
    .await;
}

/// How many streams each daemon runs, once all of them run.
async fn all_run(store: &Store) -> Vec<i64> {
    eventually("every stream is run", async || {
        let replicas = store.replicas().await.ok()?;
        let counts: BTreeMap<_, _> =
            replicas.into_iter().map(|replica| (replica.node, replica.streams)).collect();
        let counts: Vec<_> = counts.into_values().collect();
        (counts.iter().sum::<i64>() == i64::from(MEETINGS)).then_some(counts)
    })
    .await
}

async fn all_live(daemon: &TestDaemon) {
    eventually("every stream is live", async || {
        let sessions = daemon.api().sessions().await;
        let live = sessions.iter().filter(|session| session["status"] == "live").count();
        (live == MEETINGS as usize).then_some(())
    })
    .await;
}

#[tokio::test]
async fn streams_are_spread_although_one_daemon_gets_every_webhook() {
    let home = home().await;
    let (first, second) = (TestDaemon::start(&home).await, TestDaemon::start(&home).await);
    knows(&first, 1).await;
    knows(&second, 1).await;
    let zoom = meetings().await;
    zoom.post.deliver_to(first.address);
    let counts = all_run(&first.store).await;
    assert_eq!(counts.len(), 2, "{counts:?}");
    // The daemon with the webhooks may keep two more than the other.
    assert!(counts.iter().all(|count| (4..=8).contains(count)), "{counts:?}");
    all_live(&second).await;
    let report = zoom.simulator.report();
    assert!(report.streams.iter().all(|stream| stream.signaling_handshakes == 1));
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_full_daemon_leaves_what_it_is_notified_of_to_another() {
    let home = home().await.set("MAX_STREAMS", "3");
    let first = TestDaemon::start(&home).await;
    let second = TestDaemon::start(&home.set("MAX_STREAMS", "4000")).await;
    knows(&first, 1).await;
    let zoom = meetings().await;
    zoom.post.deliver_to(first.address);
    all_live(&second).await;
    let mut counts = all_run(&second.store).await;
    counts.sort_unstable();
    // The first daemon's three at most are missing.
    assert!(counts.last() >= Some(&9), "{counts:?}");
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_stream_that_its_daemon_does_not_take_is_taken_by_another() {
    let home = home().await;
    let daemon = TestDaemon::start(&home).await;
    // One that reports room for everything and takes nothing, as if it had just been killed.
    let node = NodeId(Uuid::from_u128(7));
    let dead = Heartbeat { node, version: "0", max_streams: 1_000_000, busy_permille: 0 };
    daemon.store.report_daemon(dead, 600_000).await.unwrap();
    let zoom = meetings().await;
    zoom.post.deliver_to(daemon.address);
    all_live(&daemon).await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_daemon_that_stops_is_off_the_list_and_its_streams_go_on_elsewhere() {
    let home = home().await;
    let (first, second) = (TestDaemon::start(&home).await, TestDaemon::start(&home).await);
    knows(&first, 1).await;
    let zoom = meetings().await;
    zoom.post.deliver_to(first.address);
    all_live(&second).await;
    zoom.post.deliver_to(second.address);
    first.stop().await;
    assert_eq!(second.store.other_daemons(NodeId(Uuid::nil())).await.unwrap().len(), 1);
    // Long before the leases would have run out.
    assert_eq!(all_run(&second.store).await, [i64::from(MEETINGS)]);
    all_live(&second).await;
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_daemon_that_zoom_does_not_answer_gives_its_stream_to_another() {
    let settings = Settings { tls_host: "rtms.zoom.test".into(), ..zoom(endless(100)) };
    let zoom = Zoom::open_tls(settings).await;
    let ca = zoom.simulator.tls_files().unwrap().ca.display().to_string();
    let mut ways =
        [ConnectProxy::start(Manner::Open).await, ConnectProxy::start(Manner::Open).await];
    let url = postgres::fresh_database().await;
    let mut homes = ways.each_ref().map(|way| {
        home_on(&url)
            .set("RTMS_CA_FILE", &ca)
            .set("RTMS_ALLOWED_HOSTS", ".zoom.test")
            .set("HTTPS_PROXY", &format!("http://{}", way.address))
    });
    // So often that a poll is always under way when the stream is given up.
    homes[0].leases.poll_interval = Duration::from_millis(1);
    let first = TestDaemon::start(&homes[0]).await;
    zoom.post.deliver_to(first.address);
    let stream = zoom.announced().await;
    Log::follow(first.api(), &stream.instance_id).await.lines(5).await;
    // Started afterwards, so that it cannot take the stream first.
    let second = TestDaemon::start(&homes[1]).await;
    knows(&first, 1).await;
    let log = Log::follow(second.api(), &stream.instance_id).await;
    assert!(ways[1].opened().is_empty(), "the first daemon runs it");

    zoom.post.deliver_to(second.address);
    ways[0].shut().await;
    let page = log.entries("picked_up", 1).await;
    log.lines(page.of("transcript").len() + 5).await;
    assert!(!ways[1].opened().is_empty());
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    let page = log.over().await;
    page.assert_numbered();
    assert_eq!(page.entries.last().unwrap()["outcome"], "stopped");
    assert_eq!(zoom.stream().signaling_handshakes, 2);
    zoom.close_clean().await;
}

//! Quotas of apps: what is over the limit waits in the store, and says so.

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::Value;

use crate::support::kit::{Api, Home, TestDaemon, Zoom, endless, eventually, zoom};

const QUOTA: &str = "this daemon runs 1 streams of the app default, and its quota is 1";

/// How many sessions have this status.
async fn count(api: Api, status: &str) -> usize {
    let sessions = api.sessions().await;
    sessions.iter().filter(|session| session["status"] == status).count()
}

async fn reach(api: Api, live: usize, announced: usize) {
    eventually(&format!("{live} streams are live and {announced} wait"), async || {
        let counts = (count(api, "live").await, count(api, "connecting").await);
        (counts == (live, announced)).then_some(())
    })
    .await;
}

/// The session with this status.
async fn session(api: Api, status: &str) -> Value {
    let sessions = api.sessions().await;
    sessions.into_iter().find(|session| session["status"] == status).unwrap()
}

async fn two_meetings() -> Zoom {
    Zoom::open(Settings { meetings: 2, ..zoom(endless(100)) }).await
}

fn limited(home: Home) -> Home {
    home.set("MEDIA_TYPES", "transcript").set("MAX_STREAMS_PER_APP", "1")
}

#[tokio::test]
async fn a_stream_over_its_apps_quota_waits_until_another_of_the_app_ends() {
    let home = limited(Home::sqlite());
    let daemon = TestDaemon::start(&home).await;
    let (zoom, api) = (two_meetings().await, daemon.api());
    zoom.post.deliver_to(daemon.address);
    reach(api, 1, 1).await;
    let waiting = session(api, "connecting").await;
    let path = format!("/api/v1/sdk/sessions/{}/timeline", waiting["id"].as_str().unwrap());
    let timeline = api.get(&path).await.unwrap().json();
    let cause = timeline["data"]["missing"][0]["likely_causes"][0].as_str().unwrap();
    assert!(cause.starts_with(QUOTA), "{cause}");
    let health = api.get("/health/ready").await.unwrap();
    assert_eq!(health.status, 200);
    let streams = health.json()["data"]["streams"].take();
    assert_eq!(streams, "one app is at its quota of streams; its further streams wait");

    let live = session(api, "live").await["instance_id"].take();
    let report = zoom.simulator.report();
    let meeting = report.streams.iter().find(|stream| stream.instance_id == live).unwrap();
    zoom.simulator.perform(&meeting.meeting_id, MeetingAction::End).await.unwrap();
    reach(api, 1, 0).await;
    assert_eq!(session(api, "live").await["id"], waiting["id"]);
    zoom.close_clean().await;
}

#[tokio::test]
async fn a_stream_over_its_apps_quota_is_run_by_another_daemon() {
    let home = limited(Home::postgres().await);
    let (first, second) = (TestDaemon::start(&home).await, TestDaemon::start(&home).await);
    let zoom = two_meetings().await;
    zoom.post.deliver_to(first.address);
    reach(first.api(), 2, 0).await;
    second.stop().await;
    zoom.close_clean().await;
}

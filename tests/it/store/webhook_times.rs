//! Zoom's times of events: an absurd one is replaced by the time of arrival.

use rtmsd::model::{Delivery, InstallationStatus, MeetingChange};
use rtmsd::store::Recorded;

use super::installations::install;
use super::webhooks::*;
use crate::support::stores::on_both;

/// When everything here arrives: some day in 2025.
const NOW: i64 = 1_763_600_000_000;
/// The last time that a webhook can name: the end of the year 9999.
const FUTURE: i64 = 253_402_300_799_999;
const ABSURD: [i64; 4] = [FUTURE, NOW + 3_600_000, 1, 0];

/// A webhook that arrives at this time, whatever time it names.
fn arriving(at_ms: i64, delivery: Delivery) -> Delivery {
    Delivery { received_at_ms: at_ms, ..delivery }
}

#[tokio::test]
async fn a_meeting_begins_and_ends_at_a_time_that_is_believed() {
    for absurd in ABSURD {
        on_both(async |test| {
            let store = &test.store;
            let begins = arriving(NOW, meeting_changed(absurd, MeetingChange::Started));
            let Recorded::Session(id) = record(store, begins).await else { panic!("no session") };
            let ends = arriving(NOW + 5, meeting_changed(absurd, MeetingChange::Ended));
            record(store, ends).await;
            let session = store.session(id).await.unwrap().unwrap();
            let times = (session.meeting_started_at_ms, session.meeting_ended_at_ms);
            assert_eq!(times, (Some(NOW), Some(NOW + 5)), "{absurd}");
            assert_eq!(session.ended_at_ms, Some(NOW + 5), "{absurd}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_plausible_time_of_a_meeting_stays() {
    on_both(async |test| {
        let begins = arriving(NOW, meeting_changed(NOW - 3_600_000, MeetingChange::Started));
        let Recorded::Session(id) = record(&test.store, begins).await else { panic!("no session") };
        let session = test.store.session(id).await.unwrap().unwrap();
        assert_eq!(session.meeting_started_at_ms, Some(NOW - 3_600_000));
    })
    .await;
}

#[tokio::test]
async fn an_interruption_counts_with_an_absurd_time_and_not_an_hour_late() {
    on_both(async |test| {
        let store = &test.store;
        record(store, arriving(NOW, started("s", NOW, URL))).await;
        for absurd in ABSURD {
            let lost = arriving(NOW + 1_000, interrupted("s", absurd));
            assert_eq!(record(store, lost).await, changed("s"), "{absurd}");
        }
        let late = arriving(NOW + 3_600_000, interrupted("s", NOW));
        assert_eq!(record(store, late).await, Recorded::NoChange);
    })
    .await;
}

#[tokio::test]
async fn a_removal_of_the_app_with_a_future_time_forgets_no_later_installation() {
    on_both(async |test| {
        let store = &test.store;
        let status = async |id| store.grant(id).await.unwrap().unwrap().installation.status;
        let earlier = install(store, "u1", NOW).await;
        record(store, arriving(NOW + 1_000, deauthorized(FUTURE))).await;
        assert_eq!(status(earlier).await, InstallationStatus::Revoked);
        // Made after the removal arrived, by the clock of another daemon.
        let later = install(store, "u1", NOW + 3_000).await;
        record(store, arriving(NOW + 2_000, deauthorized(FUTURE - 1))).await;
        assert_eq!(status(later).await, InstallationStatus::Connected);
    })
    .await;
}

#[tokio::test]
async fn a_removal_of_the_app_with_a_time_in_the_distant_past_is_obeyed() {
    on_both(async |test| {
        let id = install(&test.store, "u1", NOW).await;
        record(&test.store, arriving(NOW + 1_000, deauthorized(1))).await;
        let grant = test.store.grant(id).await.unwrap().unwrap();
        assert_eq!(grant.installation.status, InstallationStatus::Revoked);
    })
    .await;
}

#[tokio::test]
async fn a_stream_announced_with_a_future_time_still_moves_later() {
    on_both(async |test| {
        let store = &test.store;
        record(store, arriving(NOW, started("s", FUTURE, URL))).await;
        let moved = arriving(NOW + 10_000, started("s", NOW + 9_000, OTHER_URL));
        assert_eq!(record(store, moved).await, changed("s"));
        let stream = read(store, "s").await;
        assert_eq!((stream.generation, &*stream.server_urls), (2, OTHER_URL));
        // The old announcement again, with other bytes: it is as old as it was.
        let old = arriving(NOW + 20_000, started("s", NOW - 1, URL));
        assert_eq!(record(store, old).await, Recorded::NoChange);
    })
    .await;
}

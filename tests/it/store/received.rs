//! The log of Zoom's webhooks: what each one changed, its pages, and refused webhooks that are processed later.

use rtmsd::model::{
    AppName, AppScope, Delivery, MeetingChange, Received, Unprocessed, WebhookEffect,
    WebhookOutcome, WebhookReason,
};
use rtmsd::store::{ReceivedPage, Recorded, Store, Validation};

use super::webhooks::*;
use crate::support::audit;
use crate::support::stores::{TestStore, on_both};

fn page() -> ReceivedPage<'static> {
    ReceivedPage { limit: 100, ..ReceivedPage::default() }
}

async fn log(store: &Store, page: &ReceivedPage<'_>) -> Vec<Received> {
    store.received_page(page).await.unwrap()
}

/// What became of a webhook, and whether its body is kept.
async fn seen(store: &Store, delivery: &Delivery) -> (WebhookOutcome, WebhookReason, bool) {
    let row = store.received(&delivery.digest).await.unwrap().expect("it is recorded");
    (row.outcome, row.reason.expect("a reason"), row.has_body)
}

fn refused(delivery: &Delivery) -> Unprocessed {
    Unprocessed::of(delivery, WebhookOutcome::Refused, WebhookReason::OutOfWindow)
}

async fn refuse(test: &TestStore, delivery: &Delivery) {
    test.store.record_unprocessed(&refused(delivery)).await.unwrap();
}

async fn process(store: &Store, delivery: &Delivery) -> Option<Recorded> {
    let recorded = store.process_again(delivery, &audit::act("ops", 900)).await.unwrap();
    recorded.map(without_session)
}

#[tokio::test]
async fn the_log_says_what_each_webhook_changed_or_why_it_changed_nothing() {
    use WebhookOutcome::{Changed, Nothing};
    use WebhookReason as R;
    on_both(async |test| {
        let store = &test.store;
        let acme = AppName::parse("acme").unwrap();
        let mut late = interrupted("s", 6);
        late.received_at_ms = 6 + 3_600_000;
        let steps = [
            (started("s", 5, URL), Changed, R::StreamStarted),
            (started("s", 4, OTHER_URL), Nothing, R::AlreadyKnown),
            (interrupted("s", 5), Changed, R::StreamInterrupted),
            (late, Nothing, R::TooLate),
            (interrupted("unknown", 6), Nothing, R::UnknownStream),
            (started("s", 7, OTHER_URL), Changed, R::StreamMoved),
            (signed_by(&acme, interrupted("s", 7)), Nothing, R::OtherAppsStream),
            (meeting_changed(8, MeetingChange::Started), Changed, R::MeetingStarted),
            (stopped("s", 9, None), Changed, R::StreamStopped),
            (stopped("s", 10, None), Nothing, R::AlreadyKnown),
            (started("s", 11, URL), Nothing, R::StreamEnded),
            (stopped("early", 12, None), Nothing, R::UnknownStream),
            (meeting_changed(13, MeetingChange::Ended), Changed, R::MeetingEnded),
            (deauthorized_by("stranger", 14), Nothing, R::UnknownUser),
            (deauthorized(15), Changed, R::AppRemoved),
            (other(16), Nothing, R::NotHandled),
        ];
        for (delivery, outcome, reason) in &steps {
            record(store, delivery.clone()).await;
            let (is, because, _) = seen(store, delivery).await;
            assert_eq!((is, because), (*outcome, *reason), "{}", delivery.body);
        }
        let rows = log(store, &page()).await;
        assert_eq!(rows.len(), steps.len());
        let stream = read(store, "s").await;
        let of = |delivery: &Delivery| rows.iter().find(|row| row.digest == delivery.digest);
        let start = of(&steps[0].0).unwrap();
        assert_eq!((start.session_id, start.ordinal), (Some(stream.session_id), Some(1)));
        let meeting = of(&steps[7].0).unwrap();
        assert_eq!((meeting.session_id, meeting.ordinal), (Some(stream.session_id), None));
        // Nothing of a stream to the app that it does not belong to.
        let foreign = of(&steps[6].0).unwrap();
        assert_eq!((&foreign.stream_id, foreign.session_id, foreign.ordinal), (&None, None, None));
    })
    .await;
}

#[tokio::test]
async fn the_log_is_paged_and_filtered() {
    on_both(async |test| {
        let store = &test.store;
        let acme = AppName::parse("acme").unwrap();
        for n in 0..5 {
            record(store, started_in(&format!("m{n}"), &format!("Stream%{n}"), 100 + n, URL)).await;
            // Several at the same time.
            record(store, signed_by(&acme, other(100 + n))).await;
        }
        let all = log(store, &page()).await;
        let mut paged = Vec::new();
        let mut before: Option<(i64, String)> = None;
        loop {
            let cursor = before.as_ref().map(|(at_ms, digest)| (*at_ms, digest.as_str()));
            let rows = log(store, &ReceivedPage { before: cursor, limit: 3, ..page() }).await;
            let Some(last) = rows.last() else { break };
            before = Some((last.received_at_ms, last.digest.clone()));
            paged.extend(rows);
        }
        assert_eq!(paged, all);
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by_key(|row| -row.received_at_ms));
        let count = async |filter: ReceivedPage<'_>| log(store, &filter).await.len();
        let only_acme = AppScope::Only([acme].into());
        assert_eq!(count(ReceivedPage { apps: only_acme, ..page() }).await, 5);
        assert_eq!(count(ReceivedPage { event: Some("meeting.rtms_started"), ..page() }).await, 5);
        let outcome = Some(WebhookOutcome::Nothing);
        assert_eq!(count(ReceivedPage { outcome, ..page() }).await, 5);
        let reason = Some(WebhookReason::StreamStarted);
        assert_eq!(count(ReceivedPage { reason, ..page() }).await, 5);
        let session = Some(read(store, "Stream%3").await.session_id);
        assert_eq!(count(ReceivedPage { session, ..page() }).await, 1);
        let (from_ms, until_ms) = (Some(101), Some(103));
        assert_eq!(count(ReceivedPage { from_ms, until_ms, ..page() }).await, 4);
        for (text, found) in
            [("stream%3", 1), ("RTMS_STARTED", 5), ("m2", 1), ("%", 5), ("_3", 0), ("'; --", 0)]
        {
            assert_eq!(count(ReceivedPage { text: Some(text), ..page() }).await, found, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_webhook_is_processed_once() {
    on_both(async |test| {
        let (store, start) = (&test.store, started("s", 5, URL));
        refuse(test, &start).await;
        let before = (WebhookOutcome::Refused, WebhookReason::OutOfWindow, true);
        assert_eq!(seen(store, &start).await, before);
        assert!(store.stream(&stream_id("s")).await.unwrap().is_none());
        let body = store.received_body(&start.digest).await.unwrap();
        assert_eq!(body.as_deref(), Some(start.body.as_str()));
        let again = Delivery { received_at_ms: 700, ..start.clone() };
        assert_eq!(process(store, &again).await, Some(changed("s")));
        let after = (WebhookOutcome::Changed, WebhookReason::StreamStarted, true);
        assert_eq!(seen(store, &start).await, after);
        let row = store.received(&start.digest).await.unwrap().unwrap();
        assert_eq!((row.received_at_ms, row.processed_at_ms), (5, Some(700)));
        let stream = read(store, "s").await;
        assert_eq!(process(store, &again).await, None);
        assert_eq!(read(store, "s").await, stream);
        let acts = audit::trail(store, 10).await;
        assert_eq!(acts.iter().filter(|row| row.action == "test.act").count(), 1);
        // Zoom's copy finds it done.
        assert_eq!(record(store, start).await, Recorded::Repeat);
    })
    .await;
}

#[tokio::test]
async fn two_that_process_a_webhook_at_the_same_time_give_it_one_effect() {
    on_both(async |test| {
        let (store, start) = (&test.store, started("s", 5, URL));
        refuse(test, &start).await;
        let (one, other) = tokio::join!(process(store, &start), process(store, &start));
        let done: Vec<_> = [one, other].into_iter().flatten().collect();
        assert_eq!(done, [changed("s")]);
        assert_eq!(read(store, "s").await.generation, 1);
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_a_refused_webhook_has_its_effect() {
    on_both(async |test| {
        let (store, start) = (&test.store, started("s", 5, URL));
        refuse(test, &start).await;
        assert_eq!(record(store, start.clone()).await, changed("s"));
        assert_eq!(process(store, &start).await, None);
        // A refused copy of a webhook that had its effect changes nothing.
        let before = log(store, &page()).await;
        refuse(test, &start).await;
        assert_eq!(log(store, &page()).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_refused_webhook_keeps_its_body_only_where_a_deletion_finds_it() {
    on_both(async |test| {
        let (store, acme) = (&test.store, AppName::parse("acme").unwrap());
        announce(store, "live").await;
        let mut nameless = started("nameless", 5, URL);
        if let WebhookEffect::Started(started) = &mut nameless.announcement {
            started.operator_id = None;
        }
        let cases = [
            (started("named", 5, URL), true),
            (nameless, false),
            (stopped("live", 6, None), true),
            (stopped("unknown", 6, None), false),
            (signed_by(&acme, stopped("live", 7, None)), false),
            (meeting_changed(8, MeetingChange::Started), true),
            (deauthorized(9), false),
            (other(10), false),
        ];
        for (delivery, keeps_body) in &cases {
            refuse(test, delivery).await;
            let (_, _, has_body) = seen(store, delivery).await;
            assert_eq!(has_body, *keeps_body, "{}", delivery.body);
        }
        let foreign = store.received(&cases[4].0.digest).await.unwrap().unwrap();
        assert_eq!(foreign.stream_id, None);
    })
    .await;
}

#[tokio::test]
async fn the_deletion_of_a_user_empties_the_refused_webhooks_that_name_the_user() {
    on_both(async |test| {
        let store = &test.store;
        let (own, others) = (started_by("u1", "own", 5), started_by("u2", "others", 5));
        for delivery in [&own, &others] {
            refuse(test, delivery).await;
        }
        record(store, deauthorized(6)).await;
        while store.delete_some(100_000).await.unwrap() {}
        assert_eq!(store.received_body(&own.digest).await.unwrap(), None);
        assert!(store.received_body(&others.digest).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_consent_empties_the_refused_start_of_its_stream() {
    on_both(async |test| {
        let (store, start) = (&test.store, started("s", 5, URL));
        refuse(test, &start).await;
        record(store, stopped("s", 6, Some(8))).await;
        assert_eq!(store.received_body(&start.digest).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_last_webhook_and_the_last_validation_of_each_app_are_known() {
    on_both(async |test| {
        let (store, acme) = (&test.store, AppName::parse("acme").unwrap());
        for at_ms in [3, 9, 5] {
            record(store, other(at_ms)).await;
        }
        record(store, signed_by(&acme, other(7))).await;
        let last = store.last_received().await.unwrap();
        assert_eq!(last, [(acme.clone(), 7), (AppName::default(), 9)].into());
        let validation = |at_ms, secret: &str| Validation { at_ms, secret: secret.into() };
        for (at_ms, secret) in [(5, "old"), (9, "new"), (7, "late")] {
            store.note_validation(&acme, &validation(at_ms, secret)).await.unwrap();
        }
        let validations = store.validations().await.unwrap();
        assert_eq!(validations, [(acme, validation(9, "new"))].into());
    })
    .await;
}

//! Outgoing webhooks, over real sockets, at receivers that fail as receivers do.

mod api;
mod daemon;
mod kit;
mod receiver;
mod verifier;

use rtmsd::clock;
use rtmsd::model::{
    AppName, AppScope, EndpointStatus, Entry, EntryBody, EventKind, Outcome, OutgoingEvent,
    Product, Speaker, StopReason, TranscriptLine, UserId,
};
use rtmsd::sinks::webhooks::EndpointError;
use rtmsd::store::{DeliveryStatus, EndpointChange, Relayed};
use tokio::net::TcpListener;

use self::kit::{DAY_MS, HOUR_MS, Kit, asked, by_now, clock, let_pass};
use self::receiver::{Receiver, Reply};
use self::verifier::verify;
use crate::store::webhooks::{announce, stream_id, unclaimed};
use crate::support::kit::eventually;
use crate::support::raw::Raw;
use crate::support::stores::on_both;

#[tokio::test]
async fn another_languages_library_verifies_them_with_either_secret_of_a_rotation() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let (id, old) = kit.endpoint_with_secret(&receiver.url()).await;
    kit.tell("ümlaut \u{1f600}").await;
    receiver.has(1).await;
    let (endpoint, new) = kit.hooks.rotate_secret(id, &by_now()).await.unwrap();
    assert!(endpoint.previous_until_ms.unwrap() > now_ms() + 23 * HOUR_MS);
    kit.tell("during the rotation").await;
    let letters = receiver.has(2).await;
    let mut changed = letters[1].to_verify(&new);
    changed["body"] = changed["body"].as_str().unwrap().replace("during", "after").into();
    let verdicts = verify(&[
        letters[0].to_verify(&old),
        letters[0].to_verify(&new),
        letters[1].to_verify(&old),
        letters[1].to_verify(&new),
        changed,
    ]);
    let good = "recording.ready";
    assert_eq!(verdicts, [good, "refused", good, good, "refused"]);
    assert_eq!(letters[1].header("webhook-signature").split(' ').count(), 2);
    move_ahead(DAY_MS);
    kit.tell("after the rotation").await;
    let letters = receiver.has(3).await;
    assert_eq!(letters[2].header("webhook-signature").split(' ').count(), 1);
    assert_eq!(letters[2].header("content-type"), "application/json");
}

#[tokio::test]
async fn a_failed_delivery_comes_again_with_the_same_id_and_body_until_it_is_taken() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let id = kit.endpoint_at(&receiver).await;
    receiver.reply(500);
    receiver.reply(404);
    let event = kit.tell("a").await;
    let first = kit.tried(id, &event.id, 1).await;
    assert_eq!((first.status, first.last_status), (DeliveryStatus::Waiting, Some(500)));
    assert_eq!(first.last_answer.as_deref(), Some("thanks"));
    let wait_ms = first.due_at_ms.unwrap() - first.last_at_ms.unwrap();
    assert!((5_000..=6_000).contains(&wait_ms), "{wait_ms}");
    assert!(kit.hooks.endpoint(id).await.unwrap().failing_since_ms.is_some());
    kit.let_pass(6_000, move_ahead).await;
    let second = kit.tried(id, &event.id, 2).await;
    let wait_ms = second.due_at_ms.unwrap() - second.last_at_ms.unwrap();
    assert!((300_000..=360_000).contains(&wait_ms), "{wait_ms}");
    kit.let_pass(360_000, move_ahead).await;
    let third = kit.delivered(id, &event.id).await;
    assert_eq!((third.attempts, third.due_at_ms), (3, None));
    let letters = receiver.has(3).await;
    assert!(letters.iter().all(|letter| letter.id() == event.id));
    assert!(letters.iter().all(|letter| letter.body == letters[0].body));
    let times: Vec<i64> =
        letters.iter().map(|it| it.header("webhook-timestamp").parse().unwrap()).collect();
    assert!(times[0] < times[1] && times[1] < times[2], "each attempt is signed anew");
    assert_eq!(kit.hooks.endpoint(id).await.unwrap().failing_since_ms, None);
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let id = kit.endpoint_at(&receiver).await;
    let header = Some(("retry-after", "7200".to_owned()));
    receiver.reply_with(Reply { status: 503, header, ..Reply::default() });
    let event = kit.tell("a").await;
    let tried = kit.tried(id, &event.id, 1).await;
    let wait_ms = tried.due_at_ms.unwrap() - tried.last_at_ms.unwrap();
    assert!((7_200_000 - 1_000..=7_200_000).contains(&wait_ms), "{wait_ms}");
    kit.let_pass(2 * HOUR_MS, move_ahead).await;
    kit.delivered(id, &event.id).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_at_once_and_what_waits_is_kept() {
    clock!(now_ms, move_ahead);
    let (kit, receiver, other) =
        (Kit::start(now_ms).await, Receiver::start().await, Receiver::start().await);
    let (id, witness) = (kit.endpoint_at(&receiver).await, kit.endpoint_at(&other).await);
    receiver.reply(500);
    let kept = kit.tell("kept").await;
    kit.tried(id, &kept.id, 1).await;
    receiver.reply(410);
    let event = kit.tell("a").await;
    let last = kit.delivery(id, &event.id, |it| it.status == DeliveryStatus::Failed).await;
    assert_eq!((last.last_status, last.due_at_ms), (Some(410), None));
    other.has(3).await;
    eventually("the others are told", async || {
        other.kinds().contains(&"endpoint.disabled".to_owned()).then_some(())
    })
    .await;
    let told = other.got().into_iter().find(|it| it.kind() == "endpoint.disabled").unwrap().json();
    assert_eq!(told["data"]["endpoint_id"], id.to_string());
    assert_eq!(told["data"]["reason"], "gone");
    assert_eq!(kit.hooks.endpoint(id).await.unwrap().status, EndpointStatus::Gone);
    // Nothing goes there any more, not even what was due.
    kit.let_pass(HOUR_MS, move_ahead).await;
    let unseen = kit.tell("unseen").await;
    kit.delivered(witness, &unseen.id).await;
    assert_eq!(receiver.got().len(), 2);
    assert!(matches!(kit.hooks.test(id, &by_now()).await, Err(EndpointError::SwitchedOff)));
    let change = EndpointChange { is_enabled: Some(true), ..Default::default() };
    kit.hooks.change(id, change, &by_now()).await.unwrap();
    kit.delivered(id, &kept.id).await;
    assert_eq!(receiver.got().len(), 3, "what was told while it was off is not for it");
}

#[tokio::test]
async fn a_receiver_that_fails_for_three_days_is_switched_off_and_the_others_are_told() {
    clock!(now_ms, move_ahead);
    let (kit, other) = (Kit::start(now_ms).await, Receiver::start().await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let id = kit.endpoint(&format!("http://{address}/")).await;
    let witness = kit.endpoint_at(&other).await;
    let fails_for_its_time = async |event: &OutgoingEvent| {
        for attempts in 1..=8 {
            let is_off = kit.hooks.endpoint(id).await.unwrap().status != EndpointStatus::Enabled;
            assert!(!is_off, "before attempt {attempts} of {}", event.id);
            let tried = kit.tried(id, &event.id, attempts).await;
            assert_eq!(tried.last_error.as_deref(), Some("no_connection"));
            let is_last = tried.status == DeliveryStatus::Failed;
            assert_eq!(is_last, attempts == 8);
            let wait_ms = tried.due_at_ms.map_or(0, |due_at_ms| due_at_ms - clock::now_ms());
            kit.let_pass(wait_ms.max(0), move_ahead).await;
        }
    };
    fails_for_its_time(&kit.tell("first").await).await;
    assert_eq!(kit.hooks.endpoint(id).await.unwrap().status, EndpointStatus::Enabled);
    kit.let_pass(2 * DAY_MS, move_ahead).await;
    fails_for_its_time(&kit.tell("another").await).await;
    eventually("it is switched off", async || {
        let status = kit.hooks.endpoint(id).await.unwrap().status;
        (status == EndpointStatus::Failing).then_some(())
    })
    .await;
    eventually("the others are told", async || {
        other.kinds().contains(&"endpoint.disabled".to_owned()).then_some(())
    })
    .await;
    assert_eq!(kit.hooks.endpoint(witness).await.unwrap().status, EndpointStatus::Enabled);
}

#[tokio::test]
async fn what_was_delivered_can_be_sent_again_under_the_same_id() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let id = kit.endpoint_at(&receiver).await;
    let event = kit.tell("a").await;
    kit.delivered(id, &event.id).await;
    kit.hooks.resend(id, &event.id, &AppScope::All, &by_now()).await.unwrap();
    let letters = receiver.has(2).await;
    assert_eq!((letters[0].id(), &letters[0].body), (letters[1].id(), &letters[1].body));
    let unknown = kit.hooks.resend(id, "evt_none", &AppScope::All, &by_now()).await;
    assert!(matches!(unknown, Err(EndpointError::UnknownDelivery)));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    clock!(now_ms, move_ahead);
    let (kit, receiver, other) =
        (Kit::start(now_ms).await, Receiver::start().await, Receiver::start().await);
    let id = kit.endpoint_at(&receiver).await;
    let header = Some(("location", other.url()));
    receiver.reply_with(Reply { status: 307, header, ..Reply::default() });
    let event = kit.tell("a").await;
    let tried = kit.tried(id, &event.id, 1).await;
    assert_eq!((tried.status, tried.last_status), (DeliveryStatus::Waiting, Some(307)));
    assert_eq!(other.got().len(), 0);
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    clock!(now_ms, move_ahead);
    // Listed for the first, so that what comes there is known to have come by its name.
    let kit = Kit::allowing("127.0.0.2", now_ms).await;
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    for url in [format!("http://localhost:{port}/"), format!("https://127.0.0.1:{port}/")] {
        let refused = kit.hooks.create(asked(&url), &by_now()).await;
        assert!(matches!(refused, Err(EndpointError::Url(_))), "{url}");
    }
    let id = kit.endpoint(&format!("https://localhost:{port}/")).await;
    let event = kit.tell("a").await;
    let tried = kit.tried(id, &event.id, 1).await;
    assert_eq!(tried.last_error.as_deref(), Some("address_refused"));
    let nobody_came = tokio::time::timeout(std::time::Duration::ZERO, inside.accept()).await;
    assert!(nobody_came.is_err());
}

#[tokio::test]
async fn a_name_that_is_listed_may_lead_inside() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::allowing("localhost", now_ms).await, Receiver::start().await);
    let url = receiver.url().replace("127.0.0.1", "localhost");
    let id = kit.endpoint(&url).await;
    let event = kit.tell("a").await;
    kit.delivered(id, &event.id).await;
}

#[tokio::test]
async fn a_slow_receiver_gets_a_few_requests_at_a_time_and_holds_up_nobody() {
    clock!(now_ms, move_ahead);
    let (kit, slow, quick) =
        (Kit::start(now_ms).await, Receiver::start().await, Receiver::start().await);
    for _ in 0..4 {
        slow.reply_with(Reply { status: 200, header: None, is_held: true });
    }
    let (slow_id, quick_id) = (kit.endpoint_at(&slow).await, kit.endpoint_at(&quick).await);
    let mut events = Vec::new();
    for n in 0..20 {
        events.push(kit.tell(&n.to_string()).await);
    }
    quick.has(20).await;
    for event in &events {
        kit.delivered(quick_id, &event.id).await;
    }
    assert_eq!(slow.has(4).await.len(), slow.got().len(), "no more than four at a time");
    slow.release();
    for event in &events {
        kit.delivered(slow_id, &event.id).await;
    }
    assert_eq!((slow.got().len(), quick.got().len()), (20, 20));
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_read_holds_up_no_other() {
    clock!(now_ms, move_ahead);
    on_both(async |test| {
        let (first, last) = (Receiver::start().await, Receiver::start().await);
        let mut kit = Kit::on(test.store.clone(), "127.0.0.1", now_ms);
        kit.endpoint_at(&first).await;
        kit.tell("for the first only").await;
        kit.endpoint_at(&last).await;
        let mut raw = Raw::connect(&test.database).await;
        raw.execute(
            "UPDATE webhook_endpoints SET source = 'odd'
              WHERE id = (SELECT MIN(id) FROM webhook_endpoints)",
        )
        .await;
        kit.tell("for both").await;
        kit.work();
        last.has(1).await;
        assert_eq!(first.got().len(), 0);
        raw.execute("UPDATE webhook_endpoints SET source = 'api'").await;
        first.has(2).await;
        kit.rest().await;
    })
    .await;
}

#[tokio::test]
async fn two_daemons_on_one_store_send_each_event_once() {
    clock!(now_ms, move_ahead);
    on_both(async |test| {
        let receiver = Receiver::start().await;
        let mut first = Kit::on(test.store.clone(), "127.0.0.1", now_ms);
        let mut second = Kit::on(test.store.clone(), "127.0.0.1", now_ms);
        first.work();
        second.work();
        let id = first.endpoint_at(&receiver).await;
        let mut events = Vec::new();
        for n in 0..40 {
            let teller = if n % 2 == 0 { &first } else { &second };
            events.push(teller.tell(&n.to_string()).await);
        }
        for event in &events {
            first.delivered(id, &event.id).await;
        }
        assert_eq!(receiver.got().len(), 40);
        first.rest().await;
        second.rest().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_daemon_had_sent_comes_again_under_the_same_id_from_another() {
    clock!(now_ms, move_ahead);
    on_both(async |test| {
        let receiver = Receiver::start().await;
        let mut first = Kit::on(test.store.clone(), "127.0.0.1", now_ms);
        first.work();
        let id = first.endpoint_at(&receiver).await;
        receiver.reply_with(Reply { status: 200, header: None, is_held: true });
        let event = first.tell("a").await;
        receiver.has(1).await;
        first.die().await;
        let mut second = Kit::on(test.store.clone(), "127.0.0.1", now_ms);
        second.work();
        let_pass(test, 2 * 60 * 1000).await;
        second.delivered(id, &event.id).await;
        let letters = receiver.has(2).await;
        assert_eq!((letters[0].id(), &letters[0].body), (letters[1].id(), &letters[1].body));
        second.rest().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_no_slow_receiver_and_the_next_start_goes_on() {
    clock!(now_ms, move_ahead);
    let (mut kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let id = kit.endpoint_at(&receiver).await;
    receiver.reply_with(Reply { status: 200, header: None, is_held: true });
    let event = kit.tell("a").await;
    receiver.has(1).await;
    kit.rest().await;
    assert_eq!(kit.log(id).await[0].attempts, 0, "broken off");
    kit.tell("while nobody sends").await;
    kit.work();
    kit.delivered(id, &event.id).await;
    let letters = receiver.has(3).await;
    assert_eq!(letters.iter().filter(|letter| letter.id() == event.id).count(), 2);
}

#[tokio::test]
async fn an_entry_that_was_deleted_before_it_was_sent_is_withdrawn() {
    clock!(now_ms, move_ahead);
    let (kit, receiver) = (Kit::start(now_ms).await, Receiver::start().await);
    let session_id = announce(&kit.store, "s1").await;
    let id = kit.endpoint_at(&receiver).await;
    let line = TranscriptLine {
        speaker: Speaker::participant(UserId(7), None),
        text: "something private".into(),
        start_ms: 1,
        end_ms: 2,
        language: None,
        attribute: None,
    };
    let (stream, body) = (stream_id("s1"), EntryBody::Transcript(line));
    let stream_id = stream.clone();
    let entry = Entry { session_id, stream_id, stream_ordinal: 1, seq: 1, at_ms: 5, body };
    kit.store.write_entries(&unclaimed(std::slice::from_ref(&entry))).await.unwrap();
    receiver.reply(500);
    let (app, product, account_id) = (AppName::default(), Product::Meeting, None);
    let relayed = Relayed { entry, app, product, account_id };
    kit.hooks.emit_entries(&[relayed.clone(), relayed]).await.unwrap();
    let told = receiver.has(1).await.remove(0);
    assert_eq!(told.json()["data"]["text"], "something private");
    kit.tried(id, told.id(), 1).await;
    kit.store
        .finish_stream(&stream, 0, 1, Outcome::Stopped, Some(StopReason(8)), 20)
        .await
        .unwrap();
    kit.let_pass(6_000, move_ahead).await;
    let is_withdrawn = |it: &rtmsd::store::LoggedDelivery| it.status == DeliveryStatus::Withdrawn;
    kit.delivery(id, told.id(), is_withdrawn).await;
    let lines = kit.log(id).await.into_iter().filter(|it| it.kind == EventKind::TranscriptLine);
    assert_eq!(lines.count(), 1);
    assert_eq!(receiver.kinds().iter().filter(|kind| *kind == "transcript.line").count(), 1);
}

//! Which connections keep their slots, and which requests are admitted.

use std::net::Ipv4Addr;

use http_body_util::{Empty, Full};

use super::*;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// A connection that has been open for a while.
fn enter(connections: &Arc<Connections>, last: u8) -> Option<Slot> {
    let slot = connections.try_enter(address(last))?;
    connections.settle(slot.id);
    Some(slot)
}

fn with_slots(slots: usize, max_requests: usize) -> Arc<Connections> {
    Connections::with_slots(slots, max_requests, STALL_LIMIT, Duration::ZERO)
}

fn is_lost(slot: &Slot) -> bool {
    slot.close.is_cancelled()
}

#[test]
fn a_new_connection_takes_the_place_of_the_one_that_is_silent_longest() {
    let connections = with_slots(2, 2);
    let (first, second) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
    let _third = enter(&connections, 1).unwrap();
    assert!(is_lost(&first) && !is_lost(&second));
}

#[test]
fn a_connection_with_a_complete_request_keeps_its_place() {
    let connections = with_slots(2, 2);
    let (busy, silent) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
    let request = busy.request(&Empty::<Bytes>::new());
    let other = enter(&connections, 1).unwrap();
    assert!(is_lost(&silent) && !is_lost(&busy));
    let _both_busy = other.request(&Empty::<Bytes>::new());
    assert!(enter(&connections, 1).is_none());
    drop(request);
    assert!(enter(&connections, 1).is_some());
    assert!(is_lost(&busy), "it is silent again after its answer");
}

#[test]
fn half_a_request_loses_its_place_after_the_silent_ones() {
    let connections = with_slots(2, 2);
    let (half, silent) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
    let request = half.request(&Full::<Bytes>::from("half"));
    let third = enter(&connections, 1).unwrap();
    assert!(is_lost(&silent) && !is_lost(&half));
    let _busy = third.request(&Empty::<Bytes>::new());
    assert!(enter(&connections, 1).is_some());
    assert!(is_lost(&half));
    drop(request);
}

#[tokio::test]
async fn a_request_is_complete_when_its_body_has_ended() {
    let connections = with_slots(1, 1);
    let slot = enter(&connections, 1).unwrap();
    let request = slot.request(&Full::<Bytes>::from("whole"));
    let body = request.receive(Full::<Bytes>::from("whole"));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
    assert!(enter(&connections, 1).is_none());
    let answer = request.answer(Body::from("answer"));
    assert!(enter(&connections, 1).is_none());
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "answer");
    assert!(enter(&connections, 1).is_some());
}

#[test]
fn the_address_with_the_most_connections_loses_one_first() {
    let connections = with_slots(3, 3);
    let (lone, crowd) = (enter(&connections, 1).unwrap(), enter(&connections, 2).unwrap());
    let _crowd = enter(&connections, 2).unwrap();
    let _new = enter(&connections, 3).unwrap();
    assert!(is_lost(&crowd) && !is_lost(&lone));
}

#[tokio::test]
async fn while_all_are_busy_a_new_connection_waits_for_one_to_end() {
    let connections = with_slots(1, 1);
    let busy = connections.enter(address(1)).await;
    let request = busy.request(&Empty::<Bytes>::new());
    let mut waiting = Box::pin(connections.enter(address(1)));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(request);
    waiting.await;
}

#[test]
fn requests_beyond_the_limit_are_known_while_they_last() {
    let connections = with_slots(3, 1);
    let (first, second) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
    let within = first.request(&Empty::<Bytes>::new());
    assert_eq!(within.overload(), None);
    let beyond = second.request(&Empty::<Bytes>::new());
    assert_eq!(beyond.overload(), Some(Overload));
    drop((beyond, first, within));
    assert_eq!(second.request(&Empty::<Bytes>::new()).overload(), None);
}

#[test]
fn an_answer_ends_its_connection_while_many_are_idle() {
    let connections = Connections::new(1_000);
    let ask = |slot: &Slot| drop(slot.request(&Empty::<Bytes>::new()));
    let slot = enter(&connections, 1).unwrap();
    let is_last = || slot.request(&Empty::<Bytes>::new()).is_last();
    let mut others: Vec<_> = (0..MAX_IDLE).map(|_| enter(&connections, 1).unwrap()).collect();
    assert!(!is_last(), "they have had no request");
    others.iter().skip(1).for_each(ask);
    assert!(!is_last());
    let request = others[0].request(&Empty::<Bytes>::new());
    assert!(!is_last(), "one of them has a request");
    drop(request);
    assert!(is_last(), "it is idle after its answer");
    others.pop();
    assert!(!is_last(), "one is closed");
    // Closed for a new connection: its slot, which is dropped later, is not subtracted twice.
    connections.lock().close(others[0].id);
    others.remove(0);
    drop(slot);
    assert_eq!(connections.lock().idle, others.len());
}

#[test]
fn webhooks_and_health_checks_have_slots_beyond_the_limit() {
    let connections = Connections::new(2);
    let busy: Vec<_> = (0..2 + RESERVED_SLOTS)
        .map(|_| {
            let slot = enter(&connections, 1).unwrap();
            (slot.request(&Empty::<Bytes>::new()), slot)
        })
        .collect();
    let beyond = busy.iter().filter(|(request, _)| request.overload().is_some()).count();
    assert_eq!(beyond, RESERVED_SLOTS);
    assert!(enter(&connections, 1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_keeps_its_slot_until_its_request_could_be_read() {
    let connections = with_slots(1, 1);
    let new = connections.try_enter(address(1)).unwrap();
    assert!(connections.try_enter(address(1)).is_none());
    new.settle().await;
    assert!(connections.try_enter(address(1)).is_some());
    assert!(is_lost(&new));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_a_connection_keeps_its_slot_for_a_moment() {
    let connections = Connections::with_slots(1, 1, STALL_LIMIT, SLOT_GRACE);
    let idle = enter(&connections, 1).unwrap();
    drop(idle.request(&Empty::<Bytes>::new()));
    assert!(connections.try_enter(address(1)).is_none(), "its next request may be under way");
    sleep(SLOT_GRACE).await;
    assert!(connections.try_enter(address(1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn half_a_request_keeps_its_slot_for_a_moment() {
    let connections = Connections::with_slots(1, 1, STALL_LIMIT, SLOT_GRACE);
    let half = connections.try_enter(address(1)).unwrap();
    sleep(SLOT_GRACE / 2).await;
    let _request = half.request(&Full::<Bytes>::from("half"));
    assert!(connections.try_enter(address(1)).is_none(), "the rest may have come");
    // The moment began with the connection.
    sleep(SLOT_GRACE / 2).await;
    assert!(connections.try_enter(address(1)).is_some());
    assert!(is_lost(&half));
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_is_not_silent_after_a_while() {
    let connections = with_slots(1, 1);
    let busy = connections.try_enter(address(1)).unwrap();
    let _request = busy.request(&Empty::<Bytes>::new());
    busy.settle().await;
    assert!(connections.try_enter(address(1)).is_none());
}

#[test]
fn an_answer_ends_its_connection_when_slots_are_short() {
    let connections = with_slots(8, 8);
    let slots: Vec<_> = (0..5).map(|_| enter(&connections, 1).unwrap()).collect();
    assert!(!slots[0].request(&Empty::<Bytes>::new()).is_last());
    let sixth = enter(&connections, 1).unwrap();
    assert!(sixth.request(&Empty::<Bytes>::new()).is_last());
}

/// Two frames, the first of which is taken and left unread.
async fn stalled(slot: &Slot) -> Body {
    let frames = ["one", "two"].map(|text| Ok::<_, axum::Error>(Bytes::from(text)));
    let body = Body::from_stream(futures_util::stream::iter(frames));
    let mut body = slot.request(&Empty::<Bytes>::new()).answer(body);
    body.frame().await.unwrap().unwrap();
    body
}

#[tokio::test]
async fn a_stalled_answer_makes_room_for_a_request_and_one_that_waits_for_us_does_not() {
    let connections = Connections::with_slots(9, 2, Duration::from_millis(50), Duration::ZERO);
    let slot = || enter(&connections, 1).unwrap();
    let (stalls, waits, new) = (slot(), slot(), slot());
    let _unread = stalled(&stalls).await;
    let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
    let mut silent = waits.request(&Empty::<Bytes>::new()).answer(silent);
    assert!(futures_util::poll!(silent.frame()).is_pending());
    assert!(new.request(&Empty::<Bytes>::new()).overload().is_some(), "both are fresh");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(new.request(&Empty::<Bytes>::new()).overload(), None);
    assert!(is_lost(&stalls) && !is_lost(&waits));
}

#[tokio::test]
async fn a_request_on_a_connection_that_had_an_answer_before_is_not_stalled() {
    let connections = Connections::with_slots(9, 1, Duration::from_millis(20), Duration::ZERO);
    let (kept_alive, new) = (enter(&connections, 1).unwrap(), enter(&connections, 1).unwrap());
    drop(stalled(&kept_alive).await);
    tokio::time::sleep(Duration::from_millis(30)).await;
    let _handled = kept_alive.request(&Empty::<Bytes>::new());
    assert!(new.request(&Empty::<Bytes>::new()).overload().is_some());
    assert!(!is_lost(&kept_alive));
}

#[tokio::test]
async fn a_stalled_answer_makes_room_for_a_connection() {
    let connections = Connections::with_slots(1, 1, Duration::from_millis(50), Duration::ZERO);
    let stalls = enter(&connections, 1).unwrap();
    let _unread = stalled(&stalls).await;
    assert!(enter(&connections, 2).is_none());
    connections.enter(address(2)).await;
    assert!(is_lost(&stalls));
}

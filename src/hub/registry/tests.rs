//! Taps, sinks and their queues.

use bytes::Bytes;
use futures_util::FutureExt;
use uuid::Uuid;

use super::*;
use crate::hub::tap::Total;
use crate::hub::{FrameSource, stream_info};
use crate::metrics::Metrics;
use crate::model::{
    AppName, AppScope, Product, Speaker, SpeakerFilter, StreamStatus, Tally, UserId,
};

const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const PLENTY: usize = 1 << 20;

fn fanout(registry: &Registry, sinks: Vec<Arc<TapQueue>>) -> Fanout {
    let stream =
        Arc::new(StreamInfo { session_id: SESSION, first_packet_ms: Some(100), ..stream_info() });
    let figures = Figures::new(std::time::Instant::now(), StreamStatus::Live, Tally::default());
    registry.begin(Arc::new(RunningStream::new(stream, figures)), sinks)
}

fn drops() -> Drops {
    Drops { sink: "live", metrics: Metrics::default() }
}

fn frame(fanout: &Fanout, seq: u64, user_id: u64, payload: &[u8]) -> Frame {
    let source = FrameSource {
        stream: Arc::clone(&*fanout.running().stream()),
        speaker: Some(Arc::new(Person::of(Speaker::participant(UserId(user_id), None)))),
        active_speaker: None,
    };
    Frame {
        source: Arc::new(source),
        medium: Medium::Audio,
        seq,
        at_ms: 120,
        payload: Bytes::copy_from_slice(payload),
        encoded: None,
    }
}

fn wants(medium: Medium) -> Wants {
    Wants { media: MediaSet::from_iter([medium]), ..Wants::default() }
}

fn numbers(tap: &mut Tap) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(item) = tap.try_next() {
        if let Tapped::Frame(frame) = item {
            numbers.push(frame.seq);
        }
    }
    numbers
}

#[test]
fn a_stream_that_nobody_taps_wants_nothing() {
    let registry = Registry::default();
    let mut fanout = fanout(&registry, Vec::new());
    assert!(!fanout.wants(Medium::Audio).payload);
    let tap = registry.tap(Some(SESSION), wants(Medium::Audio), PLENTY, drops());
    assert!(fanout.wants(Medium::Audio).payload && !fanout.wants(Medium::Video).payload);
    drop(tap);
    assert!(!fanout.wants(Medium::Audio).payload);
}

#[test]
fn every_tap_gets_what_it_wants_and_only_that() {
    let registry = Registry::default();
    let mut fanout = fanout(&registry, Vec::new());
    let mut whole = registry.tap(None, wants(Medium::Audio), PLENTY, drops());
    let only_ana = SpeakerFilter { user_id: Some("7".into()), ..SpeakerFilter::default() };
    let mut ana = registry.tap(
        Some(SESSION),
        Wants { speakers: only_ana, ..wants(Medium::Audio) },
        PLENTY,
        drops(),
    );
    let mut elsewhere =
        registry.tap(Some(SessionId(Uuid::from_u128(2))), wants(Medium::Audio), PLENTY, drops());
    let product = Some(Product::Webinar);
    let mut webinars =
        registry.tap(None, Wants { product, ..wants(Medium::Audio) }, PLENTY, drops());
    let apps = AppScope::Only([AppName::parse("acme").unwrap()].into());
    let mut of_acme = registry.tap(None, Wants { apps, ..wants(Medium::Audio) }, PLENTY, drops());
    assert!(fanout.wants(Medium::Audio).payload);
    fanout.offer(frame(&fanout, 1, 7, b"a"));
    fanout.offer(frame(&fanout, 2, 8, b"b"));
    assert_eq!(numbers(&mut whole), [1, 2]);
    assert_eq!(numbers(&mut ana), [1]);
    for others in [&mut elsewhere, &mut webinars, &mut of_acme] {
        assert!(numbers(others).is_empty());
    }
}

#[test]
fn a_slow_tap_loses_the_oldest_and_is_told_how_many() {
    let (registry, drops) = (Registry::default(), drops());
    let mut fanout = fanout(&registry, Vec::new());
    let mut tap = registry.tap(Some(SESSION), wants(Medium::Audio), 3000, drops.clone());
    assert!(fanout.wants(Medium::Audio).payload);
    for seq in 1..=5 {
        assert!(fanout.offer(frame(&fanout, seq, 7, &[0; 1000])), "a live tap costs no sink");
    }
    let Some(Tapped::Dropped(Medium::Audio, 3)) = tap.try_next() else { panic!("three are gone") };
    assert_eq!(numbers(&mut tap), [4, 5]);
    drop(tap);
    assert_eq!(drops.metrics.frames_dropped.get(["live", "audio"]), 3);
}

#[test]
fn a_frame_is_whole_only_if_every_sink_that_wants_it_takes_it() {
    let registry = Registry::default();
    let queue = |medium| {
        let total = Arc::new(Total::new(PLENTY));
        Arc::new(TapQueue::of_sink(wants(medium), PLENTY, total, drops()))
    };
    let queues = [Medium::Audio, Medium::Audio, Medium::Video].map(queue);
    let mut taps = queues.clone().map(|queue| Tap::of_sink(queue, None));
    let fanout = fanout(&registry, queues.to_vec());
    assert!(fanout.offer(frame(&fanout, 1, 7, b"a")));
    for refusing in [0, 1] {
        taps[refusing].refuse(true);
        assert!(!fanout.offer(frame(&fanout, 2, 7, b"b")));
        taps[refusing].refuse(false);
    }
    assert_eq!(taps.each_mut().map(numbers), [vec![1, 2], vec![1, 2], vec![]]);
}

#[test]
fn take_all_empties_the_queue_and_frees_its_bytes() {
    let registry = Registry::default();
    let total = Arc::new(Total::new(PLENTY));
    let queue = TapQueue::of_sink(wants(Medium::Audio), 3000, Arc::clone(&total), drops());
    let queue = Arc::new(queue);
    let mut tap = Tap::of_sink(Arc::clone(&queue), None);
    let fanout = fanout(&registry, vec![queue]);
    for round in [1, 6] {
        (round..round + 5).for_each(|seq| {
            fanout.offer(frame(&fanout, seq, 7, &[0; 1000]));
        });
        let items = tap.take_all();
        let [Tapped::Dropped(Medium::Audio, 3), Tapped::Frame(one), Tapped::Frame(other)] =
            &items[..]
        else {
            panic!("{items:?}")
        };
        assert_eq!((one.seq, other.seq), (round + 3, round + 4));
        assert_eq!(total.bytes(), 0);
        assert!(tap.is_empty() && tap.take_all().is_empty());
    }
}

#[test]
fn frames_that_a_sink_drops_or_refuses_are_reported() {
    let (registry, drops) = (Registry::default(), drops());
    let queue = Arc::new(TapQueue::new(wants(Medium::Audio), 1500, drops.clone()));
    let mut tap = Tap::new(Arc::clone(&queue), None);
    let mut fanout = fanout(&registry, vec![queue]);
    assert!(fanout.wants(Medium::Audio).payload);
    assert!(fanout.offer(frame(&fanout, 1, 7, &[0; 1000])));
    assert!(fanout.offer(frame(&fanout, 2, 7, &[0; 1000])), "it made room by dropping the oldest");
    let dropped = LeftOut::of(&frame(&fanout, 1, 7, &[0; 1000]));
    assert_eq!(fanout.take_left_out().collect::<Vec<_>>(), [dropped], "the oldest was dropped");
    assert_eq!(fanout.take_left_out().count(), 0, "a drop is reported once");
    assert_eq!(numbers(&mut tap), [2]);
    tap.refuse(true);
    assert!(!fanout.offer(frame(&fanout, 3, 7, b"c")));
    tap.refuse(false);
    assert!(fanout.offer(frame(&fanout, 4, 7, b"d")));
    drop(tap);
    let unread = LeftOut::of(&frame(&fanout, 4, 7, b"d"));
    assert_eq!(
        fanout.take_left_out().collect::<Vec<_>>(),
        [unread],
        "an unread frame counts as dropped"
    );
    assert!(!fanout.offer(frame(&fanout, 5, 7, b"e")));
    let counted = drops.metrics.frames_dropped.get(["live", "audio"]);
    assert_eq!(counted, 3, "one dropped, one refused and one unread");
}

#[test]
fn a_sink_that_left_keeps_no_bytes_of_its_total() {
    let registry = Registry::default();
    let total = Arc::new(Total::new(PLENTY));
    let queue =
        Arc::new(TapQueue::of_sink(wants(Medium::Audio), PLENTY, Arc::clone(&total), drops()));
    let tap = Tap::new(Arc::clone(&queue), None);
    let mut fanout = fanout(&registry, vec![queue]);
    assert!(fanout.offer(frame(&fanout, 1, 7, &[0; 1000])));
    drop(tap);
    fanout.over(true);
    assert_eq!(total.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn gathering_ends_early_when_much_is_queued_or_an_item_that_is_no_frame() {
    const LONG: Duration = Duration::from_secs(60);
    let (registry, total) = (Registry::default(), Arc::new(Total::new(PLENTY)));
    let queue = Arc::new(TapQueue::of_sink(wants(Medium::Audio), PLENTY, total, drops()));
    let tap = Tap::of_sink(Arc::clone(&queue), None);
    let mut fanout = fanout(&registry, vec![queue]);
    fanout.wants(Medium::Audio);
    let gathered = async |tap: &Tap| {
        let began = Instant::now();
        tap.gather(LONG).await;
        began.elapsed()
    };
    fanout.offer(frame(&fanout, 1, 7, &[0; 640]));
    assert_eq!(gathered(&tap).await, LONG, "a short frame ends nothing");
    fanout.offer(frame(&fanout, 2, 7, &[0; 128 * 1024]));
    assert_eq!(gathered(&tap).await, Duration::ZERO);
    fanout.over(true);
    assert_eq!(gathered(&tap).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_its_sinks_up_to_a_limit() {
    let registry = Registry::default();
    let queue = Arc::new(TapQueue::new(wants(Medium::Audio), PLENTY, drops()));
    let mut tap = Tap::new(Arc::clone(&queue), None);
    let fanout = fanout(&registry, vec![queue]);
    let limit = Duration::from_secs(3);
    fanout.offer(frame(&fanout, 1, 7, b"a"));
    let began = Instant::now();
    let reads = async {
        while !matches!(tap.next().await, Tapped::Settle) {}
        tokio::time::sleep(Duration::from_secs(1)).await;
        tap.settled();
    };
    tokio::join!(fanout.settle(limit), reads);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert_eq!(fanout.take_left_out().count(), 0);
    fanout.offer(frame(&fanout, 2, 7, b"b"));
    fanout.settle(limit).await;
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    assert_eq!(fanout.take_left_out().count(), 1, "an unread frame counts as dropped");
    drop(tap);
    fanout.settle(limit).await;
    assert_eq!(began.elapsed(), Duration::from_secs(4), "a closed tap is not waited for");
}

// Paused, so that a reader that is not woken fails at once.
#[tokio::test(start_paused = true)]
async fn a_push_wakes_a_reader_whose_earlier_wait_was_cancelled() {
    let registry = Registry::default();
    let queue = Arc::new(TapQueue::new(wants(Medium::Audio), PLENTY, drops()));
    let mut tap = Tap::new(Arc::clone(&queue), None);
    let fanout = fanout(&registry, vec![queue]);
    assert!(tap.next().now_or_never().is_none());
    for seq in 1..=3 {
        let push = async { fanout.offer(frame(&fanout, seq, 7, b"a")) };
        // Biased: the reader waits first.
        let both = async { tokio::join!(biased; tap.next(), push) };
        let read = tokio::time::timeout(Duration::from_secs(1), both).await;
        let (item, _) = read.expect("the push wakes the reader");
        assert!(matches!(item, Tapped::Frame(frame) if frame.seq == seq));
    }
}

#[test]
fn the_end_is_told_once_to_taps_and_sinks() {
    let registry = Registry::default();
    let queue = Arc::new(TapQueue::new(wants(Medium::Audio), PLENTY, drops()));
    let mut sink = Tap::new(Arc::clone(&queue), None);
    let mut fanout = fanout(&registry, vec![queue]);
    let mut tap = registry.tap(Some(SESSION), wants(Medium::Audio), PLENTY, drops());
    assert_eq!(registry.running(SESSION).len(), 1);
    fanout.over(true);
    fanout.over(false);
    assert!(registry.running(SESSION).is_empty());
    for tap in [&mut sink, &mut tap] {
        let Some(Tapped::Over { is_final: true, .. }) = tap.try_next() else { panic!("no end") };
        assert!(tap.try_next().is_none());
    }
}

#[test]
fn all_queues_of_a_sink_share_one_bound() {
    let registry = Registry::default();
    let total = Arc::new(Total::new(2_000));
    let queue = || TapQueue::of_sink(wants(Medium::Audio), PLENTY, Arc::clone(&total), drops());
    let (first, second) = (Arc::new(queue()), Arc::new(queue()));
    let mut full = Tap::new(Arc::clone(&first), None);
    let mut other = Tap::new(Arc::clone(&second), None);
    let fanout = fanout(&registry, Vec::new());
    let frame = |seq| Tapped::Frame(frame(&fanout, seq, 7, &[0; 1000]));
    assert!(first.push(frame(1)));
    assert!(second.push(frame(2)));
    assert_eq!(second.take_left_out().frames(), 1, "no room next to the other queue's frames");
    assert!(numbers(&mut other).is_empty());
    assert_eq!(numbers(&mut full), [1]);
    assert!(second.push(frame(3)), "room again");
    drop(other);
    assert!(first.push(frame(4)), "a closed queue frees its room");
}

//! Connections of live consumers over an in-memory pipe with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtmsd::clock::now_ms;
use rtmsd::hub::Feed;
use rtmsd::model::MediaSet;
use rtmsd::sinks::live::{CloseReason, Connection, Live, Request, Source, websocket_config};
use rtmsd::store::Store;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, duplex, join, repeat};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, advance, pause};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::http::live::frame;
use crate::store::webhooks::{announce, read};
use crate::support::sinks::hub;
use crate::support::stores::TestStore;

const PING_EVERY: Duration = Duration::from_secs(20);
const PIPE_BYTES: usize = 64 * 1024;
/// More messages than can come before a due ping.
const MANY: usize = 100_000;

fn live(store: &Store) -> Live {
    Live {
        hub: hub(store),
        store: store.clone(),
        stop: CancellationToken::new(),
        buffer_bytes: 1024 * 1024,
        now_ms,
    }
}

/// The source of a consumer of all sessions.
fn open(live: &Live) -> Source {
    open_in_batches(live, 0)
}

fn open_in_batches(live: &Live, batch_ms: u32) -> Source {
    let asked = json!({"media": "audio", "format": "binary", "batch_ms": batch_ms});
    Source::open(live, Request::read(asked.as_object().unwrap(), None).unwrap())
}

/// Serves a consumer over a socket.
fn serve<S>(live: &Live, mut source: Source, socket: S) -> JoinHandle<CloseReason>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = live.stop.clone();
    tokio::spawn(async move {
        let config = Some(websocket_config());
        let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, config).await;
        Connection::new(&mut socket, &mut source).run(&stop).await
    })
}

/// Serves a consumer of all sessions. Returns its end of the pipe.
fn connect(live: &Live) -> (DuplexStream, JoinHandle<CloseReason>) {
    let (near, far) = duplex(PIPE_BYTES);
    (far, serve(live, open(live), near))
}

/// A running stream, and a consumer of all sessions that gets batches and has read its hello.
async fn connect_in_batches(live: &Live, batch_ms: u32) -> (Feed, DuplexStream) {
    let feed = feed(live).await;
    let (near, mut far) = duplex(PIPE_BYTES);
    serve(live, open_in_batches(live, batch_ms), near);
    assert_eq!(read_frame(&mut far).await.0, 0x81, "the hello");
    (feed, far)
}

/// The first byte and the payload of a short WebSocket frame. Unlike a WebSocket client, this answers nothing.
async fn read_frame(socket: &mut DuplexStream) -> (u8, Vec<u8>) {
    let (first, mut length) =
        (socket.read_u8().await.unwrap(), usize::from(socket.read_u8().await.unwrap()));
    if length == 126 {
        length = usize::from(socket.read_u16().await.unwrap());
    }
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

#[tokio::test]
async fn a_consumer_is_pinged_every_20_s_and_a_silent_one_is_disconnected_after_60_s() {
    let test = TestStore::sqlite().await;
    let (mut socket, serving) = connect(&live(&test.store));
    pause();
    let began = Instant::now();
    assert_eq!(read_frame(&mut socket).await.0, 0x81, "the hello");
    for seconds in [20, 40] {
        assert_eq!(read_frame(&mut socket).await, (0x89, Vec::new()), "a ping");
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    let (first, payload) = read_frame(&mut socket).await;
    assert_eq!((first, &payload[..2]), (0x88, &4009_u16.to_be_bytes()[..]), "the close");
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(serving.await.unwrap(), CloseReason::Silent);
}

#[tokio::test]
async fn a_batch_is_sent_together_and_over_follows_the_last_frame() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let (mut feed, mut socket) = connect_in_batches(&live, 500).await;
    pause();
    for _ in 0..3 {
        let began = Instant::now();
        for _ in 0..5 {
            frame(&mut feed, "audio", 7, &[1; 20]);
            // The batch begins before the clock moves.
            yield_now().await;
            advance(Duration::from_millis(20)).await;
        }
        for _ in 0..5 {
            assert_eq!(read_frame(&mut socket).await.0, 0x82, "a frame");
            // A timer is due at the end of its millisecond.
            assert!((500..=501).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        }
    }
    frame(&mut feed, "audio", 7, &[1; 20]);
    drop(feed);
    assert_eq!(read_frame(&mut socket).await.0, 0x82, "the last frame");
    let (_, over) = read_frame(&mut socket).await;
    assert!(String::from_utf8(over).unwrap().contains("over"));
}

#[tokio::test]
async fn a_batch_that_fills_the_buffer_is_sent_early_and_nothing_is_dropped() {
    let test = TestStore::sqlite().await;
    let live = Live { buffer_bytes: 64 * 1024, ..live(&test.store) };
    let (mut feed, mut socket) = connect_in_batches(&live, 1_000).await;
    pause();
    let began = Instant::now();
    let reading = tokio::spawn(async move {
        for _ in 0..900 {
            assert_eq!(read_frame(&mut socket).await.0, 0x82, "a frame, and none was dropped");
        }
    });
    for _ in 0..100 {
        // Ten are less than half of the buffer.
        (0..10).for_each(|_| frame(&mut feed, "audio", 7, &[1; 640]));
        yield_now().await;
    }
    reading.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "no batch was due by its time");
}

#[tokio::test]
async fn a_stop_sends_the_batch_that_is_not_due() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let (mut feed, mut socket) = connect_in_batches(&live, 1_000).await;
    for _ in 0..3 {
        frame(&mut feed, "audio", 7, &[1; 20]);
    }
    yield_now().await;
    live.stop.cancel();
    for _ in 0..3 {
        assert_eq!(read_frame(&mut socket).await.0, 0x82, "a frame");
    }
    assert_eq!(read_frame(&mut socket).await.0, 0x88, "the close");
}

type Client = WebSocketStream<DuplexStream>;

async fn read_until(client: &mut Client, is_expected: impl Fn(&Message) -> bool) {
    for _ in 0..MANY {
        match client.next().await {
            Some(Ok(message)) if is_expected(&message) => return,
            Some(Ok(Message::Binary(_) | Message::Text(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("only frames came");
}

/// Always has more frames queued than are sent at a time.
async fn flood(mut feed: Feed) {
    loop {
        (0..40).for_each(|_| frame(&mut feed, "audio", 7, &[1; 4_000]));
        yield_now().await;
    }
}

/// The feed of a running stream.
async fn feed(live: &Live) -> Feed {
    announce(&live.store, "s1").await;
    let stream = read(&live.store, "s1").await;
    Feed::new(Arc::clone(&live.hub), &stream, 0, MediaSet::default())
}

async fn client(socket: DuplexStream) -> Client {
    WebSocketStream::from_raw_socket(socket, Role::Client, None).await
}

/// Runs longer than the silence limit of 60 s; each read of the client answers the ping before it.
async fn read_pings_and_frames(client: &mut Client) {
    for _ in 0..5 {
        // A timer is due at the end of its millisecond.
        advance(PING_EVERY + Duration::from_millis(1)).await;
        read_until(client, Message::is_ping).await;
        read_until(client, Message::is_binary).await;
    }
}

#[tokio::test]
async fn a_flood_of_frames_holds_up_neither_pings_nor_pongs_nor_the_close_of_a_consumer() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let feed = feed(&live).await;
    let (socket, serving) = connect(&live);
    let mut client = client(socket).await;
    pause();
    let flooding = tokio::spawn(flood(feed));
    read_until(&mut client, Message::is_binary).await;
    read_pings_and_frames(&mut client).await;
    client.send(Message::Close(None)).await.unwrap();
    read_until(&mut client, Message::is_close).await;
    assert_eq!(serving.await.unwrap(), CloseReason::Left);
    flooding.abort();
}

#[tokio::test]
async fn a_flood_of_messages_by_the_client_holds_up_neither_frames_nor_pings() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let (feed, source) = (feed(&live).await, open(&live));
    let (near, far) = duplex(PIPE_BYTES);
    pause();
    let flooding = tokio::spawn(flood(feed));
    // Seven bytes 0x81 form one masked text frame: two of header, four of mask, one of payload.
    let messages = repeat(0x81).take(7 * MANY as u64);
    let serving = serve(&live, source, join(messages, near));
    let mut client = client(far).await;
    read_until(&mut client, Message::is_binary).await;
    read_pings_and_frames(&mut client).await;
    drop(client);
    assert_eq!(serving.await.unwrap(), CloseReason::Left);
    flooding.abort();
}

#[tokio::test]
async fn a_stop_closes_the_connection_of_a_consumer_during_a_flood_of_frames() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let feed = feed(&live).await;
    let (socket, serving) = connect(&live);
    let mut client = client(socket).await;
    let flooding = tokio::spawn(flood(feed));
    read_until(&mut client, Message::is_binary).await;
    live.stop.cancel();
    expect_stopped(client, serving).await;
    flooding.abort();
}

async fn expect_stopped(mut client: Client, serving: JoinHandle<CloseReason>) {
    read_until(&mut client, Message::is_close).await;
    // The client's answer to the close is sent with its next read.
    while client.next().await.is_some() {}
    assert_eq!(serving.await.unwrap(), CloseReason::Stopped);
}

#[tokio::test]
async fn a_stop_closes_the_connection_of_an_idle_consumer() {
    let test = TestStore::sqlite().await;
    let live = live(&test.store);
    let (socket, serving) = connect(&live);
    let mut client = client(socket).await;
    read_until(&mut client, Message::is_text).await;
    live.stop.cancel();
    expect_stopped(client, serving).await;
}

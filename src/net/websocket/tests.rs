//! A connection against a server that another library runs, and against one that misbehaves.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::future::poll_immediate;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message as Sent, protocol::CloseFrame};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::*;

const LIMITS: MessageLimits = MessageLimits { max_bytes: 1 << 20, head_bytes: 16 };
const LONG: Duration = Duration::from_secs(60);

type Socket = ClientSocket<DuplexStream>;

/// A connection, and its server.
async fn connect() -> (Socket, WebSocketStream<DuplexStream>) {
    let (client, server) = duplex(4096);
    let (upgraded, server) =
        tokio::join!(client_async("ws://localhost/", Upgrading::new(client)), accept_async(server));
    let (upgraded, _) = upgraded.unwrap();
    (ClientSocket::new(upgraded.into_inner(), LIMITS), server.unwrap())
}

/// A connection to a server that sends and reads bytes, after these were received behind the answer.
fn open(received: &[u8]) -> (Socket, DuplexStream) {
    let (client, server) = duplex(1024);
    (ClientSocket::after_bytes(client, received, LIMITS), server)
}

async fn next(socket: &mut Socket) -> Result<Message, End> {
    timeout(LONG, poll_fn(|cx| socket.poll_next(cx))).await.expect("something comes")
}

fn whole(text: &str) -> Result<Message, End> {
    Ok(Message::Whole(Bytes::copy_from_slice(text.as_bytes())))
}

#[tokio::test]
async fn messages_of_all_lengths_arrive_in_order() {
    let (mut socket, mut server) = connect().await;
    let texts: Vec<String> =
        [0, 1, 125, 126, 5_000, 16_384, 70_000, 3].map(|length| "x".repeat(length)).into();
    let sent = texts.clone();
    let sending = tokio::spawn(async move {
        for text in sent {
            server.send(Sent::text(text)).await.unwrap();
        }
        server
    });
    for text in &texts {
        assert_eq!(next(&mut socket).await, whole(text));
    }
    let _server = sending.await.unwrap();
    let is_idle = poll_immediate(poll_fn(|cx| socket.poll_next(cx))).await.is_none();
    assert!(is_idle && socket.events.capacity() == 0 && socket.unsent.capacity() == 0);
}

#[tokio::test]
async fn messages_that_come_together_are_returned_in_order() {
    let together = b"\x81\x011\x89\x00\x81\x012\x81\x013";
    let (mut socket, mut server) = open(together);
    server
        .write_all(b"\x81\x014\x81\x015\x89\x00\x81\x016\x88\x02\x03\xe8\x81\x017")
        .await
        .unwrap();
    for text in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(next(&mut socket).await, whole(text));
    }
    assert_eq!(next(&mut socket).await, Err(End::Closed(Some(1000))), "nothing follows a close");
}

#[tokio::test]
async fn what_is_sent_arrives_masked_and_whole() {
    let (mut socket, mut server) = connect().await;
    let texts = ["{}", &"ü".repeat(100), &"y".repeat(70_000)];
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        while let Some(Ok(Sent::Text(text))) = server.next().await {
            read.push(text.to_string());
            if read.len() == 3 {
                server.send(Sent::text("enough")).await.unwrap();
            }
        }
        read
    });
    assert_eq!(socket.send(texts[0]), Ok(()));
    assert_eq!(socket.send(texts[1]), Ok(()));
    assert_eq!(socket.send(texts[2]), Err(NotReading), "it is queued, and more than the bound");
    assert_eq!(next(&mut socket).await, whole("enough"));
    socket.close();
    assert_eq!(reading.await.unwrap(), texts, "and the server, which checks masks, saw a Close");
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let (mut socket, mut server) = connect().await;
    server.send(Sent::Ping(Bytes::from_static(b"are you there?"))).await.unwrap();
    server.send(Sent::text("{}")).await.unwrap();
    assert_eq!(next(&mut socket).await, whole("{}"));
    let answer = timeout(LONG, server.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(answer, Sent::Pong(Bytes::from_static(b"are you there?")));
}

#[tokio::test]
async fn a_close_ends_it_with_the_code_after_the_messages_before_it() {
    let (mut socket, mut server) = connect().await;
    server.send(Sent::text("last words")).await.unwrap();
    let close = CloseFrame { code: 4001.into(), reason: "because".into() };
    server.close(Some(close)).await.unwrap();
    assert_eq!(next(&mut socket).await, whole("last words"));
    assert_eq!(next(&mut socket).await, Err(End::Closed(Some(4001))));
}

#[tokio::test]
async fn what_came_behind_the_answer_is_read_first() {
    let (mut socket, mut server) = open(b"\x81\x05first\x81\x06sec");
    server.write_all(b"ond").await.unwrap();
    assert_eq!(next(&mut socket).await, whole("first"));
    assert_eq!(next(&mut socket).await, whole("second"));
}

#[tokio::test]
async fn messages_before_a_broken_frame_are_read() {
    let (mut socket, mut server) = open(b"");
    server.write_all(b"\x81\x04good\x83\x00\x81\x04lost").await.unwrap();
    assert_eq!(next(&mut socket).await, whole("good"));
    let why = "a WebSocket frame has an unknown opcode".to_owned();
    assert_eq!(next(&mut socket).await, Err(End::Failed(why)));
}

#[tokio::test]
async fn messages_before_the_end_of_the_stream_are_read_although_nothing_can_be_sent() {
    let (mut socket, mut server) = open(b"");
    server.write_all(b"\x81\x04last\x81\x10a part").await.unwrap();
    drop(server);
    socket.send("{}").unwrap();
    assert_eq!(next(&mut socket).await, whole("last"));
    assert_eq!(next(&mut socket).await, Err(End::Failed("end of stream".to_owned())));
}

#[tokio::test]
async fn a_peer_that_pings_and_never_reads_costs_no_more_memory_than_the_bound() {
    let (mut socket, mut server) = open(b"");
    let pings = [&[0x89, 125][..], &[b'p'; 125]].concat().repeat(100);
    let pinging = tokio::spawn(async move {
        for _ in 0..100 {
            server.write_all(&pings).await.unwrap();
        }
        server.write_all(b"\x81\x04done").await.unwrap();
        server
    });
    assert_eq!(next(&mut socket).await, whole("done"));
    assert!(socket.unsent.len() < MAX_UNSENT_BYTES + 200, "{}", socket.unsent.len());
    let mut server = pinging.await.unwrap();
    let mut answers = vec![0; 1000];
    server.read_exact(&mut answers).await.unwrap();
    assert_eq!(answers[..2], [0x8a, 0x80 | 125]);
}

#[tokio::test]
async fn what_the_peer_sends_after_our_side_has_ended_is_read_and_it_sees_no_close() {
    let (mut socket, mut server) = open(&[]);
    socket.end_sending();
    let mut received = Vec::new();
    timeout(LONG, server.read_to_end(&mut received)).await.unwrap().unwrap();
    assert_eq!(received, b"", "no Close frame");
    // An unmasked text of two bytes.
    server.write_all(b"\x81\x02{}").await.unwrap();
    assert_eq!(next(&mut socket).await, whole("{}"));
    drop(server);
    assert!(matches!(next(&mut socket).await, Err(End::Failed(_))));
}

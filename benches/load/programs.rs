//! Programs behind relays: what a relayed frame costs the daemon, beside a bare write of the same bytes.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use rtmsd::net::listen;
use rtmsd::simulator::StreamReport;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::Args;
use crate::process::{cpu_us, resident_kb};
use crate::receiver::{API_TOKEN, free_port};
use crate::round::{SETTLE, Window};

const PROGRAM_ID: &str = "programId";
const PROGRAM_SECRET: &str = "program-secret";
/// How often a stream has a frame.
const FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// The size of a relayed message with 640 bytes of sound.
const MESSAGE_BYTES: usize = 960;
/// The time in which the daemon sees a new relay for streams that run already.
const RELAY_POLL: Duration = Duration::from_millis(1_500);

/// What the programs cost and received.
pub(crate) struct Programs {
    pub(crate) count: u32,
    pub(crate) relayed_a_second: f64,
    /// The daemon's CPU above that of a window without programs.
    pub(crate) cpu_us_a_frame: f64,
    /// The CPU of a process that only writes the same bytes.
    pub(crate) bare_us_a_frame: f64,
    pub(crate) kb_a_program: f64,
}

pub(crate) async fn measure(
    args: &Args,
    streams: &[StreamReport],
    (port, pid): (u16, u32),
    without: &Window,
) -> Programs {
    let frames = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    let before_kb = resident_kb(pid);
    for number in 0..args.programs {
        let relay = create_relay(port, number).await;
        sleep(RELAY_POLL).await;
        for stream in streams {
            let program = join((port, &relay), stream).await;
            readers.spawn(read(program, Arc::clone(&frames)));
        }
    }
    sleep(SETTLE).await;
    let idle_us = without.cpu_us as f64 / without.length.as_secs_f64();
    let (count, cpu_us_a_frame) = window(args, pid, &frames, idle_us).await;
    let programs = args.programs * args.streams;
    let kb_a_program = (resident_kb(pid) - before_kb) as f64 / f64::from(programs);
    readers.shutdown().await;
    let relayed_a_second = count as f64 / f64::from(args.seconds);
    let bare_us_a_frame = bare(args).await;
    let count = args.programs;
    Programs { count, relayed_a_second, cpu_us_a_frame, bare_us_a_frame, kb_a_program }
}

/// How much was read, and the CPU of a process for each above what it needs in a second without readers.
async fn window(args: &Args, pid: u32, read: &AtomicU64, idle_us: f64) -> (u64, f64) {
    let (before, cpu_before, since) = (read.load(Ordering::Relaxed), cpu_us(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (after, cpu_after) = (read.load(Ordering::Relaxed), cpu_us(pid));
    let count = after - before;
    let extra_us = (cpu_after - cpu_before) as f64 - idle_us * since.elapsed().as_secs_f64();
    (count, extra_us / count as f64)
}

async fn create_relay(port: u16, number: u32) -> String {
    let body = json!({
        "name": format!("program {number}"), "webhook_url": "http://127.0.0.1:9/",
        "client_id": PROGRAM_ID, "client_secret": PROGRAM_SECRET, "secret_token": "bench",
        "media": ["audio"],
    });
    let url = format!("http://127.0.0.1:{port}/api/v1/relays");
    let request = reqwest::Client::new().post(url).bearer_auth(API_TOKEN).json(&body);
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let id = answer["data"]["relay"]["id"].as_str();
    id.unwrap_or_else(|| panic!("the relay is not made: {answer}")).to_owned()
}

type Socket = WebSocketStream<TcpStream>;

/// Joins as a program does. Returns both sockets, of which the second one has the frames.
async fn join((port, relay): (u16, &str), stream: &StreamReport) -> [Socket; 2] {
    let signed = format!("{PROGRAM_ID},{},{}", stream.instance_id, stream.stream_id);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(PROGRAM_SECRET.as_bytes()).expect("a key");
    mac.update(signed.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let first = |msg_type: u32| {
        json!({"msg_type": msg_type, "meeting_uuid": stream.instance_id, "media_type": 1,
               "rtms_stream_id": stream.stream_id, "signature": signature})
    };
    let path = format!("/relay/{relay}");
    let mut signaling = connect(port, &format!("{path}/signaling"), &first(1)).await;
    let media = connect(port, &format!("{path}/media/audio"), &first(3)).await;
    let ready = json!({"msg_type": 7, "rtms_stream_id": stream.stream_id});
    signaling.send(Message::text(ready.to_string())).await.expect("signaling is open");
    [signaling, media]
}

async fn connect(port: u16, path: &str, first: &Value) -> Socket {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the daemon listens");
    let url = format!("ws://127.0.0.1:{port}{path}");
    let (mut socket, _) = client_async(url, tcp).await.expect("a program is let in");
    socket.send(Message::text(first.to_string())).await.expect("the socket is open");
    let answer = socket.next().await.expect("an answer").expect("a message");
    let answer: Value = serde_json::from_slice(&answer.into_data()).expect("JSON");
    assert_eq!(answer["status_code"], 0, "{answer}");
    socket
}

/// Reads without end: answers keep-alives, and counts frames.
async fn read([mut signaling, mut media]: [Socket; 2], frames: Arc<AtomicU64>) {
    const SMALLEST_FRAME_BYTES: usize = 250;
    let keep_alive = async |socket: &mut Socket, message: &Message| {
        let Ok(text) = message.to_text() else { return };
        if message.len() < SMALLEST_FRAME_BYTES && text.contains("\"msg_type\":12") {
            let answer = text.replace("\"msg_type\":12", "\"msg_type\":13");
            let _ = socket.send(Message::text(answer)).await;
        }
    };
    loop {
        tokio::select! {
            Some(Ok(message)) = media.next() => {
                frames.fetch_add(u64::from(message.len() > SMALLEST_FRAME_BYTES), Ordering::Relaxed);
                keep_alive(&mut media, &message).await;
            }
            Some(Ok(message)) = signaling.next() => keep_alive(&mut signaling, &message).await,
            else => return,
        }
    }
}

/// What a frame costs this program in another process, where each socket's task is woken and writes it.
async fn bare(args: &Args) -> f64 {
    let port = free_port().await;
    let mut writer = start_writer(args, port);
    let pid = writer.id().expect("it runs");
    let bytes = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    sleep(SETTLE).await;
    for _ in 0..args.streams * args.programs {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("it listens");
        readers.spawn(count_bytes(tcp, Arc::clone(&bytes)));
    }
    sleep(SETTLE).await;
    let (_, cost_us) = window(args, pid, &bytes, 0.0).await;
    writer.kill().await.expect("it can be ended");
    cost_us * MESSAGE_BYTES as f64
}

fn start_writer(args: &Args, port: u16) -> Child {
    Command::new(std::env::current_exe().expect("a program has a path"))
        .args(["--bare-writer", &port.to_string()])
        .args(["--streams", &args.streams.to_string()])
        .args(["--programs", &args.programs.to_string()])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("this program starts again")
}

async fn count_bytes(mut tcp: TcpStream, bytes: Arc<AtomicU64>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = tcp.read(&mut buffer).await {
        bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// The other process: each stream's task wakes the tasks of its sockets every 20 ms, and each of them writes once.
pub(crate) async fn write_bare(args: &Args, port: u16) {
    let listener = listen((Ipv4Addr::LOCALHOST, port).into()).expect("the port is free");
    let mut tasks = JoinSet::new();
    for _ in 0..args.streams {
        let (frames, seen) = watch::channel(0_u64);
        for _ in 0..args.programs {
            let (mut tcp, _) = listener.accept().await.expect("a connection");
            tcp.set_nodelay(true).expect("a socket");
            let mut seen = seen.clone();
            tasks.spawn(async move {
                let message = vec![b'x'; MESSAGE_BYTES];
                while seen.changed().await.is_ok() {
                    if tcp.write_all(&message).await.is_err() {
                        return;
                    }
                }
            });
        }
        tasks.spawn(async move {
            let mut due = interval(FRAME_INTERVAL);
            loop {
                due.tick().await;
                frames.send_modify(|number| *number += 1);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

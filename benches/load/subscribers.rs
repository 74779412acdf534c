//! Live consumers of every stream's audio, which read in this process: what they cost the daemon, and how late they
//! get a frame.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::Args;
use crate::account::live_sessions;
use crate::process::cpu_us;
use crate::receiver::API_TOKEN;
use crate::round::{SETTLE, Window, now_us, quantile};

/// Every other message is shorter.
const SMALLEST_FRAME_BYTES: usize = 250;

/// What the consumers cost and saw.
pub(crate) struct Subscribers {
    pub(crate) count: usize,
    pub(crate) delivered_a_second: f64,
    /// The daemon's CPU above that of a window without consumers.
    pub(crate) cpu_us_a_frame: f64,
    /// From the creation of each frame in the simulator to its consumer, in order. Empty for formats but `binary`.
    latency_us: Vec<u64>,
}

impl Subscribers {
    pub(crate) fn latency_ms(&self, share: f64) -> Option<f64> {
        (!self.latency_us.is_empty()).then(|| quantile(&self.latency_us, share) as f64 / 1000.0)
    }
}

/// The frames that came while `is_counting`, and their latencies.
#[derive(Default)]
struct Arrivals {
    is_counting: AtomicBool,
    frames: AtomicUsize,
    latency_us: Mutex<Vec<u64>>,
}

pub(crate) async fn measure(args: &Args, port: u16, pid: u32, without: &Window) -> Subscribers {
    let arrivals = Arc::new(Arrivals::default());
    let mut readers = JoinSet::new();
    let watched = args.watched_streams.map_or(usize::MAX, |streams| streams as usize);
    for session in live_sessions(port).await.into_iter().take(watched) {
        for _ in 0..args.subscribers {
            let path = format!("/api/v1/sdk/sessions/{session}/live?media=audio&{}", query(args));
            readers.spawn(read(port, path, Arc::clone(&arrivals)));
        }
    }
    sleep(SETTLE).await;
    arrivals.is_counting.store(true, Ordering::Relaxed);
    let (cpu_before, since) = (cpu_us(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (cpu_after, length) = (cpu_us(pid), since.elapsed());
    arrivals.is_counting.store(false, Ordering::Relaxed);
    let frames = arrivals.frames.load(Ordering::Relaxed) as f64;
    let mut latency_us =
        std::mem::take(&mut *arrivals.latency_us.lock().unwrap_or_else(PoisonError::into_inner));
    latency_us.sort_unstable();
    let share = length.as_secs_f64() / without.length.as_secs_f64();
    let extra_us = (cpu_after - cpu_before) as f64 - without.cpu_us as f64 * share;
    Subscribers {
        count: readers.len(),
        delivered_a_second: frames / length.as_secs_f64(),
        cpu_us_a_frame: extra_us / frames,
        latency_us,
    }
}

fn query(args: &Args) -> String {
    match args.batch_ms {
        // An earlier build does not know batches.
        None => format!("format={}", args.format),
        Some(batch_ms) => format!("format={}&batch_ms={batch_ms}", args.format),
    }
}

/// Reads without end, and notes when frames come.
async fn read(port: u16, path: String, arrivals: Arc<Arrivals>) {
    let mut socket = open(port, &path).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.len() > SMALLEST_FRAME_BYTES && arrivals.is_counting.load(Ordering::Relaxed) {
            arrivals.frames.fetch_add(1, Ordering::Relaxed);
            if let Some(latency_us) = latency_us(&message) {
                arrivals.latency_us.lock().unwrap_or_else(PoisonError::into_inner).push(latency_us);
            }
        }
    }
}

/// The live socket at this path and query.
pub(crate) async fn open(port: u16, path: &str) -> WebSocketStream<TcpStream> {
    let url = format!("ws://127.0.0.1:{port}{path}");
    let mut request = url.into_client_request().expect("a URL");
    let token = format!("Bearer {API_TOKEN}").parse().expect("a header");
    request.headers_mut().insert("authorization", token);
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("the daemon listens");
    tokio_tungstenite::client_async(request, tcp).await.expect("a live consumer is let in").0
}

/// The time since the simulator created a frame, in microseconds. `None` if the message is not binary: a message has the
/// length of its head (two bytes, big-endian), the head, and the payload, which starts with the timestamp.
fn latency_us(message: &Message) -> Option<u64> {
    let Message::Binary(bytes) = message else { return None };
    let head_bytes = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let created_us = u64::from_le_bytes(*bytes.get(2 + head_bytes..)?.first_chunk()?);
    Some(now_us().saturating_sub(created_us))
}

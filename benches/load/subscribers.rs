//! Live consumers of every stream's audio, which read in this process: what they cost the daemon, and how late they
//! get a frame.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
use crate::round::{SETTLE, Window, quantile};

/// Every other message is shorter.
const SMALLEST_FRAME_BYTES: usize = 250;

/// What the consumers cost and saw.
pub(crate) struct Subscribers {
    pub(crate) count: usize,
    pub(crate) delivered_a_second: f64,
    /// The daemon's CPU above that of a window without consumers.
    pub(crate) cpu_us_a_frame: f64,
    /// How late a frame came after Zoom's stamp, beyond the earliest one. It includes how late the simulator was.
    pub(crate) late_p50_ms: f64,
    pub(crate) late_p99_ms: f64,
}

/// How long after its stamp each frame came while `is_counting`, in microseconds.
#[derive(Default)]
struct Arrivals {
    is_counting: AtomicBool,
    after_us: Mutex<Vec<u64>>,
}

pub(crate) async fn measure(args: &Args, port: u16, pid: u32, without: &Window) -> Subscribers {
    let arrivals = Arc::new(Arrivals::default());
    let mut readers = JoinSet::new();
    for session in live_sessions(port).await {
        for _ in 0..args.subscribers {
            let path =
                format!("/api/v1/sdk/sessions/{session}/live?media=audio&format={}", args.format);
            readers.spawn(read(port, path, Arc::clone(&arrivals)));
        }
    }
    sleep(SETTLE).await;
    arrivals.is_counting.store(true, Ordering::Relaxed);
    let (cpu_before, since) = (cpu_us(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (cpu_after, length) = (cpu_us(pid), since.elapsed());
    arrivals.is_counting.store(false, Ordering::Relaxed);
    let mut after_us = arrivals.after_us.lock().unwrap_or_else(PoisonError::into_inner);
    after_us.sort_unstable();
    let share = length.as_secs_f64() / without.length.as_secs_f64();
    let extra_us = (cpu_after - cpu_before) as f64 - without.cpu_us as f64 * share;
    let late_ms = |share| (quantile(&after_us, share) - quantile(&after_us, 0.0)) as f64 / 1000.0;
    Subscribers {
        count: readers.len(),
        delivered_a_second: after_us.len() as f64 / length.as_secs_f64(),
        cpu_us_a_frame: extra_us / after_us.len() as f64,
        late_p50_ms: late_ms(0.5),
        late_p99_ms: late_ms(0.99),
    }
}

/// Reads without end, and notes when frames come.
async fn read(port: u16, path: String, arrivals: Arc<Arrivals>) {
    let mut socket = open(port, &path).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.len() > SMALLEST_FRAME_BYTES && arrivals.is_counting.load(Ordering::Relaxed) {
            let after = now_us().saturating_sub(stamp_us(&message).unwrap_or(0));
            arrivals.after_us.lock().unwrap_or_else(PoisonError::into_inner).push(after);
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

/// The `at_ms` of a frame, which stands before the payload in every format that has one.
fn stamp_us(message: &Message) -> Option<u64> {
    const NAME: &[u8] = br#""at_ms":"#;
    let bytes: &[u8] = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
        _ => return None,
    };
    let start = bytes.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let at_ms: u64 = std::str::from_utf8(&bytes[start..start + digits]).ok()?.parse().ok()?;
    Some(at_ms * 1000)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

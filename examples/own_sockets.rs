//! One RTMS stream with this program's own sockets: no daemon, no store. It receives Zoom's webhooks, joins the stream
//! that they announce, prints the transcript and ends with the stream.
//!
//! Of rtmsd it uses `rtms` (the protocol: bytes and times in, decisions out), `model` and the pure parts of `zoom`. In
//! two shells:
//!
//! ```sh
//! cargo run --example own_sockets
//! cargo run -- simulate --webhook-url http://127.0.0.1:3000/webhook --speed 4
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use rtmsd::model::params::Preset;
use rtmsd::model::{AppName, EntryBody, Medium, StreamStarted, WebhookEffect};
use rtmsd::rtms::LinkId;
use rtmsd::rtms::endpoint::{Endpoint, Policy};
use rtmsd::rtms::ledger::Ledger;
use rtmsd::rtms::message::encode;
use rtmsd::rtms::stream::{HangUp, Input, LossReason, Output, Setup, Stream, Timings};
use rtmsd::secret::Secret;
use rtmsd::zoom::event::{self, Event};
use rtmsd::zoom::signature::{
    HandshakeKey, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, WebhookKey,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// The simulator's app. A real one has its own.
const CLIENT_ID: &str = "demoClientId01";
const CLIENT_SECRET: &str = "demoClientSecret01";
const SECRET_TOKEN: &str = "demoSecretToken01";

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:3000").await.expect("port 3000 is free");
    run(listener, |line| println!("{line}")).await;
}

/// Waits for the announcement of a stream, drives the stream to its end and prints what is said in it.
pub(crate) async fn run(listener: TcpListener, mut print: impl FnMut(String)) {
    let (sender, mut webhooks) = mpsc::channel(64);
    let server = tokio::spawn(serve_webhooks(listener, sender));
    while let Some(effect) = webhooks.recv().await {
        if let WebhookEffect::Started(started) = effect {
            drive(&started, &mut webhooks, &mut print).await;
            break;
        }
    }
    server.abort();
}

/// Answers Zoom's webhooks and passes on what they mean.
async fn serve_webhooks(listener: TcpListener, effects: mpsc::Sender<WebhookEffect>) {
    let key = Arc::new(WebhookKey::new(&Secret::new(SECRET_TOKEN.to_owned())));
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let header = |name| headers.get(name).map(|value| value.as_bytes());
        let signed = SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            signature: header(SIGNATURE_HEADER),
        };
        if key.check(signed, &body, now_ms(), 300).is_err() {
            return (StatusCode::UNAUTHORIZED, Json(Value::Null));
        }
        match event::parse(&body, &AppName::default(), now_ms()) {
            Ok(Event::UrlValidation { plain_token }) => {
                let encrypted = key.encrypted_token(&plain_token);
                let tokens =
                    json!({ "plainToken": plain_token.as_str(), "encryptedToken": encrypted });
                (StatusCode::OK, Json(tokens))
            }
            Ok(Event::Delivery(delivery)) => {
                // Without a receiver the stream is over, and nobody needs the effect.
                let _ = effects.send(delivery.announcement).await;
                (StatusCode::OK, Json(Value::Null))
            }
            Err(_) => (StatusCode::BAD_REQUEST, Json(Value::Null)),
        }
    };
    let app = Router::new().route("/webhook", post(answer));
    axum::serve(listener, app).await.expect("a listener accepts until the process ends");
}

/// The whole duty of a driver: sockets, clock and randomness. The state machine decides everything else.
async fn drive(
    started: &StreamStarted,
    webhooks: &mut mpsc::Receiver<WebhookEffect>,
    print: &mut impl FnMut(String),
) {
    let setup = setup(started);
    let endpoint =
        setup.policy.first_allowed(&started.server_urls).expect("a URL of the simulator");
    let mut ledger = Ledger::new(&[], setup.params.media, now_ms());
    let (mut sockets, mut inputs) = Sockets::new();
    let mut stream = Stream::new(Instant::now(), rand::random(), setup, endpoint);
    loop {
        while let Some(output) = stream.poll() {
            match output {
                Output::Dial(link, endpoint) => sockets.dial(link, endpoint),
                Output::Send(link, message) => sockets.send(link, encode(message, now_ms())),
                Output::HangUp(link, how) => sockets.hang_up(link, how),
                Output::Note { at_ms, body: EntryBody::Transcript(line) } => {
                    let name = line.speaker.name.as_deref().unwrap_or("?");
                    print(format!("{name}: {}", line.text));
                    let bytes = line.text.len() as u64;
                    ledger.frame(now_ms(), Medium::Transcript, at_ms, bytes);
                }
                Output::Ledger(change) => ledger.change(now_ms(), change),
                // Events, chat, and the frames of audio, video and share (`MediaFrame::payload`).
                Output::Note { .. } | Output::Frame(_) => {}
                Output::Finished(end) => {
                    ledger.end(now_ms());
                    for account in ledger.accounts(now_ms()) {
                        print(format!("({}: {} gaps)", account.medium, account.gaps.len()));
                    }
                    return print(format!("(the stream has ended: {})", end.outcome.as_str()));
                }
                Output::LeftToOwner => return,
            }
        }
        let deadline = stream.deadline().expect("a stream that has not ended has one");
        tokio::select! {
            Some((link, dial, input)) = inputs.recv() => {
                // What an older socket of the link still had to say does not count.
                if sockets.is_current(link, dial) {
                    stream.handle(Instant::now(), input);
                }
            }
            Some(effect) = webhooks.recv() => {
                if let Some(input) = input(effect, started) {
                    stream.handle(Instant::now(), input);
                }
            }
            () = tokio::time::sleep_until(deadline.into()) => {
                stream.handle_timeout(Instant::now());
            }
        }
    }
}

fn setup(started: &StreamStarted) -> Setup {
    let key = HandshakeKey::new(CLIENT_ID, &Secret::new(CLIENT_SECRET.to_owned()));
    Setup {
        stream_id: started.stream_id.clone(),
        instance: started.instance.clone(),
        signature: Secret::new(key.sign(&started.instance, &started.stream_id)),
        params: Preset::Transcription.params(),
        // For Zoom itself: `ZOOM_HOSTS`, and no plain ws.
        policy: Policy::new(vec!["127.0.0.1".to_owned()], true),
        timings: Timings::default(),
    }
}

/// The input that a webhook is for the stream; none if it is about another one.
fn input(effect: WebhookEffect, own: &StreamStarted) -> Option<Input> {
    if effect.stream_id() != Some(&own.stream_id) {
        return None;
    }
    match effect {
        WebhookEffect::Started(again) => {
            setup(own).policy.first_allowed(&again.server_urls).ok().map(Input::Moved)
        }
        WebhookEffect::Stopped(stopped) => Some(Input::Stopped { reason: stopped.stop_reason }),
        WebhookEffect::Interrupted(_) => Some(Input::Interrupted),
        _ => None,
    }
}

/// An input of a link, with the number of the dial that made its socket.
type LinkInput = (LinkId, u64, Input);

/// The sockets of the stream: one task for each.
struct Sockets {
    open: HashMap<LinkId, Socket>,
    dials: u64,
    inputs: mpsc::UnboundedSender<LinkInput>,
}

struct Socket {
    dial: u64,
    outbox: mpsc::UnboundedSender<Message>,
    task: JoinHandle<()>,
}

impl Sockets {
    fn new() -> (Self, mpsc::UnboundedReceiver<LinkInput>) {
        let (inputs, receiver) = mpsc::unbounded_channel();
        (Self { open: HashMap::new(), dials: 0, inputs }, receiver)
    }

    fn dial(&mut self, link: LinkId, endpoint: Endpoint) {
        self.hang_up(link, HangUp::Silently);
        self.dials += 1;
        let (dial, inputs) = (self.dials, self.inputs.clone());
        let (outbox, messages) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let give = |input| drop(inputs.send((link, dial, input)));
            let loss = run_socket(link, &endpoint, messages, &give).await;
            give(Input::Lost(link, loss));
        });
        self.open.insert(link, Socket { dial, outbox, task });
    }

    fn send(&self, link: LinkId, text: String) {
        if let Some(socket) = self.open.get(&link) {
            // A socket whose task has ended is lost, which the stream must know.
            let _ = socket.outbox.send(Message::text(text));
        }
    }

    fn hang_up(&mut self, link: LinkId, how: HangUp) {
        let Some(socket) = self.open.remove(&link) else { return };
        match how {
            HangUp::Politely => drop(socket.outbox.send(Message::Close(None))),
            HangUp::Silently => socket.task.abort(),
        }
    }

    fn is_current(&self, link: LinkId, dial: u64) -> bool {
        self.open.get(&link).is_some_and(|socket| socket.dial == dial)
    }
}

/// Connects, reads and writes until the link is lost. `wss` needs a TLS stream around the TCP stream.
async fn run_socket(
    link: LinkId,
    endpoint: &Endpoint,
    mut outbox: mpsc::UnboundedReceiver<Message>,
    give: &impl Fn(Input),
) -> LossReason {
    let tcp = match TcpStream::connect((endpoint.host(), endpoint.port())).await {
        Ok(tcp) => tcp,
        Err(error) => return LossReason::Dial(error.to_string()),
    };
    let mut socket = match client_async(endpoint.url(), tcp).await {
        Ok((socket, _)) => socket,
        Err(error) => return LossReason::Dial(error.to_string()),
    };
    give(Input::Opened(link));
    loop {
        tokio::select! {
            Some(message) = outbox.recv() => {
                let is_last = message.is_close();
                if let Err(error) = socket.send(message).await {
                    return LossReason::Dropped(error.to_string());
                }
                if is_last {
                    return LossReason::Closed(None);
                }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Close(frame))) => {
                    return LossReason::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    give(Input::Received(link, message.into_data()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return LossReason::Dropped(error.to_string()),
                None => return LossReason::Dropped("end of stream".to_owned()),
            },
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    since.as_millis() as i64
}

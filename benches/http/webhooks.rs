//! Webhooks: starts of streams, each of a meeting and a host of its own, and events that have no effect.

use std::time::Instant;

use futures_util::future::try_join_all;
use rtmsd::clock;
use rtmsd::secret::Secret;
use rtmsd::zoom::signature::WebhookKey;
use serde_json::{Value, json};

use super::Args;
use super::client::{Answer, Client};
use super::server::{SECRET_TOKEN, Server};
use super::table::Row;
use super::zoom::Problem;

const CONNECTIONS: [usize; 2] = [64, 1];
const WARM_UP: usize = 200;

type MakeEvent = fn(number: usize, now_ms: i64) -> Value;
const EVENTS: [(&str, MakeEvent); 2] =
    [("meeting.rtms_started", rtms_started), ("meeting.participant_joined", participant_joined)];

pub(crate) async fn run(args: &Args) -> Result<(), Problem> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(args, folder.path()).await?;
    // No two requests are of the same meeting.
    let mut numbers = 0..;
    for (event, make) in EVENTS {
        exchange_all(&server, &requests(make, numbers.by_ref().take(WARM_UP)), 1).await?;
        for connections in CONNECTIONS {
            // Prepared before the clock starts: the bench shares its cores with the daemon.
            let requests = requests(make, numbers.by_ref().take(args.webhooks));
            let (began, cpu_us) = (Instant::now(), server.cpu_us());
            let answers = exchange_all(&server, &requests, connections).await?;
            let (took, cpu_us) = (began.elapsed(), server.cpu_us() - cpu_us);
            let what = format!("{event}, {connections} connections");
            Row { what, answers, took, cpu_us, lines: 0 }.print();
        }
    }
    Ok(())
}

/// Each connection sends its share of the requests, one after the other.
async fn exchange_all(
    server: &Server,
    requests: &[Vec<u8>],
    connections: usize,
) -> Result<Vec<Answer>, Problem> {
    let share = |connection: usize| async move {
        let mut client = Client::new(server.address);
        let mut answers = Vec::new();
        for request in requests.iter().skip(connection).step_by(connections) {
            answers.push(client.exchange(request).await?);
        }
        Ok::<_, Problem>(answers)
    };
    Ok(try_join_all((0..connections).map(share)).await?.concat())
}

fn requests(make: MakeEvent, numbers: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let key = WebhookKey::new(&Secret::new(SECRET_TOKEN.into()));
    let now_ms = clock::now_ms();
    numbers.map(|number| signed(&key, now_ms, &make(number, now_ms))).collect()
}

fn signed(key: &WebhookKey, now_ms: i64, event: &Value) -> Vec<u8> {
    let (body, now_s) = (event.to_string(), now_ms / 1000);
    let signature = key.sign(now_s, body.as_bytes());
    let length = body.len();
    format!(
        "POST /webhook HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json; charset=utf-8\r\n\
         x-zm-request-timestamp: {now_s}\r\nx-zm-signature: {signature}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into()
}

/// Nothing listens at its URL.
fn rtms_started(number: usize, now_ms: i64) -> Value {
    json!({"event": "meeting.rtms_started", "event_ts": now_ms, "payload": {
        "account_id": "account-of-the-bench", "operator_id": format!("user-{number}"),
        "meeting_id": meeting_id(number), "meeting_uuid": meeting_uuid(number),
        "is_original_host": true, "rtms_stream_id": format!("{now_ms}-stream-{number}"),
        "server_urls": "wss://127.0.0.1:9"}})
}

/// Sixteen events share a millisecond, as with thousands of meetings.
fn participant_joined(number: usize, now_ms: i64) -> Value {
    let event_ts = now_ms + (number / 16) as i64;
    json!({"event": "meeting.participant_joined", "event_ts": event_ts, "payload": {
        "account_id": "account-of-the-bench", "object": {
            "id": meeting_id(number), "uuid": meeting_uuid(number),
            "host_id": format!("user-{number}"), "topic": "The weekly meeting", "type": 8,
            "start_time": "2026-01-01T09:00:00Z", "timezone": "Europe/Berlin", "duration": 60,
            "participant": {
                "user_id": "16778240", "user_name": "Ana Silva", "id": format!("user-{number}"),
                "participant_uuid": format!("participant-{number}"),
                "join_time": "2026-01-01T09:00:00Z", "email": "ana@example.com",
                "registrant_id": "", "customer_key": ""}}}})
}

fn meeting_id(number: usize) -> String {
    format!("91{number:09}")
}

fn meeting_uuid(number: usize) -> String {
    format!("uuid-of-{number:08}==")
}

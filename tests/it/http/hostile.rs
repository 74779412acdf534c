//! Hostile webhook bodies.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::server::{NOW_S, Server, key, signed_at};

const BODIES: usize = 1000;

fn good() -> Value {
    json!({"event": "meeting.rtms_started", "event_ts": 1_732_313_171_881_i64, "payload": {
        "account_id": "acc1", "operator_id": "u1", "meeting_id": "91234567890",
        "meeting_uuid": "4444AAAiAAAAAiAiAiiAii==", "is_original_host": true,
        "rtms_stream_id": "e1f2a3b4-0000-4000-8000-00000000abcd", "server_urls": "wss://a.zoom.us"}})
}

fn odd_value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1.5e300),
        5 => json!(""),
        6 => json!("\u{0}\u{1}\u{7f}"),
        7 => json!("x".repeat(rng.random_range(1..5000))),
        8 => json!(["a", {"b": []}]),
        9 => json!({"object": {"object": {}}}),
        10 => json!("'; DROP TABLE entries; --"),
        _ => json!("\u{202e}\u{fffd}😀"),
    }
}

fn with_odd_fields(rng: &mut StdRng) -> Vec<u8> {
    let mut body = good();
    let events = ["meeting.rtms_stopped", "webinar.rtms_started", "endpoint.url_validation", "x"];
    if rng.random_bool(0.5) {
        body["event"] = json!(events[rng.random_range(0..events.len())]);
    }
    let payload_keys = [
        "meeting_uuid",
        "rtms_stream_id",
        "server_urls",
        "meeting_id",
        "operator_id",
        "stop_reason",
        "plainToken",
        "object",
    ];
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..10) {
            0 => body["event"] = odd_value(rng),
            1 => body["event_ts"] = odd_value(rng),
            2 => body["payload"] = odd_value(rng),
            _ if body["payload"].is_object() => {
                let key = payload_keys[rng.random_range(0..payload_keys.len())];
                body["payload"][key] = odd_value(rng);
            }
            _ => {}
        }
    }
    body.to_string().into_bytes()
}

fn hostile(rng: &mut StdRng) -> Vec<u8> {
    let mut body = good().to_string().into_bytes();
    match rng.random_range(0..10) {
        0 => body.truncate(rng.random_range(0..body.len())),
        1 => {
            for _ in 0..rng.random_range(1..20) {
                let index = rng.random_range(0..body.len());
                body[index] = rng.random();
            }
        }
        2 => body = "[".repeat(rng.random_range(1..200_000)).into_bytes(),
        3 => {
            body = format!("{{\"event\":{}1", "{\"a\":".repeat(rng.random_range(1..40_000))).into()
        }
        4 => body.resize(rng.random_range(200_000..400_000), b' '),
        5 => {
            body =
                String::from_utf8(body).unwrap().encode_utf16().flat_map(u16::to_be_bytes).collect()
        }
        6 => body = (0..rng.random_range(0..2000)).map(|_| rng.random()).collect(),
        7 => body.insert(rng.random_range(0..body.len()), 0),
        _ => body = with_odd_fields(rng),
    }
    body
}

fn odd_signature(rng: &mut StdRng, body: &[u8]) -> String {
    let good = key().sign(NOW_S, body);
    match rng.random_range(0..4) {
        0 => good.replace("v0=", "v1="),
        1 => good[..rng.random_range(0..good.len())].to_owned(),
        2 => key().sign(NOW_S - 1, body),
        _ => format!("v0={}", "é".repeat(32)),
    }
}

#[tokio::test]
async fn a_thousand_hostile_bodies_do_not_prevent_the_next_good_one() {
    let seed: u64 = std::env::var("SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let server = Server::start().await;
    let now = NOW_S.to_string();
    let mut signed = 0;
    for n in 0..BODIES {
        let body = hostile(&mut rng);
        let (answer, allowed): (_, &[u16]) = if rng.random_bool(0.6) {
            signed += 1;
            (server.webhook(&body).await, &[200, 400, 413])
        } else {
            let signature = odd_signature(&mut rng, &body);
            let headers = [signed_at(&now), ("x-zm-signature", signature.as_str())];
            (server.post(&body, &headers).await, &[401, 413])
        };
        assert!(allowed.contains(&answer.status), "SEED={seed}, body {n}: {}", answer.status);
    }
    assert!(signed > BODIES / 3);
    assert_eq!(server.webhook(good().to_string().as_bytes()).await.status, 200);
    assert_eq!(server.state.metrics.panics.get([]), 0);
    server.stopped().await;
}

//! Webhook bodies in every form that Zoom is known to send, and malformed ones.

use crate::model::StopReason;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;

const NOW_MS: i64 = 1_732_313_172_000;

fn delivery(body: &Value) -> Delivery {
    match parse(body.to_string().as_bytes(), &AppName::default(), NOW_MS).unwrap() {
        Event::Delivery(delivery) => *delivery,
        Event::UrlValidation { .. } => panic!("a URL validation"),
    }
}

fn refused_field(body: &Value) -> &'static str {
    match parse(body.to_string().as_bytes(), &AppName::default(), NOW_MS) {
        Err(EventError::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

fn start(event: &str, payload: Value) -> Value {
    json!({ "event": event, "event_ts": 1_732_313_171_881_i64, "payload": payload })
}

fn started(body: &Value) -> StreamStarted {
    match delivery(body).announcement {
        WebhookEffect::Started(started) => started,
        other => panic!("{other:?}"),
    }
}

/// The names of the first announcement and of a later one (section 23.3).
#[test]
fn both_names_of_a_phone_event_are_read() {
    let payload = json!({"call_id": "7c1==", "rtms_stream_id": "s1", "server_urls": "wss://a.zoom.us",
        "stop_reason": 6});
    for name in ["phone.rtms_started", "phone.call_rtms_started"] {
        let started = started(&start(name, payload.clone()));
        assert_eq!(
            started.instance,
            Instance::new(Product::Phone, IdKey::CallId, "7c1==").unwrap()
        );
        assert_eq!(product_of(name), Some(Product::Phone));
    }
    for name in ["phone.rtms_stopped", "phone.call_rtms_stopped"] {
        let stopped = delivery(&start(name, payload.clone())).announcement;
        assert!(matches!(stopped, WebhookEffect::Stopped(_)), "{stopped:?}");
    }
    for name in ["phone.rtms_interrupted", "phone.call_rtms_interrupted"] {
        let interrupted = delivery(&start(name, payload.clone())).announcement;
        assert!(matches!(interrupted, WebhookEffect::Interrupted(_)), "{interrupted:?}");
    }
    // Zoom Phone's other events are those of any app.
    for name in ["phone.callee_answered", "phone.call_history_completed"] {
        assert_eq!(product_of(name), None, "{name}");
        assert_eq!(delivery(&start(name, payload.clone())).announcement, WebhookEffect::Other);
    }
    assert_eq!(
        refused_field(&start("phone.rtms_started", json!({"rtms_stream_id": "s"}))),
        "payload.call_id"
    );
}

#[test]
fn a_start_is_read_with_everything_zoom_sends() {
    let body = start(
        "meeting.rtms_started",
        json!({"account_id": "acc1", "operator_id": "u1", "meeting_id": "91234567890",
               "meeting_uuid": "/abc//def+gh==", "is_original_host": true,
               "rtms_stream_id": "e1f2", "server_urls": "wss://a.zoom.us:443, wss://b.zoom.us"}),
    );
    let delivery = delivery(&body);
    assert_eq!(delivery.event, "meeting.rtms_started");
    assert_eq!(delivery.event_ts_ms, 1_732_313_171_881);
    assert_eq!(delivery.received_at_ms, NOW_MS);
    assert_eq!(delivery.body, body.to_string());
    assert_eq!(delivery.digest, hex::encode(Sha256::digest(body.to_string())));
    let expected = StreamStarted {
        stream_id: StreamId::parse("e1f2").unwrap(),
        instance: Instance::new(Product::Meeting, IdKey::MeetingUuid, "/abc//def+gh==").unwrap(),
        server_urls: "wss://a.zoom.us:443, wss://b.zoom.us".into(),
        account_id: Some("acc1".into()),
        meeting_id: Some("91234567890".into()),
        operator_id: Some("u1".into()),
        is_host: true,
    };
    assert_eq!(delivery.announcement, WebhookEffect::Started(expected));
}

#[test]
fn the_operator_is_the_host_only_if_zoom_says_so() {
    for (said, is_host) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("no"), false),
        (json!(1), false),
        (json!(null), false),
    ] {
        let body = start(
            "meeting.rtms_started",
            json!({"meeting_uuid": "m", "rtms_stream_id": "s", "server_urls": "wss://a",
                   "operator_id": "u1", "is_original_host": said}),
        );
        assert_eq!(started(&body).host_id(), is_host.then_some("u1"), "{said}");
    }
}

#[test]
fn every_product_has_its_event_and_its_key() {
    let cases = [
        ("meeting.rtms_started", "meeting_uuid", Product::Meeting, IdKey::MeetingUuid),
        ("webinar.rtms_started", "webinar_uuid", Product::Webinar, IdKey::WebinarUuid),
        ("webinar.rtms_started", "meeting_uuid", Product::Webinar, IdKey::MeetingUuid),
        ("session.rtms_started", "session_id", Product::VideoSdk, IdKey::SessionId),
        (
            "contact_center.voice_rtms_started",
            "engagement_id",
            Product::ContactCenter,
            IdKey::EngagementId,
        ),
    ];
    for (event, id_key, product, key) in cases {
        let body =
            start(event, json!({id_key: "x1", "rtms_stream_id": "s", "server_urls": "wss://a"}));
        assert_eq!(started(&body).instance, Instance::new(product, key, "x1").unwrap());
    }
}

#[test]
fn nested_fields_are_read_and_flat_ones_win() {
    let nested = json!({"account_id": "acc1", "object": {"meeting_uuid": "nested",
        "rtms_stream_id": "nested", "server_urls": "wss://nested"}});
    let read = started(&start("meeting.rtms_started", nested));
    assert_eq!((read.instance.id(), read.stream_id.as_str()), ("nested", "nested"));
    let both = json!({"meeting_uuid": "flat", "rtms_stream_id": "flat", "server_urls": null,
        "object": {"meeting_uuid": "nested", "rtms_stream_id": "nested",
                   "server_urls": "wss://nested"}});
    let read = started(&start("meeting.rtms_started", both));
    assert_eq!((read.instance.id(), read.stream_id.as_str()), ("flat", "flat"));
    assert_eq!(read.server_urls, "wss://nested");
}

#[test]
fn numbers_and_strings_are_read_alike() {
    let read = started(&start(
        "meeting.rtms_started",
        json!({"meeting_uuid": "m", "rtms_stream_id": 77, "server_urls": "wss://a",
               "meeting_id": 91_234_567_890_i64}),
    ));
    assert_eq!(read.stream_id.as_str(), "77");
    assert_eq!(read.meeting_id.as_deref(), Some("91234567890"));
    for (key, reason) in
        [("stop_reason", json!(6)), ("stop_reason", json!("6")), ("reason", json!(6))]
    {
        let stop = json!({"meeting_uuid": "m", "rtms_stream_id": "s", key: reason});
        let WebhookEffect::Stopped(stopped) =
            delivery(&start("meeting.rtms_stopped", stop)).announcement
        else {
            panic!("not a stop");
        };
        assert_eq!(stopped.stop_reason, Some(StopReason::MEETING_ENDED));
    }
}

#[test]
fn the_stop_reason_has_precedence_and_a_text_is_none() {
    let reason_of = |reasons: Value| {
        let mut payload = json!({"meeting_uuid": "m", "rtms_stream_id": "s"});
        payload.as_object_mut().unwrap().extend(reasons.as_object().unwrap().clone());
        match delivery(&start("meeting.rtms_stopped", payload)).announcement {
            WebhookEffect::Stopped(stopped) => stopped.stop_reason.map(|reason| reason.0),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason_of(json!({"stop_reason": 8, "reason": 6})), Some(8));
    assert_eq!(reason_of(json!({"reason": "the host left"})), None);
}

#[test]
fn a_stop_without_a_reason_and_an_interruption_are_read() {
    let payload = json!({"engagement_id": "e", "rtms_stream_id": "s"});
    let stop = delivery(&start("contact_center.voice_rtms_stopped", payload.clone()));
    assert!(
        matches!(stop.announcement, WebhookEffect::Stopped(stop) if stop.stop_reason.is_none())
    );
    let interrupted = delivery(&start("contact_center.voice_rtms_interrupted", payload));
    assert!(matches!(interrupted.announcement, WebhookEffect::Interrupted(_)));
}

#[test]
fn a_start_without_a_required_field_is_refused_with_its_name() {
    let full = json!({"meeting_uuid": "m", "rtms_stream_id": "s", "server_urls": "wss://a"});
    for field in ["meeting_uuid", "rtms_stream_id", "server_urls"] {
        for bad in [json!(null), json!(""), json!([]), json!(true), json!("\u{0}")] {
            let mut payload = full.clone();
            payload[field] = bad;
            let refused = refused_field(&start("meeting.rtms_started", payload));
            assert_eq!(refused, format!("payload.{field}"));
        }
    }
}

#[test]
fn a_start_is_read_with_a_time_in_any_form() {
    let full = json!({"meeting_uuid": "m", "rtms_stream_id": "s", "server_urls": "wss://a"});
    let mut start = start("meeting.rtms_started", full);
    for (time, read_ms) in [
        (json!(1_732_313_171_881_i64), 1_732_313_171_881),
        (json!(1_732_313_171_881.75), 1_732_313_171_881),
        (json!("1732313171881"), 1_732_313_171_881),
        (json!(" 1732313171881.0 "), 1_732_313_171_881),
        (json!(null), NOW_MS),
        (json!("soon"), NOW_MS),
        (json!(-1), NOW_MS),
        (json!(i64::MAX), NOW_MS),
        (json!([]), NOW_MS),
    ] {
        start["event_ts"] = time;
        assert_eq!(delivery(&start).event_ts_ms, read_ms, "{}", start["event_ts"]);
    }
    start.as_object_mut().unwrap().remove("event_ts");
    assert_eq!(delivery(&start).event_ts_ms, NOW_MS);
}

/// Zoom cuts names in the middle of a character, and never repeats a webhook that got a 400.
#[test]
fn a_text_cut_in_the_middle_of_a_character_does_not_lose_the_meeting() {
    let started = |topic: &[u8]| {
        let parts: [&[u8]; 3] = [
            br#"{"event":"meeting.rtms_started","event_ts":1732313171881,"payload":{"topic":""#,
            topic,
            br#"","meeting_uuid":"m","rtms_stream_id":"s","server_urls":"wss://a"}}"#,
        ];
        parts.concat()
    };
    for (topic, kept) in [
        (&br"weekly \ud83d"[..], r"weekly \ufffd"),
        (b"weekly \xf0\x9f\x91", "weekly \u{fffd}"),
        (b"week\nly", "week ly"),
        (br"weekly \u", "weekly ?u"),
    ] {
        let raw = started(topic);
        let Ok(Event::Delivery(delivery)) = parse(&raw, &AppName::default(), NOW_MS) else {
            panic!("{topic:?}")
        };
        assert!(matches!(delivery.announcement, WebhookEffect::Started(_)));
        assert!(delivery.body.contains(&format!(r#""topic":"{kept}""#)), "{}", delivery.body);
        assert!(serde_json::from_str::<Value>(&delivery.body).is_ok(), "it reads back");
        let digest = hex::encode(Sha256::digest(&raw));
        assert_eq!(delivery.digest, digest, "signature and digest are of the original bytes");
    }
}

#[test]
fn a_body_that_nests_too_deeply_to_be_read_back_is_refused() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"event":"x","payload":{open}{close}}}"#)
    };
    assert!(parse(nested(63).as_bytes(), &AppName::default(), NOW_MS).is_ok());
    for depth in [64, 126, 127, 100_000] {
        let error = parse(nested(depth).as_bytes(), &AppName::default(), NOW_MS).unwrap_err();
        assert_eq!(error, EventError::TooDeep, "{depth}");
    }
}

/// Corrupts every field of every event of section 13.6. A corrupted field costs only itself, unless the event requires
/// it.
#[test]
fn a_corrupted_field_costs_an_event_only_that_field() {
    let events = [
        json!({"event":"meeting.rtms_started","event_ts":1,"payload":{"account_id":"acc1","operator_id":"u1",
            "meeting_id":"91234567890","meeting_uuid":"m","is_original_host":true,"rtms_stream_id":"s",
            "server_urls":"wss://a","topic":"weekly"}}),
        json!({"event":"contact_center.voice_rtms_stopped","event_ts":1,"payload":{"engagement_id":"e",
            "rtms_stream_id":"s","stop_reason":6}}),
        json!({"event":"session.rtms_interrupted","event_ts":1,"payload":{"session_id":"v","session_key":"k",
            "rtms_stream_id":"s"}}),
        json!({"event":"rtms.concurrency_limited","event_ts":1,"payload":{"operator_id":"u1",
            "concurrency_number":2000,"id_field":{"meeting_uuid":"m"}}}),
        json!({"event":"meeting.started","event_ts":1,"payload":{"account_id":"acc1","object":{"id":5,"uuid":"m",
            "host_id":"u1","topic":"weekly"}}}),
    ];
    let deep = format!("{}{}", "[".repeat(50), "]".repeat(50));
    let huge = format!("\"{}\"", "x".repeat(100_000));
    let spoils =
        ["null", "true", "\"\"", "-1", "7.5", "1e999", "{\"a\":[1]}", "[[1]]", &deep, &huge];
    let spoils = spoils.iter().copied().chain([r#""Ana \ud83d""#, r#""soon""#]);
    for event in &events {
        for (place, name) in fields(event) {
            for spoil in spoils.clone().map(Some).chain([None]) {
                let body = spoiled(event, &place, &name, spoil);
                let is_text = spoil.is_some_and(|spoil| spoil.starts_with('"') && spoil.len() > 2);
                let is_needed = matches!(
                    name.as_str(),
                    "event" | "rtms_stream_id" | "server_urls" | "session_id" | "engagement_id"
                ) || (name == "meeting_uuid" && place == "/payload")
                    || (name == "payload" && event["event"].as_str().unwrap().contains("rtms_"));
                let read = parse(body.as_bytes(), &AppName::default(), NOW_MS);
                let short: String = body.chars().take(300).collect();
                match read {
                    Ok(Event::Delivery(_)) => {}
                    Ok(other) => panic!("{other:?}: {short}"),
                    Err(error) => {
                        assert!(
                            is_needed && !(is_text && name == "event" && body.len() < 1_000),
                            "{error}: {short}"
                        )
                    }
                }
            }
        }
    }
}

/// Every field: its JSON pointer and its name.
fn fields(event: &Value) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut places = vec![String::new()];
    while let Some(place) = places.pop() {
        let Some(object) = event.pointer(&place).and_then(Value::as_object) else { continue };
        for name in object.keys() {
            fields.push((place.clone(), name.clone()));
            places.push(format!("{place}/{name}"));
        }
    }
    fields
}

fn spoiled(event: &Value, place: &str, name: &str, spoil: Option<&str>) -> String {
    let mut event = event.clone();
    let object = event.pointer_mut(place).unwrap().as_object_mut().unwrap();
    match spoil {
        Some(_) => object.insert(name.to_owned(), "@@".into()),
        None => object.remove(name),
    };
    event.to_string().replace("\"@@\"", spoil.unwrap_or_default())
}

#[test]
fn a_meeting_that_began_or_ended_is_read_with_its_host() {
    let object = json!({"id": 91_234_567_890_i64, "uuid": "4444AAA==", "host_id": "u1"});
    for (event, product, change) in [
        ("meeting.started", Product::Meeting, MeetingChange::Started),
        ("webinar.ended", Product::Webinar, MeetingChange::Ended),
    ] {
        let body = start(event, json!({"account_id": "acc1", "object": object}));
        let WebhookEffect::Meeting(read) = delivery(&body).announcement else {
            panic!("not a meeting event");
        };
        assert_eq!((read.change, read.instance.product), (change, product));
        assert_eq!(read.instance.id(), "4444AAA==");
        assert_eq!(read.meeting_id.as_deref(), Some("91234567890"));
        assert_eq!(read.host_id.as_deref(), Some("u1"));
        assert_eq!(read.account_id.as_deref(), Some("acc1"));
    }
}

#[test]
fn an_unknown_event_is_kept_whatever_its_payload() {
    for body in [
        json!({"event": "meeting.started", "payload": {"object": {"id": 5}}}),
        json!({"event": "meeting.rtms.started", "payload": null}),
        json!({"event": "contact_center.rtms_started"}),
    ] {
        assert_eq!(delivery(&body).announcement, WebhookEffect::Other);
    }
    assert_eq!(delivery(&json!({"event": "x"})).event_ts_ms, NOW_MS);
}

#[test]
fn a_notice_is_read_with_any_field_missing() {
    let read = |event: &str, payload| match delivery(&start(event, payload)).announcement {
        WebhookEffect::Notice(notice) => notice,
        other => panic!("{other:?}"),
    };
    let limit = json!({"concurrency_limit": 2000, "concurrency_number": 1650, "percentage": 82});
    let near = read("rtms.concurrency_near_limit", limit);
    let counts = (Some(1650), Some(2000));
    assert_eq!((near.concurrent_streams, near.concurrency_limit), counts);
    for odd in [json!(-1), json!("many"), json!(1.5)] {
        let odd = json!({ "concurrency_number": odd });
        assert_eq!(read("rtms.concurrency_near_limit", odd), Notice::default());
    }
    for key in ["meeting_uuid", "webinar_uuid", "session_id", "engagement_id"] {
        let payload = json!({"operator_id": "u1", "id_field": {key: "m=="}});
        let limited = read("rtms.concurrency_limited", payload);
        assert_eq!(limited.instance_id.as_deref(), Some("m=="), "{key}");
    }
    let failed =
        read("rtms.start_failed", json!({"object": {"rtms_stream_id": "s", "meeting_id": 7}}));
    assert_eq!(failed.stream_id, StreamId::parse("s").ok());
    assert_eq!(failed.meeting_id.as_deref(), Some("7"));
    for odd in [json!(null), json!([]), json!("x"), json!({"id_field": [], "rtms_stream_id": {}})] {
        assert_eq!(read("rtms.request_status", odd), Notice::default());
    }
}

#[test]
fn a_deauthorization_is_read_in_every_form() {
    let read = |payload| match delivery(&start("app_deauthorized", payload)).announcement {
        WebhookEffect::Deauthorized(gone) => gone,
        other => panic!("{other:?}"),
    };
    let current = json!({"account_id": "acc1", "user_id": "u1", "signature": "x",
        "deauthorization_time": "2026-06-17T13:52:28.632Z", "client_id": "demoClientId01"});
    let gone = read(current.clone());
    let expected = Deauthorization {
        user_id: "u1".into(),
        account_id: Some("acc1".into()),
        may_keep_data: false,
    };
    assert_eq!(gone, expected);
    assert_eq!(read(json!({ "object": current })), expected);
    for (flag, keep) in [
        (json!("true"), true),
        (json!("True"), true),
        (json!(true), true),
        (json!("false"), false),
        (json!(false), false),
        (json!("perhaps"), false),
        (json!(null), false),
    ] {
        let payload = json!({"user_id": "u1", "user_data_retention": flag});
        assert_eq!(read(payload).may_keep_data, keep, "{flag}");
    }
    let nobody = start("app_deauthorized", json!({"account_id": "acc1"}));
    assert_eq!(refused_field(&nobody), "payload.user_id");
}

#[test]
fn a_url_validation_is_read_with_its_keys_in_any_order() {
    let body = br#"{"payload":{"plainToken":"plainTokenDemo0123456A"},"event_ts":1,"event":"endpoint.url_validation"}"#;
    let Ok(Event::UrlValidation { plain_token }) = parse(body, &AppName::default(), NOW_MS) else {
        panic!("not a URL validation");
    };
    assert_eq!(plain_token.as_str(), "plainTokenDemo0123456A");
    let forged =
        start("endpoint.url_validation", json!({"plainToken": "v0:1732313172:{\"event\":1}"}));
    assert_eq!(refused_field(&forged), "payload.plainToken");
}

#[test]
fn a_body_that_is_not_an_event_is_refused_without_quoting_it() {
    for bad in ["", "[]", "null", "\"secret\"", "{\"event\":", "{} x", "\u{fffd}{}"] {
        let error = parse(bad.as_bytes(), &AppName::default(), NOW_MS).unwrap_err();
        assert!(matches!(error, EventError::NotJson { .. }), "{error}");
    }
    for bad in [json!({}), json!({"event": ["secret"]}), json!({"event": "a\u{0}b"})] {
        assert_eq!(refused_field(&bad), "event");
    }
}

#[test]
fn the_payload_of_an_event_without_an_effect_may_be_anything_and_of_two_names_the_last_counts() {
    for payload in ["1e999", "[]", "\"x\"", "null", r#"{"rtms_stream_id":7,"a":1e999}"#] {
        let body = format!(
            r#"{{"event":"meeting.rtms_started","\u0065vent":"meeting.participant_joined","event_ts":"7","payload":{payload}}}"#
        );
        let Ok(Event::Delivery(delivery)) = parse(body.as_bytes(), &AppName::default(), NOW_MS)
        else {
            panic!("{payload}")
        };
        assert_eq!(delivery.announcement, WebhookEffect::Other, "{payload}");
        assert_eq!((&*delivery.event, delivery.event_ts_ms), ("meeting.participant_joined", 7));
    }
}

fn digest(body: &str, app: &str) -> String {
    match parse(body.as_bytes(), &AppName::parse(app).unwrap(), NOW_MS).unwrap() {
        Event::Delivery(delivery) => delivery.digest,
        Event::UrlValidation { .. } => panic!("a URL validation"),
    }
}

#[test]
fn the_same_bytes_for_two_apps_are_two_deliveries() {
    let payload =
        json!({"meeting_uuid": "m1==", "rtms_stream_id": "s1", "server_urls": "wss://a.zoom.us"});
    let body = start("meeting.rtms_started", payload).to_string();
    let digest = |app: &str| digest(&body, app);
    // Deliveries of earlier versions, which knew no apps, are recognized when Zoom repeats them.
    assert_eq!(digest("default"), hex::encode(Sha256::digest(&body)));
    assert_ne!(digest("acme"), digest("default"));
    assert_ne!(digest("acme"), digest("other"));
}

#[test]
fn digests_of_events_without_an_effect_are_in_the_order_of_their_times() {
    let body =
        |time: &str| format!(r#"{{"event":"meeting.participant_joined","event_ts":{time}}}"#);
    let times = ["-1", "1", "1732313171881", "1732313171882", "253402300799999"];
    let digests = times.map(|time| digest(&body(time), "default"));
    assert!(digests.is_sorted() && digests.iter().all(|digest| digest.len() == 64), "{digests:?}");
    assert!(digests[0].starts_with("000000000000"), "an impossible time counts as none");
    assert!(digests[4].starts_with("e677d21fdbff"), "the last time that is read");
    assert_ne!(digest(&body("1"), "acme"), digests[1]);
    assert_ne!(digest(&body("1 "), "default"), digests[1], "other bytes");
}

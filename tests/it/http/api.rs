//! The API's read endpoints, its errors, and the health checks.

use rtmsd::model::{
    EntryBody, Gap, GapCause, Medium, MediumAccount, MediumTally, Participant, Speaker, Tally,
    TranscriptLine, UnknownMessages, UserId,
};
use rtmsd::store::StreamUpdate;
use serde_json::{Value, json};

use super::server::{NOW_S, READER, Server};
use crate::support::audit::trail;
use crate::support::client::{exchange, head};
use crate::support::wait::eventually;

const UNKNOWN: &str = "01932b5e-0000-7000-8000-000000000000";
const START_MS: i64 = NOW_S * 1000;

fn spoken_line(name: &str, start_ms: i64, text: &str) -> EntryBody {
    EntryBody::Transcript(TranscriptLine {
        speaker: Speaker::participant(UserId(7), Some(name.into())),
        text: text.into(),
        start_ms,
        end_ms: start_ms.saturating_add(1000),
        language: Some(9),
        attribute: None,
    })
}

#[tokio::test]
async fn the_api_needs_a_token_that_may_read() {
    let server = Server::start().await;
    let paths = ["", "/x", "/x/ledger", "/x/transcript", "/x/events"];
    let strangers: [&[(&str, &str)]; 3] =
        [&[], &[("authorization", "Bearer wrong")], &[("authorization", "Basic cmVhZC10b2tlbg==")]];
    for path in paths.map(|path| format!("/api/v1/sdk/sessions{path}")) {
        for headers in strangers {
            let answer = server.request("GET", &path, headers).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            let is_token = headers.iter().any(|(_, value)| *value == "Bearer wrong");
            let detail = answer.text();
            assert_eq!(detail.contains("this token is unknown"), is_token, "{detail}");
            assert!(!(is_token && detail.contains("DATA_DIR")), "the tokens are of API_TOKENS");
        }
        let answer = server
            .request("GET", &path, &[("authorization", "Bearer control-token-of-tests")])
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{path}");
    }
    let in_url = "/api/v1/sdk/sessions?access_token=read-token-of-tests";
    assert_eq!(server.request("GET", in_url, &[]).await.status, 401);
}

#[tokio::test]
async fn an_unknown_path_or_id_is_a_404_in_the_envelope() {
    let server = Server::start().await;
    for path in ["/api/v1/sdk", "/api/v1/sdk/nothing", "/webhook/", "/%ff", "/health"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{path}");
        assert_eq!(answer.json()["status"], false);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for path in ["", "/ledger", "/transcript", "/events"] {
        let answer = server.get(&format!("/api/v1/sdk/sessions/{UNKNOWN}{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "session_not_found"), "{path}");
    }
    let answer = server.request("DELETE", "/api/v1/sdk/sessions", &[READER]).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
}

#[tokio::test]
async fn a_bad_value_is_a_422_that_names_it() {
    let server = Server::start().await;
    let cases = [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?limit=ten", "limit"),
        ("?before=5", "before"),
        ("?status=gone", "status"),
        (&format!("/{UNKNOWN}/transcript?format=pdf"), "format"),
        (&format!("/{UNKNOWN}/events?after=7"), "after"),
        (&format!("/{UNKNOWN}/events?after=1:18446744073709551615"), "after"),
        (&format!("/{UNKNOWN}/events?kinds=transcript,shouting"), "kinds"),
    ];
    for (path, name) in cases {
        let answer = server.get(&format!("/api/v1/sdk/sessions{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_value"), "{path}");
        let detail = answer.json()["error"]["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(name), "{detail}");
    }
    let path = format!("/api/v1/sdk/sessions/{UNKNOWN}/events");
    for id in ["x", "1:2:3", "\u{e9}"] {
        let answer = server.request("GET", &path, &[READER, ("last-event-id", id)]).await;
        assert_eq!(answer.status, 422);
    }
}

#[tokio::test]
async fn sessions_are_listed_newest_first_page_by_page() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.insert(0, server.start_stream(&format!("m{n}"), &format!("s{n}")).await.session_id);
    }
    let ids: Vec<Value> = ids.into_iter().map(|id| json!(id)).collect();
    let mut seen = Vec::new();
    let mut path = "/api/v1/sdk/sessions?limit=2".to_owned();
    loop {
        let page = server.get(&path).await.json();
        let sessions = page["data"]["sessions"].as_array().unwrap().clone();
        seen.push(sessions.iter().map(|session| session["id"].clone()).collect::<Vec<_>>());
        let Some(next) = page["data"]["next"].as_str() else { break };
        path = format!("/api/v1/sdk/sessions?limit=2&before={next}");
    }
    assert_eq!(seen, [&ids[..2], &ids[2..4], &ids[4..]]);
    let ended = server.get("/api/v1/sdk/sessions?status=ended").await.json();
    assert_eq!(ended["data"], json!({"sessions": [], "next": null}));
}

#[tokio::test]
async fn a_session_is_shown_with_its_streams() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    server.start_stream("m1==", "s2").await;
    server.end_stream("m1==", &stream).await;
    let answer = server.get(&format!("/api/v1/sdk/sessions/{}", stream.session_id)).await;
    assert_eq!(answer.status, 200);
    let data = &answer.json()["data"];
    let session = &data["session"];
    assert_eq!(session["platform"], "zoom");
    assert_eq!(session["product"], "meeting");
    assert_eq!(session["instance_id"], "m1==");
    assert_eq!(session["meeting_id"], "91234567890");
    assert_eq!(session["created_at_ms"], START_MS);
    assert_eq!(session["created_at"], "2024-11-22T22:06:12.000Z");
    let streams = data["streams"].as_array().unwrap();
    let brief: Vec<_> = streams.iter().map(|s| (&s["ordinal"], &s["status"])).collect();
    assert_eq!(brief, [(&json!(1), &json!("ended")), (&json!(2), &json!("announced"))]);
    assert_eq!(streams[0]["stop_reason"], json!({"code": 6, "name": "MEETING_ENDED"}));
    assert_eq!(streams[0]["outcome"], "stopped");
    assert_eq!(streams[1]["stop_reason"], Value::Null);
    assert_eq!(streams[1]["generation"], 1);
    assert_eq!(streams[1]["tally"]["audio"]["frames"], 0);
}

#[tokio::test]
async fn the_ledger_shows_what_was_received_what_is_missing_and_the_completeness() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let mut account = MediumAccount::new(Medium::Audio, 1_000);
    account.until_ms = 11_000;
    account.lost_ms = 2_500;
    account.gaps = vec![Gap { start_ms: 2_000, end_ms: 4_500, cause: GapCause::LinkLost }];
    let audio = MediumTally { frames: 375, bytes: 240_000, first_ms: Some(1), last_ms: Some(2) };
    let update = StreamUpdate {
        tally: Some(Tally { audio, ..Tally::default() }),
        ledger: Some(vec![account]),
        ..StreamUpdate::default()
    };
    server.state.store.update_streams(&[(stream.stream_id.clone(), update)], 1).await.unwrap();
    let path = format!("/api/v1/sdk/sessions/{}/ledger", stream.session_id);
    let data = server.get(&path).await.json()["data"].take();
    assert_eq!(
        data["streams"][0]["media"],
        json!([{
            "medium": "audio", "frames": 375, "bytes": 240_000, "first_ms": 1, "last_ms": 2,
            "since_ms": 1_000, "until_ms": 11_000, "expected_ms": 10_000, "covered_ms": 7_500,
            "paused_ms": 0, "completeness": 0.75, "earlier_gaps": 0, "open_gap": null,
            "in_gaps": { "frames": 0, "bytes": 0 },
            "handed_over_late": { "frames": 0, "bytes": 0 },
            "left_out": { "frames": 0, "bytes": 0 },
            "gaps": [{ "start_ms": 2_000, "end_ms": 4_500, "cause": "link_lost" }],
        }])
    );
}

/// A session with two streams whose lines overlap, and an entry that is not a line.
async fn conversation(server: &Server) -> String {
    let first = server.start_stream("m1==", "s1").await;
    let second = server.start_stream("m1==", "s2").await;
    let (mut one, mut two) = (server.feed(&first), server.feed(&second));
    one.note(None, spoken_line("Ana", START_MS, "Good <morning>"));
    let person = Participant { user_id: UserId(8), user_name: Some("Bo".into()) };
    one.note(None, EntryBody::ParticipantJoined(person));
    two.note(None, spoken_line("Bo", START_MS + 2000, "Hello"));
    one.note(None, spoken_line("Ana", START_MS + 4000, "Bye"));
    server.state.hub.flush().await;
    format!("/api/v1/sdk/sessions/{}/transcript", first.session_id)
}

#[tokio::test]
async fn a_transcript_is_available_in_every_format_in_order_of_speech() {
    let server = Server::start().await;
    let path = conversation(&server).await;
    let json = server.get(&path).await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let data = json.json()["data"].clone();
    let lines = data["lines"].as_array().unwrap();
    let brief: Vec<_> = lines.iter().map(|l| (&l["ordinal"], &l["seq"], &l["offset_ms"])).collect();
    let expected = [(1, 1, 0), (2, 1, 2000), (1, 3, 4000)];
    let expected = expected.map(|(stream, seq, at)| (json!(stream), json!(seq), json!(at)));
    assert_eq!(brief, expected.each_ref().map(|(stream, seq, at)| (stream, seq, at)));
    assert!(lines.iter().all(|line| line["stream"] == line["ordinal"]), "the deprecated name");

    let vtt = server.get(&format!("{path}?format=vtt")).await;
    assert_eq!(vtt.header("content-type"), Some("text/vtt; charset=utf-8"));
    assert!(vtt.header("content-disposition").unwrap().ends_with(".vtt\""));
    assert!(vtt.text().starts_with(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Ana>Good &lt;morning&gt;\n\n\
         00:00:02.000 --> 00:00:03.000\n<v Bo>Hello\n\n"
    ));
    let srt = server.request("GET", &path, &[READER, ("accept", "application/x-subrip")]).await;
    assert!(srt.text().starts_with("1\n00:00:00,000 --> 00:00:01,000\nAna: Good <morning>\n\n2\n"));
    let txt = server.request("GET", &path, &[READER, ("accept", "text/plain")]).await;
    assert_eq!(txt.text().lines().count(), 3);
    let accept_html = [READER, ("accept", "text/html")];
    let answer = server.request("GET", &path, &accept_html).await;
    assert_eq!((answer.status, answer.code().as_str()), (406, "not_acceptable"));
    // A format requested by name needs no header.
    let named = server.request("GET", &format!("{path}?format=txt"), &accept_html).await;
    assert_eq!(named.status, 200);
}

/// Unset, and beyond any plausible time.
const ABSURD_MS: [i64; 5] = [0, -1, 1_000, i64::MIN, i64::MAX];

#[tokio::test]
async fn a_line_whose_time_is_unset_or_absurd_stands_where_it_came_and_moves_no_other() {
    for absurd_ms in ABSURD_MS {
        let server = Server::start().await;
        let stream = server.start_stream("m1==", "s1").await;
        let mut feed = server.feed(&stream);
        feed.note(Some(START_MS), spoken_line("Ana", START_MS - 5_000, "one"));
        let mut odd = spoken_line("Ana", absurd_ms, "two");
        if let EntryBody::Transcript(line) = &mut odd {
            line.end_ms = absurd_ms;
        }
        feed.note(Some(absurd_ms), odd);
        feed.note(Some(absurd_ms), EntryBody::FirstPacket {});
        feed.note(Some(START_MS), spoken_line("Ana", START_MS - 3_000, "three"));
        feed.finish().await;
        let path = format!("/api/v1/sdk/sessions/{}/transcript", stream.session_id);
        let text = server.get(&format!("{path}?format=txt")).await.text().to_owned();
        let expected =
            "[00:00:00.000] Ana: one\n[00:00:02.000] Ana: three\n[00:00:05.000] Ana: two\n";
        assert_eq!(text, expected, "{absurd_ms}");
        for (format, first) in
            [("vtt", "00:00:00.000 --> 00:00:01.000"), ("srt", "00:00:00,000 --> ")]
        {
            let text = server.get(&format!("{path}?format={format}")).await.text().to_owned();
            assert!(text.contains(first), "{absurd_ms}: {text}");
        }
        let data = server.get(&path).await.json()["data"].take();
        assert_eq!(data["origin"]["ms"], START_MS - 5_000, "{absurd_ms}");
        let offsets: Vec<_> = data["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["offset_ms"].clone())
            .collect();
        assert_eq!(offsets, [0, 2_000, 5_000], "{absurd_ms}");
        let page = format!("/api/v1/sdk/sessions/{}/ledger", stream.session_id);
        let ledger = server.get(&page).await.json()["data"].take();
        assert!(!ledger.to_string().contains("1970"), "{ledger}");
    }
}

#[tokio::test]
async fn a_long_transcript_is_complete() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let mut feed = server.feed(&stream);
    // Many pages, and many more lines than are buffered for sorting.
    for n in 0..1500 {
        feed.note(None, spoken_line("Ana", START_MS + n * 40, &format!("line {n}")));
    }
    server.state.hub.flush().await;
    let path = format!("/api/v1/sdk/sessions/{}/transcript?format=txt", stream.session_id);
    let text = server.get(&path).await.text().to_owned();
    let numbers: Vec<String> =
        text.lines().map(|l| l.split(' ').next_back().unwrap().into()).collect();
    assert_eq!(numbers, (0..1500).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_without_speech_has_an_empty_transcript() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = format!("/api/v1/sdk/sessions/{}/transcript", stream.session_id);
    assert_eq!(server.get(&path).await.json()["data"]["lines"], json!([]));
    assert_eq!(server.get(&format!("{path}?format=vtt")).await.text(), "WEBVTT\n\n");
}

#[tokio::test]
async fn readiness_follows_the_store_and_the_stop_and_liveness_neither() {
    let server = Server::start().await;
    let ready = server.request("GET", "/health/ready", &[]).await;
    assert_eq!(ready.status, 200);
    // Other tests of this process may have had unreadable rows.
    let checks = |ready: &Value| json!({"store": ready["store"], "draining": ready["draining"], "restarts": ready["restarts"]});
    let ready = ready.json()["data"].take();
    assert!(ready["unreadable_rows"].is_u64(), "{ready}");
    assert_eq!(checks(&ready), json!({"store": "ok", "draining": false, "restarts": {}}));
    server.state.draining.cancel();
    let ready = server.request("GET", "/health/ready", &[]).await;
    assert_eq!(ready.status, 503);
    let ready = ready.json()["data"].take();
    assert_eq!(checks(&ready), json!({"store": "ok", "draining": true, "restarts": {}}));
    server.state.store.close().await;
    // The store's answer is cached for half a second.
    eventually("the store is unavailable", async || {
        let ready = server.request("GET", "/health/ready", &[]).await.json();
        (ready["data"]["store"] == "unavailable").then_some(())
    })
    .await;
    assert_eq!(server.request("GET", "/health/live", &[]).await.status, 200);
    let answer = server.get("/api/v1/sdk/sessions").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
}

#[tokio::test]
async fn an_error_repeats_neither_token_nor_query() {
    let server = Server::start().await;
    let path = "/api/v1/sdk/sessions?status=s3cret";
    let headers = [READER, ("x-request-id", "s3cret")];
    let answer = exchange(server.address, &head("GET", path, &headers)).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.text().contains("s3cret") && !answer.text().contains("read-token-of-tests"));
    assert_ne!(answer.header("x-request-id"), Some("s3cret"));
}

#[tokio::test]
async fn unknown_messages_are_counted_over_all_runs_of_a_stream() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let shown = async || {
        let session = server.get(&format!("/api/v1/sdk/sessions/{}", stream.session_id)).await;
        session.json()["data"]["streams"][0]["unknown_messages"].clone()
    };
    assert_eq!(shown().await, json!({}));
    let mut first = server.feed(&stream);
    first.count_unknown(&UnknownMessages::from([(23, 2), (27, 1)]));
    first.finish().await;
    assert_eq!(shown().await, json!({"23": 2, "27": 1}));
    let mut second = server.feed(&server.stream("s1").await);
    second.count_unknown(&UnknownMessages::from([(23, 1)]));
    second.count_unknown(&UnknownMessages::from([(23, 5)]));
    second.finish().await;
    assert_eq!(shown().await, json!({"23": 7, "27": 1}));
}

#[tokio::test]
async fn only_an_admin_token_deletes_a_session_and_only_after_its_streams_ended() {
    let server = Server::start().await;
    let stream = server.start_stream("m1==", "s1").await;
    let path = format!("/api/v1/sdk/sessions/{}", stream.session_id);
    let delete = async |token: &str| {
        let headers = [("authorization", format!("Bearer {token}"))];
        server.request("DELETE", &path, &[("authorization", &headers[0].1)]).await
    };
    assert_eq!(delete("control-token-of-tests").await.code(), "forbidden");
    let answer = delete("boss-token-of-tests").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "session_live"));
    server.end_stream("m1==", &stream).await;
    let answer = delete("boss-token-of-tests").await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["data"]["id"], stream.session_id.to_string());
    while server.state.store.delete_some(0).await.unwrap() {}
    assert_eq!(server.get(&path).await.code(), "session_not_found");
    assert_eq!(delete("boss-token-of-tests").await.code(), "session_not_found");
    let trail = trail(&server.state.store, 10).await;
    let acts: Vec<_> = trail.iter().map(|row| (&*row.action, &*row.outcome)).collect();
    let expected = [
        ("session.delete", "session_not_found"),
        ("data.deleted", "ok"),
        ("session.delete", "ok"),
        ("session.delete", "session_live"),
        ("api.refused", "forbidden"),
    ];
    assert_eq!(acts, expected);
}

//! One program's stream from its first handshake to its end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::rtms::server::handshake::{Route, parse_handshake};

const TIMINGS: KeepAliveTimings = KeepAliveTimings { every: Duration::from_secs(10), missed: 3 };
const SIGNALING: u64 = 1;
const MEDIA: u64 = 2;

/// A program at some time, with what it was sent.
struct Scene {
    program: Program,
    began: Instant,
    passed: Duration,
    /// Whether the stream has individual video.
    is_individual: bool,
}

impl Scene {
    fn new() -> Self {
        let program = Program::new("S", TIMINGS);
        Self { program, began: Instant::now(), passed: Duration::ZERO, is_individual: false }
    }

    /// Signaling, one socket for all media, and message 7.
    fn flowing() -> Self {
        let mut scene = Self::new();
        scene.open(SIGNALING, Route::Signaling(0), &signaling());
        scene.open(MEDIA, Route::Media(None), &media(32, json!(null)));
        scene.says(SIGNALING, json!({"msg_type": 7, "rtms_stream_id": "S"}));
        scene
    }

    fn now(&self) -> Instant {
        self.began + self.passed
    }

    fn now_ms(&self) -> i64 {
        self.passed.as_millis() as i64
    }

    fn open(&mut self, socket: u64, route: Route, first: &Value) -> Vec<Value> {
        let handshake = parse_handshake(route, &first.to_string()).unwrap();
        let data_opt = if self.is_individual { 4 } else { 3 };
        let grant = Grant {
            is_signed: handshake.signature == "good",
            media: &[Medium::Audio, Medium::Video, Medium::Transcript],
            server_urls: Map::from_iter([("audio".to_owned(), json!("wss://r/audio"))]),
            first_packet_ms: Some(5),
            media_params: &|media| {
                let mut params = json!({});
                for medium in media {
                    params[medium.as_str()] = json!({"codec": 4, "data_opt": data_opt});
                }
                params
            },
        };
        self.program.handshake(self.now(), socket, &handshake, grant);
        self.outputs()
    }

    fn says(&mut self, socket: u64, message: Value) -> Vec<Value> {
        self.program.message(self.now(), self.now_ms(), socket, &message.to_string());
        self.outputs()
    }

    fn passes(&mut self, seconds: u64) -> Vec<Value> {
        self.passed += Duration::from_secs(seconds);
        self.program.advance(self.now(), self.now_ms());
        self.outputs()
    }

    /// What is to be done: a message as an object with its socket, anything else as a text.
    fn outputs(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.program.output()).map(|output| shown(&output)).collect()
    }
}

fn shown(output: &Output) -> Value {
    match output {
        Output::Send(socket, text) => {
            let mut message: Value = serde_json::from_str(text).unwrap();
            message["to"] = (*socket).into();
            message
        }
        other => format!("{other:?}").into(),
    }
}

fn signaling() -> Value {
    json!({"msg_type": 1, "meeting_uuid": "M", "rtms_stream_id": "S", "signature": "good"})
}

fn media(media_type: u32, media_params: Value) -> Value {
    json!({"msg_type": 3, "meeting_uuid": "M", "rtms_stream_id": "S", "signature": "good",
           "media_type": media_type, "media_params": media_params})
}

/// The types and states or status codes of messages.
fn outline(messages: &[Value]) -> Vec<String> {
    let of = |message: &Value| match message.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let detail = ["status_code", "state"].iter().find_map(|name| message.get(*name));
            let event = message["event"].get("event_type");
            let detail = detail.or(event).map(|detail| format!("/{detail}"));
            format!("{}{}", message["msg_type"], detail.unwrap_or_default())
        }
    };
    messages.iter().map(of).collect()
}

#[test]
fn a_program_joins_as_it_joins_zoom() {
    let mut scene = Scene::new();
    scene.program.session_state("one", 2, None, (1, false));
    let answers = scene.open(SIGNALING, Route::Signaling(0), &signaling());
    assert_eq!(outline(&answers), ["2/0", "6/1"]);
    assert_eq!(answers[0]["media_server"]["server_urls"], json!({"audio": "wss://r/audio"}));
    assert_eq!(answers[1]["event"]["timestamp"], 5);
    let answers = scene.open(MEDIA, Route::Media(None), &media(32, json!(null)));
    assert_eq!(outline(&answers), ["4/0"]);
    // What the stream really has, whatever was asked for.
    assert_eq!(answers[0]["media_params"]["audio"]["codec"], 4);
    assert_eq!(answers[0]["payload_encrypted"], false);
    assert!(!scene.program.is_flowing());
    let ready = scene.says(SIGNALING, json!({"msg_type": 7, "rtms_stream_id": "S"}));
    assert_eq!(outline(&ready), ["Flow(2)", "9/2", "8/1"]);
    let again = scene.says(SIGNALING, json!({"msg_type": 7, "rtms_stream_id": "S"}));
    assert_eq!(outline(&again), [""; 0]);
}

#[test]
fn a_wrong_signature_is_refused_before_anything_else_is_said() {
    let mut scene = Scene::flowing();
    let mut forged = signaling();
    forged["signature"] = "bad".into();
    let answers = scene.open(3, Route::Signaling(0), &forged);
    assert_eq!(outline(&answers), ["2/3", "Close(3)"]);
    let mut forged = media(1, json!(null));
    forged["signature"] = "bad".into();
    assert_eq!(outline(&scene.open(3, Route::Media(None), &forged)), ["4/3", "Close(3)"]);
    assert!(scene.program.is_flowing());
}

#[test]
fn a_second_connection_is_refused_while_the_first_one_answers() {
    let mut scene = Scene::flowing();
    let again = scene.open(3, Route::Signaling(0), &signaling());
    assert_eq!(outline(&again), ["2/8", "Close(3)"]);
    let asked = scene.passes(0);
    assert_eq!(outline(&asked), ["12"]);
    let answer = json!({"msg_type": 13, "timestamp": asked[0]["timestamp"]});
    scene.says(SIGNALING, answer);
    scene.passes(2);
    let again = scene.open(3, Route::Signaling(0), &signaling());
    assert_eq!(outline(&again), ["2/8", "Close(3)"]);
}

#[test]
fn a_program_that_was_killed_takes_its_place_again() {
    let mut scene = Scene::flowing();
    scene.open(3, Route::Signaling(0), &signaling());
    scene.passes(0);
    scene.passes(2);
    // The first connection left the question unanswered.
    let again = scene.open(4, Route::Signaling(0), &signaling());
    assert_eq!(outline(&again), ["Drop(1)", "Drop(2)", "2/0", "6/1"]);
}

#[test]
fn one_socket_for_all_media_or_one_for_each() {
    let mut scene = Scene::flowing();
    let second = scene.open(3, Route::Media(None), &media(1, json!(null)));
    assert_eq!(outline(&second), ["4/15", "Close(3)"]);
    let mut scene = Scene::new();
    let early = scene.open(MEDIA, Route::Media(None), &media(1, json!(null)));
    assert_eq!(outline(&early), ["4/2", "Close(2)"]);
    scene.open(SIGNALING, Route::Signaling(0), &signaling());
    let audio = Route::Media(Some(Medium::Audio));
    assert_eq!(outline(&scene.open(MEDIA, audio, &media(1, json!(null)))), ["4/0"]);
    assert_eq!(outline(&scene.open(3, audio, &media(1, json!(null)))), ["4/16", "Close(3)"]);
    let transcript = Route::Media(Some(Medium::Transcript));
    assert_eq!(outline(&scene.open(4, transcript, &media(8, json!(null)))), ["4/0"]);
    assert_eq!(scene.program.media_of(4), [Medium::Transcript]);
    // The stream has no chat and no share: refused one by one, left out of "all".
    assert_eq!(outline(&scene.open(5, Route::Any, &media(16, json!(null)))), ["4/13", "Close(5)"]);
    assert_eq!(outline(&scene.open(5, Route::Any, &media(9, json!(null)))), ["4/14", "Close(5)"]);
    assert_eq!(Scene::flowing().program.media_of(MEDIA).len(), 3);
}

#[test]
fn impossible_parameters_are_refused_and_others_answered_with_the_real_ones() {
    let mut scene = Scene::new();
    scene.open(SIGNALING, Route::Signaling(0), &signaling());
    let bad = media(1, json!({"audio": {"codec": 9}}));
    assert_eq!(outline(&scene.open(MEDIA, Route::Any, &bad)), ["4/22", "Close(2)"]);
    let other = media(1, json!({"audio": {"codec": 1, "sample_rate": 1}}));
    let answers = scene.open(MEDIA, Route::Any, &other);
    assert_eq!(answers[0]["media_params"]["audio"]["codec"], 4);
}

#[test]
fn events_come_only_to_subscribers_and_the_subscription_survives_a_reconnect() {
    let mut scene = Scene::flowing();
    let event = |scene: &mut Scene, event_type| {
        scene.program.event(event_type, || message::event(event_type, 9, json!({})));
        outline(&scene.outputs())
    };
    assert_eq!(event(&mut scene, 3), [""; 0]);
    assert_eq!(event(&mut scene, message::EVENT_FIRST_PACKET), ["6/1"]);
    let asked = json!([{"event_type": 3, "subscribe": true}, {"event_type": 4, "subscribe": true}]);
    let subscribed = scene.says(SIGNALING, json!({"msg_type": 5, "events": asked}));
    assert_eq!(outline(&subscribed), ["Subscribed([3, 4])"]);
    assert_eq!(event(&mut scene, 3), ["6/3"]);
    let less = json!([{"event_type": 3, "subscribe": false}]);
    assert_eq!(scene.says(SIGNALING, json!({"msg_type": 5, "events": less})).len(), 0);
    assert_eq!(event(&mut scene, 3), [""; 0]);
    scene.program.lost(0, SIGNALING, None);
    assert_eq!(outline(&scene.outputs()), ["Hold(2)", "Interrupted"]);
    assert_eq!(event(&mut scene, 4), [""; 0]);
    scene.open(3, Route::Signaling(0), &signaling());
    assert_eq!(event(&mut scene, 4), ["6/4"]);
}

#[test]
fn a_program_may_be_away_for_hours() {
    let mut scene = Scene::flowing();
    scene.program.lost(0, SIGNALING, None);
    scene.program.lost(0, MEDIA, None);
    scene.outputs();
    assert_eq!(scene.passes(7200).len(), 0);
    assert_eq!(scene.program.deadline(), None);
    let answers = scene.open(3, Route::Signaling(0), &signaling());
    assert_eq!(outline(&answers), ["2/0", "6/1"]);
    scene.open(4, Route::Media(None), &media(32, json!(null)));
    let ready = scene.says(3, json!({"msg_type": 7, "rtms_stream_id": "S"}));
    assert_eq!(outline(&ready), ["Flow(4)", "8/1"]);
}

#[test]
fn who_leaves_with_a_close_frame_is_not_interrupted() {
    let mut scene = Scene::flowing();
    scene.program.lost(0, SIGNALING, Some(1000));
    assert_eq!(outline(&scene.outputs()), ["Hold(2)"]);
}

#[test]
fn a_lost_media_socket_is_reported_and_comes_back() {
    let mut scene = Scene::flowing();
    scene.program.lost(7, MEDIA, None);
    assert_eq!(outline(&scene.outputs()), ["6/7", "8/2"]);
    let state = scene.says(SIGNALING, json!({"msg_type": 19, "rtms_stream_id": "S"}));
    assert_eq!(outline(&state), ["20/2"]);
    scene.open(3, Route::Media(None), &media(32, json!(null)));
    let ready = scene.says(SIGNALING, json!({"msg_type": 7, "rtms_stream_id": "S"}));
    assert_eq!(outline(&ready), ["Flow(3)", "8/1"]);
}

#[test]
fn a_socket_whose_keep_alives_stay_unanswered_is_dropped_without_a_close_frame() {
    let mut scene = Scene::flowing();
    let mut dropped = Vec::new();
    for _ in 0..4 {
        let outputs = scene.passes(10);
        let asked = outputs.iter().find(|output| output["to"] == SIGNALING).cloned();
        dropped.extend(outputs.into_iter().filter(Value::is_string));
        if let Some(asked) = asked {
            let answer = json!({"msg_type": 13, "timestamp": asked["timestamp"]});
            scene.says(SIGNALING, answer);
        }
    }
    assert_eq!(dropped, ["Drop(2)"]);
    assert!(scene.program.is_connected());
}

#[test]
fn a_receipt_is_asked_for_once_and_does_not_hasten_the_end_of_a_silent_program() {
    let mut scene = Scene::flowing();
    let ask = |scene: &mut Scene| {
        scene.program.ask(scene.now(), MEDIA);
        scene.passes(0).iter().filter(|output| output["to"] == MEDIA).count()
    };
    assert_eq!(ask(&mut scene), 1);
    scene.passes(1);
    assert_eq!(ask(&mut scene), 0, "it is being asked");
    assert_eq!(scene.passes(8), [Value::Null; 0]);
    let answer = json!({"msg_type": 13, "timestamp": 0});
    scene.says(MEDIA, answer);
    assert_eq!(ask(&mut scene), 1, "it has answered");
}

#[test]
fn pauses_and_sessions_are_passed_on_and_can_be_asked_for() {
    let mut scene = Scene::flowing();
    scene.program.session_state("one", 3, None, (7, true));
    scene.program.stream_state(stream_state::PAUSED, 0, 7);
    assert_eq!(outline(&scene.outputs()), ["9/3", "8/5"]);
    let state = scene.says(SIGNALING, json!({"msg_type": 19, "rtms_stream_id": "S"}));
    assert_eq!(outline(&state), ["20/5"]);
    let session = scene.says(SIGNALING, json!({"msg_type": 10, "rtms_session_id": "one"}));
    assert_eq!(outline(&session), ["11/3"]);
    let session = scene.says(SIGNALING, json!({"msg_type": 10, "rtms_session_id": "two"}));
    assert_eq!(outline(&session), ["11/40"]);
    scene.program.stream_state(stream_state::RESUMED, 0, 8);
    assert_eq!(outline(&scene.outputs()), ["8/6"]);
    let state = scene.says(SIGNALING, json!({"msg_type": 19, "rtms_stream_id": "S"}));
    assert_eq!(outline(&state), ["20/1"]);
}

#[test]
fn individual_video_is_chosen_once_and_ends_with_the_camera() {
    let choose = |scene: &mut Scene, user_id: Value, subscribe: bool| {
        let message = json!({"msg_type": 28, "user_id": user_id, "subscribe": subscribe});
        outline(&scene.says(SIGNALING, message))
    };
    assert_eq!(choose(&mut Scene::flowing(), json!(7), true), ["29/29"]);
    let mut scene = Scene { is_individual: true, ..Scene::new() };
    scene.open(SIGNALING, Route::Signaling(0), &signaling());
    let video = json!({"video": {"codec": 7, "fps": 25, "data_opt": 4}});
    scene.open(MEDIA, Route::Any, &media(2, video.clone()));
    assert!(scene.program.has_individual_video(MEDIA));
    assert_eq!(choose(&mut scene, json!("ana"), true), ["29/4"]);
    assert_eq!(choose(&mut scene, json!(7), true), ["Video(Some(7))", "29/0"]);
    assert_eq!(choose(&mut scene, json!(7), true), ["29/44"]);
    assert_eq!(choose(&mut scene, json!(8), true), ["Video(Some(8))", "29/0"]);
    assert_eq!(choose(&mut scene, json!(7), false), ["29/0"]);
    scene.program.camera_off(8);
    assert_eq!(outline(&scene.outputs()), ["Video(None)"]);
    assert_eq!(choose(&mut scene, json!(8), true), ["Video(Some(8))", "29/0"]);
    // Another socket has no subscription, so that the same choice is no repetition.
    scene.program.lost(9, MEDIA, None);
    scene.outputs();
    let opened = scene.open(MEDIA, Route::Any, &media(2, video));
    assert_eq!(outline(&opened), ["Video(None)", "4/0"]);
    assert_eq!(choose(&mut scene, json!(8), true), ["Video(Some(8))", "29/0"]);
}

#[test]
fn a_program_that_asks_for_the_end_gets_it_for_itself() {
    let mut scene = Scene::flowing();
    scene.program.session_state("one", 2, None, (1, false));
    let other = scene.says(SIGNALING, json!({"msg_type": 21, "rtms_stream_id": "T"}));
    assert_eq!(outline(&other), ["22/2"]);
    let ended = scene.says(SIGNALING, json!({"msg_type": 21, "rtms_stream_id": "S"}));
    assert_eq!(outline(&ended), ["22/0", "9/5", "8/4", "Close(1)", "CloseLater(2)", "Left"]);
    assert_eq!(ended[2]["reason"], 20);
    let again = scene.open(3, Route::Signaling(0), &signaling());
    assert_eq!(outline(&again), ["2/2", "Close(3)"]);
}

#[test]
fn the_end_of_the_stream_is_said_once_and_last() {
    let mut scene = Scene::flowing();
    scene.program.session_state("one", 5, Some(6), (7, true));
    scene.program.stream_state(stream_state::TERMINATING, 6, 7);
    scene.program.end(6, 8);
    scene.program.end(11, 9);
    assert_eq!(outline(&scene.outputs()), ["9/5", "8/3", "8/4", "Close(1)", "CloseLater(2)"]);
}

#[test]
fn what_cannot_be_read_costs_nothing() {
    let mut scene = Scene::flowing();
    for text in ["", "{", "7", r#"{"msg_type":"7"}"#, r#"{"msg_type":99}"#, "\u{0}"] {
        scene.program.message(scene.now(), 0, SIGNALING, text);
        scene.program.message(scene.now(), 0, MEDIA, text);
    }
    assert_eq!(scene.outputs().len(), 0);
}

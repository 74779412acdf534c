//! What flows to programs: every frame as Zoom sent it, lines, events and states.

use std::time::Duration;

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;

use super::kit::{
    Joined, assert_same, handshake, home, open_media, print_of, ready, remembering, scene_with,
    sent_frames, signal,
};
use crate::daemon::phone::call;
use crate::simulator::kit::Client;
use crate::support::kit::{chatter, endless, eventually, script, zoom};

/// All messages of a type, until the socket ends.
async fn all_of(client: &mut Client, msg_type: u64) -> Vec<Value> {
    let (messages, _) = client.drain().await;
    messages.into_iter().filter(|message| message["msg_type"] == msg_type).collect()
}

#[tokio::test]
async fn three_programs_get_every_byte_and_cost_zoom_one() {
    let settings = remembering(zoom(script(chatter(30, 100), 4_000)));
    let programs = ["one", "two", "three"].map(|name| (name, json!({"catch_up": true})));
    let (scene, mut programs) = scene_with(home(), settings, &programs).await;
    let mut joined = Vec::new();
    for program in &mut programs {
        joined.push(program.join().await);
    }
    let mut received = Vec::new();
    for Joined { media, signaling, granted, .. } in &mut joined {
        // What Zoom granted the daemon, whatever the program wants.
        assert_eq!(granted["media_params"]["audio"]["codec"], 1);
        let (messages, end) = media.drain().await;
        assert_eq!(end.close_code(), Some(1000));
        let states: Vec<_> = signaling.drain().await.0;
        let last = states.last().unwrap();
        assert_eq!((&last["msg_type"], &last["state"]), (&json!(8), &json!(4)));
        assert_eq!(last["reason"], 6);
        received.push(messages);
    }
    let page = scene.log.over().await;
    let sent = sent_frames(&scene, "audio").await;
    assert!(sent.len() > 100, "{}", sent.len());
    for messages in &received {
        let of = |msg_type| messages.iter().filter(move |message| message["msg_type"] == msg_type);
        assert_same(&of(14).map(print_of).collect::<Vec<_>>(), &sent);
        let texts: Vec<&str> =
            of(17).map(|line| line["content"]["data"].as_str().unwrap()).collect();
        assert_eq!(texts, page.texts());
        // The lines said before the daemon joined are missing; the even ones are Ana's.
        for line in of(17).map(|line| &line["content"]) {
            let number: u32 = line["data"].as_str().unwrap()["line ".len()..].parse().unwrap();
            let name = if number.is_multiple_of(2) { "Ana Silva" } else { "Bo" };
            assert_eq!(line["user_name"], name);
            assert_eq!((&line["language"], &line["attribute"]), (&json!(9), &json!(1)));
        }
    }
    for program in &mut programs {
        let stopped = program.endpoint.next("meeting.rtms_stopped").await;
        assert_eq!(stopped.body["payload"]["stop_reason"], 6);
    }
    let stream = scene.zoom.stream();
    assert_eq!((stream.signaling_handshakes, stream.media_handshakes), (1, 1));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_with_a_socket_for_each_medium_gets_the_same() {
    let settings = remembering(zoom(script(chatter(20, 100), 3_000)));
    let (scene, mut programs) = scene_with(home(), settings, &[("one", json!({}))]).await;
    let started = programs[0].started().await;
    let (mut signaling, answer) = signal("one", &started).await;
    let urls = &answer["media_server"]["server_urls"];
    let names: Vec<&String> = urls.as_object().unwrap().keys().collect();
    assert_eq!(names, ["all", "audio", "transcript"]);
    let url = |medium: &str| urls[medium].as_str().unwrap();
    let (mut audio, granted) = open_media("one", &started, url("audio"), (1, json!(null))).await;
    let names: Vec<&String> = granted["media_params"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["audio"]);
    let (mut lines, _) = open_media("one", &started, url("transcript"), (8, json!(null))).await;
    signaling.send(&ready(&started)).await;
    let (audio, lines) = tokio::join!(all_of(&mut audio, 14), all_of(&mut lines, 17));
    assert!(!lines.is_empty());
    scene.log.over().await;
    let sent = sent_frames(&scene, "audio").await;
    assert_same(&audio.iter().map(print_of).collect::<Vec<_>>(), &sent);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_is_let_in_by_its_own_secret_alone() {
    let programs = [("one", json!({})), ("two", json!({}))];
    let (scene, mut programs) = scene_with(home(), zoom(endless(100)), &programs).await;
    let started = programs[0].started().await;
    for (name, code) in [("two", 3), ("nobody", 3)] {
        let (mut client, answer) = signal(name, &started).await;
        assert_eq!(answer["status_code"], code, "{answer}");
        assert_eq!(client.drain().await.1.close_code(), Some(1000));
    }
    let mut other = started.clone();
    other["rtms_stream_id"] = "unknown".into();
    assert_eq!(signal("one", &other).await.1["status_code"], 2);
    let mut client = Client::connect(started["server_urls"].as_str().unwrap()).await;
    client.send(&json!({"msg_type": 1})).await;
    assert_eq!(client.receive().await["status_code"], 4);
    let mut media = handshake("one", &started, 3);
    media["media_type"] = 1.into();
    let url = started["server_urls"].as_str().unwrap().replace("signaling", "media/audio");
    let mut early = Client::connect(&url).await;
    early.send(&media).await;
    assert_eq!(early.receive().await["status_code"], 2);
    Joined::join("one", started).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_gets_only_the_media_of_its_relay() {
    let programs = [("one", json!({"media": ["transcript"]}))];
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &programs).await;
    let mut joined = programs[0].join().await;
    let names: Vec<&String> = joined.granted["media_params"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["transcript"]);
    for _ in 0..10 {
        assert_eq!(joined.media.receive().await["msg_type"], 17);
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn events_states_and_pauses_reach_a_program_as_zoom_sent_them() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let mut joined = programs[0].join().await;
    scene.log.entries("participant_joined", 2).await;
    let events: Vec<Value> =
        [2, 3, 4].iter().map(|number| json!({"event_type": number, "subscribe": true})).collect();
    joined.signaling.send(&json!({"msg_type": 5, "events": events})).await;
    let roster = joined.signaling.receive_event(3).await;
    let names: Vec<&str> = roster["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["user_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Ana Silva", "Bo"]);
    joined.signaling.receive_event(2).await;
    scene.zoom.perform(MeetingAction::Pause).await;
    let paused = joined.signaling.receive_type(8).await;
    assert_eq!(paused["state"], 5, "{paused}");
    joined
        .signaling
        .send(&json!({"msg_type": 19, "rtms_stream_id": joined.started["rtms_stream_id"]}))
        .await;
    assert_eq!(joined.signaling.receive_type(20).await["state"], 5);
    scene.zoom.perform(MeetingAction::Resume).await;
    let resumed = joined.signaling.receive_type(8).await;
    assert_eq!(resumed["state"], 6, "{resumed}");
    scene.zoom.perform(MeetingAction::End).await;
    let last = joined.signaling.drain().await.0;
    let states: Vec<_> = last
        .iter()
        .filter(|message| message["msg_type"] == 8)
        .map(|message| message["state"].as_u64().unwrap())
        .collect();
    assert_eq!(states.last(), Some(&4), "{last:?}");
    assert!(last.iter().any(|message| message["msg_type"] == 9 && message["state"] == 5));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_that_asks_for_the_end_ends_for_itself_alone() {
    let programs = [("one", json!({})), ("two", json!({}))];
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &programs).await;
    let mut one = programs[0].join().await;
    let mut two = programs[1].join().await;
    let close = json!({"msg_type": 21, "rtms_stream_id": one.started["rtms_stream_id"]});
    one.signaling.send(&close).await;
    let answer = one.signaling.receive_type(22).await;
    assert_eq!(answer["status_code"], 0);
    let last = one.signaling.receive_type(8).await;
    assert_eq!((&last["state"], &last["reason"]), (&json!(4), &json!(20)));
    let stopped = programs[0].endpoint.next("meeting.rtms_stopped").await;
    assert_eq!(stopped.body["payload"]["stop_reason"], 20);
    assert_eq!(signal("one", &one.started).await.1["status_code"], 2);
    two.media.receive_type(17).await;
    scene.zoom.close_clean().await;
}

/// Waits for state 4.
async fn terminated(signaling: &mut Client) {
    while signaling.receive_type(8).await["state"] != 4 {}
}

/// Zoom's own client drops what it has received and not handled when it learns of the end.
#[tokio::test]
async fn a_program_learns_of_the_end_when_it_has_read_everything() {
    let settings = zoom(endless(50));
    let (scene, mut programs) = scene_with(home(), settings, &[("one", json!({}))]).await;
    let mut one = programs[0].join().await;
    one.media.receive_type(14).await;
    one.media.stop_answering();
    scene.zoom.perform(MeetingAction::End).await;
    scene.log.over().await;
    let early = timeout(Duration::from_millis(300), terminated(&mut one.signaling)).await;
    assert!(early.is_err(), "nothing shows that it has read anything");
    one.media.start_answering();
    let Joined { mut media, mut signaling, .. } = one;
    // The program itself closes its media, or the daemon does, later.
    let first = tokio::select! {
        () = terminated(&mut signaling) => "state 4",
        _ = media.drain() => "a closed media socket",
    };
    assert_eq!(first, "state 4");
    scene.zoom.close_clean().await;
}

/// The same message with the id of a call instead of a meeting's.
fn for_call(mut message: Value) -> Value {
    message["call_id"] = message.as_object_mut().unwrap().remove("meeting_uuid").unwrap();
    message
}

#[tokio::test]
async fn a_call_of_zoom_phone_is_served_under_its_own_id() {
    let settings = Settings { speed: 2.0, ..zoom(call()) };
    let asked = [("one", json!({"product": "phone", "catch_up": true}))];
    // A call has only two of these media.
    let home = home().set("ZOOM_PHONE", "true").set("MEDIA_TYPES", "audio,video,transcript,chat");
    let (scene, mut programs) = scene_with(home, settings, &asked).await;
    let mut started = programs[0].endpoint.next("phone.rtms_started").await.body["payload"].clone();
    started["meeting_uuid"] = started["call_id"].clone();
    let mut signaling = Client::connect(started["server_urls"].as_str().unwrap()).await;
    signaling.send(&for_call(handshake("one", &started, 1))).await;
    let answer = signaling.receive().await;
    assert_eq!(answer["status_code"], 0, "{answer}");
    let urls = answer["media_server"]["server_urls"].as_object().unwrap();
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["all", "audio", "transcript"]);
    let mut media = Client::connect(urls["all"].as_str().unwrap()).await;
    let mut first = for_call(handshake("one", &started, 3));
    first["media_type"] = 32.into();
    media.send(&first).await;
    let granted = media.receive().await;
    assert_eq!(granted["status_code"], 0, "{granted}");
    signaling.send(&ready(&started)).await;
    let (messages, _) = media.drain().await;
    let of = |msg_type| messages.iter().filter(move |message| message["msg_type"] == msg_type);
    assert!(of(14).count() > 0);
    let lines: Vec<&Value> = of(17).map(|line| &line["content"]["data"]).collect();
    assert_eq!(lines, ["is anybody there"]);
    let stopped = programs[0].endpoint.next("phone.rtms_stopped").await;
    assert_eq!(stopped.body["payload"]["stop_reason"], 6);
    scene.zoom.close_clean().await;
}

/// Silent sockets, which anybody who knows a relay's id can open, are bounded.
#[tokio::test]
async fn sockets_without_a_first_message_are_bounded() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let started = programs[0].started().await;
    let url = started["server_urls"].as_str().unwrap();
    let host = url.strip_prefix("ws://").unwrap().split('/').next().unwrap();
    let mut silent = Vec::new();
    let refused = loop {
        let tcp = TcpStream::connect(host).await.unwrap();
        match client_async(url, tcp).await {
            Ok((socket, _)) => silent.push(socket),
            Err(error) => break error,
        }
        assert!(silent.len() <= 256);
    };
    assert!(refused.to_string().contains("503"), "{refused}");
    drop(silent);
    eventually("there is room again", async || {
        client_async(url, TcpStream::connect(host).await.unwrap()).await.ok()
    })
    .await;
    Joined::join("one", started).await.media.receive_type(14).await;
    scene.zoom.close_clean().await;
}

/// An H.264 stream begins with its only key frame for a while.
#[tokio::test]
async fn pictures_from_before_the_first_connection_are_sent() {
    let mut timeline = chatter(200, 100);
    timeline.insert(0, json!({"at_ms": 0, "video_on": "ana"}));
    let settings = remembering(zoom(script(timeline, 3_600_000)));
    let home = home().set("MEDIA_TYPES", "video").set("VIDEO_SELECT", "active");
    let (scene, mut programs) = scene_with(home, settings, &[("one", json!({}))]).await;
    let started = programs[0].started().await;
    eventually("pictures come", async || (scene.zoom.medium("video").frames > 5).then_some(()))
        .await;
    let first = Joined::join("one", started).await.media.receive_type(15).await;
    let sent = sent_frames(&scene, "video").await;
    assert_eq!(first["content"]["timestamp"], sent[0].0);
    scene.zoom.close_clean().await;
}

//! Sessions that programs create and list.

use serde_json::{Value, json};

use super::kit::{Kit, NUMBER};

#[tokio::test]
async fn a_session_is_made_once_and_shows_what_it_was_made_with() {
    let kit = Kit::start().await;
    let new = json!({"platform": "zoom", "meeting_id": 91_234_567_890_u64,
        "participant_user_id": "u7", "metadata": {"ticket": 5}});
    let made = kit.post("", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let session = made.json()["data"]["session"].clone();
    assert_eq!(session["status"], "created");
    assert_eq!(session["meeting_id"], NUMBER);
    assert_eq!(session["instance_id"], Value::Null);
    assert_eq!(session["metadata"], json!({"ticket": 5}));
    let again = kit.post("", &json!({"platform": "zoom", "meeting_id": NUMBER})).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["data"]["session"]["id"], session["id"]);
    assert_eq!(again.json()["data"]["session"]["metadata"], json!({"ticket": 5}));
    let id = session["id"].as_str().unwrap();
    let started = kit.act(id, "start").await.json();
    assert_eq!(started["data"]["session"]["metadata"], json!({"ticket": 5}));
    assert_eq!(kit.zoom.asked()[0].body["settings"]["participant_user_id"], "u7");
    assert_eq!(kit.get(&format!("/{id}/timeline")).await["session"]["metadata"]["ticket"], 5);
}

#[tokio::test]
async fn a_meeting_that_a_webhook_announced_is_the_same_session() {
    let kit = Kit::start().await;
    kit.announce("m==", "s1").await;
    let seen = kit.only_session().await;
    assert_eq!(kit.create().await, seen);
    assert_eq!(kit.only_session().await, seen);
}

#[tokio::test]
async fn the_webhook_of_a_meeting_that_was_asked_for_joins_its_session() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    assert_eq!(kit.act(&id, "start").await.status, 202);
    kit.announce("m==", "s1").await;
    assert_eq!(kit.only_session().await, id);
    let shown = kit.get(&format!("/{id}")).await;
    assert_eq!(shown["session"]["instance_id"], "m==");
    assert_eq!(shown["session"]["status"], "connecting");
    assert_eq!(shown["streams"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_next_meeting_of_a_number_is_another_session() {
    let kit = Kit::start().await;
    let first = kit.create().await;
    kit.meeting("meeting.started", "m1==").await;
    assert_eq!(kit.create().await, first);
    kit.meeting("meeting.ended", "m1==").await;
    let second = kit.create().await;
    assert_ne!(second, first);
    kit.meeting("meeting.started", "m2==").await;
    assert_eq!(kit.create().await, second);
    assert_eq!(kit.status(&second).await, "created");
}

#[tokio::test]
async fn an_end_that_comes_before_its_beginning_is_an_end() {
    let kit = Kit::start().await;
    kit.meeting("meeting.ended", "m==").await;
    kit.meeting("meeting.started", "m==").await;
    let id = kit.only_session().await;
    assert_eq!(kit.status(&id).await, "ended");
    let session = kit.get(&format!("/{id}")).await["session"].clone();
    assert_eq!(session["host_id"], "host1");
    assert_eq!(session["account_id"], "acc1");
    assert!(session["ended_at_ms"].is_number());
}

#[tokio::test]
async fn a_bad_body_is_refused_by_the_name_of_what_is_wrong() {
    let kit = Kit::start().await;
    for (body, status, code) in [
        (json!({"platform": "zoom"}), 422, "invalid_value"),
        (json!({"platform": "meet", "meeting_id": 1}), 422, "invalid_value"),
        (json!({"platform": "zoom", "meeting_id": 1, "meetingId": 1}), 422, "unknown_field"),
        (
            json!({"platform": "zoom", "meeting_id": 1, "metadata": {"a": "x".repeat(9000)}}),
            422,
            "invalid_value",
        ),
        (
            json!({"platform": "zoom", "meeting_id": 1, "metadata": {"a": "x".repeat(20_000)}}),
            413,
            "too_large",
        ),
        (json!([]), 400, "malformed"),
        (Value::Null, 400, "malformed"),
    ] {
        let answer = kit.post("", &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
    }
    assert_eq!(kit.get("").await["sessions"], json!([]));
}

#[tokio::test]
async fn an_unknown_session_is_a_404_for_every_action() {
    let kit = Kit::start().await;
    let id = "01932b5e-0000-7000-8000-000000000000";
    for action in ["start", "stop", "pause", "resume"] {
        let answer = kit.act(id, action).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "session_not_found"));
    }
    let path = format!("/api/v1/sdk/sessions/{id}/timeline");
    assert_eq!(kit.server.get(&path).await.code(), "session_not_found");
}

#[tokio::test]
async fn media_parameters_are_completed_shown_and_taken_by_the_next_stream() {
    let kit = Kit::start().await;
    let media = json!({"types": ["audio"], "audio": {"sample_rate": 48_000}});
    let new = json!({"platform": "zoom", "meeting_id": NUMBER, "media": media});
    let made = kit.post("", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let shown = made.json()["data"]["session"].clone();
    assert_eq!(shown["media"]["audio"]["sample_rate"], 48_000);
    assert_eq!(shown["media"]["audio"]["codec"], "l16", "as configured");
    let id = shown["id"].as_str().unwrap();
    let chat = json!({"media": {"types": "chat"}});
    assert_eq!(kit.post(&format!("/{id}/rtms/start"), &chat).await.status, 202);
    kit.announce("m==", "s1").await;
    let shown = kit.get(&format!("/{id}")).await;
    assert_eq!(shown["session"]["media"]["types"], json!(["chat"]));
    assert_eq!(shown["streams"][0]["media"], shown["session"]["media"]);
    assert_eq!(shown["streams"][0]["effective"], Value::Null);
}

#[tokio::test]
async fn every_mistake_in_media_parameters_is_named_and_nothing_is_asked() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    let wrong = json!({"media": {"types": ["sound"], "audio": {"codec": "mp3"}}});
    let refused = kit.post(&format!("/{id}/rtms/start"), &wrong).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_value"));
    let detail = refused.json()["error"]["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("media.types must be") && detail.contains("media.audio.codec must be"),
        "{detail}"
    );
    assert!(kit.zoom.asked().is_empty());
    let new = json!({"platform": "zoom", "meeting_id": 7, "media": {"codek": 1}});
    assert_eq!(kit.post("", &new).await.status, 422);
    let not_received = json!({"types": "chat", "record": "audio"});
    let new = json!({"platform": "zoom", "meeting_id": 7, "media": not_received});
    for (path, body) in
        [(String::new(), new), (format!("/{id}/rtms/start"), json!({"media": not_received}))]
    {
        let refused = kit.post(&path, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_value"));
        assert!(refused.text().contains("media.types lacks audio"), "{}", refused.text());
    }
    assert_eq!(kit.get(&format!("/{id}")).await["session"]["media"], Value::Null);
}

#[tokio::test]
async fn a_start_on_the_session_of_an_earlier_meeting_brings_the_next_one_into_it() {
    let kit = Kit::start().await;
    let id = kit.create().await;
    kit.announce("m1==", "s1").await;
    // No webhook tells the meeting's end.
    kit.end_stream("s1", rtmsd::model::Outcome::Stopped, Some(3)).await;
    assert_eq!(kit.create().await, id);
    assert_eq!(kit.act(&id, "start").await.status, 202);
    kit.announce("m2==", "s2").await;
    assert_eq!(kit.only_session().await, id);
    let shown = kit.get(&format!("/{id}")).await;
    assert_eq!(shown["session"]["instance_id"], "m2==");
    assert_eq!(shown["session"]["status"], "connecting");
}

//! Programs that go away, come back, or are slow: what each of them misses, and that nobody else does.

use std::path::Path;
use std::time::Duration;

use rtmsd::simulator::{MeetingAction, Settings};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::kit::{
    Joined, Program, home, open_media, ready, scene_with, signal, timings, try_signal,
};
use crate::support::kit::{Scene, TestDaemon, endless, eventually, zoom};

/// The numbers of lines that a program received.
fn numbers(lines: &[Value]) -> Vec<u32> {
    let number = |line: &Value| {
        let text = line["content"]["data"].as_str().unwrap();
        text.strip_prefix("line ").unwrap().parse().unwrap()
    };
    lines.iter().map(number).collect()
}

async fn lines(joined: &mut Joined, count: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.push(joined.media.receive_type(17).await);
    }
    lines
}

#[tokio::test]
async fn a_program_that_was_away_goes_on_behind_what_it_acknowledged() {
    let programs = [("one", json!({"catch_up": true}))];
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &programs).await;
    let api = scene.daemon.api();
    let mut joined = programs[0].join().await;
    let before = numbers(&lines(&mut joined, 10).await);
    let all = scene.log.page().texts().first().map(|text| (*text).to_owned());
    assert_eq!(Some(format!("line {}", before[0])), all, "from the beginning");
    programs[0]
        .reaches("the lines are acknowledged", api, |it| it["acknowledged"].as_u64() > Some(9))
        .await;
    let started = joined.drop_both();
    programs[0].endpoint.next("meeting.rtms_interrupted").await;
    let said = scene.log.page().of("transcript").len();
    scene.log.lines(said + 20).await;
    let mut joined = Joined::join("one", started).await;
    let after = numbers(&lines(&mut joined, 30).await);
    // At least once, and nothing left out.
    assert!(after[0] <= before.last().unwrap() + 1, "{before:?} {after:?}");
    assert!(after.windows(2).all(|pair| pair[1] == pair[0] + 1), "{after:?}");
    assert!(after.last() > Some(&(before[0] + 30)), "{after:?}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_without_catch_up_gets_new_lines_only() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let started = programs[0].started().await;
    let said = scene.log.lines(20).await.texts().len();
    let mut joined = Joined::join("one", started).await;
    let first = numbers(&lines(&mut joined, 1).await)[0];
    assert!(first as usize >= said - 1, "{first} of {said}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn sound_waits_for_a_program_that_is_away_and_its_loss_is_noted() {
    let home = home().set("RELAY_BUFFER_BYTES", "65536");
    let (scene, mut programs) = scene_with(home, zoom(endless(50)), &[("one", json!({}))]).await;
    let api = scene.daemon.api();
    let mut joined = programs[0].join().await;
    // More than a second of it, because near gaps are one: a program that joins late has one already.
    for _ in 0..60 {
        joined.media.receive_type(14).await;
    }
    let last = joined.media.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
    let started = joined.drop_both();
    programs[0].endpoint.next("meeting.rtms_interrupted").await;
    // More sound than the buffer holds.
    let frames = scene.zoom.medium("audio").frames;
    eventually("more sound comes", async || {
        (scene.zoom.medium("audio").frames > frames + 150).then_some(())
    })
    .await;
    let mut joined = Joined::join("one", started).await;
    let first = joined.media.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
    assert!(first > last + 500, "the oldest sound is lost");
    let stream = programs[0]
        .reaches("the loss is noted", api, |it| {
            it["gaps"].as_array().is_some_and(|all| !all.is_empty())
        })
        .await;
    let gap = &stream["gaps"][0];
    assert_eq!((&gap["medium"], &gap["cause"]), (&json!("audio"), &json!("away")));
    assert!(gap["frames"].as_u64() > Some(20), "{gap}");
    let (start, end) = (gap["start_ms"].as_i64().unwrap(), gap["end_ms"].as_i64().unwrap());
    assert!(last <= start && end <= first, "{gap} {last} {first}");
    // The stream itself lacks nothing.
    assert_eq!(scene.log.page().of("gap").len(), 0);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_stalled_program_loses_frames_and_the_others_none() {
    // 0.4 s of sound at this speed: on a busy machine, the good program may wait that long for a core.
    let home = home().set("RELAY_BUFFER_BYTES", "131072");
    let programs = [("slow", json!({"media": ["audio"]})), ("good", json!({}))];
    // Ten times as much sound a second.
    let settings = Settings { speed: 10.0, ..zoom(endless(50)) };
    let (scene, mut programs) = scene_with(home, settings, &programs).await;
    let api = scene.daemon.api();
    let started = programs[0].started().await;
    let mut slow = Joined::join_slowly("slow", started).await;
    let mut good = programs[1].join().await;
    slow.media.receive_type(14).await;
    // The slow program reads nothing meanwhile: the kernel's buffers fill, then its own.
    let mut last = good.media.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
    for _ in 0..3_300 {
        let at = good.media.receive_type(14).await["content"]["timestamp"].as_i64().unwrap();
        // Two people may speak in one interval.
        assert!(at == last || at == last + 20, "the good program misses nothing: {at} {last}");
        last = at;
    }
    // The good one reads on: on a busy machine it would fall behind before the loss is noted.
    let [slow_reads, good_reads] = [slow, good].map(|program| {
        tokio::spawn(async move {
            // All of it, with its signaling connection.
            let mut program = program;
            loop {
                program.media.receive_type(14).await;
            }
        })
    });
    // Before it joined, it was away.
    let slow_gap = |it: &Value| {
        let gaps = it["gaps"].as_array()?;
        gaps.iter().find(|gap| gap["cause"] == "slow").cloned()
    };
    let is_noted = |it: &Value| slow_gap(it).is_some_and(|gap| gap["frames"].as_u64() > Some(20));
    let noted = programs[0].reaches("the loss is noted", api, is_noted).await;
    slow_reads.abort();
    assert_eq!(slow_gap(&noted).unwrap()["medium"], "audio");
    assert_eq!(slow_gap(&programs[1].stream(api).await), None);
    good_reads.abort();
    assert_eq!(scene.log.page().of("gap").len(), 0);
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_that_stays_away_is_sent_the_announcement_again() {
    let mut home = home();
    home.relays = rtmsd::sinks::relays::Timings { away: Duration::from_millis(300), ..timings() };
    let (scene, mut programs) = scene_with(home, zoom(endless(50)), &[("one", json!({}))]).await;
    let first = programs[0].started().await;
    let second = programs[0].started().await;
    assert_eq!(first["rtms_stream_id"], second["rtms_stream_id"]);
    assert_eq!(first["server_urls"], second["server_urls"]);
    let joined = Joined::join("one", second).await;
    joined.drop_both();
    programs[0].endpoint.next("meeting.rtms_interrupted").await;
    programs[0].join().await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_second_connection_is_refused_while_the_first_one_answers() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let mut joined = programs[0].join().await;
    let (_, answer) = signal("one", &joined.started).await;
    assert_eq!(answer["status_code"], 8);
    joined.media.receive_type(14).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_restarted_daemon_goes_on_with_its_programs() {
    let programs = [("one", json!({"catch_up": true}))];
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &programs).await;
    let mut joined = programs[0].join().await;
    let before = numbers(&lines(&mut joined, 10).await);
    let Scene { home, daemon, zoom, log } = scene;
    daemon.stop().await;
    // No Close frame: Zoom's own client reconnects only without one.
    assert_eq!(joined.media.drain().await.1.close_code(), None);
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    let log = log.moved_to(daemon.api());
    // At another address, so that it is a failover for the program (section 3.6, case A).
    let started = programs[0].started().await;
    assert_ne!(started["server_urls"], joined.started["server_urls"]);
    let mut joined = Joined::join("one", started).await;
    let after = numbers(&lines(&mut joined, 5).await);
    assert!(after[0] > before[0] && after[0] <= before.last().unwrap() + 1, "{before:?} {after:?}");
    zoom.perform(MeetingAction::End).await;
    log.over().await;
    programs[0].endpoint.next("meeting.rtms_stopped").await;
    zoom.close_clean().await;
}

/// Makes the embedded store refuse webhooks to programs, or take them again.
async fn refuse_events(file: &Path, refuse: bool) {
    let statement = match refuse {
        true => {
            "CREATE TRIGGER refuse BEFORE INSERT ON relay_events BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        false => "DROP TRIGGER refuse",
    };
    let mut store: SqliteConnection =
        SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut store).await.unwrap();
}

#[tokio::test]
async fn an_announcement_that_the_store_does_not_take_is_made_later() {
    let home = home();
    let file = home.folder().join("data/rtmsd.db");
    let mut programs = Vec::new();
    let scene = Scene::prepared(home, zoom(endless(50)), async |api| {
        programs.push(Program::new("one", api, json!({})).await);
        refuse_events(&file, true).await;
    })
    .await;
    scene.log.lines(5).await;
    let stream = programs[0].stream(scene.daemon.api()).await;
    assert_eq!(stream, Value::Null, "nothing was announced");
    refuse_events(&file, false).await;
    programs[0].join().await.media.receive_type(14).await;
    scene.zoom.close_clean().await;
}

/// The gaps of a medium, as the API has them.
fn gaps_of<'a>(stream: &'a Value, medium: &str) -> Vec<&'a Value> {
    let gaps = stream["gaps"].as_array().unwrap();
    gaps.iter().filter(|gap| gap["medium"] == medium).collect()
}

#[tokio::test]
async fn pictures_are_a_gap_also_if_each_medium_has_its_own_socket() {
    let home =
        home().set("MEDIA_TYPES", "audio,video").set("MEDIA_SOCKET_CONNECTION_MODE", "split");
    let (scene, mut programs) = scene_with(home, zoom(endless(50)), &[("one", json!({}))]).await;
    let started = programs[0].started().await;
    for _ in 0..2 {
        let (mut signaling, answer) = eventually("it is let in", async || {
            try_signal("one", &started).await.filter(|(_, answer)| answer["status_code"] == 0)
        })
        .await;
        let urls = answer["media_server"]["server_urls"].clone();
        let open = async |medium: &str, number| {
            let url = urls[medium].as_str().unwrap();
            open_media("one", &started, url, (number, Value::Null)).await.0
        };
        let _media = (open("audio", 1).await, open("video", 2).await);
        signaling.send(&ready(&started)).await;
        let flows = |stream: &Value| stream["program"]["is_flowing"] == true;
        programs[0].reaches("media flow", scene.daemon.api(), flows).await;
    }
    let is_noted = |stream: &Value| !gaps_of(stream, "video").is_empty();
    programs[0].reaches("the pictures are noted", scene.daemon.api(), is_noted).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn what_a_program_never_read_is_a_gap_at_the_end() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    programs[0].started().await;
    scene.log.lines(5).await;
    scene.zoom.perform(MeetingAction::End).await;
    programs[0].endpoint.next("meeting.rtms_stopped").await;
    let is_noted = |stream: &Value| !gaps_of(stream, "audio").is_empty();
    let stream = programs[0].reaches("the sound is noted", scene.daemon.api(), is_noted).await;
    let frames: u64 =
        gaps_of(&stream, "audio").iter().map(|gap| gap["frames"].as_u64().unwrap()).sum();
    assert_eq!(frames, scene.zoom.medium("audio").frames, "{stream}");
    scene.zoom.close_clean().await;
}

/// Zoom's own client subscribes only once (section 22).
#[tokio::test]
async fn subscriptions_outlast_a_change_of_the_relay() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let api = scene.daemon.api();
    let mut joined = programs[0].join().await;
    let subscribe = json!({"msg_type": 5, "events": [{"event_type": 2, "subscribe": true}]});
    joined.signaling.send(&subscribe).await;
    joined.signaling.receive_event(2).await;
    let path = format!("/api/v1/relays/{}", programs[0].relay);
    assert_eq!(api.patch(&path, json!({"name": "other"})).await.status, 200);
    joined.signaling.drain().await;
    let again = eventually("it is let in", async || {
        try_signal("one", &joined.started).await.filter(|(_, answer)| answer["status_code"] == 0)
    })
    .await;
    let (mut signaling, _) = again;
    // The speakers go on changing.
    signaling.receive_event(2).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_program_that_left_stays_away_after_a_change_of_the_relay() {
    let (scene, mut programs) = scene_with(home(), zoom(endless(50)), &[("one", json!({}))]).await;
    let mut joined = programs[0].join().await;
    let close = json!({"msg_type": 21, "rtms_stream_id": joined.started["rtms_stream_id"]});
    joined.signaling.send(&close).await;
    programs[0].endpoint.next("meeting.rtms_stopped").await;
    let path = format!("/api/v1/relays/{}", programs[0].relay);
    let api = scene.daemon.api();
    assert_eq!(api.patch(&path, json!({"name": "other"})).await.status, 200);
    // The relay is served anew when it no longer answers that a task is ending.
    let (_, answer) =
        eventually("it is answered", async || try_signal("one", &joined.started).await).await;
    assert_eq!(answer["status_code"], 2);
    scene.zoom.close_clean().await;
}

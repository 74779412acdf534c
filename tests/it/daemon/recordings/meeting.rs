//! One film of everything, from Zoom's frames to a file that people play.

use std::process::Command;

use rtmsd::simulator::{CutKind, LinkName, MeetingAction, Script};
use serde_json::{Value, json};

use super::kit::*;
use crate::support::kit::{Home, Log, Scene, Zoom, chatter, eventually, script, zoom};
use crate::support::process::Process;

const LINE_MS: u32 = 100;
const FILM: &str = "1-meeting.mp4";

/// Only the film is recorded. Screens come as H.264.
fn home() -> Home {
    Home::sqlite()
        .set("MEDIA_TYPES", "audio,video,share,transcript")
        .set("SHARE_CODEC", "h264")
        .set("SHARE_FPS", "5")
        .set("MEETING_PICTURE", "screen")
        .set("RECORD", "meeting")
}

/// The names of the codecs in a film.
fn codecs(film: &[u8]) -> Vec<String> {
    let probed = probe(film, "meeting.mp4");
    let streams = probed["streams"].as_array().unwrap().iter();
    streams.map(|stream| stream["codec_name"].as_str().unwrap().to_owned()).collect()
}

/// How many pictures and how many seconds of sound ffmpeg decodes. Fails on warnings.
fn decoded(film: &[u8]) -> (usize, f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meeting.mp4");
    std::fs::write(&path, film).unwrap();
    let run = |arguments: &[&str]| {
        let out = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&path)
            .args(arguments)
            .output()
            .expect("ffmpeg is there: tests/setup installs it");
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let pictures = match codecs(film).contains(&"h264".to_owned()) {
        true => run(&["-an", "-sn", "-f", "framecrc", "-fps_mode", "passthrough", "-"]),
        false => Vec::new(),
    };
    let pictures = String::from_utf8(pictures).unwrap();
    let sound = run(&["-vn", "-sn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]);
    let pictures = pictures.lines().filter(|line| !line.starts_with('#')).count();
    (pictures, sound.len() as f64 / 32_000.0)
}

#[tokio::test]
async fn a_meeting_becomes_one_film() {
    let scene = Scene::open(home(), meeting()).await;
    let page = scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["1-events.jsonl", "1-manifest.json", FILM], "nothing else is kept");
    let film = &files[FILM];
    assert_eq!(codecs(film), ["h264", "flac", "mov_text"]);
    let probed = probe(film, "meeting.mp4");
    assert!((3.5..5.5).contains(&duration_s(&probed)), "{probed:#}");
    let (pictures, sound_s) = decoded(film);
    assert!(pictures > 30, "{pictures}");
    assert!((sound_s - duration_s(&probed)).abs() < 0.1, "{sound_s} s of sound");
    let says = |line: &Value| {
        let text = line["text"].as_str().unwrap().as_bytes();
        film.windows(text.len()).any(|window| window == text)
    };
    assert!(page.of("transcript").into_iter().all(says), "the transcript is in it");

    let manifest = recorded.manifest().await;
    assert_eq!(manifest["record"], json!(["meeting"]));
    let audio = scene.zoom.medium("audio").frames;
    let written = manifest["meeting"]["written"].as_u64().unwrap();
    assert!(written > audio, "all sound and some pictures: {manifest:#}");
    let listed = recorded.view["files"].as_array().unwrap();
    let about = listed.iter().find(|file| file["file"] == FILM).unwrap();
    assert_eq!(
        (&about["medium"], &about["content_type"]),
        (&json!("meeting"), &json!("video/mp4"))
    );

    let part = recorded.api.ask("GET", &recorded.path(FILM), &[("range", "bytes=-100")]).await;
    let part = part.unwrap();
    assert_eq!((part.status, &*part.body), (206, &film[film.len() - 100..]));
    eventually("the spool is empty", async || spooled(&scene.home).is_empty().then_some(())).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_session_may_ask_for_the_film_and_mixed_opus_stays_as_it_came() {
    let home = Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript")
        .set("AUDIO_STREAMS", "mixed")
        .set("AUDIO_CODEC", "opus")
        .set("AUDIO_SAMPLE_RATE", "48000");
    let scene = Scene::prepared(home, meeting(), async |api| {
        let path = "/api/v1/sdk/sessions";
        let new =
            |media: Value| json!({"platform": "zoom", "meeting_id": "91234567890", "media": media});
        let text_only = json!({"types": "transcript", "record": ["meeting"]});
        let refused = api.post(path, &new(text_only)).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        let media = json!({"types": "audio,transcript", "record": ["meeting", "transcript"]});
        let made = api.post(path, &new(media)).await;
        assert_eq!(made.status, 201);
        assert_eq!(
            made.json()["data"]["session"]["media"]["record"],
            json!(["transcript", "meeting"])
        );
    })
    .await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;
    assert!(files.contains_key("1-transcript.vtt"));
    assert_eq!(codecs(&files[FILM]), ["opus", "mov_text"], "there is no picture to show");
    let (_, sound_s) = decoded(&files[FILM]);
    assert!((3.5..5.5).contains(&sound_s), "{sound_s}");
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_cut_a_pause_and_a_failover_leave_one_film() {
    let scene = Scene::open(home(), zoom(seen())).await;
    scene.live().await;
    scene.log.lines(5).await;
    scene.zoom.perform(MeetingAction::Cut { link: LinkName::Video, how: CutKind::Reset }).await;
    scene.log.entries("gap", 1).await;
    scene.live().await;
    scene.pauses_and_fails_over().await;
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 10).await;
    scene.zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    check_one_film(&recorded).await;
    scene.zoom.close_clean().await;
}

/// An endless meeting with a camera.
fn seen() -> Script {
    let mut timeline = vec![json!({"at_ms": 100, "video_on": "ana"})];
    timeline.extend(chatter(5_000, LINE_MS));
    script(timeline, 600_000)
}

async fn check_one_film(recorded: &Recorded) {
    let files = recorded.checked().await;
    let films: Vec<_> = files.keys().filter(|name| name.ends_with(".mp4")).collect();
    assert_eq!(films, [FILM]);
    let film = &files[FILM];
    assert_eq!(codecs(film), ["h264", "flac", "mov_text"]);
    let (pictures, sound_s) = decoded(film);
    let duration_s = duration_s(&probe(film, "meeting.mp4"));
    assert!(pictures > 10 && (sound_s - duration_s).abs() < 0.1, "{pictures}, {sound_s} s");
    let listed = recorded.view["files"].as_array().unwrap();
    let about = listed.iter().find(|file| file["file"] == FILM).unwrap();
    let of = |name: &str| about[name].as_i64().unwrap();
    let span_s = (of("last_ms") - of("first_ms")) as f64 / 1_000.0;
    assert!((duration_s - span_s).abs() < 0.1, "{duration_s} s of {span_s} s");
}

#[tokio::test]
async fn a_kill_leaves_a_film_that_plays_and_the_next_process_completes_it() {
    let home = home();
    let (process, api) = Process::serve(&home).await;
    let zoom = Zoom::open(zoom(seen())).await;
    zoom.post.deliver_to(api.0);
    let stream = eventually("a stream", async || zoom.simulator.report().streams.pop()).await;
    let log = Log::follow(api, &stream.instance_id).await;
    let film = || spooled(&home).into_iter().find(|path| path.ends_with("meeting.mp4"));
    eventually("sound and picture are on disk", async || {
        let film = std::fs::read(film()?).ok()?;
        (film.windows(4).filter(|name| name == b"moof").count() > 12).then_some(())
    })
    .await;
    process.signal("KILL");
    assert_eq!(process.ended().await.status.code(), None);
    // As it lies there.
    let (pictures, sound_s) = decoded(&std::fs::read(film().unwrap()).unwrap());
    assert!(pictures > 10 && sound_s > 0.5, "{pictures} pictures and {sound_s} s");

    let (process, api) = Process::serve(&home).await;
    zoom.post.deliver_to(api.0);
    let log = log.moved_to(api);
    log.entries("picked_up", 1).await;
    let lines = log.page().of("transcript").len();
    log.lines(lines + 10).await;
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    log.over().await;
    check_one_film(&recorded(api, log.session_id(), "stored").await).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), 0);
}

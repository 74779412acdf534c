//! What lies there when a meeting is over, and how it is had over HTTP.

use serde_json::{Value, json};

use super::kit::*;
use crate::support::kit::{Home, Scene, eventually, script, zoom};

#[tokio::test]
async fn a_meeting_becomes_files_that_ordinary_tools_play() {
    a_meeting_is_recorded(recording(Home::sqlite())).await;
}

#[tokio::test]
async fn a_meeting_is_recorded_with_postgres_too() {
    a_meeting_is_recorded(recording(Home::postgres().await)).await;
}

async fn a_meeting_is_recorded(home: Home) {
    let scene = Scene::open(home, meeting()).await;
    let page = scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let files = recorded.checked().await;

    let voices = [format!("1-audio-{ANA}-Ana_Silva.wav"), format!("1-audio-{BO}-Bo.wav")];
    let heard: usize = voices.iter().map(|voice| sounding_frames(&files[voice])).sum();
    let sent = scene.zoom.medium("audio").frames;
    assert_eq!(heard as u64, sent, "every frame of sound is in a file, and nothing else");
    // Where one begins to speak while the other ends, two frames are one of the mix.
    let mixed = sounding_frames(&files["1-audio-mix.wav"]) as u64;
    assert!((sent - 8..=sent).contains(&mixed), "{mixed} of {sent}");
    let probed = probe(&files["1-audio-mix.wav"], "mix.wav");
    assert!((3.5..5.2).contains(&duration_s(&probed)), "{probed:#}");

    let video = files.keys().find(|name| name.starts_with("1-video-")).expect("a camera");
    let probed = probe(&files[video], "video.mp4");
    assert_eq!(probed["streams"][0]["codec_name"], "h264", "{probed:#}");
    let pictures: Vec<_> = files.keys().filter(|name| name.ends_with(".jpg")).collect();
    assert_eq!(pictures.len() as u64, scene.zoom.medium("share").frames);
    assert_eq!(probe(&files[pictures[0]], "share.jpg")["streams"][0]["codec_name"], "mjpeg");

    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    let vtt = text("1-transcript.vtt");
    assert!(vtt.starts_with("WEBVTT") && vtt.contains("<v Ana Silva>line "), "{vtt}");
    let lines = page.of("transcript").len();
    assert_eq!(vtt.matches("-->").count(), lines);
    assert!(page.texts().iter().all(|text| vtt.contains(text)), "{vtt}");
    for (name, codec) in [("1-transcript.vtt", "webvtt"), ("1-transcript.srt", "subrip")] {
        let probed = probe(&files[name], name);
        assert_eq!(probed["streams"][0]["codec_name"], codec, "{probed:#}");
    }
    assert_eq!(text("1-transcript.jsonl").lines().count(), lines);
    assert!(text("1-chat.jsonl").contains("hello"));
    let events = text("1-events.jsonl");
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "ended");
    let manifest = recorded.manifest().await;
    assert_eq!(manifest["outcome"], "stopped");
    assert_eq!(manifest["ledger"].as_array().unwrap().len(), 5);

    let folder = folder(&scene.home);
    for file in recorded.view["files"].as_array().unwrap() {
        assert!(folder.join(file["path"].as_str().unwrap()).is_file(), "{file}");
    }
    eventually("the spool is empty", async || spooled(&scene.home).is_empty().then_some(())).await;
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn nothing_is_recorded_unless_it_is_asked_for_and_a_session_may_ask() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript");
    let scene = Scene::prepared(home, meeting(), async |api| {
        let media = json!({"types": "audio,transcript", "record": ["transcript"]});
        let new = json!({"platform": "zoom", "meeting_id": "91234567890", "media": media});
        assert_eq!(api.post("/api/v1/sdk/sessions", &new).await.status, 201);
    })
    .await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    assert!(recorded.names().contains(&"1-transcript.srt"));
    assert!(!recorded.names().iter().any(|name| name.contains("audio")), "{:?}", recorded.names());
    scene.zoom.close_clean().await;

    let quiet = Scene::open(Home::sqlite(), zoom(script(vec![], 500))).await;
    quiet.log.over().await;
    let path = format!("/api/v1/sdk/sessions/{}/recordings", quiet.log.session_id());
    let list = quiet.daemon.api().get(&path).await.unwrap().json();
    assert_eq!(list["data"]["recordings"], json!([]));
    assert!(!quiet.home.folder().join("data/spool").exists());
}

#[tokio::test]
async fn a_file_is_had_whole_and_in_parts() {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    let scene = Scene::open(home, meeting()).await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    let (api, path) = (recorded.api, recorded.path("1-audio-mix.wav"));
    let whole = recorded.download("1-audio-mix.wav").await;
    let ask = async |method: &str, headers: &[(&str, &str)]| {
        api.ask(method, &path, headers).await.unwrap()
    };
    let part = ask("GET", &[("range", "bytes=100-199")]).await;
    assert_eq!((part.status, &*part.body), (206, &whole[100..200]));
    let said = format!("bytes 100-199/{}", whole.len());
    assert_eq!(part.header("content-range"), Some(&*said));
    assert_eq!(part.header("content-type"), Some("audio/wav"));
    assert!(part.header("content-disposition").unwrap().starts_with("attachment"));
    let end = ask("GET", &[("range", "bytes=-10")]).await;
    assert_eq!((end.status, &*end.body), (206, &whole[whole.len() - 10..]));
    let beyond = ask("GET", &[("range", &format!("bytes={}-", whole.len()))]).await;
    assert_eq!((beyond.status, &*beyond.code()), (416, "range_not_satisfiable"));
    assert_eq!(beyond.header("content-range"), Some(&*format!("bytes */{}", whole.len())));
    let head = ask("HEAD", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(&*whole.len().to_string()));
    let head = ask("HEAD", &[("range", "bytes=0-9")]).await;
    assert_eq!((head.status, head.header("content-range")), (200, None), "only GET has ranges");
    assert_eq!(head.header("content-length"), Some(&*whole.len().to_string()));
    let etag = head.header("etag").unwrap().to_owned();
    assert_eq!(ask("GET", &[("if-none-match", &etag)]).await.status, 304);
    let range = ("range", "bytes=0-9");
    assert_eq!(ask("GET", &[range, ("if-range", &etag)]).await.status, 206);
    assert_eq!(ask("GET", &[range, ("if-range", "\"other\"")]).await.body, whole);
    for odd in ["no.wav", "..%2F..%2Frtmsd.db", "%2e%2e", "1-audio-mix.wav%00", "%2Fetc%2Fpasswd"] {
        let answer = api.get(&recorded.path(odd)).await.unwrap();
        assert_eq!(answer.status, 404, "{odd}: {}", answer.text());
    }
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_recording_that_goes_on_is_listed_and_not_served() {
    let home = recording_of(Home::sqlite(), "audio,transcript");
    let scene = Scene::open(home, zoom(crate::support::kit::endless(100))).await;
    scene.log.lines(3).await;
    let recorded = eventually("its files are listed", async || {
        let going = recorded(scene.daemon.api(), scene.log.session_id(), "recording").await;
        going.names().contains(&"1-audio-mix.wav").then_some(going)
    })
    .await;
    let answer = recorded.api.get(&recorded.path("1-audio-mix.wav")).await.unwrap();
    assert_eq!((answer.status, &*answer.code()), (409, "recording_not_finished"));
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn the_sample_librarys_names_are_reproduced() {
    let home = recording(Home::sqlite()).set("RECORDINGS_LAYOUT", "rtms-samples");
    let scene = Scene::open(home, meeting()).await;
    scene.log.over().await;
    let recorded = recorded(scene.daemon.api(), scene.log.session_id(), "stored").await;
    recorded.checked().await;
    let stream = scene.zoom.stream();
    let underscored = |id: &str| {
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>()
    };
    // A hash distinguishes it from another stream with the same id in a path.
    let meeting = folder(&scene.home).join(underscored(&stream.instance_id));
    let [folder] = &std::fs::read_dir(&meeting).unwrap().collect::<Vec<_>>()[..] else {
        panic!("one folder in {meeting:?}")
    };
    let folder = folder.as_ref().unwrap().path();
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&underscored(&stream.stream_id)), "{name}");
    for name in [format!("{ANA}.wav"), format!("{BO}.wav"), "transcript.vtt".to_owned()] {
        assert!(folder.join(&name).is_file(), "{name} is not in {:?}", files_below(&folder));
    }
    scene.zoom.close_clean().await;
}

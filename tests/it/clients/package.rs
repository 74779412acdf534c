//! The Python package: its own tests, and programs with it that a daemon lets down.

use std::time::Duration;

use rtmsd::simulator::MeetingAction;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{ROOT, python, reader};
use crate::support::kit::{
    Api, Home, Scene, TestDaemon, chatter, endless, eventually, script, zoom,
};
use crate::support::process::Process;

/// The package's tests play slow callbacks and back-offs.
const TESTS_TIMEOUT: Duration = Duration::from_secs(240);

/// Runs Python in the package's folder, to its end.
async fn run(arguments: &[&str]) {
    let mut command = python();
    command.args(arguments).current_dir(format!("{ROOT}/clients/python")).kill_on_drop(true);
    let ran = timeout(TESTS_TIMEOUT, command.output()).await.expect("it ends").unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn the_packages_own_tests_pass() {
    run(&["-W", "ignore", "-m", "unittest", "discover", "-s", "tests"]).await;
}

#[tokio::test]
async fn the_package_is_typed_throughout() {
    let cache = format!("{ROOT}/target/python/mypy");
    run(&["-m", "mypy", "--cache-dir", &cache, "src"]).await;
}

/// A TCP proxy to a daemon, which outlives it and can cut every connection.
struct Line {
    address: std::net::SocketAddr,
    target: watch::Sender<Option<Api>>,
    serving: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Line {
    async fn to(api: Api) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (target, mut changes) = watch::channel(Some(api));
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    changed = changes.changed() => match changed {
                        Ok(()) => connections.shutdown().await,
                        Err(_) => return,
                    },
                    accepted = listener.accept() => {
                        let (mut client, _) = accepted.unwrap();
                        let Some(api) = *changes.borrow() else { continue };
                        connections.spawn(async move {
                            let Ok(mut server) = TcpStream::connect(api.0).await else { return };
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                        });
                    }
                }
            }
        });
        Self { address, target, serving }
    }

    /// Cuts every connection, and leads the next ones there, or nowhere.
    fn lead_to(&self, api: Option<Api>) {
        self.target.send_replace(api);
    }

    fn api(&self) -> Api {
        Api(self.address)
    }
}

/// Waits until the program has printed so many lines of the chatter.
async fn printed(program: &Process, lines: usize) -> usize {
    eventually("the program prints lines", async || {
        let count = program.out().matches(": line ").count();
        (count >= lines).then_some(count)
    })
    .await
}

#[tokio::test]
async fn a_program_prints_each_line_once_over_cut_sockets_and_a_restarted_daemon() {
    let home = Home::sqlite().set("MEDIA_TYPES", "audio,transcript");
    let scene = Scene::open(home, zoom(endless(50))).await;
    let line = Line::to(scene.daemon.api()).await;
    // Before the program asks for the session by its meeting number, it is there.
    let program = reader("transcripts.py", line.api(), &["91234567890"]);
    let mut seen = printed(&program, 20).await;
    for _ in 0..2 {
        line.lead_to(None);
        let lines = scene.log.page().texts().len();
        scene.log.lines(lines + 20).await;
        line.lead_to(Some(scene.daemon.api()));
        seen = printed(&program, seen + 20).await;
    }
    let Scene { home, daemon, zoom, log } = scene;
    daemon.stop().await;
    let daemon = TestDaemon::start(&home).await;
    zoom.post.deliver_to(daemon.address);
    line.lead_to(Some(daemon.api()));
    printed(&program, seen + 20).await;
    let log = log.moved_to(daemon.api());
    zoom.perform(MeetingAction::Stop { reason: 6 }).await;
    zoom.perform(MeetingAction::End).await;
    let page = log.over().await;
    page.assert_chatter();
    let ended = program.ended().await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    let printed: Vec<&str> =
        ended.out.lines().filter_map(|line| line.split_once(": ")).map(|it| it.1).collect();
    let lines: Vec<&str> =
        printed.iter().filter(|text| text.starts_with("line ")).copied().collect();
    assert_eq!(lines, page.texts());
    let gaps = ended.out.lines().filter(|line| line.starts_with("-- ")).count();
    assert_eq!(gaps, page.of("gap").len(), "each gap is reported once: {}", ended.out);
    zoom.close_clean().await;
}

#[tokio::test]
async fn an_sdk_program_follows_every_meeting_without_a_webhook_server() {
    let home = Home::sqlite().set("MEDIA_TYPES", "transcript");
    let mut program = None;
    let settings = zoom(script(chatter(10, 200), 3_000));
    let scene = Scene::prepared(home, settings, async |api| {
        program = Some(reader("transcripts.py", api, &[]));
    })
    .await;
    let program = program.expect("it was started");
    let page = scene.log.over().await;
    let line = |line: &&Value| format!("{}: {}", text(line, "user_name"), text(line, "text"));
    let said: Vec<String> = page.of("transcript").iter().map(line).collect();
    assert!(!said.is_empty());
    printed(&program, said.len()).await;
    let out = program.out();
    let lines: Vec<&str> = out.lines().filter(|line| line.contains(": line ")).collect();
    assert_eq!(lines, said);
    program.signal("INT");
    assert_eq!(program.ended().await.code(), 0);
    scene.zoom.close_clean().await;
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap()
}

/// The sound in a WAV file as Python writes it.
fn sound(file: &[u8]) -> &[u8] {
    assert_eq!((&file[8..16], &file[36..40]), (&b"WAVEfmt "[..], &b"data"[..]));
    &file[44..]
}

#[tokio::test]
async fn mixed_audio_is_written_to_the_byte_as_zoom_sent_it() {
    let home = Home::sqlite()
        .set("MEDIA_TYPES", "audio")
        .set("AUDIO_STREAMS", "mixed")
        .set("RECORD", "audio");
    let folder = tempfile::tempdir().unwrap();
    let mut program = None;
    let settings = zoom(script(chatter(6, 500), 3_500));
    // The program waits for the session before Zoom announces it, so that it gets the first frame.
    let scene = Scene::prepared(home, settings, async |api| {
        let asked = json!({"platform": "zoom", "meeting_id": "91234567890"});
        assert_eq!(api.post("/api/v1/sdk/sessions", &asked).await.status, 201);
        let folder = folder.path().to_str().unwrap();
        let process = reader("wav_per_speaker.py", api, &["91234567890", folder]);
        eventually("it has joined", async || process.out().contains("joined").then_some(())).await;
        program = Some(process);
    })
    .await;
    let ended = program.expect("it was started").ended().await;
    assert_eq!((ended.code(), ended.err.as_str()), (0, ""), "{ended:?}");
    let file = std::fs::read(folder.path().join("mixed.wav")).unwrap();
    let sent = scene.zoom.medium("audio");
    assert!(sent.frames > 100, "{}", sent.frames);
    assert_eq!(sound(&file).len() as u64, sent.bytes);
    // The daemon's own recording of the same stream has the same samples.
    let path = format!("/api/v1/sdk/sessions/{}/recordings", scene.log.session_id());
    let recorded = eventually("the recording is finished", async || {
        let answer = scene.daemon.api().get(&path).await?.json();
        let files = answer["data"]["recordings"][0]["files"].as_array()?.clone();
        let wav =
            files.iter().find_map(|it| it["file"].as_str().filter(|it| it.ends_with(".wav")))?;
        let answer = scene.daemon.api().get(&format!("{path}/{wav}")).await?;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert!(recorded.ends_with(sound(&file)), "the samples differ");
    scene.zoom.close_clean().await;
}

//! Forwards: the daemon dials a server of the test's.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use rtmsd::simulator::MeetingAction;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::support::kit::{Home, Scene, TIMEOUT, TestDaemon, endless, eventually, zoom};

fn home() -> Home {
    Home::sqlite()
        .set("MEDIA_TYPES", "audio,transcript")
        .set("FORWARD_ALLOWED_HOSTS", "127.0.0.1")
        .set("FORWARD_ALLOW_WS", "true")
}

fn path(scene: &Scene) -> String {
    format!("/api/v1/sdk/sessions/{}/forward", scene.log.session_id())
}

/// A server that a session is forwarded to.
struct Bot {
    listener: TcpListener,
    /// Every entry that came, by its number.
    entries: BTreeMap<u64, Value>,
    dropped: u64,
}

impl Bot {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, entries: BTreeMap::new(), dropped: 0 }
    }

    fn url(&self) -> String {
        format!("ws://{}/rtms?key=s3cret", self.listener.local_addr().unwrap())
    }

    /// The next connection, after its hello.
    async fn accept(&self) -> WebSocketStream<TcpStream> {
        let accept = async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            accept_async(tcp).await.unwrap()
        };
        let mut socket = timeout(TIMEOUT, accept).await.expect("a connection");
        let hello = timeout(TIMEOUT, socket.next()).await.unwrap().unwrap().unwrap();
        let hello: Value = serde_json::from_str(hello.to_text().unwrap()).unwrap();
        assert_eq!(hello["type"], "hello");
        socket
    }

    /// Reads so many entries, or to the end; an entry that comes again is the same.
    async fn read(&mut self, socket: &mut WebSocketStream<TcpStream>, entries: usize) {
        let enough = self.entries.len() + entries;
        while self.entries.len() < enough {
            let message = timeout(TIMEOUT, socket.next()).await.expect("a message");
            let Some(Ok(Message::Text(text))) = message else {
                match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    _ => continue,
                }
            };
            let said: Value = serde_json::from_str(&text).unwrap();
            match said["type"].as_str().unwrap() {
                "entry" => {
                    let seq = said["seq"].as_u64().unwrap();
                    let before = self.entries.insert(seq, said.clone());
                    assert!(before.is_none_or(|before| before == said));
                }
                "dropped" => self.dropped += said["count"].as_u64().unwrap(),
                _ => {}
            }
        }
    }

    fn assert_whole(&self) {
        let numbers: Vec<u64> = self.entries.keys().copied().collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_server_that_was_away_misses_no_entry_and_learns_of_lost_frames() {
    let scene = Scene::open(home(), zoom(endless(50))).await;
    scene.live().await;
    let mut bot = Bot::listen().await;
    let asked = json!({"url": bot.url(), "media": ["audio", "transcript"]});
    let made = scene.daemon.api().post(&path(&scene), &asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(!made.text().contains("s3cret"));
    let mut socket = bot.accept().await;
    bot.read(&mut socket, 20).await;
    drop(socket);
    let lines = scene.log.page().of("transcript").len();
    scene.log.lines(lines + 20).await;
    let mut socket = bot.accept().await;
    bot.read(&mut socket, 30).await;
    assert!(bot.dropped > 0, "what was said while it was away");
    scene.zoom.perform(MeetingAction::End).await;
    bot.read(&mut socket, usize::MAX / 2).await;
    let page = scene.log.over().await;
    bot.assert_whole();
    assert_eq!(bot.entries.len(), page.entries.len());
    scene.zoom.close_clean().await;
}

#[tokio::test]
async fn a_restarted_daemon_goes_on_with_its_forwards() {
    let scene = Scene::open(home(), zoom(endless(50))).await;
    scene.live().await;
    let mut bot = Bot::listen().await;
    let asked = json!({"url": bot.url(), "media": "transcript"});
    let path = path(&scene);
    assert_eq!(scene.daemon.api().post(&path, &asked).await.status, 201);
    let mut socket = bot.accept().await;
    bot.read(&mut socket, 20).await;
    let Scene { home, daemon, zoom, log: _log } = scene;
    let (daemon, ()) = tokio::join!(
        async {
            daemon.stop().await;
            TestDaemon::start(&home).await
        },
        bot.read(&mut socket, usize::MAX / 2)
    );
    zoom.post.deliver_to(daemon.address);
    let before = bot.entries.len();
    let mut socket = bot.accept().await;
    bot.read(&mut socket, 20).await;
    bot.assert_whole();
    assert!(bot.entries.len() >= before + 20);
}

#[tokio::test]
async fn a_forward_is_listed_until_it_is_removed_and_then_ends() {
    let scene = Scene::open(home(), zoom(endless(50))).await;
    scene.live().await;
    let (mut bot, api) = (Bot::listen().await, scene.daemon.api());
    let asked = json!({"url": bot.url(), "media": "transcript", "from": "now"});
    let made = api.post(&path(&scene), &asked).await.json()["data"]["forward"].take();
    let mut socket = bot.accept().await;
    let listed = api.get(&path(&scene)).await.unwrap().json()["data"]["forwards"][0].take();
    assert_eq!((&listed["id"], &listed["status"]), (&made["id"], &json!("connected")));
    assert_eq!(listed["asked"], json!({"media": "transcript"}));
    let one = format!("{}/{}", path(&scene), made["id"].as_str().unwrap());
    assert_eq!(api.delete(&one).await.status, 200);
    assert_eq!(api.delete(&one).await.status, 404);
    bot.read(&mut socket, usize::MAX / 2).await;
    let list = api.get(&path(&scene)).await.unwrap().json()["data"]["forwards"].take();
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn a_url_that_is_not_allowed_is_refused_and_the_setting_is_named() {
    let home = Home::sqlite().set("FORWARD_ALLOWED_HOSTS", "bot.example.com");
    let scene = Scene::open(home, zoom(endless(100))).await;
    let api = scene.daemon.api();
    for (url, word) in [
        ("wss://evil.example", "FORWARD_ALLOWED_HOSTS"),
        ("ws://bot.example.com", "FORWARD_ALLOW_WS"),
        ("https://bot.example.com", "wss://"),
        ("wss://u:p@bot.example.com", "password"),
    ] {
        let answer = api.post(&path(&scene), &json!({ "url": url })).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "url_refused"), "{url}");
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    let bad = json!({"url": "wss://bot.example.com", "media": "sound"});
    assert_eq!(api.post(&path(&scene), &bad).await.status, 422);
    let good = json!({"url": "wss://bot.example.com"});
    for _ in 0..4 {
        assert_eq!(api.post(&path(&scene), &good).await.status, 201);
    }
    assert_eq!(api.post(&path(&scene), &good).await.code(), "too_many_forwards");
    // No server answers there: the forward reports it and tries again.
    eventually("a dial fails", async || {
        let list = api.get(&path(&scene)).await?.json();
        (list["data"]["forwards"][0]["status"] == "disconnected").then_some(())
    })
    .await;
}

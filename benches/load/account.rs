//! What the daemon counted, asked over its own API.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::receiver::API_TOKEN;

/// The frames and transcript lines of each stream, by its id, once all have ended.
pub(crate) async fn received(port: u16) -> HashMap<String, u64> {
    let base = format!("http://127.0.0.1:{port}/api/v1/sdk/sessions");
    for _ in 0..60 {
        let live = get(&format!("{base}?limit=1&status=live")).await;
        if live["data"]["sessions"].as_array().is_some_and(Vec::is_empty) {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    let (mut received, mut before) = (HashMap::new(), String::new());
    loop {
        let page = get(&format!("{base}?limit=200{before}")).await["data"].take();
        for session in page["sessions"].as_array().expect("sessions") {
            let id = session["id"].as_str().expect("an id");
            let detail = get(&format!("{base}/{id}")).await;
            received.extend(
                detail["data"]["streams"].as_array().expect("streams").iter().map(of_stream),
            );
        }
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return received,
        }
    }
}

fn of_stream(stream: &Value) -> (String, u64) {
    let frames = |medium| stream["tally"][medium]["frames"].as_u64().unwrap_or(0);
    let id = stream["stream_id"].as_str().expect("an id").to_owned();
    (id, frames("audio") + frames("transcript"))
}

/// The ids of the sessions that are live: 200 at most.
pub(crate) async fn live_sessions(port: u16) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}/api/v1/sdk/sessions?limit=200&status=live");
    let page = get(&url).await;
    let sessions = page["data"]["sessions"].as_array().expect("sessions");
    sessions.iter().map(|session| session["id"].as_str().expect("an id").to_owned()).collect()
}

async fn get(url: &str) -> Value {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let answer = CLIENT.get(url).bearer_auth(API_TOKEN).send().await;
    answer.expect("an answer").json().await.expect("JSON")
}

//! The list of sessions: what the API and the page have in common, and what is on the page.

use serde_json::{Value, json};

use super::kit::{Browser, HTML};
use crate::http::server::{READER, Server};

const SESSIONS: &str = "/api/v1/sdk/sessions";
const BOSS: (&str, &str) = ("authorization", "Bearer boss-token-of-tests");

async fn make(server: &Server, number: &str, metadata: Value) -> String {
    let body =
        json!({ "platform": "zoom", "meeting_id": number, "app": "default", "metadata": metadata });
    let made = server.post_to(SESSIONS, body.to_string().as_bytes(), &[BOSS]).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["data"]["session"]["id"].as_str().unwrap().to_owned()
}

async fn found(server: &Server, query: &str) -> Vec<String> {
    let list = server.get(&format!("{SESSIONS}?{query}")).await;
    assert_eq!(list.status, 200, "{query}: {}", list.text());
    let sessions = list.json()["data"]["sessions"].as_array().unwrap().clone();
    sessions.iter().map(|session| session["meeting_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_api_and_the_page_search_and_filter_alike() {
    let server = Server::start().await;
    make(&server, "91234567890", json!({ "crm": "deal 42" })).await;
    make(&server, "81111111111", json!({ "crm": "deal 43" })).await;
    let browser = Browser::open(&server, "read-token-of-tests").await;
    for (query, expected) in [
        ("q=DEAL%2042", vec!["91234567890"]),
        ("q=912%203456%207890", vec!["91234567890"]),
        ("q=deal&status=created,live&product=meeting", vec!["81111111111", "91234567890"]),
        ("q=&status=&product=&app=", vec!["81111111111", "91234567890"]),
        ("status=ended", vec![]),
        ("app=acme", vec![]),
        ("product=webinar", vec![]),
    ] {
        assert_eq!(found(&server, query).await, expected, "{query}");
        let page = browser.get(&server, &format!("/dashboard/sessions?{query}")).await;
        let shown = ["912 3456 7890", "811 1111 1111"].map(|number| page.text().contains(number));
        let wanted = ["91234567890", "81111111111"].map(|number| expected.contains(&number));
        assert_eq!(shown, wanted, "{query}");
    }
    for wrong in ["status=gone", "product=phones", "before=x", "limit=0"] {
        let answer = server.get(&format!("{SESSIONS}?{wrong}")).await;
        assert_eq!((answer.status, &*answer.code()), (422, "invalid_value"), "{wrong}");
        let page = browser.get(&server, &format!("/dashboard/sessions?{wrong}")).await;
        assert_eq!(page.status, 422);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
    }
    assert_eq!(server.get(&format!("{SESSIONS}?app=none")).await.status, 404);
    // A token of another app finds nothing, whatever it asks for.
    let acme = Browser::open(&server, "acme-token-of-tests").await;
    assert!(!acme.get(&server, "/dashboard/sessions?q=deal").await.text().contains("912 3456"));
    assert_eq!(acme.get(&server, "/dashboard/sessions?app=default").await.status, 404);
}

#[tokio::test]
async fn pages_lead_through_every_session_with_the_filters_kept() {
    let server = Server::start().await;
    for n in 0..7 {
        make(&server, &format!("9000000000{n}"), json!({ "crm": "deal" })).await;
    }
    let browser = Browser::open(&server, "read-token-of-tests").await;
    let mut path = "/dashboard/sessions?q=deal&limit=3".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = browser.get(&server, &path).await;
        let text = page.text();
        seen.push(text.matches("class=\"name\"").count());
        let Some((before, _)) = text.split_once("\">Older</a>") else { break };
        let next = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
        assert!(next.starts_with("/dashboard/sessions?q=deal&before="), "{next}");
        path = format!("{next}&limit=3");
    }
    assert_eq!(seen, [3, 3, 1]);
}

#[tokio::test]
async fn the_sessions_under_way_say_when_others_began_or_ended() {
    let server = Server::start().await;
    let browser = Browser::open(&server, "read-token-of-tests").await;
    let page = browser.get(&server, "/").await;
    assert!(page.text().contains("No session is under way"), "{}", page.text());
    let refresh = |text: &str| {
        let (_, rest) = text.split_once("id=\"live\"").unwrap();
        let path = rest.split_once("hx-get=\"").unwrap().1.split('"').next().unwrap();
        path.replace("&#38;", "&")
    };
    let path = refresh(page.text());
    let same = browser.get_with(&server, &path, &[HTML, ("hx-request", "true")]).await;
    assert_eq!((same.status, same.header("hx-trigger")), (200, None));
    let stream = server.start_stream("m1==", "s1").await;
    let live = browser.get_with(&server, &path, &[HTML, ("hx-request", "true")]).await;
    assert_eq!(live.header("hx-trigger"), Some("sessions-changed"));
    assert!(live.text().contains(&format!("/dashboard/sessions/{}", stream.session_id)));
    assert!(live.text().contains("connecting") && !live.text().contains("<html"));
    let path = refresh(live.text());
    server.end_stream("m1==", &stream).await;
    let ended = browser.get(&server, &path).await;
    assert_eq!(ended.header("hx-trigger"), Some("sessions-changed"));
    assert!(ended.text().contains("No session is under way"));
    assert_eq!(server.request("GET", &path, &[READER]).await.status, 200, "a token does, too");
}

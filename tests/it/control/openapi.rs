//! The API's OpenAPI document against the API's real answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::kit::{BOSS, Kit};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn document(kit: &Kit) -> Value {
    let answer = kit.server.request("GET", "/openapi.json", &[]).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

#[tokio::test]
async fn every_path_and_method_of_the_document_is_answered_and_no_other_method_is() {
    let kit = Kit::start().await;
    let document = document(&kit).await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "01932b5e-0000-7000-8000-000000000000");
        for method in METHODS {
            let answer = kit.server.request(&method.to_uppercase(), &url, &[BOSS]).await;
            let is_documented = operations.get(method).is_some();
            assert_eq!(answer.status != 405, is_documented, "{method} {path}");
            let is_unknown = answer.status == 404 && answer.text().contains("route_not_found");
            assert!(!is_unknown, "{method} {path}");
        }
    }
}

/// A valid body for each POST and PATCH.
fn body_of(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("forward") => r#"{"url": "ws://127.0.0.1:9/"}"#,
        Some("subscribe") => r#"{"user_id": 7}"#,
        _ => "{}",
    }
}

#[tokio::test]
async fn a_malformed_id_is_answered_like_an_unknown_id() {
    let kit = Kit::start().await;
    let unknown = "01932b5e-0000-7000-8000-000000000000";
    let mut walked = 0;
    for (path, operations) in document(&kit).await["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|_| path.contains("{id}")) {
            let ask = async |id: &str| {
                let url = path.replace("{id}", id);
                let url = ["{file}", "{forward}", "{delivery}"]
                    .iter()
                    .fold(url, |url, place| url.replace(place, id));
                let (method, body) = (method.to_uppercase(), body_of(path).as_bytes());
                let answer = kit.server.send(&method, &url, body, &[BOSS]).await;
                let mut error = answer.json()["error"].take();
                error["request_id"].take();
                (answer.status, error)
            };
            let expected = ask(unknown).await;
            assert_eq!(expected.0, 404, "{method} {path}: {}", expected.1);
            for id in ["x", "%ff", "%00", "..%2f..", "0", &"9".repeat(5000)] {
                assert_eq!(ask(id).await, expected, "{method} {path} {id}");
            }
            walked += 1;
        }
    }
    assert!(walked > 20, "{walked}");
}

#[test]
fn the_router_takes_its_routes_from_the_documents_table_alone() {
    let mut files = vec![std::path::PathBuf::from("src/http")];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = std::fs::read_to_string(&path).unwrap();
            let code = code.split("#[cfg(test)]").next().unwrap();
            if code.contains(".route(\"")
                || code.contains(".nest(")
                || code.contains("route_service")
            {
                found.push(path);
            }
        }
    }
    assert!(found.is_empty(), "routes beside the table: {found:?}");
}

#[tokio::test]
async fn what_a_token_needs_is_what_the_document_says() {
    let kit = Kit::start().await;
    let document = document(&kit).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "01932b5e-0000-7000-8000-000000000000");
        for (method, operation) in operations.as_object().unwrap() {
            let needs = operation["security"][0]["token"][0].as_str();
            let method = method.to_uppercase();
            let stranger = kit.server.request(&method, &url, &[]).await;
            let is_refused = stranger.status == 401 && stranger.code() == "unauthenticated";
            assert_eq!(is_refused, needs.is_some(), "{method} {path}");
            let reader = kit
                .server
                .request(&method, &url, &[("authorization", "Bearer read-token-of-tests")])
                .await;
            let is_more = matches!(needs, Some("control" | "admin" | "metrics"));
            assert_eq!(reader.status == 403, is_more, "{method} {path}");
        }
    }
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

/// The same names on both sides, all the way down.
fn holds(document: &Value, schema: &Value, body: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return holds(document, &document["components"]["schemas"][name], body, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = if body.is_null() { choices.len() - 1 } else { 0 };
        return holds(document, &choices[choice], body, place);
    }
    if let (Some(properties), Some(_)) = (schema.get("properties"), body.as_object()) {
        let required: BTreeSet<String> =
            serde_json::from_value(schema["required"].clone()).unwrap();
        assert!(names(body).is_superset(&required), "{place}: {body}");
        assert!(names(properties).is_superset(&names(body)), "{place}: {body}");
        for (name, value) in body.as_object().unwrap() {
            holds(document, &properties[name], value, &format!("{place}.{name}"));
        }
    }
    for item in body.as_array().into_iter().flatten() {
        holds(document, &schema["items"], item, &format!("{place}[]"));
    }
}

#[tokio::test]
async fn the_bodies_are_those_of_the_document() {
    let kit = Kit::start().await;
    let document = document(&kit).await;
    let id = kit.create().await;
    let asked = kit.act(&id, "start").await.json();
    kit.announce("m==", "s1").await;
    kit.end_stream("s1", rtmsd::model::Outcome::Stopped, Some(6)).await;
    let error = kit.act(&id, "stop").await.json();
    let new =
        json!({"platform": "zoom", "meeting_id": 7, "metadata": {}, "media": {"types": "audio"}});
    let made = kit.post("", &new).await.json();
    let url = kit.server.request("GET", "/api/v1/zoom/oauth/authorize-url", &[BOSS]).await.json();
    let installations = kit.server.request("GET", "/api/v1/zoom/installations", &[BOSS]).await;
    kit.webhook("rtms.concurrency_near_limit", json!({"percentage": 82})).await;
    let notices = kit.server.request("GET", "/api/v1/zoom/notices", &[BOSS]).await.json();
    let endpoints = "/api/v1/webhooks/endpoints";
    let new_endpoint = json!({"url": "https://example.com/", "events": ["session.ended"]});
    let made_endpoint =
        kit.server.post_to(endpoints, new_endpoint.to_string().as_bytes(), &[BOSS]).await.json();
    let endpoint_id = made_endpoint["data"]["endpoint"]["id"].as_str().unwrap();
    let one = format!("{endpoints}/{endpoint_id}");
    let sent = kit.server.post_to(&format!("{one}/test"), b"", &[BOSS]).await.json();
    let deliveries = kit.server.request("GET", &format!("{one}/deliveries"), &[BOSS]).await.json();
    let all_endpoints = kit.server.request("GET", endpoints, &[BOSS]).await.json();
    let one = kit.server.request("GET", &one, &[BOSS]).await.json();
    let new_ticket = json!({"path": format!("/api/v1/sdk/sessions/{id}/events")});
    let tickets = "/api/v1/tickets";
    let ticket =
        kit.server.post_to(tickets, new_ticket.to_string().as_bytes(), &[BOSS]).await.json();
    for (schema, body) in [
        ("NewTicket", &new_ticket),
        ("Ticket", &ticket["data"]),
        ("NewEndpoint", &new_endpoint),
        ("EndpointAndSecret", &made_endpoint["data"]),
        ("EndpointOnly", &one["data"]),
        ("EndpointList", &all_endpoints["data"]),
        ("EventSent", &sent["data"]),
        ("DeliveryList", &deliveries["data"]),
        ("NoticeList", &notices["data"]),
        ("NewSession", &new),
        ("Asked", &asked["data"]),
        ("Error", &error),
        ("SessionOnly", &made["data"]),
        ("SessionList", &kit.get("").await),
        ("SessionWithStreams", &kit.get(&format!("/{id}")).await),
        ("Timeline", &kit.get(&format!("/{id}/timeline")).await),
        ("Ledger", &kit.get(&format!("/{id}/ledger")).await),
        ("AuthorizeUrl", &url["data"]),
        ("InstallationList", &installations.json()["data"]),
    ] {
        let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
        holds(&document, &reference, body, schema);
    }
}

#[tokio::test]
async fn every_schema_that_is_named_is_there_and_every_operation_has_its_own_id() {
    let kit = Kit::start().await;
    let document = document(&kit).await;
    let text = document.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let operations: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let distinct: BTreeSet<_> = operations.iter().collect();
    assert_eq!(distinct.len(), operations.len());
}

#[tokio::test]
async fn the_plain_page_shows_every_operation_and_loads_nothing() {
    let kit = Kit::start().await;
    let page = kit.server.request("GET", "/docs/plain", &[]).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for loads in ["<script", "src=", "url(", "@import", "href=\"http"] {
        assert!(!html.contains(loads), "no script, no other host: {loads}");
    }
    for path in document(&kit).await["paths"].as_object().unwrap().keys() {
        assert!(html.contains(path.as_str()), "{path}");
    }
}

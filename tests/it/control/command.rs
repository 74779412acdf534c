//! The program itself.

use std::process::{Command, Output};

use serde_json::Value;

const SETTINGS: [(&str, &str); 4] = [
    ("ZOOM_CLIENT_ID", "id"),
    ("ZOOM_CLIENT_SECRET", "secret"),
    ("ZOOM_SECRET_TOKEN", "token"),
    ("HOST", "127.0.0.1"),
];

fn run(command: &str) -> Output {
    run_with(&[command])
}

fn run_with(args: &[&str]) -> Output {
    run_in(&SETTINGS, args)
}

fn run_in(settings: &[(&str, &str)], args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_rtmsd"))
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .envs(settings.iter().copied())
        .env("PORT", "0")
        .env("TOKEN_ENCRYPTION_KEYS", "07".repeat(32))
        .output()
        .unwrap()
}

#[test]
fn the_api_is_printed_as_a_document() {
    let output = run("openapi");
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/webhook"]["post"].is_object());
}

#[test]
fn the_manifest_lists_what_the_app_in_the_marketplace_needs() {
    let output = run("manifest");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    for needed in [
        "app default",
        "http://localhost:0/webhook",
        "http://localhost:0/api/v1/zoom/oauth/callback",
        "meeting:read:meeting_transcript",
        "meeting:update:participant_rtms_app_status",
        "meeting.rtms_started",
        "app_deauthorized",
    ] {
        assert!(lines.lines().any(|line| line.trim() == needed), "{needed} in\n{lines}");
    }
    assert!(!lines.contains("meeting_audio"), "audio is not received: {lines}");
}

#[test]
fn the_manifest_of_an_app_with_an_event_socket_has_no_webhook_and_what_gaps_need() {
    let settings = [
        ("ZOOM_CLIENT_ID", "id"),
        ("ZOOM_CLIENT_SECRET", "secret"),
        ("ZOOM_EVENTS_URL", "wss://ws.zoom.us/ws?subscriptionId=x"),
        ("RTMS_AUTO_START", "all"),
    ];
    let output = run_in(&settings, &["manifest"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    for needed in
        ["meeting:read:meeting", "meeting:read:list_meetings", "meeting.started", "app default"]
    {
        assert!(lines.lines().any(|line| line.trim() == needed), "{needed} in\n{lines}");
    }
    assert!(lines.contains("method WebSocket") && !lines.contains("/webhook"), "{lines}");
    let output = run_in(&settings, &["manifest", "--json"]);
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(manifest["features"].get("event_subscription").is_none(), "{manifest}");
    let scopes = manifest["oauth_information"]["scopes"].to_string();
    assert!(scopes.contains("meeting:read:list_meetings"), "{scopes}");
}

#[test]
fn packages_get_completions_for_every_shell_and_a_man_page() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run_with(&["completions", shell]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("rotate-keys"), "{shell}: {text}");
    }
    let page = String::from_utf8(run("man").stdout).unwrap();
    assert!(page.contains(".TH rtmsd 1") && page.contains("rotate\\-keys"), "{page}");
}

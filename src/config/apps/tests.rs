//! Reading the descriptions of apps.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::{Config, ConfigErrors};
use crate::model::params::Preset;
use crate::model::{Keep, Medium, Retention};
use crate::zoom::app::{OwnPlace, StreamsPerMeeting};

const DEFAULT: [(&str, &str); 3] = [
    ("ZOOM_CLIENT_ID", "id"),
    ("ZOOM_CLIENT_SECRET", "s3cret-client"),
    ("ZOOM_SECRET_TOKEN", "s3cret-token"),
];

fn config(values: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let values: HashMap<&str, &str> = values.iter().copied().collect();
    Config::from_lookup(|name| values.get(name).map(ToString::to_string))
}

/// The apps of these variables, with a list beside them.
fn apps(variables: &[(&str, &str)], list: &Value) -> Vec<App> {
    let list = list.to_string();
    let variables = [variables, &[("ZOOM_APPS", &*list)]].concat();
    config(&variables).unwrap_or_else(|errors| panic!("{errors}")).apps
}

/// The mistakes of a list.
fn mistakes(variables: &[(&str, &str)], list: &str) -> Vec<String> {
    let errors = config(&[variables, &[("ZOOM_APPS", list)]].concat()).expect_err("mistakes");
    assert!(!errors.to_string().contains("s3cret"), "{errors}");
    errors.0.iter().map(|mistake| format!("{}: {}", mistake.name, mistake.problem)).collect()
}

/// The fewest fields of an app.
fn acme() -> Value {
    json!({"name": "acme", "client_id": "a", "client_secret": "b", "secret_tokens": ["c"]})
}

fn acme_with(fields: Value) -> Value {
    let mut app = acme();
    for (name, value) in fields.as_object().unwrap() {
        app[name] = value.clone();
    }
    app
}

#[test]
fn a_list_of_apps_needs_no_default_app_and_stands_beside_one() {
    let names = |apps: &[App]| apps.iter().map(|app| app.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&apps(&[], &json!([acme()]))), ["acme"]);
    assert_eq!(names(&apps(&DEFAULT, &json!([acme()]))), ["default", "acme"]);
    assert_eq!(names(&apps(&DEFAULT, &json!({"apps": [acme()]}))), ["default", "acme"]);
    assert_eq!(names(&apps(&DEFAULT, &json!([]))), ["default"]);
    // A part of the default app means that there is one.
    let part = mistakes(&DEFAULT[..1], &json!([acme()]).to_string());
    assert_eq!(part.len(), 2, "{part:?}");
}

#[test]
fn every_field_of_an_app_is_read_as_its_variable_is() {
    let described = json!({
        "name": "acme", "client_id": "cid", "client_secret": "cs", "secret_tokens": ["new", "old"],
        "products": ["meeting", "video_sdk"], "oauth_redirect_url": "https://acme.example/back",
        "account_id": "acc", "s2s_client_id": "sid", "s2s_client_secret": "ss",
        "video_api_key": "vk", "video_api_secret": "vs",
        "api_base_url": "https://api.zoomgov.com", "oauth_base_url": "https://zoomgov.com",
        "rtms_allowed_hosts": [".zoomgov.com"], "rtms_handshake_id_key": "meeting_uuid",
        "rtms_auto_start": "all", "rtms_auto_stop_after_seconds": 60, "rtms_restart_attempts": 2,
        "rtms_restart_after_seconds": 7, "media_types": ["audio", "chat"], "audio_streams": "mixed",
        "rtms_buffer_data": false, "rtms_streams_per_meeting": "first",
        "retention_entries": "zero", "retention_media": "30d", "retention_deliveries": "12h",
        "retention_sessions": "7d", "retention_audit": "forever",
        "recordings_url": "s3://user:s3cret@bucket/acme", "recordings_layout": "{app}/{stream}",
        "recordings_store": {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s3cret"},
    });
    let apps = apps(&[], &json!([described]));
    let app = &apps[0];
    let secret = |text: &str| Secret::new(text.to_owned());
    let pair = |id: &str, text: &str| Credentials { id: id.to_owned(), secret: secret(text) };
    assert_eq!(app.client, pair("cid", "cs"));
    assert_eq!(app.secret_tokens, [secret("new"), secret("old")]);
    assert_eq!(app.products, [Product::Meeting, Product::VideoSdk]);
    assert_eq!(app.redirect_url, "https://acme.example/back");
    let account = Configured::Account { account_id: "acc".into(), client: pair("sid", "ss") };
    assert_eq!(app.configured, account);
    assert_eq!(app.video_api, Some(pair("vk", "vs")));
    assert_eq!(app.api_base_url, "https://api.zoomgov.com");
    assert_eq!(app.oauth_base_url, "https://zoomgov.com");
    assert!(app.api_is_fixed);
    assert!(app.rtms_hosts.endpoint("wss://a.zoomgov.com").is_ok());
    assert!(app.rtms_hosts.endpoint("wss://a.zoom.us").is_err());
    assert_eq!(app.handshake_ids.as_meeting, Product::ALL);
    assert_eq!(app.policies.auto_stop_after, Some(Duration::from_secs(60)));
    assert_eq!((app.policies.restarts, app.policies.restart_after.as_secs()), (2, 7));
    assert_eq!(app.policies.streams_per_meeting, StreamsPerMeeting::First);
    assert!(app.params.media.contains(Medium::Chat) && !app.params.buffer_data);
    let Retention { entries, media, deliveries, sessions, audit } = app.retention;
    let kept = [entries, media, deliveries, sessions, audit].map(|keep| keep.to_string());
    assert_eq!(kept, ["zero", "30d", "12h", "7d", "forever"]);
    let place = app.recordings.place.as_ref().expect("a place of its own");
    assert_eq!(
        (&*place.name, app.recordings.layout.as_deref()),
        ("s3://bucket/acme", Some("{app}/{stream}"))
    );
    let mut options: Vec<_> =
        place.options.iter().map(|(name, value)| (*name, value.expose().as_str())).collect();
    options.sort_unstable();
    let own = [
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ];
    assert_eq!(options, own);
    assert!(!format!("{app:?}").contains("s3cret"));
}

const EVENTS: &str = "wss://ws.zoom.us/ws?subscriptionId=s3cret";

#[test]
fn an_app_with_an_event_socket_needs_no_webhook_secret() {
    let url = ("ZOOM_EVENTS_URL", EVENTS);
    let only = config(&[DEFAULT[0], DEFAULT[1], url]).unwrap().apps;
    assert_eq!(only[0].events_url.as_ref().map(EventsUrl::as_str), Some(EVENTS));
    assert!(only[0].secret_tokens.is_empty());
    let both = config(&[&DEFAULT[..], &[url]].concat()).unwrap().apps;
    assert_eq!((both[0].secret_tokens.len(), both[0].events_url.is_some()), (1, true));
    // A token that was copied along is left out, and another app does not inherit the URL.
    let copied = format!("{EVENTS}&access_token=s3cret");
    let list = json!([acme_with(json!({"events_url": copied, "secret_tokens": null}))]);
    let of_list = apps(&DEFAULT, &list);
    assert_eq!(of_list[0].events_url, None);
    assert_eq!(of_list[1].events_url, only[0].events_url);
    let video = [
        ("ZOOM_VIDEO_SDK_KEY", "k"),
        ("ZOOM_VIDEO_SDK_SECRET", "s"),
        ("ZOOM_VIDEO_SECRET_TOKEN", "t"),
    ];
    let with_video = config(&[&DEFAULT[..], &video, &[url]].concat()).unwrap().apps;
    assert_eq!(with_video[1].events_url, None, "the subscription is that of one app");
}

#[test]
fn an_event_socket_is_at_an_allowed_host_and_of_one_app() {
    let wrong = |variables: &[(&str, &str)]| {
        let errors = config(&[&DEFAULT[..], variables].concat()).expect_err("a mistake");
        assert!(!errors.to_string().contains("s3cret"), "{errors}");
        assert_eq!(errors.0.len(), 1, "{errors}");
        (errors.0[0].name, errors.0[0].problem.clone())
    };
    for (url, problem) in [
        ("wss://evil.example/ws?subscriptionId=s3cret", "RTMS_ALLOWED_HOSTS"),
        ("ws://ws.zoom.us/ws?subscriptionId=s3cret", "RTMS_ALLOW_WS"),
        ("https://s3cret.zoom.us", "wss://"),
        ("s3cret", "is not a URL"),
    ] {
        let (name, text) = wrong(&[("ZOOM_EVENTS_URL", url)]);
        assert_eq!(name, "ZOOM_EVENTS_URL");
        assert!(text.contains(problem), "{url}: {text}");
    }
    let local = "ws://127.0.0.1:3999/ws?subscriptionId=x";
    let loopback = [
        ("ZOOM_EVENTS_URL", local),
        ("RTMS_ALLOWED_HOSTS", "127.0.0.1"),
        ("RTMS_ALLOW_WS", "true"),
    ];
    assert!(config(&[&DEFAULT[..], &loopback].concat()).is_ok());
    let list = json!([acme_with(json!({"events_url": EVENTS}))]).to_string();
    let (name, text) = wrong(&[("ZOOM_EVENTS_URL", EVENTS), ("ZOOM_APPS", &list)]);
    assert_eq!(name, "ZOOM_EVENTS_URL");
    assert!(text.contains("default and acme"), "{text}");
    let no_field = mistakes(&[], &json!([acme_with(json!({"events_url": "s3cret"}))]).to_string());
    assert!(
        no_field[0].starts_with("ZOOM_APPS: app acme: events_url must be the URL"),
        "{no_field:?}"
    );
}

#[test]
fn an_app_keeps_and_records_as_the_daemon_does_unless_it_says_otherwise() {
    let shared = [
        ("RETENTION_ENTRIES", "30d"),
        ("RETENTION_MEDIA", "zero"),
        ("RECORDINGS_URL", "s3://daemons/place"),
        ("RECORDINGS_LAYOUT", "{stream}"),
        ("AWS_ENDPOINT_URL", "https://daemons.example"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let own = |fields: Value| {
        apps(&[&DEFAULT[..], &shared].concat(), &json!([acme_with(fields)])).remove(1)
    };
    let app = own(json!({}));
    let default = &apps(&[&DEFAULT[..], &shared].concat(), &json!([]))[0];
    assert_eq!((app.retention, &app.recordings), (default.retention, &OwnRecordings::default()));
    assert_eq!(default.recordings, OwnRecordings::default(), "its place is that of the daemon");
    assert_eq!(app.retention.media, Keep::Nothing);
    assert_eq!(own(json!({"retention_media": "1d"})).retention.media.to_string(), "1d");
    // With a bucket of its own in the daemon's store, or in one of its own.
    let bucket = own(json!({"recordings_url": "s3://acme"})).recordings.place.unwrap();
    let options = |place: &OwnPlace| {
        place.options.iter().map(|(_, value)| value.expose().clone()).collect::<Vec<_>>()
    };
    assert_eq!(options(&bucket), ["eu-west-1", "https://daemons.example"]);
    let fields =
        json!({"recordings_url": "s3://acme", "recordings_store": {"AWS_REGION": "us-east-1"}});
    assert_eq!(options(&own(fields).recordings.place.unwrap()), ["us-east-1"]);
    // Another app may record although the default keeps no media.
    let list =
        json!([acme_with(json!({"retention_media": "1d", "media_types": "audio"}))]).to_string();
    let record = [("RECORD", "audio"), ("MEDIA_TYPES", "audio"), ("ZOOM_APPS", &*list)];
    assert!(config(&[&DEFAULT[..], &shared, &record].concat()).is_ok());
    let found = mistakes(&[&DEFAULT[..], &shared, &record[..2]].concat(), "[]");
    assert_eq!(found, ["RECORD: must be off while RETENTION_MEDIA is zero"]);
}

#[test]
fn an_app_inherits_the_settings_of_the_daemon_and_no_credential() {
    let shared = [
        ("RTMS_AUTO_START", "all"),
        ("MEDIA_TYPES", "audio"),
        ("AUDIO_STREAM_MODE", "mixed"),
        ("ZOOM_ACCESS_TOKEN", "s3cret"),
        ("ZOOM_VIDEO_API_KEY", "k"),
        ("ZOOM_VIDEO_API_SECRET", "s3cret"),
        ("PUBLIC_URL", "https://rtms.example.com"),
    ];
    let both = apps(&[&DEFAULT[..], &shared].concat(), &json!([acme()]));
    let (default, app) = (&both[0], &both[1]);
    assert_eq!((&app.params, &app.policies), (&default.params, &default.policies));
    assert_eq!(app.redirect_url, default.redirect_url);
    assert_eq!((&app.configured, &app.video_api), (&Configured::None, &None));
    assert_ne!(default.configured, Configured::None);
    let own = apps(&shared, &json!([acme_with(json!({"media_types": "chat"}))]));
    assert_eq!(own[0].params.media.to_string(), "chat");
    // A preset of its own is not overridden by the parameters of the others.
    let preset = apps(&shared, &json!([acme_with(json!({"media_preset": "recording"}))]));
    assert_eq!(preset[0].params, Preset::Recording.params());
    // `media_types` and the inherited mask do not contradict each other.
    let mask = [("MEDIA_TYPES_FLAG", "1")];
    assert_eq!(apps(&mask, &json!([acme()]))[0].params.media.to_string(), "audio");
    let own = apps(&mask, &json!([acme_with(json!({"media_types": "chat"}))]));
    assert_eq!(own[0].params.media.to_string(), "chat");
}

#[test]
fn every_mistake_is_reported_at_once_by_app_and_field_and_without_a_value() {
    let list = json!([
        {"name": "acme", "client_id": "s3cret", "secret_tokens": [], "media_types": "s3cret",
         "audio_codec": {"s3cret": 1}, "clint_secret": "s3cret", "S3CRET s3cret": 1, "products": ["s3cret"],
         "s2s_client_id": "s3cret", "retention_entries": "s3cret", "retention_audit": "zero",
         "retention_deliveries": "1h", "recordings_url": "ftp://s3cret", "recordings_layout": "{s3cret}",
         "recordings_store": {"S3CRET": "s3cret"}},
        {"name": "other", "client_id": "a", "client_secret": "s3\u{a0}cret", "secret_tokens": "'s3cret'",
         "recordings_store": {"AWS_REGION": "s3cret"}},
        {"name": "Bad"}, {}, 7,
    ]);
    let found = mistakes(&[], &list.to_string());
    let named = |start: &str| found.iter().any(|mistake| mistake.starts_with(start));
    for start in [
        "ZOOM_APPS: app number 3: name must have 1 to 32 characters",
        "ZOOM_APPS: app number 4: name is missing",
        "ZOOM_APPS: app number 5 must be an object",
        "ZOOM_APPS: app acme: client_secret is missing",
        "ZOOM_APPS: app acme: secret_tokens is missing",
        "ZOOM_APPS: app acme: media_types must be ",
        "ZOOM_APPS: app acme: audio_codec must be a text, a number",
        "ZOOM_APPS: app acme: clint_secret is not a field of an app",
        "ZOOM_APPS: app acme: it has a field that no app has",
        "ZOOM_APPS: app acme: products must be a list of meeting, ",
        "ZOOM_APPS: app acme: s2s_client_secret must be set with s2s_client_id",
        "ZOOM_APPS: app acme: retention_entries must be forever, zero, or a time",
        "ZOOM_APPS: app acme: retention_audit must be forever, or a time",
        "ZOOM_APPS: app acme: retention_deliveries must be forever, zero, or at least 2h",
        "ZOOM_APPS: app acme: recordings_url must be a folder, ",
        "ZOOM_APPS: app acme: recordings_layout must be rtms-samples, or a folder",
        "ZOOM_APPS: app acme: recordings_store must be an object of the variables of its object store",
        "ZOOM_APPS: app other: recordings_store must be set with recordings_url",
        "ZOOM_APPS: app other: client_secret: the value has a character",
        "ZOOM_APPS: app other: secret_tokens: the value is in quotes",
    ] {
        assert!(named(start), "{start}: {found:#?}");
    }
    assert_eq!(found.len(), 20, "{found:#?}");
}

#[test]
fn a_name_is_described_once() {
    let twice = json!([acme(), acme()]).to_string();
    assert_eq!(mistakes(&[], &twice), ["ZOOM_APPS: app acme is described twice"]);
    let named = |name: &str| json!([acme_with(json!({"name": name}))]).to_string();
    let found = mistakes(&DEFAULT, &named("default"));
    assert_eq!(
        found,
        ["ZOOM_APPS: app default is described by ZOOM_CLIENT_ID already: remove one of them"]
    );
    assert_eq!(config(&[("ZOOM_APPS", &named("default"))]).unwrap().apps.len(), 1);
    let video = [
        ("ZOOM_VIDEO_SDK_KEY", "k"),
        ("ZOOM_VIDEO_SDK_SECRET", "s"),
        ("ZOOM_VIDEO_SECRET_TOKEN", "t"),
    ];
    let found = mistakes(&[&DEFAULT[..], &video].concat(), &named("video"));
    assert_eq!(
        found,
        ["ZOOM_APPS: app video is described by ZOOM_VIDEO_SDK_KEY already: remove one of them"]
    );
}

#[test]
fn zoom_phone_is_served_only_where_it_is_asked_for() {
    let serves = |app: &App| app.serves(Product::Phone);
    assert!(!serves(&config(&DEFAULT).unwrap().apps[0]));
    let phone = [&DEFAULT[..], &[("ZOOM_PHONE", "true")]].concat();
    assert!(serves(&config(&phone).unwrap().apps[0]));
    let with = |products: Value| acme_with(json!({ "name": "other", "products": products }));
    let of_list = apps(&phone, &json!([acme(), with(json!(["phone"]))]));
    let listed: Vec<_> = of_list.iter().map(serves).collect();
    assert_eq!(listed, [true, false, true], "an app of a list names it");
    assert_eq!(of_list[2].products, [Product::Phone]);
}

#[test]
fn an_app_called_video_takes_the_video_sdk_from_the_app_of_the_variables() {
    let apps = apps(&DEFAULT, &json!([acme_with(json!({"name": "video"}))]));
    assert!(!apps[0].serves(Product::VideoSdk));
    assert_eq!(apps[1].products, [Product::VideoSdk]);
}

#[test]
fn a_list_that_cannot_be_read_names_the_place_and_quotes_nothing() {
    for (list, place) in
        [("[{\"name\": s3cret}]", "line 1"), ("7", "an array"), ("{\"s3cret\": []}", "an array")]
    {
        let found = mistakes(&[], list);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(place) || found[0].contains("a JSON array"), "{found:?}");
    }
}

#[test]
fn a_file_holds_the_same_list_as_json_or_toml() {
    let folder = tempfile::tempdir().unwrap();
    let of_file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        config(&[("ZOOM_APPS_FILE", path.to_str().unwrap())])
    };
    let toml = "# Customers\n[[apps]]\nname = \"acme\"\nclient_id = \"a\"\nclient_secret = \"b\"\n\
                secret_tokens = [\"c\"]\nmedia_types = [\"audio\"]\nrtms_restart_attempts = 2\n";
    let json = json!([acme_with(json!({"media_types": "audio", "rtms_restart_attempts": 2}))]);
    let from_toml = of_file("apps.toml", toml, 0o600).unwrap().apps;
    assert_eq!(from_toml, of_file("apps.json", &json.to_string(), 0o600).unwrap().apps);
    assert_eq!(from_toml[0].policies.restarts, 2);
    let refused = |name: &str, text: &str, mode: u32| {
        let errors = of_file(name, text, mode).unwrap_err().to_string();
        assert!(errors.contains("ZOOM_APPS_FILE: ") && !errors.contains("s3cret"), "{errors}");
        errors
    };
    assert!(refused("bad.toml", "[[apps]]\nname = s3cret\n", 0o600).contains("line 2"));
    assert!(refused("open.json", "[]", 0o666).contains("chmod go-w"));
    let missing = config(&[("ZOOM_APPS_FILE", "/nowhere/apps.json")]).unwrap_err().to_string();
    assert!(missing.contains("ZOOM_APPS_FILE: cannot read /nowhere/apps.json"), "{missing}");
    let list = json!([acme()]).to_string();
    let both = config(&[("ZOOM_APPS_FILE", "/nowhere"), ("ZOOM_APPS", &list)]).unwrap_err();
    assert!(both.to_string().contains("beside ZOOM_APPS"), "{both}");
}

#[test]
fn the_api_takes_the_same_fields_as_the_settings() {
    let schemas: Value =
        serde_json::from_str(include_str!("../../http/openapi/schemas.json")).unwrap();
    for (schema, others) in [
        ("NewApp", vec!["name", "products", "recordings_store"]),
        ("AppChange", vec!["products", "recordings_store"]),
    ] {
        let documented = schemas[schema]["properties"].as_object().unwrap().keys();
        let mut documented: Vec<&str> = documented.map(String::as_str).collect();
        let mut expected: Vec<&str> = FIELDS.iter().map(|field| field.name).chain(others).collect();
        documented.sort_unstable();
        expected.sort_unstable();
        assert_eq!(documented, expected, "{schema}");
    }
}

//! Apps and their registry.

use std::time::Duration;

use super::*;
use crate::model::{AppScope, IdKey, Keep};
use crate::rtms::endpoint::ZOOM_HOSTS;
use crate::zoom::signature::{PlainToken, SIGNATURE_HEADER};

/// An app that serves every product, with secrets made of its name.
pub(crate) fn app(name: &str) -> App {
    App {
        name: AppName::parse(name).unwrap(),
        products: Product::ALL.to_vec(),
        client: Credentials {
            id: "demoClientId01".into(),
            secret: Secret::new("demoClientSecret01".into()),
        },
        events_url: None,
        secret_tokens: vec![Secret::new(format!("{name}-secret-token"))],
        redirect_url: "https://rtmsd.example/callback".into(),
        configured: Configured::None,
        video_api: None,
        oauth_base_url: "https://zoom.us".into(),
        api_base_url: "https://api.zoom.us".into(),
        api_is_fixed: false,
        rtms_hosts: Policy::new(ZOOM_HOSTS.map(str::to_owned).to_vec(), false),
        params: Params::default(),
        handshake_ids: HandshakeIds::default(),
        policies: Policies {
            auto_start: AutoStart::Off,
            auto_stop_after: None,
            restarts: 0,
            restart_after: Duration::ZERO,
            streams_per_meeting: StreamsPerMeeting::All,
        },
        quotas: Quotas::default(),
        retention: Retention::default(),
        recordings: OwnRecordings::default(),
    }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn name(text: &str) -> AppName {
    AppName::parse(text).unwrap()
}

fn check(app: &App, signing: &str, body: &[u8]) -> Result<WebhookKey, SignatureError> {
    let signature = WebhookKey::new(&secret(signing)).sign(1_000, body);
    let headers =
        SignatureHeaders { timestamp: Some(b"1000"), signature: Some(signature.as_bytes()) };
    app.check_webhook(headers, body, 1_000_000, 300)
}

#[test]
fn every_secret_token_of_an_app_signs_its_webhooks_and_no_other_does() {
    let app = App { secret_tokens: vec![secret("new"), secret("old")], ..app("acme") };
    assert!(check(&app, "new", b"{}").is_ok());
    assert!(check(&app, "old", b"{}").is_ok());
    assert!(matches!(check(&app, "other", b"{}"), Err(SignatureError::Wrong)));
    let unsigned = SignatureHeaders { timestamp: Some(b"1000"), signature: None };
    let refused = app.check_webhook(unsigned, b"{}", 1_000_000, 300);
    assert!(matches!(refused, Err(SignatureError::Missing(SIGNATURE_HEADER))));
}

#[test]
fn a_url_validation_is_answered_with_the_secret_token_that_signed_it() {
    let app = App { secret_tokens: vec![secret("new"), secret("old")], ..app("acme") };
    let token = PlainToken::parse("plain").unwrap();
    for signing in ["new", "old"] {
        let key = check(&app, signing, b"{}").unwrap();
        let expected = WebhookKey::new(&secret(signing)).encrypted_token(&token);
        assert_eq!(key.encrypted_token(&token), expected);
    }
}

#[test]
fn an_app_sends_only_the_events_of_its_products() {
    let all = app("default");
    let meetings = App { products: vec![Product::Meeting, Product::Webinar], ..app("acme") };
    let video = App { products: vec![Product::VideoSdk], ..app("video") };
    for (event, by_meetings, by_video) in [
        ("meeting.rtms_started", true, false),
        ("webinar.ended", true, false),
        ("session.rtms_stopped", false, true),
        ("contact_center.voice_rtms_started", false, false),
        ("rtms.start_failed", true, true),
        ("app_deauthorized", true, false),
        ("anything", true, false),
    ] {
        assert!(all.may_send(event), "{event}");
        assert_eq!(meetings.may_send(event), by_meetings, "{event}");
        assert_eq!(video.may_send(event), by_video, "{event}");
    }
}

#[test]
fn a_product_without_a_named_app_goes_to_the_default_app_or_to_the_only_one() {
    let serving =
        |name: &str, products: &[Product]| App { products: products.to_vec(), ..app(name) };
    let within = |apps: &[App], product, allowed: &AppScope| {
        let app = Apps::new(apps.to_vec()).for_product(product, allowed);
        app.map(|app| app.name.to_string())
    };
    let chosen = |apps: &[App], product| within(apps, product, &AppScope::All);
    let video = serving("video", &[Product::VideoSdk]);
    let default = serving("default", &[Product::Meeting, Product::Webinar]);
    let both = [default.clone(), video.clone()];
    assert_eq!(chosen(&both, Product::Meeting).as_deref(), Some("default"));
    assert_eq!(chosen(&both, Product::VideoSdk).as_deref(), Some("video"));
    assert_eq!(chosen(&both, Product::ContactCenter), None);
    let two = [serving("acme", &[Product::Meeting]), serving("other", &[Product::Meeting])];
    assert_eq!(chosen(&two, Product::Meeting), None, "no one app");
    let beside = [two[0].clone(), default];
    assert_eq!(chosen(&beside, Product::Meeting).as_deref(), Some("default"));
    let only = |app: &str| AppScope::Only([name(app)].into());
    assert_eq!(within(&beside, Product::Meeting, &only("acme")).as_deref(), Some("acme"));
    assert_eq!(within(&beside, Product::Meeting, &only("nobody")), None);
}

#[test]
fn the_registry_shows_every_clone_the_same_apps() {
    let apps = Apps::new([app("acme")]);
    assert!(apps.clone().get(&name("acme")).is_some());
    assert!(apps.get(&name("other")).is_none());
}

#[test]
fn retention_and_cutoffs_follow_the_apps_and_fall_back_to_the_daemons() {
    let hours = |hours: u64| Keep::For(Duration::from_secs(hours * 60 * 60));
    let keeping = |entries| Retention { entries, ..Retention::default() };
    let of = |app_name: &str, entries| App { retention: keeping(entries), ..app(app_name) };
    let apps = Apps::new([of("acme", hours(1))]);
    let clone = apps.clone();
    apps.replace([of("acme", Keep::Nothing), of("other", hours(2))], keeping(hours(3)));
    let entries = |app_name: &str| clone.retention(&name(app_name)).entries;
    let now = [entries("acme"), entries("other"), entries("gone")];
    assert_eq!(now, [Keep::Nothing, hours(2), hours(3)]);
    let cutoffs = clone.cutoffs(|retention| retention.entries.cutoff_ms(100_000_000));
    let of = |app_name: &str| cutoffs.of(Some(&name(app_name)));
    assert_eq!([of("acme"), of("other"), of("gone")], [None, Some(92_800_000), Some(89_200_000)]);
}

#[test]
fn a_handshake_is_signed_with_the_client_secret_of_its_app() {
    let instance =
        Instance::new(Product::Meeting, IdKey::MeetingUuid, "4444AAAiAAAAAiAiAiiAii==").unwrap();
    let stream_id = StreamId::parse("e1f2a3b4-0000-4000-8000-00000000abcd").unwrap();
    let signature = app("acme").sign_handshake(&instance, &stream_id);
    // The vector of rtms-protocol.md section 5.4.
    let expected = "19302915f9efee62944004f55b26c51318985b50163b28040b506e656b692d87";
    assert_eq!(signature.expose(), expected);
}

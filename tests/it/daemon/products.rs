//! Every product, from its announcement to its end, with its own names and secrets.

use rtmsd::secret::Secret;
use rtmsd::simulator::{Script, Settings, ZoomApp};
use serde_json::json;

use crate::support::kit::{Home, Scene, zoom};

/// A conversation of this product with one phrase in it.
fn script(product: &str) -> Script {
    let script = json!({
        "title": "Test", "product": product, "meeting_id": "91234567890", "account_id": "acc-1",
        "host": "u-ana",
        "people": [{"key": "ana", "user_id": 16_778_240, "name": "Ana Silva"}],
        "timeline": [
            {"at_ms": 0, "join": "ana"},
            {"at_ms": 2_000, "say": {"who": "ana", "text": "hello", "duration_ms": 1_000}}
        ],
        "end": {"at_ms": 6_000, "stop_reason": 6}
    });
    Script::parse(&script.to_string()).unwrap()
}

async fn plays(home: Home, settings: Settings, product: &str) {
    let scene = Scene::open(home, Settings { speed: 4.0, ..settings }).await;
    let page = scene.log.over().await;
    assert_eq!(page.texts(), ["hello"]);
    let session = scene.daemon.api().session(scene.log.session_id()).await;
    assert_eq!(session["product"], product);
    scene.zoom.close_clean().await;
}

fn transcript() -> Home {
    Home::sqlite().set("MEDIA_TYPES", "transcript")
}

fn with_video_sdk() -> Home {
    transcript()
        .set("ZOOM_VIDEO_SDK_KEY", "demoSdkKey01")
        .set("ZOOM_VIDEO_SDK_SECRET", "demoSdkSecret01")
        .set("ZOOM_VIDEO_SECRET_TOKEN", "demoVideoToken01")
}

#[tokio::test]
async fn a_video_sdk_session_is_joined_with_the_pair_and_secret_of_its_own_app() {
    let settings = Settings {
        app: ZoomApp {
            client_id: "demoSdkKey01".into(),
            client_secret: Secret::new("demoSdkSecret01".into()),
            secret_token: Secret::new("demoVideoToken01".into()),
            webhook_url: Some("/webhook/video".into()),
            is_server_to_server: false,
        },
        ..zoom(script("session"))
    };
    plays(with_video_sdk(), settings, "video_sdk").await;
}

#[tokio::test]
async fn a_meeting_beside_a_video_sdk_app_is_joined_with_the_apps_own_pair() {
    plays(with_video_sdk(), zoom(script("meeting")), "meeting").await;
}

#[tokio::test]
async fn webinars_and_engagements_are_joined_under_their_own_key_and_under_meeting_uuid() {
    let joined = async |key: &str, product: &str| {
        let home = transcript().set("RTMS_HANDSHAKE_ID_KEY", key);
        plays(home, zoom(script(product)), product).await;
    };
    tokio::join!(
        joined("product", "webinar"),
        joined("product", "contact_center"),
        joined("meeting_uuid", "webinar"),
        joined("meeting_uuid", "contact_center"),
    );
}

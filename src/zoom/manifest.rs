//! What an app in Zoom's Marketplace needs for a configuration: scopes, events and URLs (pure).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::app::{App, AutoStart};
use super::scopes::needs;
use crate::model::Product;

/// What the app's pages in the Marketplace ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The OAuth scopes (rtms-protocol.md section 15.6).
    pub scopes: BTreeSet<String>,
    /// The events to subscribe to (section 13.6).
    pub events: Vec<String>,
    /// Where Zoom sends them; none if the app gets them over its event socket alone.
    pub webhook_url: Option<String>,
    /// The OAuth redirect URL; none for an app without users.
    pub redirect_url: Option<String>,
    products: Vec<&'static str>,
}

impl Manifest {
    /// What `app` needs when Zoom sends its events to `webhook_url`. Without a secret token no webhook is accepted, so that
    /// the app has an event socket instead.
    pub fn of(app: &App, webhook_url: String) -> Self {
        Self {
            scopes: needs(app).into_iter().map(|need| need.scope).collect(),
            events: events(app),
            webhook_url: (!app.secret_tokens.is_empty()).then_some(webhook_url),
            redirect_url: app.has_users().then(|| app.redirect_url.clone()),
            products: app
                .products
                .iter()
                .filter_map(|product| marketplace_name(*product))
                .collect(),
        }
    }

    /// The same as the Marketplace's manifest, from which it creates a General App
    /// (<https://developers.zoom.us/docs/build-flow/manifests/schema/>). Its URLs are those of the app's development
    /// version. The schema has no subscription over a WebSocket: without a webhook URL the manifest has none at all.
    /// `None` for an app that only has the Video SDK, for which there is no manifest.
    pub fn to_marketplace(&self, name: &str) -> Option<Value> {
        let redirect_url = self.redirect_url.as_ref()?;
        let scope = |scope| json!({"scope": scope, "optional": false});
        Some(json!({
            "display_information": {"display_name": name},
            "oauth_information": {
                "usage": "USER_OPERATION",
                "development_redirect_uri": redirect_url,
                "production_redirect_uri": "",
                "oauth_allow_list": [redirect_url],
                "strict_mode": true,
                "subdomain_strict_mode": false,
                "scopes": self.scopes.iter().map(scope).collect::<Vec<_>>(),
            },
            "features": self.features(),
        }))
    }

    fn features(&self) -> Value {
        let mut features = json!({"products": self.products});
        if let Some(webhook_url) = &self.webhook_url {
            features["event_subscription"] = json!({
                "enable": true,
                "events": [{
                    "subscription_name": "rtmsd",
                    "event_types": self.events,
                    "development_webhook_url": webhook_url,
                    "production_webhook_url": "",
                }],
            });
        }
        features
    }
}

fn events(app: &App) -> Vec<String> {
    let mut events = Vec::new();
    for product in &app.products {
        let prefix = match product {
            Product::Meeting => "meeting.rtms_",
            Product::Webinar => "webinar.rtms_",
            Product::VideoSdk => "session.rtms_",
            Product::ContactCenter => "contact_center.voice_rtms_",
            Product::Phone => "phone.rtms_",
        };
        events.extend(
            ["started", "stopped", "interrupted"].map(|change| format!("{prefix}{change}")),
        );
        // The times of a meeting, and for the host whose token starts a stream.
        let of_meeting = match product {
            Product::Meeting => Some("meeting"),
            Product::Webinar => Some("webinar"),
            _ => None,
        };
        if let Some(product) = of_meeting.filter(|_| app.policies.auto_start != AutoStart::Off) {
            events.extend(["started", "ended"].map(|change| format!("{product}.{change}")));
        }
    }
    if app.has_users() {
        events.push("app_deauthorized".to_owned());
    }
    events
}

/// What the Marketplace calls a product.
fn marketplace_name(product: Product) -> Option<&'static str> {
    match product {
        Product::Meeting => Some("ZOOM_MEETING"),
        Product::Webinar => Some("ZOOM_WEBINAR"),
        Product::ContactCenter => Some("ZOOM_CONTACT_CENTER"),
        // Zoom has not published the name for Zoom Phone.
        Product::VideoSdk | Product::Phone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::app;
    use super::*;
    use crate::model::{MediaSet, Medium};

    const WEBHOOK: &str = "https://rtms.example.com/webhook";

    fn of(products: &[Product], media: &[Medium], auto_start: AutoStart) -> Manifest {
        let mut app = app("acme");
        app.products = products.to_vec();
        app.params.media = media.iter().copied().collect::<MediaSet>();
        app.policies.auto_start = auto_start;
        Manifest::of(&app, WEBHOOK.to_owned())
    }

    #[test]
    fn an_app_needs_the_scopes_of_what_it_receives_and_no_other() {
        let media = [Medium::Share, Medium::Transcript];
        let manifest = of(&[Product::Meeting, Product::Webinar], &media, AutoStart::Off);
        let scopes: Vec<&str> = manifest.scopes.iter().map(String::as_str).collect();
        assert_eq!(
            scopes,
            [
                "meeting:read:meeting_screenshare",
                "meeting:read:meeting_transcript",
                "meeting:update:participant_rtms_app_status",
                "user:read:user",
                "webinar:read:webinar_screenshare",
                "webinar:read:webinar_transcript",
            ]
        );
    }

    #[test]
    fn starting_streams_by_itself_needs_the_events_of_meetings() {
        let manual = of(&[Product::Meeting], &[], AutoStart::Off).events;
        assert!(!manual.contains(&"meeting.started".to_owned()), "{manual:?}");
        let auto = of(&[Product::Meeting], &[], AutoStart::All).events;
        for event in ["meeting.started", "meeting.ended", "meeting.rtms_interrupted"] {
            assert!(auto.contains(&event.to_owned()), "{event}: {auto:?}");
        }
    }

    #[test]
    fn the_marketplaces_manifest_names_every_url_scope_and_event() {
        let manifest = of(&[Product::Meeting], &[Medium::Audio], AutoStart::Off);
        let json = manifest.to_marketplace("acme").unwrap();
        let subscription = &json["features"]["event_subscription"]["events"][0];
        assert_eq!(subscription["development_webhook_url"], WEBHOOK);
        assert_eq!(subscription["event_types"], json!(manifest.events));
        assert_eq!(json["features"]["products"], json!(["ZOOM_MEETING"]));
        let oauth = &json["oauth_information"];
        assert_eq!(oauth["oauth_allow_list"], json!([oauth["development_redirect_uri"]]));
        assert_eq!(oauth["scopes"].as_array().unwrap().len(), manifest.scopes.len());
    }

    #[test]
    fn without_a_secret_token_no_webhook_is_subscribed() {
        let mut app = app("acme");
        app.products = vec![Product::Meeting];
        app.secret_tokens.clear();
        let manifest = Manifest::of(&app, WEBHOOK.to_owned());
        assert_eq!(manifest.webhook_url, None);
        assert!(manifest.events.contains(&"meeting.rtms_started".to_owned()));
        let json = manifest.to_marketplace("acme").unwrap();
        assert!(json["features"].get("event_subscription").is_none(), "{json}");
        assert!(!json.to_string().contains(WEBHOOK));
    }

    #[test]
    fn a_video_sdk_app_has_events_and_no_scopes_and_no_manifest() {
        let manifest = of(&[Product::VideoSdk], &[Medium::Audio], AutoStart::Off);
        assert_eq!(manifest.events[0], "session.rtms_started");
        assert!(manifest.scopes.is_empty());
        assert_eq!(manifest.to_marketplace("video"), None);
    }
}

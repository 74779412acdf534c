//! Zoom apps for tests.

use std::time::Duration;

use rtmsd::model::params::Params;
use rtmsd::model::{AppName, Product, Retention};
use rtmsd::rtms::endpoint::Policy;
use rtmsd::secret::Secret;
use rtmsd::zoom::Credentials;
use rtmsd::zoom::app::{App, AutoStart, OwnRecordings, Policies, Quotas, StreamsPerMeeting};
use rtmsd::zoom::signature::HandshakeIds;
use rtmsd::zoom::token::Configured;

/// An app that serves every product and reaches no server.
pub(crate) fn app(name: &str, secret_token: &str) -> App {
    App {
        name: AppName::parse(name).expect("a name"),
        products: Product::ALL.to_vec(),
        client: Credentials { id: "demoClientId01".into(), secret: Secret::new("demo".into()) },
        events_url: None,
        secret_tokens: vec![Secret::new(secret_token.into())],
        redirect_url: "https://rtmsd.test/api/v1/zoom/oauth/callback".into(),
        configured: Configured::None,
        video_api: None,
        oauth_base_url: "http://127.0.0.1:9".into(),
        api_base_url: "http://127.0.0.1:9".into(),
        api_is_fixed: true,
        rtms_hosts: Policy::new(vec!["127.0.0.1".into()], true),
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

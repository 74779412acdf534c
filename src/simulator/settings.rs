//! The settings of a simulator: credentials, script, and how Zoom behaves.

mod app;
mod oauth;

use std::path::PathBuf;
use std::time::Duration;

use super::{Quirk, Script};
use crate::model::{Medium, Product};
use crate::rtms::server::keep_alive::KeepAliveTimings;
use crate::secret::Secret;
pub use app::ZoomApp;
pub use oauth::{Consent, OAuthSettings, User};

/// What starts a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Every meeting starts a stream by itself (Zoom's auto-start).
    Auto,
    /// A meeting sends `meeting.started` and waits for the REST call of section 14.1.
    Rest,
}

/// How events reach the apps, as their event subscriptions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    Webhook,
    /// Over a WebSocket that the app opens (section 23.1). Meetings begin when every
    /// app that has streams has connected once.
    WebSocket,
    /// Each event both ways.
    Both,
}

/// What happens to a second connection for a link that is already connected (conflict 19.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The newer connection is refused with 8 (signaling) or 16 (media) while the older one is alive.
    Refuse,
    /// The newer connection replaces the older one, which is dropped.
    Kick,
}

/// Everything that configures a simulator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The app of most simulations.
    pub app: ZoomApp,
    /// Further apps in the same meetings: each gets its own webhooks and its own stream of every meeting, except a
    /// Server-to-Server app.
    pub more_apps: Vec<ZoomApp>,
    /// The users who bring every app to a meeting: one stream for each. If empty, the host alone.
    pub operators: Vec<String>,
    pub events: Events,
    /// Sends events without the URL validation of section 13.3, and without waiting for a connection to the event socket.
    pub skip_url_validation: bool,
    pub script: Script,
    /// How many meetings play the script from the start, all at once.
    pub meetings: u32,
    pub start: Start,
    /// Script milliseconds per real millisecond.
    pub speed: f64,
    /// Ends every meeting after this many real seconds.
    pub seconds: Option<u64>,
    /// A bearer token that REST accepts for every call, without OAuth.
    pub access_token: Option<Secret<String>>,
    pub oauth: OAuthSettings,
    /// Serves `wss` and `https` with the certificate in this folder.
    pub tls_dir: Option<PathBuf>,
    /// The host name in `wss` and `https` URLs and in a generated certificate.
    pub tls_host: String,
    /// The seed of every id and token.
    pub seed: u64,
    pub timings: Timings,
    /// The media for which the app has scopes; others are refused with 9 to 13.
    pub scopes: Vec<Medium>,
    /// Whether message 2 also offers the `all` URL: one socket for all media.
    pub offer_all: bool,
    pub duplicates: Duplicates,
    /// The quirks of every meeting, in addition to those of the script.
    pub quirks: Vec<Quirk>,
    /// Accepts still images of a share at up to 5 frames per second, and H.264 at any rate (conflict 19.17).
    pub lenient_params: bool,
    /// The key pair for the JWTs of the Video SDK's REST API. It differs from the SDK key and secret (section 14.3).
    pub video_api_key: String,
    pub video_api_secret: Secret<String>,
    /// The HTTP status of a successful REST call: 204, 200 or 202 (section 14.1). The body is always empty.
    pub rest_success: u16,
    /// The code of Close frames on signaling and media sockets. Not published.
    pub close_code: u16,
    /// Refuses REST calls for anyone but the host, as before July 2026 (code 2308), unless the bearer is `access_token`.
    pub hosts_only: bool,
    /// The `stop_reason` after a REST stop, except of an engagement, which has its own. Not published; 2 is likely
    /// (section 10.6).
    pub rest_stop_reason: u16,
    /// The most open TCP connections; further ones are dropped.
    pub max_connections: usize,
    /// How far Zoom's clock is ahead of this machine's, in milliseconds: in the `Date` of answers and in the timestamps of
    /// webhooks.
    pub clock_ahead_ms: i64,
    /// Logs every frame of every stream, for `GET /simulator/streams/{id}/frames`.
    pub remembers_frames: bool,
}

/// One meeting with the built-in script, and the credentials of the test vectors of section 5.
impl Default for Settings {
    fn default() -> Self {
        Self {
            app: ZoomApp::default(),
            more_apps: Vec::new(),
            operators: Vec::new(),
            events: Events::Webhook,
            skip_url_validation: false,
            script: Script::built_in(),
            meetings: 1,
            start: Start::Auto,
            speed: 1.0,
            seconds: None,
            access_token: None,
            oauth: OAuthSettings::default(),
            tls_dir: None,
            tls_host: "localhost".to_owned(),
            seed: 1,
            timings: Timings::default(),
            scopes: Medium::ALL.to_vec(),
            offer_all: true,
            duplicates: Duplicates::Refuse,
            quirks: Vec::new(),
            lenient_params: false,
            video_api_key: "demoApiKey01".to_owned(),
            video_api_secret: Secret::new("demoApiSecret01".to_owned()),
            rest_success: 204,
            close_code: 1000,
            hosts_only: false,
            rest_stop_reason: 2,
            max_connections: 20_000,
            clock_ahead_ms: 0,
            remembers_frames: false,
        }
    }
}

impl Settings {
    /// The media that Zoom sends the app: those of the product (section 16) for which the app has scopes.
    pub(super) fn granted_media(&self) -> Vec<Medium> {
        let has_medium = |medium: &Medium| match self.script.product {
            Product::Meeting | Product::Webinar => true,
            Product::VideoSdk | Product::ContactCenter | Product::Phone => {
                matches!(medium, Medium::Audio | Medium::Transcript)
            }
        };
        self.scopes.iter().copied().filter(has_medium).collect()
    }

    /// The quirks of the settings and of the script.
    pub(super) fn all_quirks(&self) -> Vec<Quirk> {
        self.quirks.iter().chain(&self.script.quirks).copied().collect()
    }

    /// The users who bring the apps to a meeting.
    pub(super) fn operators(&self) -> Vec<String> {
        match &self.operators[..] {
            [] => vec![self.script.host.clone()],
            operators => operators.to_vec(),
        }
    }

    /// The users of these settings, or by default those of the script. The host comes first and is added if missing.
    pub(super) fn users(&self) -> Vec<User> {
        let host = &self.script.host;
        let mut users = self.oauth.users.clone();
        if users.is_empty() {
            users = self.script.users();
        }
        match users.iter().position(|user| user.id == *host) {
            // Moves the host to the front and keeps the order of the others.
            Some(place) => users[..=place].rotate_right(1),
            None => users.insert(0, User::new(host, "Host")),
        }
        users
    }
}

/// Timers and limits. The defaults are Zoom's (section 11), or marked as not published.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Divides every wait. Media and the script keep their own pace (`Settings::speed`).
    pub time_scale: f64,
    /// The period of keep-alive requests.
    pub keep_alive_ms: u64,
    /// How many unanswered keep-alives in a row interrupt a link.
    pub missed_keep_alives: u32,
    /// How long a stream waits for its first signaling connection, and for a lost one to come back.
    pub signaling_window_ms: u64,
    /// How long a stream waits for a lost media connection to come back.
    pub media_window_ms: u64,
    /// How long a new socket may take to send its first message. Not published.
    pub handshake_ms: u64,
    /// How long the server takes to notice that a link's TCP connection is gone. Not published.
    pub dead_link_ms: u64,
    /// How long a closing socket may take to write its queue and to receive the client's Close frame. Not published.
    pub close_ms: u64,
    /// How long a client of the event socket may send no heartbeat. Not published; it should send one every 30 s.
    pub event_heartbeat_ms: u64,
    /// How long the endpoint may take to answer a webhook.
    pub webhook_deadline_ms: u64,
    /// The waits before the second, third and fourth attempt of a webhook.
    pub webhook_retries_ms: [u64; 3],
    /// The wait before another URL validation of an endpoint that could not be reached. Not published.
    pub validation_retry_ms: u64,
    /// The wait between two URL validations of an endpoint that passed the first (section 13.3).
    pub revalidation_ms: u64,
    /// How much audio is buffered for an absent client (section 9). This is a length of media, so it is not scaled.
    pub audio_backlog_ms: u32,
}

const MINUTE_MS: u64 = 60_000;

impl Default for Timings {
    fn default() -> Self {
        Self {
            time_scale: 1.0,
            keep_alive_ms: 10_000,
            missed_keep_alives: 3,
            signaling_window_ms: 60_000,
            media_window_ms: 65_000,
            handshake_ms: 10_000,
            // 0: a client that redials at once must be accepted (section 22); tests set more.
            dead_link_ms: 0,
            close_ms: 2_000,
            event_heartbeat_ms: MINUTE_MS,
            webhook_deadline_ms: 3_000,
            webhook_retries_ms: [5 * MINUTE_MS, 20 * MINUTE_MS, 60 * MINUTE_MS],
            validation_retry_ms: 1_000,
            revalidation_ms: 72 * 60 * MINUTE_MS,
            audio_backlog_ms: 60_000,
        }
    }
}

impl Timings {
    /// Converts milliseconds to a wait, divided by `time_scale`.
    pub(super) fn wait(&self, ms: u64) -> Duration {
        Duration::from_millis(ms).div_f64(self.time_scale)
    }

    /// The waits of keep-alives.
    pub(super) fn keep_alives(&self) -> KeepAliveTimings {
        KeepAliveTimings { every: self.wait(self.keep_alive_ms), missed: self.missed_keep_alives }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_first_user_even_if_it_is_not_listed() {
        let ids = |settings: &Settings| -> Vec<String> {
            settings.users().into_iter().map(|user| user.id).collect()
        };
        assert_eq!(ids(&Settings::default()), ["u-ana", "u-bo", "u-chidi"]);
        let of = |users: [&str; 2]| Settings {
            oauth: OAuthSettings {
                users: users.map(|id| User::new(id, "Name")).to_vec(),
                ..OAuthSettings::default()
            },
            ..Settings::default()
        };
        assert_eq!(ids(&of(["u-bo", "u-ana"])), ["u-ana", "u-bo"]);
        assert_eq!(ids(&of(["u-bo", "u-eve"])), ["u-ana", "u-bo", "u-eve"]);
    }
}

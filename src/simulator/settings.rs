//! What a simulator is told: credentials, script, and how Zoom behaves today.

mod oauth;

use std::path::PathBuf;
use std::time::Duration;

use super::{Quirk, Script};
use crate::rtms::message::Medium;
use crate::secret::Secret;
pub use oauth::{Consent, OAuthSettings, User};

/// Who starts the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Every meeting announces a stream by itself (Zoom's auto-start).
    Auto,
    /// A meeting sends `meeting.started` and waits for the REST call of section 14.
    Rest,
}

/// What happens to a second connection for something that is connected already (conflict 19.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The newer is refused with 8 (signaling) or 16 (media) while the older one lives.
    Refuse,
    /// The newer takes the place of the older, which is dropped.
    Kick,
}

/// Everything that a simulator is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    pub client_id: String,
    pub client_secret: Secret<String>,
    /// Signs webhooks; not the client secret (section 13.2).
    pub secret_token: Secret<String>,
    /// Where events go; `None` sends none.
    pub webhook_url: Option<String>,
    /// Sends events without the challenge of section 13.3.
    pub skip_url_validation: bool,
    pub script: Script,
    /// How many meetings play the script at once, from the start.
    pub meetings: u32,
    pub start: Start,
    /// Script milliseconds that pass in one real millisecond.
    pub speed: f64,
    /// Ends every meeting after so many real seconds.
    pub seconds: Option<u64>,
    /// A bearer token that REST accepts without OAuth, for everything.
    pub access_token: Option<Secret<String>>,
    pub oauth: OAuthSettings,
    /// Serves `wss` and `https` with a certificate kept in this folder.
    pub tls_dir: Option<PathBuf>,
    /// The host name in `wss` and `https` URLs and in a generated certificate.
    pub tls_host: String,
    /// Every id and token comes from it.
    pub seed: u64,
    pub timings: Timings,
    /// The media that the app has scopes for; others are refused with 9 to 13.
    pub scopes: Vec<Medium>,
    /// Whether message 2 offers one socket for every medium.
    pub offer_all: bool,
    pub duplicates: Duplicates,
    /// Those of every meeting, besides those of the script.
    pub quirks: Vec<Quirk>,
    /// Takes still images of a share at up to 5 frames a second, and H.264 at any rate (conflict 19.17).
    pub lenient_params: bool,
    /// What signs the JWTs of the Video SDK's REST API; of the same kind as the SDK's own pair, but not it.
    pub video_api_key: String,
    pub video_api_secret: Secret<String>,
    /// HTTP status of a successful REST call, always without a body: 204, or 200 or 202 (section 14.1).
    pub rest_success: u16,
    /// Starts streams for nobody but the host, as before July 2026 (2308).
    pub hosts_only: bool,
    /// `stop_reason` after a REST stop: not published, 2 is likely (section 10.6).
    pub rest_stop_reason: u16,
    /// Open TCP connections at once; more are dropped.
    pub max_connections: usize,
    /// Remembers every frame of every stream, for `GET /simulator/streams/{id}/frames`.
    pub remembers_frames: bool,
}

/// The credentials of the protocol reference's test vectors (section 5), the built-in script, one meeting.
impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: "demoClientId01".to_owned(),
            client_secret: Secret::new("demoClientSecret01".to_owned()),
            secret_token: Secret::new("demoSecretToken01".to_owned()),
            webhook_url: None,
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
            hosts_only: false,
            rest_stop_reason: 2,
            max_connections: 20_000,
            remembers_frames: false,
        }
    }
}

impl Settings {
    pub(super) fn all_quirks(&self) -> Vec<Quirk> {
        self.quirks.iter().chain(&self.script.quirks).copied().collect()
    }

    /// The users of these settings, or else of the script. The host is the first of them, named there or not.
    pub(super) fn users(&self) -> Vec<User> {
        let host = &self.script.host;
        let mut users = self.oauth.users.clone();
        if users.is_empty() {
            users = self.script.users();
        }
        match users.iter().position(|user| user.id == *host) {
            Some(place) => users[..=place].rotate_right(1),
            None => users.insert(0, User::new(host, "Host")),
        }
        users
    }
}

/// Every wait, with Zoom's values (section 11). The defaults that Zoom does not publish say so.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Waits are divided by this; media and the script keep their own pace (`Settings::speed`).
    pub time_scale: f64,
    pub keep_alive_ms: u64,
    /// Unanswered keep-alives in a row that interrupt a link.
    pub missed_keep_alives: u32,
    /// How long a stream waits for its first signaling connection, and for a lost one.
    pub signaling_window_ms: u64,
    pub media_window_ms: u64,
    /// How long a new socket may stay without its first message. Not published.
    pub handshake_ms: u64,
    /// How long the server believes in a signaling or media link whose TCP connection is gone. Not published.
    pub dead_link_ms: u64,
    /// For what is queued to be written, and for the client's Close frame, before TCP ends. Not published.
    pub close_ms: u64,
    pub webhook_deadline_ms: u64,
    /// Waits before the second, third and fourth attempt.
    pub webhook_retries_ms: [u64; 3],
    /// Between attempts to reach an endpoint that does not answer its validation. Not published.
    pub validation_retry_ms: u64,
    /// How much audio is kept for a client that is not there. A length of media: not scaled.
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
            dead_link_ms: 0,
            close_ms: 2_000,
            webhook_deadline_ms: 3_000,
            webhook_retries_ms: [5 * MINUTE_MS, 20 * MINUTE_MS, 60 * MINUTE_MS],
            validation_retry_ms: 1_000,
            audio_backlog_ms: 60_000,
        }
    }
}

impl Timings {
    /// A wait of these milliseconds, scaled.
    pub(super) fn wait(&self, ms: u64) -> Duration {
        Duration::from_millis(ms).div_f64(self.time_scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_first_user_named_or_not() {
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

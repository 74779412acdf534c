//! The OAuth settings of a simulator (section 15).

use std::time::Duration;

/// How the authorize page decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Shows a page with two buttons.
    Ask,
    /// Redirects at once with a code for the host, for automated clients.
    Allow,
    /// Redirects at once with `access_denied`.
    Deny,
}

/// A Zoom user, who can install the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The Zoom user id: `operator_id`, `host_id` and `participant_user_id` elsewhere.
    pub id: String,
    pub name: String,
    pub email: String,
}

impl User {
    pub(in crate::simulator) fn new(id: &str, name: &str) -> Self {
        let email = format!("{id}@zoom.example");
        Self { id: id.to_owned(), name: name.to_owned(), email }
    }
}

/// The OAuth side of the app and of its users.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    pub consent: Consent,
    /// The users who can sign in. If empty, those of the script.
    pub users: Vec<User>,
    /// The allowed redirect URIs, matched exactly. If empty, every absolute http or https URL is allowed.
    pub redirect_uris: Vec<String>,
    /// The scopes in the app's configuration. Every user token has all of them.
    pub scopes: Vec<String>,
    /// `expires_in` of an access token.
    pub access_token_life: Duration,
    /// How long an authorization code can be exchanged.
    pub code_life: Duration,
    /// How long a refresh token can be used.
    pub refresh_token_life: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for OAuthSettings {
    fn default() -> Self {
        Self {
            consent: Consent::Ask,
            users: Vec::new(),
            redirect_uris: Vec::new(),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            access_token_life: Duration::from_secs(3599),
            code_life: Duration::from_secs(300),
            refresh_token_life: 90 * DAY,
        }
    }
}

/// The scopes of an app that uses every medium of every product (section 15.6).
const SCOPES: [&str; 18] = [
    "phone:read:rtms_session",
    "phone:write:rtms_session",
    "meeting:read:meeting",
    "meeting:read:list_meetings",
    "meeting:read:meeting_audio",
    "meeting:read:meeting_video",
    "meeting:read:meeting_transcript",
    "meeting:read:meeting_chat",
    "meeting:read:meeting_screenshare",
    "webinar:read:webinar_audio",
    "webinar:read:webinar_video",
    "webinar:read:webinar_transcript",
    "webinar:read:webinar_chat",
    "webinar:read:webinar_screenshare",
    "contact_center:read:zcc_voice_audio",
    "contact_center:update:engagement_rtms_app_status",
    "meeting:update:participant_rtms_app_status",
    "user:read:user",
];

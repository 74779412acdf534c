//! JSON that several handlers answer with.

use serde::Serialize;

use super::envelope::rfc3339;
use crate::model::{
    AppName, IdKey, Installation, InstallationId, InstallationStatus, MediaPlan, Metadata, Product,
    Session, SessionId, SessionStatus,
};

/// A session in JSON.
#[derive(Serialize)]
pub(super) struct SessionView<'a> {
    id: SessionId,
    app: &'a AppName,
    platform: &'static str,
    product: Product,
    /// Zoom's id of this conversation, such as `meeting_uuid`; null while only the number is known.
    instance_id: Option<&'a str>,
    meeting_id: Option<&'a str>,
    account_id: Option<&'a str>,
    operator_id: Option<&'a str>,
    host_id: Option<&'a str>,
    participant_user_id: Option<&'a str>,
    installation_id: Option<&'a str>,
    metadata: Option<&'a Metadata>,
    /// The media parameters of its next streams; null for the configured ones.
    media: Option<&'a MediaPlan>,
    status: SessionStatus,
    meeting_started_at_ms: Option<i64>,
    meeting_ended_at_ms: Option<i64>,
    created_at: Option<String>,
    created_at_ms: i64,
    updated_at: Option<String>,
    updated_at_ms: i64,
    ended_at: Option<String>,
    ended_at_ms: Option<i64>,
}

impl<'a> SessionView<'a> {
    pub(super) fn of(session: &'a Session) -> Self {
        let instance = &session.instance;
        Self {
            id: session.id,
            app: &session.app,
            platform: "zoom",
            product: instance.product,
            // A session that was created by number has that as its key until Zoom's webhook brings the real id.
            instance_id: (instance.key != IdKey::MeetingId).then(|| instance.id()),
            meeting_id: session.meeting_id.as_deref(),
            account_id: session.account_id.as_deref(),
            operator_id: session.operator_id.as_deref(),
            host_id: session.host_id.as_deref(),
            participant_user_id: session.participant_user_id.as_deref(),
            installation_id: session.installation_id.as_deref(),
            metadata: session.metadata.as_ref(),
            media: session.media.as_ref(),
            meeting_started_at_ms: session.meeting_started_at_ms,
            meeting_ended_at_ms: session.meeting_ended_at_ms,
            status: session.status,
            created_at: rfc3339(session.created_at_ms),
            created_at_ms: session.created_at_ms,
            updated_at: rfc3339(session.updated_at_ms),
            updated_at_ms: session.updated_at_ms,
            ended_at: session.ended_at_ms.and_then(rfc3339),
            ended_at_ms: session.ended_at_ms,
        }
    }
}

/// The path of a recorded file in this API.
pub(super) fn recording_url(session: SessionId, api_name: &str) -> String {
    // Only for its percent-encoding; scheme and host are cut off below.
    let mut url = url::Url::parse("http://localhost").expect("a constant URL");
    url.set_path(&format!("/api/v1/sdk/sessions/{session}/recordings/{api_name}"));
    url.path().to_owned()
}

/// An installation in JSON.
#[derive(Serialize)]
pub(super) struct InstallationView<'a> {
    id: InstallationId,
    app: &'a AppName,
    status: InstallationStatus,
    account_id: &'a str,
    user_id: &'a str,
    display_name: Option<&'a str>,
    email: Option<&'a str>,
    scopes: Vec<&'a str>,
    /// When the access token expires; it is refreshed automatically.
    expires_at: Option<String>,
    expires_at_ms: Option<i64>,
    created_at: Option<String>,
    created_at_ms: i64,
    updated_at: Option<String>,
    updated_at_ms: i64,
}

impl<'a> InstallationView<'a> {
    pub(super) fn of(installation: &'a Installation) -> Self {
        Self {
            id: installation.id,
            app: &installation.app,
            status: installation.status,
            account_id: &installation.account_id,
            user_id: &installation.user_id,
            display_name: installation.display_name.as_deref(),
            email: installation.email.as_deref(),
            scopes: installation.scope.split_ascii_whitespace().collect(),
            expires_at: installation.expires_at_ms.and_then(rfc3339),
            expires_at_ms: installation.expires_at_ms,
            created_at: rfc3339(installation.created_at_ms),
            created_at_ms: installation.created_at_ms,
            updated_at: rfc3339(installation.updated_at_ms),
            updated_at_ms: installation.updated_at_ms,
        }
    }
}

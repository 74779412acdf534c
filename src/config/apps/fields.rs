//! The fields with which `ZOOM_APPS` describes an app. The documents' table is written from this one.

use crate::config::variables::{Variable, find_variable};

/// What an app has if its description leaves a field out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// The daemon does not start without the field.
    Refused,
    /// The daemon does not start without the field, unless `events_url` is set.
    RefusedWithoutEvents,
    /// Nothing: the variable belongs to the app `default`.
    Nothing,
    /// The value of the variable, which is that of every app.
    Inherited,
    /// The daemon's own value: all such apps share it.
    Shared,
}

/// One field of an app's description.
#[derive(Debug)]
pub(crate) struct Field {
    pub name: &'static str,
    /// The variable that means the same for the app `default`.
    pub variable: &'static str,
    pub left_out: LeftOut,
}

impl Field {
    pub(crate) fn variable(&self) -> &'static Variable {
        find_variable(self.variable)
    }
}

const fn field(name: &'static str, variable: &'static str, left_out: LeftOut) -> Field {
    Field { name, variable, left_out }
}

/// The name of an app, its products, and the variables of its object store, which are not in the table of variables.
pub(crate) const NAME: &str = "name";
pub(crate) const PRODUCTS: &str = "products";
pub(crate) const RECORDINGS_STORE: &str = "recordings_store";

pub(crate) const RECORDINGS_URL: &str = "RECORDINGS_URL";
pub(crate) const RECORDINGS_LAYOUT: &str = "RECORDINGS_LAYOUT";

/// Every other field, in the order of the documents. A field is called like its variable, in lower case and without
/// `ZOOM_`; only the secret tokens are a list by name.
pub(crate) const FIELDS: [Field; 50] = [
    field("client_id", "ZOOM_CLIENT_ID", LeftOut::Refused),
    field("client_secret", "ZOOM_CLIENT_SECRET", LeftOut::Refused),
    field("secret_tokens", "ZOOM_SECRET_TOKEN", LeftOut::RefusedWithoutEvents),
    field("events_url", "ZOOM_EVENTS_URL", LeftOut::Nothing),
    field("oauth_redirect_url", "ZOOM_OAUTH_REDIRECT_URL", LeftOut::Inherited),
    field("account_id", "ZOOM_ACCOUNT_ID", LeftOut::Nothing),
    field("s2s_client_id", "ZOOM_S2S_CLIENT_ID", LeftOut::Nothing),
    field("s2s_client_secret", "ZOOM_S2S_CLIENT_SECRET", LeftOut::Nothing),
    field("access_token", "ZOOM_ACCESS_TOKEN", LeftOut::Nothing),
    field("video_api_key", "ZOOM_VIDEO_API_KEY", LeftOut::Nothing),
    field("video_api_secret", "ZOOM_VIDEO_API_SECRET", LeftOut::Nothing),
    field("api_base_url", "ZOOM_API_BASE_URL", LeftOut::Inherited),
    field("oauth_base_url", "ZOOM_OAUTH_BASE_URL", LeftOut::Inherited),
    field("rtms_allowed_hosts", "RTMS_ALLOWED_HOSTS", LeftOut::Inherited),
    field("rtms_allow_ws", "RTMS_ALLOW_WS", LeftOut::Inherited),
    field("rtms_handshake_id_key", "RTMS_HANDSHAKE_ID_KEY", LeftOut::Inherited),
    field("rtms_auto_start", "RTMS_AUTO_START", LeftOut::Inherited),
    field("rtms_auto_stop_after_seconds", "RTMS_AUTO_STOP_AFTER_SECONDS", LeftOut::Inherited),
    field("rtms_restart_attempts", "RTMS_RESTART_ATTEMPTS", LeftOut::Inherited),
    field("rtms_restart_after_seconds", "RTMS_RESTART_AFTER_SECONDS", LeftOut::Inherited),
    field("rtms_streams_per_meeting", "RTMS_STREAMS_PER_MEETING", LeftOut::Inherited),
    field("max_streams_per_app", "MAX_STREAMS_PER_APP", LeftOut::Inherited),
    field(
        "api_rate_limit_per_second_per_app",
        "API_RATE_LIMIT_PER_SECOND_PER_APP",
        LeftOut::Inherited,
    ),
    field("retention_entries", "RETENTION_ENTRIES", LeftOut::Inherited),
    field("retention_media", "RETENTION_MEDIA", LeftOut::Inherited),
    field("retention_deliveries", "RETENTION_DELIVERIES", LeftOut::Inherited),
    field("retention_sessions", "RETENTION_SESSIONS", LeftOut::Inherited),
    field("retention_audit", "RETENTION_AUDIT", LeftOut::Inherited),
    field("recordings_url", RECORDINGS_URL, LeftOut::Shared),
    field("recordings_layout", RECORDINGS_LAYOUT, LeftOut::Shared),
    field("rtms_buffer_data", "RTMS_BUFFER_DATA", LeftOut::Inherited),
    field("media_preset", "MEDIA_PRESET", LeftOut::Inherited),
    field("media_types", "MEDIA_TYPES", LeftOut::Inherited),
    field("media_socket_connection_mode", "MEDIA_SOCKET_CONNECTION_MODE", LeftOut::Inherited),
    field("audio_content_type", "AUDIO_CONTENT_TYPE", LeftOut::Inherited),
    field("audio_codec", "AUDIO_CODEC", LeftOut::Inherited),
    field("audio_sample_rate", "AUDIO_SAMPLE_RATE", LeftOut::Inherited),
    field("audio_channels", "AUDIO_CHANNELS", LeftOut::Inherited),
    field("audio_streams", "AUDIO_STREAMS", LeftOut::Inherited),
    field("audio_send_rate_ms", "AUDIO_SEND_RATE_MS", LeftOut::Inherited),
    field("video_codec", "VIDEO_CODEC", LeftOut::Inherited),
    field("video_resolution", "VIDEO_RESOLUTION", LeftOut::Inherited),
    field("video_fps", "VIDEO_FPS", LeftOut::Inherited),
    field("video_select", "VIDEO_SELECT", LeftOut::Inherited),
    field("video_dwell_seconds", "VIDEO_DWELL_SECONDS", LeftOut::Inherited),
    field("share_codec", "SHARE_CODEC", LeftOut::Inherited),
    field("share_resolution", "SHARE_RESOLUTION", LeftOut::Inherited),
    field("share_fps", "SHARE_FPS", LeftOut::Inherited),
    field("transcript_language", "TRANSCRIPT_LANGUAGE", LeftOut::Inherited),
    field("transcript_identify_language", "TRANSCRIPT_IDENTIFY_LANGUAGE", LeftOut::Inherited),
];

//! The status codes with which Zoom refuses (rtms-protocol.md section 10.3).

/// A status code and its `reason` text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: i64,
    pub reason: &'static str,
}

const fn refusal(code: i64, reason: &'static str) -> Refusal {
    Refusal { code, reason }
}

impl Refusal {
    pub(crate) const MESSAGE_TYPE: Self = refusal(1, "Invalid message type");
    pub(crate) const STREAM_ID: Self = refusal(2, "Invalid meeting or stream ID");
    pub(crate) const SIGNATURE: Self = refusal(3, "Invalid signature");
    pub(crate) const PAYLOAD: Self = refusal(4, "Missing required fields");
    pub(crate) const DUPLICATE_SIGNALING: Self = refusal(8, "duplicate signal request");
    pub(crate) const NO_AUDIO_SCOPE: Self = refusal(9, "Media type audio not supported");
    pub(crate) const NO_VIDEO_SCOPE: Self = refusal(10, "Media type video not supported");
    pub(crate) const NO_SHARE_SCOPE: Self = refusal(11, "Media type deskshare not supported");
    pub(crate) const NO_TRANSCRIPT_SCOPE: Self = refusal(12, "Media type transcript not supported");
    pub(crate) const NO_CHAT_SCOPE: Self = refusal(13, "Media type chat not supported");
    pub(crate) const MEDIA_TYPE: Self = refusal(14, "Invalid media type");
    pub(crate) const ALL_EXISTS: Self = refusal(15, "A connection for all media exists");
    pub(crate) const DUPLICATE_MEDIA: Self = refusal(16, "duplicate media data connection");
    pub(crate) const MEDIA_PARAMS: Self = refusal(17, "Invalid media params");
    pub(crate) const AUDIO_PARAMS: Self = refusal(18, "Invalid audio params");
    pub(crate) const AUDIO_CONTENT_TYPE: Self = refusal(19, "Invalid audio content type");
    pub(crate) const AUDIO_SAMPLE_RATE: Self = refusal(20, "Invalid audio sample rate");
    pub(crate) const AUDIO_CHANNEL: Self = refusal(21, "Invalid audio channel");
    pub(crate) const AUDIO_CODEC: Self = refusal(22, "Invalid audio codec");
    pub(crate) const AUDIO_DATA_OPT: Self = refusal(23, "Invalid audio data option");
    pub(crate) const AUDIO_SEND_RATE: Self = refusal(24, "Invalid audio send rate");
    pub(crate) const VIDEO_PARAMS: Self = refusal(25, "Invalid video params");
    pub(crate) const VIDEO_CONTENT_TYPE: Self = refusal(26, "Invalid video content type");
    pub(crate) const VIDEO_CODEC: Self = refusal(27, "Invalid video codec");
    pub(crate) const VIDEO_RESOLUTION: Self = refusal(28, "Invalid video resolution");
    pub(crate) const VIDEO_DATA_OPT: Self = refusal(29, "Invalid video data option");
    pub(crate) const VIDEO_FPS: Self = refusal(30, "Invalid video fps");
    pub(crate) const SHARE_PARAMS: Self = refusal(31, "Invalid deskshare params");
    pub(crate) const SHARE_CONTENT_TYPE: Self = refusal(32, "Invalid deskshare content type");
    pub(crate) const SHARE_CODEC: Self = refusal(33, "Invalid deskshare codec");
    pub(crate) const SHARE_RESOLUTION: Self = refusal(34, "Invalid deskshare resolution");
    pub(crate) const SHARE_FPS: Self = refusal(35, "Invalid deskshare fps");
    pub(crate) const TRANSCRIPT_PARAMS: Self = refusal(36, "Invalid transcript params");
    pub(crate) const TRANSCRIPT_CONTENT_TYPE: Self = refusal(37, "Invalid transcript content type");
    pub(crate) const CHAT_PARAMS: Self = refusal(38, "Invalid chat params");
    pub(crate) const CHAT_CONTENT_TYPE: Self = refusal(39, "Invalid chat content type");
    pub(crate) const SESSION_ID: Self = refusal(40, "Invalid session ID");
    pub(crate) const SOURCE_LANGUAGE: Self = refusal(43, "Invalid transcript source language");
    pub(crate) const DUPLICATE_VIDEO: Self = refusal(44, "Duplicate video subscription");

    /// The refusal with this status code, for a planned fault. Codes that clients recognise keep their usual text.
    pub(crate) fn planned(status: u16) -> Self {
        match status {
            3 => Self::SIGNATURE,
            // Clients also match on its text, "duplicate signal request" (section 10.3).
            8 => Self::DUPLICATE_SIGNALING,
            15 => Self::ALL_EXISTS,
            16 => Self::DUPLICATE_MEDIA,
            status => refusal(i64::from(status), "Refused as planned"),
        }
    }

    /// Whether only a client that breaks the protocol gets this refusal. Stale streams, duplicates after a
    /// drop and missing scopes also happen to correct clients.
    pub(crate) fn is_breach(self) -> bool {
        matches!(self.code, 1 | 3 | 4 | 14 | 17..=39 | 43)
    }
}

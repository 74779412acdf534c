//! What can be done to a running meeting: by a script, by a test, over REST (pure).

use serde::Deserialize;
use thiserror::Error;

use super::quirk::Quirk;
use crate::rtms::message::Medium;

/// Which WebSocket of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkName {
    Signaling,
    /// Every media socket.
    Media,
    /// The media socket that carries this medium.
    Audio,
    Video,
    Share,
    Transcript,
    Chat,
}

impl LinkName {
    /// Whether it names a media socket that carries these media.
    pub(super) fn names(self, media: &[Medium]) -> bool {
        match self {
            Self::Signaling => false,
            Self::Media => true,
            Self::Audio => media.contains(&Medium::Audio),
            Self::Video => media.contains(&Medium::Video),
            Self::Share => media.contains(&Medium::Share),
            Self::Transcript => media.contains(&Medium::Transcript),
            Self::Chat => media.contains(&Medium::Chat),
        }
    }
}

/// How a socket is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutKind {
    /// TCP ends without a WebSocket Close frame.
    #[default]
    Drop,
    /// TCP is reset.
    Reset,
    /// A Close frame 1000. Zoom's own client does not come back after one (section 22).
    Close,
}

/// A kind of call that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `rtms_app/status` of any product.
    Status,
    /// `GET /v2/users/…`
    User,
    /// `POST /oauth/token`
    Token,
    /// `POST /oauth/revoke`
    Revoke,
}

impl Call {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::User => "user",
            Self::Token => "token",
            Self::Revoke => "revoke",
        }
    }
}

/// How a call goes wrong (sections 14.1, 14.5, 15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// 429 with `X-RateLimit-Reset`.
    RateLimit,
    /// 429 with `Retry-After`, a date.
    DailyLimit,
    /// 401/124; of the token endpoint `invalid_grant`.
    InvalidToken,
    /// 400/4711
    MissingScope,
    /// 403/13262
    NotAuthorized,
    /// 403/2308
    NotHost,
    /// 403/2310
    NotEligible,
    /// 400/3000
    NotStarted,
    /// 404/3001
    NoMeeting,
    /// 500 with Zoom's body.
    ServerError,
    /// 503 with a body that is no JSON.
    Unavailable,
    /// No answer for two minutes.
    Hang,
    /// The connection ends at once.
    Drop,
    /// The call is done, and the connection ends without the answer.
    LoseAnswer,
}

/// How a handshake goes wrong. In scripts `{"slow": {"for_ms": 5000}}`, `"silent"`, `{"refuse": {"status": 8}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeFault {
    /// Message 2 or 4 comes so much later (real milliseconds), and with it everything else.
    Slow { for_ms: u64 },
    /// No answer; the socket stays open.
    Silent,
    /// An answer with this status code (section 10.3).
    Refuse { status: u16 },
    /// TCP ends without an answer.
    Drop,
}

fn default_on() -> bool {
    true
}

fn default_count() -> u32 {
    1
}

/// Something that Zoom does to a meeting or its stream. In scripts: `{"kind": "cut", "link": "signaling"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// A new stream on behalf of the host; nothing when one is live.
    Start,
    /// The same on behalf of another Zoom user, who is then its operator.
    StartAs {
        user_id: String,
    },
    /// Ends the stream with a stop reason of section 10.6; the meeting goes on.
    Stop {
        reason: u16,
    },
    Pause,
    Resume,
    /// Zoom loses signaling: the socket is dropped and `rtms_interrupted` is sent.
    Interrupt,
    /// A server fails: every socket is dropped, the same stream is announced with another URL.
    FailOver,
    /// Zoom sends the last announcement of the stream again.
    RepeatAnnouncement,
    /// A socket is cut, and the rest of Zoom notices.
    Cut {
        link: LinkName,
        #[serde(default)]
        how: CutKind,
    },
    /// Nothing is written to a socket for so long (real milliseconds). Audio is kept and then comes in a burst.
    Stall {
        link: LinkName,
        for_ms: u64,
    },
    /// No keep-alive requests on a socket any more.
    StopKeepAlives {
        link: LinkName,
    },
    /// Zoom's messages deviate from their description from now on, or do so no more.
    Quirk {
        name: Quirk,
        #[serde(default = "default_on")]
        on: bool,
    },
    /// The next handshakes of a link go wrong; `signaling`, `media` for any of these, or one medium.
    FailHandshakes {
        link: LinkName,
        #[serde(default = "default_count")]
        count: u32,
        how: HandshakeFault,
    },
    /// Somebody who is there switches the camera. Individual video that was chosen ends with it (6.19).
    Camera {
        user_id: u32,
        on: bool,
    },
    /// The next calls of OAuth or REST go wrong, those of other meetings too.
    FailCalls {
        call: Call,
        #[serde(default = "default_count")]
        count: u32,
        how: Trouble,
    },
    /// A user removes the app: their tokens end, and `app_deauthorized` is sent. Streams go on.
    Deauthorize {
        user_id: String,
    },
    /// Every access token stops working, with nobody told.
    ExpireAccessTokens,
    /// The meeting ends, and its stream with reason 6.
    End,
}

/// Why nothing was done.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ControlError {
    #[error("no such meeting, or it is over")]
    NoMeeting,
    #[error("the meeting has no stream")]
    NoStream,
    #[error("the stream has no such link")]
    NoLink,
    #[error("nobody with this user id is in the meeting")]
    NobodyThere,
    #[error("the simulator has made as many meetings and streams as it may")]
    Full,
}

//! The actions and faults that a script, a test or the simulator's API can apply to a running meeting (pure).

use crate::model::Medium;
use serde::Deserialize;
use thiserror::Error;

use super::event_socket::EventSocketFault;
use super::quirk::Quirk;
use crate::rtms::message::MEDIA_TYPE_ALL;
use crate::rtms::server::handshake::HandshakeKind;

/// Names one or several WebSockets of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkName {
    Signaling,
    /// Every media socket.
    Media,
    /// The media socket that carries audio; likewise for the media below.
    Audio,
    Video,
    Share,
    Transcript,
    Chat,
}

impl LinkName {
    /// Whether a handshake of this kind opens the named link.
    pub(super) fn is_opened_by(self, kind: &HandshakeKind) -> bool {
        let HandshakeKind::Media { media_type, .. } = kind else { return self == Self::Signaling };
        let is_wanted = |medium: &Medium| {
            let all = *media_type == i64::from(MEDIA_TYPE_ALL);
            all || *media_type == i64::from(medium.media_type())
        };
        let media: Vec<_> = Medium::ALL.into_iter().filter(is_wanted).collect();
        self.names(&media)
    }

    /// Whether this names a media socket that carries these media.
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
    /// TCP is closed without a WebSocket Close frame.
    #[default]
    Drop,
    /// TCP is reset.
    Reset,
    /// The server sends a Close frame with the code of the settings. Zoom's own client does not reconnect after one
    /// (section 22).
    Close,
}

/// A kind of OAuth or REST call that can fail by plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `rtms_app/status`, for any product.
    Status,
    /// `GET /v2/users/…`
    User,
    /// `GET /v2/meetings/…` and `GET /v2/users/…/meetings`
    Meeting,
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
            Self::Meeting => "meeting",
            Self::Token => "token",
            Self::Revoke => "revoke",
        }
    }
}

/// How a call fails (sections 14.1, 14.5, 15.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFault {
    /// 429 with `X-RateLimit-Reset`.
    RateLimit,
    /// 429 with `Retry-After` as a date.
    DailyLimit,
    /// 401/124, or `invalid_grant` at the token endpoint.
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
    /// 500 with a JSON body, as from Zoom's API.
    ServerError,
    /// 503 with a body that is not JSON.
    Unavailable,
    /// No answer for two minutes.
    Hang,
    /// The connection is closed at once, before the call takes effect.
    Drop,
    /// The call takes effect, but the connection is closed without an answer.
    LoseAnswer,
}

/// How a handshake fails. In scripts `{"slow": {"for_ms": 5000}}`, `"silent"`, `{"refuse": {"status": 8}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeFault {
    /// Message 2 or 4, and everything after it, is delayed by this many real milliseconds.
    Slow { for_ms: u64 },
    /// The handshake is not answered; the socket stays open.
    Silent,
    /// The handshake is refused with this status code (section 10.3).
    Refuse { status: u16 },
    /// TCP is closed without an answer.
    Drop,
}

fn default_on() -> bool {
    true
}

fn default_count() -> u32 {
    1
}

/// An action or fault of Zoom's on a meeting or its stream. In scripts: `{"kind": "cut", "link": "signaling"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MeetingAction {
    /// Starts a stream on behalf of the host. Does nothing while one is live.
    Start,
    /// Starts a stream on behalf of another Zoom user, who becomes its operator.
    StartAs { user_id: String },
    /// Ends the stream with a stop reason of section 10.6. The meeting continues.
    Stop { reason: u16 },
    /// Pauses the stream (section 3.5).
    Pause,
    /// Resumes a paused stream.
    Resume,
    /// Drops the signaling socket and sends `rtms_interrupted`.
    Interrupt,
    /// Simulates a failed server: drops every socket and announces the same stream with another URL (3.6, case A).
    FailOver,
    /// Sends the stream's last `rtms_started` again.
    RepeatAnnouncement,
    /// Cuts a socket and interrupts the stream.
    Cut {
        link: LinkName,
        #[serde(default)]
        how: CutKind,
    },
    /// Writes nothing to a socket for this many real milliseconds. Audio waits and then arrives in a burst.
    Stall { link: LinkName, for_ms: u64 },
    /// Sends no further keep-alive requests on a socket.
    StopKeepAlives { link: LinkName },
    /// Turns a deviation from Zoom's documentation on or off.
    Quirk {
        name: Quirk,
        #[serde(default = "default_on")]
        on: bool,
    },
    /// Makes the next handshakes of a link fail: `signaling`, `media` for any medium, or one medium.
    FailHandshakes {
        link: LinkName,
        #[serde(default = "default_count")]
        count: u32,
        how: HandshakeFault,
    },
    /// Switches the camera of a participant. Switching it off also ends an individual video subscription (6.19).
    Camera { user_id: u32, on: bool },
    /// Makes the next OAuth or REST calls fail, including calls for other meetings.
    FailCalls {
        call: Call,
        #[serde(default = "default_count")]
        count: u32,
        how: ApiFault,
    },
    /// A fault of the app's event socket; `count` is for those of the next connections.
    EventSocket {
        how: EventSocketFault,
        #[serde(default = "default_count")]
        count: u32,
    },
    /// Removes the app for a user: revokes their tokens and sends `app_deauthorized`. Streams continue.
    Deauthorize { user_id: String },
    /// Expires every access token without notice.
    ExpireAccessTokens,
    /// Ends the meeting, and its stream with stop reason 6.
    End,
}

/// Why an action could not be performed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ControlError {
    #[error("no such meeting, or it has ended")]
    NoMeeting,
    #[error("the meeting has no stream")]
    NoStream,
    #[error("the stream has no such link")]
    NoLink,
    #[error("nobody with this user id is in the meeting")]
    NobodyThere,
    #[error("no app has this client_id")]
    NoApp,
    #[error("the simulator has reached its limit of meetings or streams; restart it")]
    Full,
}

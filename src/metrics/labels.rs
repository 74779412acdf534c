//! The labels of metrics, and the values that each may have. Nothing that the network sends makes a new series: a value
//! that is not listed becomes [`OTHER`].

use crate::model::{
    EntryKind, GapCause, InstallationStatus, Medium, Outcome, Product, RecordingStatus,
    StreamStatus,
};
use crate::rtms::stream::LossKind;

/// The value of everything that is not listed.
pub(super) const OTHER: &str = "other";

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// The values that a label may have.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// The names of the Zoom apps, which the settings bound; empty for what belongs to no app.
    Apps,
    /// These, and `other`.
    Of(&'static [&'static str]),
}

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Of(values) }
}

/// The names of an enum's variants.
macro_rules! names {
    ($type:ty) => {{
        const NAMES: [&str; <$type>::ALL.len()] = {
            let mut names = [""; <$type>::ALL.len()];
            let mut index = 0;
            while index < names.len() {
                names[index] = <$type>::ALL[index].as_str();
                index += 1;
            }
            names
        };
        &NAMES
    }};
}

pub(super) const APP: Label = Label { name: "app", values: Values::Apps };
pub(super) const PRODUCT: Label = label("product", names!(Product));
pub(super) const MEDIUM: Label = label("medium", names!(Medium));
pub(super) const STATE: Label = label("state", names!(StreamStatus));
pub(super) const OUTCOME: Label = label("outcome", names!(Outcome));
pub(super) const GAP_CAUSE: Label = label("cause", names!(GapCause));
pub(super) const LOSS_CAUSE: Label = label("cause", names!(LossKind));
pub(super) const ENTRY_KIND: Label = label("kind", names!(EntryKind));
pub(super) const RECORDING: Label = label("status", names!(RecordingStatus));
pub(super) const CAPTURED: Label = label("result", &["written", "cut"]);
pub(super) const INSTALLATION: Label = label("status", names!(InstallationStatus));
pub(super) const LINK: Label =
    label("link", &["signaling", "all", "audio", "video", "share", "transcript", "chat"]);
/// Zoom's events (rtms-protocol.md section 13.6); empty before the body could be read.
pub(super) const EVENT: Label = label(
    "event",
    &[
        "",
        "endpoint.url_validation",
        "meeting.rtms_started",
        "meeting.rtms_stopped",
        "meeting.rtms_interrupted",
        "webinar.rtms_started",
        "webinar.rtms_stopped",
        "webinar.rtms_interrupted",
        "session.rtms_started",
        "session.rtms_stopped",
        "session.rtms_interrupted",
        "contact_center.voice_rtms_started",
        "contact_center.voice_rtms_stopped",
        "contact_center.voice_rtms_interrupted",
        "phone.rtms_started",
        "phone.rtms_stopped",
        "phone.rtms_interrupted",
        "phone.call_rtms_started",
        "phone.call_rtms_stopped",
        "phone.call_rtms_interrupted",
        "meeting.started",
        "meeting.ended",
        "webinar.started",
        "webinar.ended",
        "rtms.concurrency_near_limit",
        "rtms.concurrency_limited",
        "rtms.start_failed",
        "rtms.request_status",
        "app_deauthorized",
    ],
);
pub(super) const WEBHOOK: Label =
    label("outcome", &["changed", "no_change", "repeated", "validated", "refused", "failed"]);
/// See `zoom::event_socket::Problem`.
pub(super) const SOCKET_FAILURE: Label = label(
    "cause",
    &[
        "token_refused",
        "oauth_unreachable",
        "unreachable",
        "refused",
        "closed",
        "dropped",
        "silent",
        "contested",
    ],
);
pub(super) const GAP_ANSWER: Label = label("result", &["running", "over", "found", "unknown"]);
/// The messages of Zoom's protocol (section 6), by what they carry.
pub(super) const MESSAGE: Label = label(
    "message",
    &["audio", "video", "share", "transcript", "chat", "event", "handshake", "state", "keep_alive"],
);
pub(super) const LOST: Label = label("lost", &["message", "field", "member"]);
pub(super) const SINK: Label = label("sink", &["live", "recordings", "nats", "relays"]);
pub(super) const BROKER: Label = label("sink", &["nats"]);
pub(super) const API: Label = label("api", &["rest", "oauth"]);
/// The answers that Zoom documents (section 14.5); `none` without an answer.
pub(super) const STATUS: Label = label(
    "status",
    &[
        "200", "201", "202", "204", "300", "400", "401", "403", "404", "409", "422", "429", "500",
        "502", "503", "504", "none",
    ],
);
pub(super) const REFRESH: Label = label("result", &["refreshed", "rejected", "failed"]);
pub(super) const SENT: Label =
    label("outcome", &["delivered", "retried", "failed", "withdrawn", "interrupted"]);
pub(super) const LEASE: Label =
    label("event", &["claimed", "taken_over", "claimed_again", "lost", "given_back", "given_up"]);
pub(super) const REFUSED_BATCH: Label = label("cause", &["unavailable", "rejected"]);
pub(super) const PART: Label = label(
    "part",
    &[
        "control",
        "retention",
        "deletions",
        "refusals",
        "memory",
        "apps",
        "log_level",
        "idle_refresh",
        "event_sockets",
        "recorder",
        "webhooks",
        "forwards",
        "relays",
        "nats",
    ],
);
pub(super) const CLOCK: Label = label("source", &["webhook", "keep_alive"]);
pub(super) const VERSION: Label = label("version", &[env!("CARGO_PKG_VERSION")]);

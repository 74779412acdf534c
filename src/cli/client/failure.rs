//! Why a command that asks a daemon failed: what it prints, and its exit code.

use std::fmt;
use std::io;

use serde_json::Value;

use super::cell::plain;
use crate::model::one_line;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon refused the request, or the awaited state was not reached.
    Refused(Box<Refusal>),
    NotReached(String),
    /// The command line or a setting is wrong.
    Usage(String),
    /// No daemon answered.
    Unreachable(String),
    /// Standard output cannot be written.
    Output(io::Error),
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// The field `error` of the daemon's answer, or what it said on its live socket.
#[derive(Debug)]
pub(super) struct Refusal(pub Value);

impl Failure {
    /// The exit code. A reader of the output that has had enough, as `head` has, is no failure.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::NotReached(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 1,
            Self::Interrupted => 130,
        }
    }

    /// Whether nothing needs to be said.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Interrupted) || self.exit_code() == 0
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.0["retryable"] == true,
            Self::Unreachable(_) => true,
            _ => false,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Refused(refusal) => refusal.0.clone(),
            Self::NotReached(_) => self.of_our_own("not_reached"),
            Self::Usage(_) => self.of_our_own("usage"),
            Self::Unreachable(_) => self.of_our_own("unreachable"),
            Self::Output(_) | Self::Interrupted => self.of_our_own("output"),
        }
    }

    fn of_our_own(&self, code: &str) -> Value {
        serde_json::json!({ "code": code, "detail": self.to_string() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NotReached(problem) | Self::Usage(problem) | Self::Unreachable(problem) => {
                f.write_str(problem)
            }
            Self::Output(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let (code, detail) = (plain(&error["code"]), plain(&error["detail"]));
        write!(f, "the daemon refused ({code}): {detail}")?;
        if let Some(zoom) = error["zoom"].as_object() {
            let field = |name: &str| zoom.get(name).map_or_else(|| "-".to_owned(), plain);
            write!(f, "\n  Zoom answered {}, code {}: ", field("status"), field("code"))?;
            f.write_str(&field("message"))?;
        }
        if let Some(installations) = error["installations"].as_array() {
            let ids: Vec<String> = installations.iter().map(plain).collect();
            write!(f, "\n  choose one with --installation-id: {}", ids.join(", "))?;
        }
        match error["request_id"].as_str() {
            Some(id) => write!(f, "\n  request {}", one_line(id)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(error: Value) -> Failure {
        Failure::Refused(Box::new(Refusal(error)))
    }

    #[test]
    fn a_refusal_has_the_code_what_to_do_and_what_zoom_said() {
        let failure = refused(json!({
            "code": "zoom_refused", "detail": "install the app", "retryable": false, "request_id": "r1",
            "zoom": {"status": 400, "code": 3001, "message": "not\u{1b}[2Jfound", "tracking_id": null},
            "installations": ["a", "b"],
        }));
        assert_eq!(
            failure.to_string(),
            "the daemon refused (zoom_refused): install the app\n  \
             Zoom answered 400, code 3001: not [2Jfound\n  \
             choose one with --installation-id: a, b\n  request r1"
        );
        assert_eq!((failure.exit_code(), failure.is_temporary()), (1, false));
    }

    #[test]
    fn each_failure_has_its_exit_code() {
        let pipe = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((pipe.exit_code(), pipe.is_silent()), (0, true));
        assert_eq!(Failure::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
        assert_eq!(Failure::NotReached(String::new()).exit_code(), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::Unreachable(String::new()).exit_code(), 3);
        assert!(refused(json!({"retryable": true})).is_temporary());
    }
}

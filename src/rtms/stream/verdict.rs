//! Maps the status code of a refused handshake to the reaction (rtms-protocol.md section 10.3; pure).

use crate::model::Outcome;
use crate::rtms::message::status;

/// The meaning of a handshake's answer (rtms-protocol.md section 10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The handshake was good.
    Accepted,
    /// Try again within the window.
    Retry,
    /// Zoom still holds an older connection of this stream (rtms-protocol.md section 3.4): try again when it
    /// may be gone.
    Duplicate,
    /// Zoom will not send this medium because of its scope or parameters. It may still send the others.
    WithoutMedium,
    /// The stream is over.
    Final(Outcome),
}

/// Returns the verdict for a status code. Unknown numbers are retried: the window bounds the retries.
pub(super) fn verdict(status_code: i64, reason: &str) -> Verdict {
    match status_code {
        status::OK => Verdict::Accepted,
        status::INVALID_RTMS_STREAM_ID => Verdict::Final(Outcome::Gone),
        status::INVALID_MESSAGE_TYPE | status::INVALID_SIGNATURE | status::INVALID_PAYLOAD => {
            Verdict::Final(Outcome::Refused)
        }
        // The beta's number for a duplicate, 17, means bad parameters today: the text decides.
        _ if says_duplicate(reason) => Verdict::Duplicate,
        status::DUPLICATE_SIGNAL_REQUEST
        | status::MEDIA_DATA_ALL_CONNECTION_EXIST
        | status::DUPLICATE_MEDIA_DATA_CONNECTION => Verdict::Duplicate,
        // Scopes, parameters and media types (rtms-protocol.md section 10.3): a retry gets the same answer.
        9..=14 | 17..=39 | 43 | 46 | 47 => Verdict::WithoutMedium,
        _ => Verdict::Retry,
    }
}

fn says_duplicate(reason: &str) -> bool {
    reason.to_ascii_lowercase().contains("duplicate signal request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        let expected = |code: i64| match code {
            0 => Verdict::Accepted,
            2 => Verdict::Final(Outcome::Gone),
            1 | 3 | 4 => Verdict::Final(Outcome::Refused),
            8 | 15 | 16 => Verdict::Duplicate,
            9..=14 | 17..=39 | 43 | 46 | 47 => Verdict::WithoutMedium,
            _ => Verdict::Retry,
        };
        for code in -1..=60 {
            assert_eq!(verdict(code, ""), expected(code), "status {code}");
        }
    }

    #[test]
    fn a_duplicate_is_known_by_its_text_too() {
        assert_eq!(verdict(17, "Duplicate Signal Request"), Verdict::Duplicate);
        assert_eq!(verdict(3, "Duplicate Signal Request"), Verdict::Final(Outcome::Refused));
    }
}

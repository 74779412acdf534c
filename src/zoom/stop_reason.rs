//! The names of Zoom's stop reasons (rtms-protocol.md section 10.6).

const NAMES: [&str; 27] = [
    "UNDEFINED",
    "HOST_TRIGGERED",
    "USER_TRIGGERED",
    "USER_LEFT",
    "USER_EJECTED",
    "HOST_DISABLED_APP",
    "MEETING_ENDED",
    "STREAM_CANCELED",
    "STREAM_REVOKED",
    "ALL_APPS_DISABLED",
    "INTERNAL_EXCEPTION",
    "CONNECTION_TIMEOUT",
    "INSTANCE_CONNECTION_INTERRUPTED",
    "SIGNAL_CONNECTION_INTERRUPTED",
    "DATA_CONNECTION_INTERRUPTED",
    "SIGNAL_CONNECTION_CLOSED_ABNORMALLY",
    "DATA_CONNECTION_CLOSED_ABNORMALLY",
    "EXIT_SIGNAL",
    "AUTHENTICATION_FAILURE",
    "AWAIT_RECONNECTION_TIMEOUT",
    "RECEIVER_REQUEST_CLOSE",
    "CUSTOMER_DISCONNECTED",
    "AGENT_DISCONNECTED",
    "ADMIN_DISABLED_APP",
    "KEEP_ALIVE_TIMEOUT",
    "MANUAL_API_TRIGGERED",
    "STREAMING_NOT_SUPPORTED",
];

/// Zoom's name without its prefix `STOP_BC_`; none for a number that this version does not know.
pub fn name(reason: i64) -> Option<&'static str> {
    usize::try_from(reason).ok().and_then(|index| NAMES.get(index)).copied()
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_reason_has_the_name_of_its_number() {
        assert_eq!(name(6), Some("MEETING_ENDED"));
        assert_eq!(name(8), Some("STREAM_REVOKED"));
        assert_eq!(name(20), Some("RECEIVER_REQUEST_CLOSE"));
        assert_eq!(name(26), Some("STREAMING_NOT_SUPPORTED"));
    }

    #[test]
    fn an_unknown_reason_has_no_name() {
        assert_eq!(name(27), None);
        assert_eq!(name(-1), None);
    }
}

//! The settings for starting, stopping and restarting streams without a request, and for joining them.

use std::time::Duration;

use super::read::Reader;
use crate::zoom::app::{AutoStart, Policies, StreamsPerMeeting};

/// Reads when to start, stop and restart streams, and which to join.
pub(super) fn read_policies(read: &mut Reader<'_>) -> Option<Policies> {
    let auto_start = auto_start(read);
    let auto_stop_s = match read.optional("RTMS_AUTO_STOP_AFTER_SECONDS") {
        None => Some(None),
        Some(_) => read
            // 30 hours, the longest meeting.
            .number("RTMS_AUTO_STOP_AFTER_SECONDS", 0..=108_000)
            .map(|seconds| Some(seconds).filter(|seconds| *seconds > 0)),
    };
    let restarts = read.number("RTMS_RESTART_ATTEMPTS", 0..=10);
    let restart_after_s = read.number("RTMS_RESTART_AFTER_SECONDS", 0..=600);
    let streams_per_meeting = read.one_of(
        "RTMS_STREAMS_PER_MEETING",
        &StreamsPerMeeting::ALL.map(|policy| (policy.as_str(), policy)),
    );
    Some(Policies {
        auto_start: auto_start?,
        auto_stop_after: auto_stop_s?.map(Duration::from_secs),
        restarts: u32::try_from(restarts?).ok()?,
        restart_after: Duration::from_secs(restart_after_s?),
        streams_per_meeting: streams_per_meeting?,
    })
}

fn auto_start(read: &mut Reader<'_>) -> Option<AutoStart> {
    let text = read.text("RTMS_AUTO_START");
    let hosts: Vec<&str> = text.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    match text.to_ascii_lowercase().as_str() {
        "off" => Some(AutoStart::Off),
        "all" => Some(AutoStart::All),
        // None of these is a Zoom user id: the operator probably meant off or all.
        "on" | "true" | "false" | "yes" | "no" | "1" | "0" | "none" => not_auto_start(read),
        _ if hosts.is_empty() => not_auto_start(read),
        _ => Some(AutoStart::Hosts(hosts.into_iter().map(str::to_owned).collect())),
    }
}

fn not_auto_start(read: &mut Reader<'_>) -> Option<AutoStart> {
    read.wrong("RTMS_AUTO_START", "off, all, or the hosts' Zoom user ids, separated by commas")
}

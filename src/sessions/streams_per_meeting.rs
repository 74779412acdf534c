//! Decides which of a meeting's streams are joined (rtms-protocol.md section 3.1: Zoom gives one for each user who brings
//! the app).

use crate::model::{StreamRecord, StreamStatus};
use crate::store::{OpenStream, Store, StoreError};
use crate::zoom::app::{App, StreamsPerMeeting};

/// Why the app's policy leaves out a stream that is about to be joined; `None` to join it.
///
/// # Errors
/// The store does not answer.
pub(super) async fn why_left_out(
    store: &Store,
    app: &App,
    stream: &StreamRecord,
) -> Result<Option<String>, StoreError> {
    let policy = app.policies.streams_per_meeting;
    // A stream that was joined stays joined, whichever daemon takes it over and whatever the policy is by then.
    if policy == StreamsPerMeeting::All || stream.status != StreamStatus::Announced {
        return Ok(None);
    }
    let open = store.open_streams(stream.session_id).await?;
    Ok(left_out_by(policy, stream.ordinal, &open).map(|instead| {
        format!(
            "RTMS_STREAMS_PER_MEETING of the app {} is {}: {instead}",
            app.name,
            policy.as_str()
        )
    }))
}

/// What is joined instead of a stream; `None` to join it. `open` are the streams of its meeting that have not ended.
/// Every daemon that reads the same rows decides the same.
fn left_out_by(policy: StreamsPerMeeting, ordinal: u32, open: &[OpenStream]) -> Option<String> {
    // A stream that has ended since is joined, and found to be over.
    let own = open.iter().find(|other| other.ordinal == ordinal)?;
    match policy {
        StreamsPerMeeting::All => None,
        StreamsPerMeeting::First => {
            let first = open.iter().min_by_key(|other| other.ordinal)?;
            // Another stream of the same user is from after a restart in Zoom's client: the webhook of the earlier
            // one's end can be the later one.
            let is_same_user = own.operator_id.is_some() && own.operator_id == first.operator_id;
            let is_joined = own.ordinal == first.ordinal || is_same_user;
            (!is_joined).then(|| format!("stream {} is joined instead", first.ordinal))
        }
        StreamsPerMeeting::Host => {
            let hosts = open.iter().find(|other| other.is_hosts == Some(true));
            (own.is_hosts == Some(false)).then(|| match hosts {
                Some(hosts) => format!("stream {} of the host is joined instead", hosts.ordinal),
                None => "this one is not the host's, and the host has none yet".to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams 1, 2 and so on, by the users who started them. The host is Ana, if known.
    fn open(users: &[Option<&str>], host: Option<&str>) -> Vec<OpenStream> {
        let stream = |(ordinal, user): (u32, &Option<&str>)| OpenStream {
            ordinal,
            operator_id: user.map(str::to_owned),
            is_hosts: user.zip(host).map(|(user, host)| user == host),
        };
        (1..).zip(users).map(stream).collect()
    }

    /// The ordinals of the streams that a policy joins.
    fn joined(policy: StreamsPerMeeting, open: &[OpenStream]) -> Vec<u32> {
        let ordinals = open.iter().map(|stream| stream.ordinal);
        ordinals.filter(|ordinal| left_out_by(policy, *ordinal, open).is_none()).collect()
    }

    #[test]
    fn each_policy_joins_its_streams() {
        let (ana, bo, unknown) = (Some("ana"), Some("bo"), None);
        for (users, host, by_first, by_host) in [
            (vec![bo], ana, vec![1], vec![]),
            (vec![ana], ana, vec![1], vec![1]),
            (vec![unknown], ana, vec![1], vec![1]),
            (vec![bo, ana], ana, vec![1], vec![2]),
            (vec![ana, bo, Some("chidi")], ana, vec![1], vec![1]),
            (vec![bo, ana], None, vec![1], vec![1, 2]),
            (vec![unknown, ana, bo], ana, vec![1], vec![1, 2]),
            (vec![unknown, unknown], ana, vec![1], vec![1, 2]),
            // A user starts again, and the end of the earlier stream is not known yet.
            (vec![bo, bo], ana, vec![1, 2], vec![]),
            (vec![ana, bo, ana, bo], ana, vec![1, 3], vec![1, 3]),
        ] {
            let open = open(&users, host);
            let all: Vec<u32> = open.iter().map(|stream| stream.ordinal).collect();
            assert_eq!(joined(StreamsPerMeeting::All, &open), all, "{users:?}");
            assert_eq!(joined(StreamsPerMeeting::First, &open), by_first, "{users:?}");
            assert_eq!(joined(StreamsPerMeeting::Host, &open), by_host, "{users:?}");
        }
    }

    #[test]
    fn the_detail_names_the_stream_that_is_joined_instead() {
        let open = open(&[Some("bo"), Some("ana"), Some("chidi")], Some("ana"));
        let by = |policy, ordinal| left_out_by(policy, ordinal, &open).unwrap();
        assert_eq!(by(StreamsPerMeeting::First, 3), "stream 1 is joined instead");
        assert_eq!(by(StreamsPerMeeting::Host, 3), "stream 2 of the host is joined instead");
        let alone = left_out_by(StreamsPerMeeting::Host, 1, &open[..1]).unwrap();
        assert!(alone.contains("the host has none"), "{alone}");
    }

    #[test]
    fn a_stream_that_has_ended_meanwhile_is_left_to_its_end() {
        let open = open(&[Some("bo")], Some("ana"));
        for policy in StreamsPerMeeting::ALL {
            assert_eq!(left_out_by(policy, 2, &open), None);
        }
    }
}

//! Where things go: the disk, the spool, the place of recordings, and the broker.

use super::{fault, sentence};
use crate::doctor::report::Check;
use crate::sinks::nats::{BrokerSeen, NatsError};
use crate::sinks::record::SpoolLoad;
use crate::sinks::record::target::{PlaceError, TargetError};

pub(in crate::doctor) const DISK: [&str; 2] = [FREE, SPOOL];
pub(in crate::doctor) const RECORDINGS: &str = "recordings.place";
pub(in crate::doctor) const NATS: &str = "nats";

const FREE: &str = "disk.free";
const SPOOL: &str = "disk.spool";

const MIB: u64 = 1024 * 1024;

pub(in crate::doctor) fn disk(load: &SpoolLoad) -> Vec<Check> {
    let free = match load.free_bytes {
        None => Check::warn(FREE, "The disk does not say how much is free.", "Check it with df."),
        Some(bytes) => {
            Check::of_fault(FREE, fault::free_disk(bytes), format!("{} MiB free", bytes / MIB))
        }
    };
    let (bytes, max_bytes) = (load.bytes, load.max_bytes);
    let seen = format!("{} of {} MiB", bytes / MIB, max_bytes / MIB);
    vec![free, Check::of_fault(SPOOL, fault::spool(bytes, max_bytes), seen)]
}

/// A file was written, read and deleted at the place of recordings.
pub(in crate::doctor) fn recordings(probed: Result<Result<(), TargetError>, PlaceError>) -> Check {
    let (seen, todo) = match probed {
        Ok(Ok(())) => return Check::ok(RECORDINGS, "a file was written, read and deleted"),
        Err(error) => (format!("RECORDINGS_URL must be {error}."), "Correct RECORDINGS_URL."),
        Ok(Err(TargetError::File(error))) => (
            format!("A file cannot be written there: {error}."),
            "See that the folder is on a disk that can be written to, and belongs to the user of the daemon.",
        ),
        Ok(Err(error)) => (
            format!("A probe cannot be written, read and deleted there: {}.", error.kind()),
            "Check the bucket, its region and the credentials: they need to write, read and delete objects.",
        ),
    };
    Check::fail(RECORDINGS, seen, todo)
}

/// The broker; `None` without one.
pub(in crate::doctor) fn nats(probed: Option<Result<BrokerSeen, NatsError>>) -> Check {
    match probed {
        None => Check::skipped(NATS, "NATS_URL is not set"),
        Some(Ok(BrokerSeen { version, stream: true })) => {
            Check::ok(NATS, format!("NATS {version} answers, and has the stream"))
        }
        Some(Ok(BrokerSeen { version, stream: false })) => {
            Check::ok(NATS, format!("NATS {version} answers; the first entry makes the stream"))
        }
        Some(Err(error)) => {
            let todo = match error {
                NatsError::Credentials(_) => "Correct NATS_CREDENTIALS.",
                NatsError::NoJetStream => "Turn on JetStream in the server, or for this account.",
                _ => "See that NATS runs, and that NATS_URL and its credentials are right.",
            };
            Check::fail(NATS, sentence(&error), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    #[test]
    fn a_full_disk_and_a_full_spool_are_two_findings() {
        let of = |bytes, free_bytes| {
            let load = SpoolLoad { bytes, max_bytes: 1000 * MIB, free_bytes };
            [disk(&load)[0].status, disk(&load)[1].status]
        };
        assert_eq!(of(0, Some(10_000 * MIB)), [Status::Ok, Status::Ok]);
        assert_eq!(of(900 * MIB, Some(10_000 * MIB)), [Status::Ok, Status::Fail]);
        assert_eq!(of(0, Some(MIB)), [Status::Fail, Status::Ok]);
        assert_eq!(of(0, None), [Status::Warn, Status::Ok]);
    }
}

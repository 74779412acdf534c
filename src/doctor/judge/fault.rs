//! Faults in figures that the health of a running daemon shows as well.

/// From this latency on, the store is slow.
const SLOW_STORE_MS: u64 = 250;
/// Recordings stop when less than a quarter of this is free.
const LITTLE_DISK_BYTES: u64 = 256 * 1024 * 1024;
/// From this share on, in percent, the spool fills.
const FULL_SPOOL_PERCENT: u128 = 80;
/// From this difference on, the clock needs attention before webhooks are refused.
const CLOCK_OFF_S: u64 = 30;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whether data is lost or about to be; otherwise a person should look at it.
    pub is_error: bool,
    pub what: String,
    /// What a person should do about it.
    pub todo: &'static str,
}

impl Fault {
    fn error(what: impl Into<String>, todo: &'static str) -> Option<Self> {
        Some(Self { is_error: true, what: what.into(), todo })
    }

    fn warning(what: impl Into<String>, todo: &'static str) -> Option<Self> {
        Some(Self { is_error: false, what: what.into(), todo })
    }
}

/// A store that answers slowly.
pub fn store_latency(latency_ms: u64) -> Option<Fault> {
    if latency_ms < SLOW_STORE_MS {
        return None;
    }
    let todo = "See what loads the database or its disk. Webhooks have to be answered within 3 s.";
    Fault::warning(format!("The store takes {latency_ms} ms to answer."), todo)
}

/// A disk that is almost full.
pub fn free_disk(free_bytes: u64) -> Option<Fault> {
    if free_bytes >= LITTLE_DISK_BYTES {
        return None;
    }
    let todo =
        "Free space on the disk of DATA_DIR: recordings stop, and with SQLite everything does.";
    Fault::error("The disk of the spool is almost full.", todo)
}

/// A spool that is almost full.
pub fn spool(bytes: u64, max_bytes: u64) -> Option<Fault> {
    if u128::from(bytes) * 100 < u128::from(max_bytes) * FULL_SPOOL_PERCENT {
        return None;
    }
    let todo =
        "See why recordings are not uploaded (RECORDINGS_URL), or raise RECORDINGS_SPOOL_BYTES.";
    Fault::error("The spool of recordings is almost full.", todo)
}

/// A clock that is ahead of Zoom's by so many seconds; behind it if negative.
pub fn clock(difference_s: i64, tolerance_s: u32) -> Option<Fault> {
    let seconds = difference_s.unsigned_abs();
    let direction = if difference_s > 0 { "ahead of" } else { "behind" };
    let what = format!("The clock is {seconds} s {direction} Zoom’s.");
    if seconds > u64::from(tolerance_s) {
        let todo = "Set the clock of this machine (NTP), then process the refused webhooks again: they are in the log of Zoom’s webhooks.";
        return Fault::error(what, todo);
    }
    let todo = "Set the clock of this machine (NTP) before webhooks are refused.";
    if seconds < CLOCK_OFF_S { None } else { Fault::warning(what, todo) }
}

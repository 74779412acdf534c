//! Measures which share of the machine's CPU time this process uses.

use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Over about how long the share is averaged: one busy second is no overload.
const AVERAGED_OVER: Duration = Duration::from_secs(10);

/// Measures from call to call.
#[derive(Debug)]
pub(super) struct CpuMeter {
    cores: f64,
    /// When it was last measured, and the process's CPU time then.
    last: Option<(Instant, Duration)>,
    share: f64,
}

impl CpuMeter {
    /// With the cores that the process may use.
    pub(super) fn new() -> Self {
        Self::with_cores(available_parallelism().map_or(1, usize::from))
    }

    fn with_cores(cores: usize) -> Self {
        Self { cores: cores as f64, last: None, share: 0.0 }
    }

    /// The average share of the last seconds, in thousandths.
    pub(super) fn measure(&mut self) -> u32 {
        self.measured(Instant::now(), process_time())
    }

    fn measured(&mut self, now: Instant, used: Duration) -> u32 {
        if let Some((then, used_then)) = self.last.replace((now, used)) {
            let passed_s = now.saturating_duration_since(then).as_secs_f64();
            if passed_s > 0.0 {
                let used_s = used.saturating_sub(used_then).as_secs_f64();
                let share = (used_s / passed_s / self.cores).min(1.0);
                let weight = 1.0 - (-passed_s / AVERAGED_OVER.as_secs_f64()).exp();
                self.share += weight * (share - self.share);
            }
        }
        (self.share * 1000.0).round() as u32
    }
}

/// The CPU time of all threads of this process.
fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_follows_what_the_process_uses_within_seconds() {
        let (start, mut meter) = (Instant::now(), CpuMeter::with_cores(2));
        let second = Duration::from_secs(1);
        assert_eq!(meter.measured(start, 5 * second), 0, "one look measures nothing");
        let after = |meter: &mut CpuMeter, n: u32, used_s: u32| {
            meter.measured(start + n * second, used_s * second)
        };
        // One of two cores.
        let first = after(&mut meter, 1, 6);
        assert!((40..60).contains(&first), "{first}");
        let mut share = 0;
        for n in 2..=60 {
            share = after(&mut meter, n, 5 + n);
        }
        assert!((490..=500).contains(&share), "{share}");
        let idle = after(&mut meter, 70, 65);
        assert!(idle < 200, "{idle}");
    }

    #[test]
    fn this_process_has_used_some() {
        let before = process_time();
        while process_time() < before + Duration::from_millis(2) {}
        assert!(process_time() > before);
    }
}

//! Reports the daemon's state to the service manager (sd_notify(3)), and pings its watchdog while the daemon makes
//! progress.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::sessions::Pulse;
use crate::zoom::app::Occupancy;

/// How often the state is reported at least.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// The pings in the time after which the watchdog restarts the daemon: one may be late, or two.
const PINGS: u32 = 4;
/// Twice the time after which missing progress is logged, without a watchdog.
const LATE: Duration = Duration::from_secs(60);
/// How often a message is tried that finds the service manager's queue full, and the wait between.
const TRIES: u32 = 10;
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// The service manager that started the daemon, if there is one.
pub(super) struct ServiceManager {
    address: Option<SocketAddr>,
    /// How long the daemon may go without a ping.
    watchdog: Option<Duration>,
    /// The last reading of the settings found mistakes.
    has_mistakes: AtomicBool,
    /// The last message could not be sent. Logged once.
    is_unreachable: AtomicBool,
}

impl ServiceManager {
    /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. `pid` is this process's.
    pub(super) fn from_environment(lookup: impl Fn(&str) -> Option<String>, pid: u32) -> Self {
        let address = lookup("NOTIFY_SOCKET").and_then(|name| match parse_address(&name) {
            Ok(address) => Some(address),
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET names no socket; the service manager is not notified");
                None
            }
        });
        Self {
            address,
            watchdog: watchdog_time(lookup, pid),
            has_mistakes: AtomicBool::new(false),
            is_unreachable: AtomicBool::new(false),
        }
    }

    /// Reports that the daemon serves, how many streams it runs, and that it stops. Pings the watchdog. Runs until it is
    /// aborted.
    pub(super) async fn report(
        &self,
        mut pulse: Pulse,
        occupancy: Occupancy,
        stop: CancellationToken,
    ) {
        if self.address.is_none() {
            return;
        }
        let late = self.watchdog.unwrap_or(LATE) / 2;
        let mut first = "READY=1\n";
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = pulse.beat() => {}
                () = sleep(late) => {
                    tracing::error!("streams make no progress; the service manager is not notified until they do");
                    continue;
                }
            }
            let status = self.status(occupancy.streams());
            self.send(&format!("{first}{}STATUS={status}", self.ping())).await;
            first = "";
            if timeout(self.interval(), stop.cancelled()).await.is_ok() {
                break;
            }
        }
        self.send("STOPPING=1\nSTATUS=stopping").await;
        // The supervisor takes no more steps. Each step of a stop has a bound, and the service manager has one for all.
        while self.watchdog.is_some() {
            sleep(self.interval()).await;
            self.send(self.ping()).await;
        }
    }

    /// Reports that the settings are read again.
    pub(super) async fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}")).await;
    }

    /// Reports that the settings were read again. After a mistake, the status says so until the next reading.
    pub(super) async fn reloaded(&self, has_mistakes: bool, streams: usize) {
        self.has_mistakes.store(has_mistakes, Ordering::Relaxed);
        self.send(&format!("READY=1\nSTATUS={}", self.status(streams))).await;
    }

    fn status(&self, streams: usize) -> String {
        let mistakes = match self.has_mistakes.load(Ordering::Relaxed) {
            true => "; the changed settings have mistakes and are ignored: see the log",
            false => "",
        };
        format!("streams: {streams}{mistakes}")
    }

    fn ping(&self) -> &'static str {
        if self.watchdog.is_some() { "WATCHDOG=1\n" } else { "" }
    }

    fn interval(&self) -> Duration {
        self.watchdog.map_or(REPORT_INTERVAL, |time| (time / PINGS).min(REPORT_INTERVAL))
    }

    async fn send(&self, message: &str) {
        let Some(address) = &self.address else { return };
        let mut sent = try_send(address, message);
        for _ in 1..TRIES {
            if !sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            sleep(RETRY_WAIT).await;
            sent = try_send(address, message);
        }
        let was_unreachable = self.is_unreachable.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(error) = sent
            && !was_unreachable
        {
            tracing::warn!(%error, "the service manager cannot be notified; further failures are not logged");
        }
    }
}

/// A socket for each message: a service manager that starts again has a new one under the same name.
fn try_send(address: &SocketAddr, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A service manager that does not read must not block a thread of the daemon.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), address).map(drop)
}

fn parse_address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => abstract_address(name),
        None if name.starts_with('/') => SocketAddr::from_pathname(name),
        None => Err(io::Error::other("it is neither a path nor an abstract name")),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// `None` if no watchdog waits for this process.
fn watchdog_time(lookup: impl Fn(&str) -> Option<String>, pid: u32) -> Option<Duration> {
    let is_ours = lookup("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(pid));
    let time_us = lookup("WATCHDOG_USEC")?.parse().ok().filter(|time_us| *time_us > 0);
    time_us.filter(|_| is_ours).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> ServiceManager {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ServiceManager::from_environment(lookup, 7)
    }

    #[test]
    fn the_watchdog_is_that_of_this_process() {
        let time = |variables: &[(&str, &str)]| manager(variables).watchdog;
        let (time_us, seconds) = (("WATCHDOG_USEC", "2000000"), Some(Duration::from_secs(2)));
        assert_eq!(time(&[time_us]), seconds);
        assert_eq!(time(&[time_us, ("WATCHDOG_PID", "7")]), seconds);
        assert_eq!(time(&[time_us, ("WATCHDOG_PID", "8")]), None);
        assert_eq!(time(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(time(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(time(&[]), None);
    }

    #[test]
    fn pings_come_four_times_in_the_watchdogs_time_and_the_state_every_five_seconds() {
        assert_eq!(manager(&[("WATCHDOG_USEC", "2000000")]).interval(), Duration::from_millis(500));
        assert_eq!(manager(&[("WATCHDOG_USEC", "60000000")]).interval(), REPORT_INTERVAL);
        assert_eq!(manager(&[]).interval(), REPORT_INTERVAL);
    }

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        let name = |text| parse_address(text).ok();
        assert!(name("/run/systemd/notify").unwrap().as_pathname().is_some());
        assert_eq!(name("@notify").is_some(), cfg!(target_os = "linux"));
        assert!(name("vsock:2:1234").is_none() && name("").is_none());
        assert!(manager(&[("NOTIFY_SOCKET", "vsock:2:1234")]).address.is_none());
    }

    #[tokio::test]
    async fn a_message_waits_for_a_full_queue_and_never_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let manager = manager(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        let address = manager.address.as_ref().unwrap();
        while try_send(address, "STATUS=one of many").is_ok() {}
        manager.send("STATUS=lost").await;
        assert!(manager.is_unreachable.load(Ordering::Relaxed));
        let sending = async { manager.send("STATUS=the last").await };
        let reading = async {
            sleep(RETRY_WAIT).await;
            receiver.recv(&mut [0; 64]).unwrap();
        };
        tokio::join!(sending, reading);
        assert!(!manager.is_unreachable.load(Ordering::Relaxed), "it was sent after all");
    }
}

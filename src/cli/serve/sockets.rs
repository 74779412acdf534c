//! The sockets that the daemon listens on: those that the service manager passed (sd_listen_fds(3)), and its own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::net;

/// The number of the first socket that is passed.
const FIRST: RawFd = 3;
/// One socket for each purpose.
const MAX_PASSED: RawFd = 3;

/// What the daemon listens on.
pub(super) struct Sockets {
    pub main: TcpListener,
    /// Only health checks.
    pub admin: Option<TcpListener>,
    /// Only metrics.
    pub metrics: Option<TcpListener>,
}

/// The sockets that the service manager passed. It keeps them while the daemon restarts, so that connections wait.
#[derive(Debug, Default)]
struct Passed {
    main: Option<TcpListener>,
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// Listens on every address that is set. A socket that the service manager passed takes the place of an address.
///
/// `lookup` is the environment, `pid` this process's. Call it once, before the process opens other files.
///
/// # Errors
/// A sentence for the user: a socket that cannot be used, or an address on which the daemon cannot listen.
pub(super) fn open(
    config: &Config,
    lookup: impl Fn(&str) -> Option<String>,
    pid: u32,
) -> Result<Sockets, String> {
    let passed = take_passed(lookup, pid)
        .map_err(|problem| format!("the service manager passed {problem} (LISTEN_FDS)"))?;
    let main = match passed.main {
        Some(listener) => {
            warn_of_other_port(&listener, config.address);
            listener
        }
        None => listen(config.address, "HOST and PORT")?,
    };
    Ok(Sockets {
        main,
        admin: beside(passed.admin, config.admin_address, "ADMIN_ADDR")?,
        metrics: beside(passed.metrics, config.metrics_address, "METRICS_ADDR")?,
    })
}

fn beside(
    passed: Option<TcpListener>,
    address: Option<SocketAddr>,
    setting: &str,
) -> Result<Option<TcpListener>, String> {
    match passed {
        Some(listener) => Ok(Some(listener)),
        None => address.map(|address| listen(address, setting)).transpose(),
    }
}

fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, String> {
    net::listen(address).map_err(|error| format!("cannot listen on {address} ({setting}): {error}"))
}

/// The default of PUBLIC_URL and `rtmsd health` use PORT.
fn warn_of_other_port(listener: &TcpListener, address: SocketAddr) {
    let Ok(actual) = listener.local_addr() else { return };
    if actual.port() != address.port() {
        let (port, setting) = (actual.port(), address.port());
        tracing::warn!(
            port,
            setting,
            "the service manager's socket has another port than PORT; make them the same"
        );
    }
}

/// Takes over the passed sockets. The error ends a sentence that begins with "the service manager passed".
fn take_passed(lookup: impl Fn(&str) -> Option<String>, pid: u32) -> Result<Passed, String> {
    let mut passed = Passed::default();
    // Sockets of another process are ignored: a parent may have passed its variables on.
    let is_ours = lookup("LISTEN_PID").is_some_and(|text| text.parse() == Ok(pid));
    let Some(count) = lookup("LISTEN_FDS").filter(|_| is_ours) else { return Ok(passed) };
    let count = match count.parse::<RawFd>() {
        Ok(count) if (0..=MAX_PASSED).contains(&count) => count,
        _ => return Err(format!("\"{count}\" sockets; it can pass {MAX_PASSED} at most")),
    };
    let names = lookup("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    for fd in FIRST..FIRST + count {
        let name = names.next().unwrap_or_default();
        let listener = adopt(fd)
            .map_err(|error| format!("a socket \"{name}\" that cannot be used: {error}"))?;
        // systemd names a socket like its unit, such as rtmsd.socket, unless the unit has FileDescriptorName=.
        let place = match name {
            "admin" => &mut passed.admin,
            "metrics" => &mut passed.metrics,
            _ => &mut passed.main,
        };
        if place.replace(listener).is_some() {
            return Err("two sockets for one purpose; FileDescriptorName= must be http, admin or metrics, and each has one \
                        ListenStream=".to_owned());
        }
    }
    Ok(passed)
}

/// Takes over a descriptor that this process was started with. Call it once for each.
fn adopt(fd: RawFd) -> io::Result<TcpListener> {
    // SAFETY: sd_listen_fds(3) gives this descriptor to this process, and nothing else in it uses the number.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    if !socket_acceptconn(&socket)? {
        return Err(io::Error::other("it does not listen: use ListenStream="));
    }
    let listener = std::net::TcpListener::from(socket);
    // Fails for a socket that is not of TCP.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(variables: &[(&str, &str)]) -> Result<Passed, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        take_passed(lookup, 7)
    }

    #[test]
    fn sockets_of_another_process_are_left_alone() {
        for variables in [
            &[][..],
            &[("LISTEN_FDS", "1")],
            &[("LISTEN_FDS", "1"), ("LISTEN_PID", "8")],
            &[("LISTEN_FDS", "0"), ("LISTEN_PID", "7")],
        ] {
            let passed = taken(variables).unwrap();
            let all = [passed.main, passed.admin, passed.metrics];
            assert!(all.iter().all(Option::is_none), "{variables:?}");
        }
    }

    #[test]
    fn a_count_that_makes_no_sense_is_refused() {
        for count in ["", "x", "-1", "4", "99999999999"] {
            let problem = taken(&[("LISTEN_FDS", count), ("LISTEN_PID", "7")]).unwrap_err();
            assert!(problem.contains("3 at most"), "{count}: {problem}");
        }
    }
}

//! A daemon's ways to Postgres and to Zoom, and their cuts: in a network namespace of its own, where the packets of a way
//! are dropped in silence, or, where that is not permitted, on the machine's network, where a proxy ends the connections.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::super::connect_proxy::{ConnectProxy, Manner};
use super::super::proxy::Proxy;
use super::super::zoom::Problem;

/// How the ways of the daemons are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wires {
    Namespaces,
    Proxies,
}

/// Where a way leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Store,
    Zoom,
}

pub(super) struct Network {
    /// Where the daemon listens.
    pub address: Ipv4Addr,
    pub store: Proxy,
    pub zoom: ConnectProxy,
    namespace: Option<Namespace>,
}

/// Deleted with everything in it when it is dropped.
struct Namespace {
    name: String,
    /// The machine's end of the link.
    host: Ipv4Addr,
    /// The namespace's end.
    address: Ipv4Addr,
}

static NAMESPACES: AtomicU8 = AtomicU8::new(0);
/// Reserved for benchmarks between networks (RFC 2544).
const NETWORK: [u8; 2] = [198, 18];

impl Wires {
    /// # Errors
    /// Why this process may not make network namespaces.
    pub(crate) fn namespaces() -> Result<Self, Problem> {
        let probe = Namespace::make()?;
        probe.filter("-A", 1).and_then(|()| probe.filter("-D", 1))?;
        Ok(Self::Namespaces)
    }
}

impl Network {
    pub(super) async fn open(wires: Wires) -> Result<Self, Problem> {
        let namespace = match wires {
            Wires::Namespaces => Some(Namespace::make()?),
            Wires::Proxies => None,
        };
        let host = namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, |namespace| namespace.host);
        Ok(Self {
            address: namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, |namespace| namespace.address),
            store: Proxy::open_at(host).await,
            zoom: ConnectProxy::start_at(host, Manner::Open).await,
            namespace,
        })
    }

    /// The command by which the daemon enters it; empty for the machine's network.
    pub(super) fn entry(&self) -> Vec<String> {
        let Some(namespace) = &self.namespace else { return Vec::new() };
        [&program("ip"), "netns", "exec", &namespace.name].map(str::to_owned).into()
    }

    pub(super) async fn cut(&mut self, peer: Peer) -> Result<(), Problem> {
        match (&self.namespace, peer) {
            (Some(namespace), peer) => return namespace.filter("-A", self.port(peer)),
            (None, Peer::Store) => self.store.shut().await,
            (None, Peer::Zoom) => self.zoom.shut().await,
        }
        Ok(())
    }

    pub(super) async fn heal(&mut self, peer: Peer) -> Result<(), Problem> {
        match (&self.namespace, peer) {
            (Some(namespace), peer) => return namespace.filter("-D", self.port(peer)),
            (None, Peer::Store) => self.store.reopen().await,
            (None, Peer::Zoom) => self.zoom.reopen().await,
        }
        Ok(())
    }

    fn port(&self, peer: Peer) -> u16 {
        match peer {
            Peer::Store => self.store.address.port(),
            Peer::Zoom => self.zoom.address.port(),
        }
    }
}

impl Namespace {
    /// With a link to this machine.
    fn make() -> Result<Self, Problem> {
        // Those of another run at the same time have other names and, most likely, other addresses.
        let (pid, number) = (std::process::id(), NAMESPACES.fetch_add(1, Ordering::Relaxed));
        let (name, device) = (format!("rtmsd-{pid}-{number}"), format!("rt{pid}n{number}"));
        let third = (pid % 32) as u8 * 8 + number % 8;
        let end = |last| Ipv4Addr::new(NETWORK[0], NETWORK[1], third, last);
        let own = Self { name, host: end(1), address: end(2) };
        let (name, host, address) =
            (&own.name, format!("{}/30", own.host), format!("{}/30", own.address));
        ip(&["netns", "add", name])?;
        ip(&["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["address", "add", &host, "dev", &device])?;
        ip(&["link", "set", &device, "up"])?;
        for words in [
            &["address", "add", &address, "dev", "eth0"][..],
            &["link", "set", "eth0", "up"],
            &["link", "set", "lo", "up"],
        ] {
            ip(&[&["-netns", name], words].concat())?;
        }
        Ok(own)
    }

    /// Adds (`-A`) or deletes (`-D`) the rules that drop every packet to and from a port of the machine.
    fn filter(&self, verb: &str, port: u16) -> Result<(), Problem> {
        for (chain, side) in [("OUTPUT", "--dport"), ("INPUT", "--sport")] {
            let rule = ["-w", verb, chain, "-p", "tcp", side, &port.to_string(), "-j", "DROP"];
            let iptables = program("iptables");
            ip(&[&["netns", "exec", &self.name, &iptables], &rule[..]].concat())?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(problem) = ip(&["netns", "delete", &self.name]) {
            eprintln!("a network namespace is left over: {problem}");
        }
    }
}

fn ip(words: &[&str]) -> Result<(), Problem> {
    let output = Command::new(program("ip")).args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let problem = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", words.join(" "), problem.trim()).into())
}

/// The path of a program for administrators, or its name if it is elsewhere: their folders may not be in PATH.
fn program(name: &str) -> String {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut paths = folders.map(|folder| format!("{folder}/{name}")).into_iter();
    paths.find(|path| Path::new(path).exists()).unwrap_or_else(|| name.to_owned())
}

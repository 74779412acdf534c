//! Zoom's hosts: their names, and a connection over each family of addresses.

use super::sentence;
use crate::doctor::report::Check;

pub(in crate::doctor) const IDS: [&str; 3] = [DNS, V4, V6];

const DNS: &str = "network.dns";
const V4: &str = "network.ipv4";
const V6: &str = "network.ipv6";
const PROXY: &str = "network.proxy";

/// A connection over one family of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) enum Reached {
    /// The name has no address of this family.
    NoAddress,
    /// In so many milliseconds.
    Yes(i64),
    /// This machine has no route for this family.
    NoRoute,
    No(String),
}

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) enum Host {
    /// `HTTPS_PROXY` stands between: it resolves the name and connects.
    Proxied,
    Unresolved(String),
    Resolved {
        addresses: usize,
        v4: Reached,
        v6: Reached,
    },
}

pub(in crate::doctor) fn host(seen: &Host) -> Vec<Check> {
    match seen {
        Host::Proxied => IDS.map(|id| Check::skipped(id, "reached through HTTPS_PROXY")).to_vec(),
        Host::Unresolved(error) => {
            let todo = "Check the name in the settings, and this machine’s DNS (/etc/resolv.conf).";
            let seen = sentence(error);
            let skipped = |id| Check::skipped(id, "the name has no address");
            vec![Check::fail(DNS, seen, todo), skipped(V4), skipped(V6)]
        }
        Host::Resolved { addresses, v4, v6 } => {
            let plural = if *addresses == 1 { "address" } else { "addresses" };
            vec![
                Check::ok(DNS, format!("{addresses} {plural}")),
                family(V4, v4, v6),
                family(V6, v6, v4),
            ]
        }
    }
}

/// One family, which matters less if the other one works: connections then take that.
fn family(id: &'static str, reached: &Reached, other: &Reached) -> Check {
    let works_otherwise = matches!(other, Reached::Yes(_));
    let error = match reached {
        Reached::Yes(took_ms) => return Check::ok(id, format!("connected in {took_ms} ms")),
        Reached::NoAddress => return Check::skipped(id, "the name has no address of this kind"),
        Reached::NoRoute if works_otherwise => {
            return Check::skipped(id, "this machine has no route for such addresses");
        }
        Reached::NoRoute => "This machine has no route for such addresses.".to_owned(),
        Reached::No(error) => format!("No connection: {error}."),
    };
    if works_otherwise {
        let todo = "Repair or remove the route: connections wait for this kind before they take the other.";
        return Check::warn(id, error, todo);
    }
    let todo = "Open the firewall to this host and port, or set HTTPS_PROXY.";
    Check::fail(id, error, todo)
}

/// The proxy itself. `None` without one.
pub(in crate::doctor) fn proxy(reached: Option<Result<i64, String>>) -> Check {
    match reached {
        None => Check::skipped(PROXY, "HTTPS_PROXY is not set"),
        Some(Ok(took_ms)) => Check::ok(PROXY, format!("connected in {took_ms} ms")),
        Some(Err(error)) => {
            let todo = "Correct HTTPS_PROXY, or see that the proxy runs.";
            Check::fail(PROXY, format!("No connection to the proxy: {error}."), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn statuses(v4: Reached, v6: Reached) -> [Status; 2] {
        let checks = host(&Host::Resolved { addresses: 2, v4, v6 });
        [checks[1].status, checks[2].status]
    }

    #[test]
    fn each_family_is_judged_apart_and_a_broken_one_is_worse_without_the_other() {
        let (yes, no) = (Reached::Yes(1), Reached::No("refused".to_owned()));
        assert_eq!(statuses(yes.clone(), yes.clone()), [Status::Ok, Status::Ok]);
        assert_eq!(statuses(yes.clone(), no.clone()), [Status::Ok, Status::Warn]);
        assert_eq!(statuses(no.clone(), yes.clone()), [Status::Warn, Status::Ok]);
        assert_eq!(statuses(no.clone(), no.clone()), [Status::Fail, Status::Fail]);
        assert_eq!(statuses(no, Reached::NoAddress), [Status::Fail, Status::Skipped]);
        assert_eq!(statuses(yes, Reached::NoRoute), [Status::Ok, Status::Skipped]);
        let alone = statuses(Reached::NoAddress, Reached::NoRoute);
        assert_eq!(alone, [Status::Skipped, Status::Fail]);
    }

    #[test]
    fn a_name_without_an_address_is_one_failure() {
        let checks = host(&Host::Unresolved("the host name lookup failed".to_owned()));
        let statuses: Vec<_> = checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [Status::Fail, Status::Skipped, Status::Skipped]);
        assert!(host(&Host::Proxied).iter().all(|check| check.status == Status::Skipped));
        assert_eq!(proxy(Some(Err("refused".to_owned()))).status, Status::Fail);
    }
}

//! Checks the settings that only `rtmsd serve` requires; `rtmsd check` runs the same checks.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use super::read::Reader;
use super::server::{listen_address, side_address};
use crate::tls;

/// Records what is missing for serving. With the embedded store the first start generates a token and a key in
/// `DATA_DIR`; daemons that share a Postgres have no common folder, so both must be set.
pub(super) fn require_secrets(read: &mut Reader<'_>) {
    if read.optional("DATABASE_URL").is_some() {
        read.required("API_TOKENS");
        read.required("TOKEN_ENCRYPTION_KEYS");
    }
    check_addresses(read);
    for name in ["RTMS_CA_FILE", "CA_FILE"] {
        if let Some(path) = read.optional(name)
            && let Err(error) = tls::client_config(Some(Path::new(&path)))
        {
            read.mistake(name, error.to_string());
        }
    }
    if let Some(path) = read.optional("NATS_CREDENTIALS")
        && let Err(error) = File::open(&path)
    {
        read.mistake("NATS_CREDENTIALS", format!("cannot read {path}: {error}"));
    }
}

/// Each listener needs an address of its own.
fn check_addresses(read: &mut Reader<'_>) {
    let Some(main) = listen_address(read) else { return };
    let mut taken = vec![("HOST and PORT", main)];
    for name in ["ADMIN_ADDR", "METRICS_ADDR"] {
        let Some(Some(address)) = side_address(read, name) else { continue };
        match taken.iter().find(|(_, other)| addresses_overlap(*other, address)) {
            Some((by, _)) => {
                read.mistake(name, format!("is taken by {by}: choose another port"));
            }
            None => taken.push((name, address)),
        }
    }
}

/// Whether only one of two sockets can listen: an unspecified address covers the others of its port. Port 0 stands for
/// any free port.
fn addresses_overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: SocketAddr, part: SocketAddr| {
        // On Linux, `::` also takes the IPv4 addresses by default.
        all.ip().is_unspecified() && (all.is_ipv6() || part.is_ipv4())
    };
    let same_ip = one.ip() == other.ip() || covers(one, other) || covers(other, one);
    one.port() != 0 && one.port() == other.port() && same_ip
}

#[cfg(test)]
mod tests {
    use super::addresses_overlap;

    #[test]
    fn addresses_overlap_on_one_port_where_one_covers_the_other() {
        for (one, other, expected) in [
            ("127.0.0.1:3000", "127.0.0.1:3000", true),
            ("0.0.0.0:3000", "127.0.0.1:3000", true),
            ("127.0.0.1:3000", "0.0.0.0:3000", true),
            ("[::]:3000", "127.0.0.1:3000", true),
            ("0.0.0.0:3000", "[::1]:3000", false),
            ("127.0.0.1:3000", "127.0.0.1:3001", false),
            ("127.0.0.1:3000", "127.0.0.2:3000", false),
            ("0.0.0.0:0", "127.0.0.1:0", false),
        ] {
            let overlaps = addresses_overlap(one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlaps, expected, "{one} {other}");
        }
    }
}

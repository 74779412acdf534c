//! Decides which addresses are on the public internet (pure). A user who names a host to dial must not reach private
//! networks through the daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks outside the public internet (IANA's special-purpose registries), and two cloud-internal addresses.
const REFUSED_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    // Azure's host agent, which hands out credentials to any virtual machine.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];
/// Refused networks inside `2000::/3`; everything outside it is refused anyway. Tunnels hide an IPv4 address.
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// NAT64 prefix: the last 32 bits are an IPv4 address behind a gateway.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    // `::ffff:10.0.0.1` reaches 10.0.0.1.
    match address.to_canonical() {
        IpAddr::V4(address) => !REFUSED_V4.iter().any(|net| is_in_v4(address, *net)),
        IpAddr::V6(address) if is_in_v6(address, NAT64) => {
            let [.., a, b, c, d] = address.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            is_in_v6(address, PUBLIC_V6) && !REFUSED_V6.iter().any(|net| is_in_v6(address, *net))
        }
    }
}

/// A network or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// Reads an address (IPv6 also in brackets) or a network in CIDR notation, such as `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => is_in_v4(address, (net, self.prefix)),
            (IpAddr::V6(net), IpAddr::V6(address)) => is_in_v6(address, (net, self.prefix)),
            _ => false,
        }
    }
}

/// Whether an IPv4 address is in a network.
fn is_in_v4(address: Ipv4Addr, (net, prefix): (Ipv4Addr, u8)) -> bool {
    let shift = 32 - u32::from(prefix);
    // A prefix of 0 shifts by the whole width, which `>>` does not allow.
    let top = |address: Ipv4Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
    top(address) == top(net)
}

/// Whether an IPv6 address is in a network.
fn is_in_v6(address: Ipv6Addr, (net, prefix): (Ipv6Addr, u8)) -> bool {
    let shift = 128 - u32::from(prefix);
    let top = |address: Ipv6Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
    top(address) == top(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        let special = "127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 \
             255.255.255.255 224.0.0.1 198.18.0.1 192.0.2.1 ::1 :: fe80::1 fd00::1 ff02::1 \
             ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1:: 2001::1 2001:db8::1";
        for address in special.split_whitespace() {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}

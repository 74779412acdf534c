//! The allowed addresses of outgoing webhooks.

use super::*;

fn policy(listed: &str) -> AddressPolicy {
    AddressPolicy::parse(listed).unwrap()
}

fn admits(policy: &AddressPolicy, address: &str) -> bool {
    policy.admits(address.parse().unwrap())
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_disguise() {
    let none = AddressPolicy::default();
    for address in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
    ] {
        assert!(!admits(&none, address), "{address}");
    }
}

#[test]
fn public_addresses_are_admitted() {
    let none = AddressPolicy::default();
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
    ] {
        assert!(admits(&none, address), "{address}");
    }
}

#[test]
fn a_listed_network_is_admitted_and_its_neighbour_is_not() {
    let listed = policy("10.20.0.0/16, 192.168.1.7, fd00:1::/32");
    for address in ["10.20.255.1", "::ffff:10.20.0.1", "192.168.1.7", "fd00:1:2::3"] {
        assert!(admits(&listed, address), "{address}");
    }
    for address in ["10.21.0.1", "192.168.1.8", "fd00:2::1", "127.0.0.1"] {
        assert!(!admits(&listed, address), "{address}");
    }
    assert!(admits(&policy("0.0.0.0/0"), "127.0.0.1"));
}

#[test]
fn a_listed_name_or_suffix_matches_exactly() {
    let listed = policy("hooks.internal,.corp.example");
    for host in ["hooks.internal", "HOOKS.internal.", "a.corp.example", "a.b.corp.example"] {
        assert!(listed.lists(host), "{host}");
    }
    for host in ["xhooks.internal", "hooks.internal.evil.com", "corp.example", "acorp.example"] {
        assert!(!listed.lists(host), "{host}");
    }
}

#[test]
fn an_endpoint_is_https_without_credentials_at_a_public_address() {
    let none = AddressPolicy::default();
    for (url, expected) in [
        ("https://example.com/hook?a=b", Ok(())),
        ("https://1.1.1.1:8443/", Ok(())),
        ("http://example.com/", Err(UrlError::NotHttps)),
        ("ftp://example.com/", Err(UrlError::NotHttps)),
        ("file:///etc/passwd", Err(UrlError::NotAUrl)),
        ("example.com", Err(UrlError::NotAUrl)),
        ("https://user@example.com/", Err(UrlError::Extra)),
        ("https://:pass@example.com/", Err(UrlError::Extra)),
        ("https://example.com/#a", Err(UrlError::Extra)),
        ("https://127.0.0.1/", Err(UrlError::PrivateAddress)),
        // The same address, written differently.
        ("https://2130706433/", Err(UrlError::PrivateAddress)),
        ("https://0x7f.1/", Err(UrlError::PrivateAddress)),
        ("https://[::1]/", Err(UrlError::PrivateAddress)),
        ("https://[::ffff:10.0.0.1]/", Err(UrlError::PrivateAddress)),
    ] {
        assert_eq!(none.read(url).map(drop), expected, "{url}");
    }
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
    assert_eq!(none.read(&long), Err(UrlError::NotAUrl));
}

#[test]
fn a_listed_host_may_be_http_and_private() {
    let listed = policy("127.0.0.1,hooks.internal,::1");
    for url in
        ["http://127.0.0.1:9/", "https://127.0.0.1/", "http://hooks.internal/", "http://[::1]/"]
    {
        assert!(listed.read(url).is_ok(), "{url}");
    }
    assert_eq!(listed.read("http://127.0.0.2/"), Err(UrlError::PrivateAddress));
}

#[test]
fn a_list_with_an_invalid_entry_is_refused() {
    for bad in ["10.0.0.0/33", "::/129", "a b", "https://example.com", "10.0.0.0/x", "."] {
        assert_eq!(AddressPolicy::parse(bad), None, "{bad}");
    }
    assert_eq!(AddressPolicy::parse(" , "), Some(AddressPolicy::default()));
}

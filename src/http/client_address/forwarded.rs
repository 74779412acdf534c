//! Reads the `Forwarded` header (RFC 7239 section 4). A value may be a quoted string, with separators in it that a client
//! chose: the name of the host that it asked for, for example.

use std::net::IpAddr;

use super::parse_node;

/// Spaces between elements and pairs.
const SPACE: [char; 2] = [' ', '\t'];

/// The address in each element of a list; `None` where there is none. A malformed list ends with `None`, because it is
/// not known who wrote what follows.
pub(super) fn addresses(list: &str) -> Vec<Option<IpAddr>> {
    let (mut found, mut rest) = (Vec::new(), list);
    loop {
        // A list may have empty elements.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return found;
        }
        let Some((address, after)) = element(rest) else {
            found.push(None);
            return found;
        };
        found.push(address);
        rest = after;
    }
}

/// The address in the first element, and what follows it. `None` if the element is malformed.
fn element(list: &str) -> Option<(Option<IpAddr>, &str)> {
    let (mut named, mut rest) = (Vec::new(), list);
    loop {
        rest = rest.trim_start_matches(SPACE);
        // A pair may be missing.
        if !rest.is_empty() && !rest.starts_with([';', ',']) {
            let (name, after) = token(rest)?;
            let (value, after) = value(after.strip_prefix('=')?)?;
            if name.eq_ignore_ascii_case("for") {
                named.push(value);
            }
            rest = after.trim_start_matches(SPACE);
        }
        match rest.strip_prefix(';') {
            Some(after) => rest = after,
            None => break,
        }
    }
    // A parameter may occur once.
    let address = if let [value] = &*named { parse_node(value) } else { None };
    (rest.is_empty() || rest.starts_with(',')).then_some((address, rest))
}

/// A name, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A value, quoted or not, and what follows it. Addresses with a port or in brackets are taken without quotes, too.
fn value(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquoted(quoted);
    }
    let end = text.find([' ', '\t', ',', ';', '"', '\\', '=']).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// The text of a quoted string after its first quote, and what follows its last.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let (mut text, mut characters) = (String::new(), quoted.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(characters.next()?.1),
            _ => text.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: &str = "198.51.100.9";

    fn client() -> Option<IpAddr> {
        Some(CLIENT.parse().unwrap())
    }

    /// What a proxy writes about a client that asked for this host.
    fn by_proxy(host: &str) -> String {
        let host = host.replace('\\', "\\\\").replace('"', "\\\"");
        format!("for={CLIENT};host=\"{host}\";proto=https")
    }

    #[test]
    fn separators_in_quoted_strings_separate_nothing() {
        for list in [
            r#"for=198.51.100.9;host="evil, for=6.6.6.6";proto=https"#,
            r#"by=10.0.0.2;host="x;for=6.6.6.6";for=198.51.100.9"#,
            r#"host="a\";for=6.6.6.6;\"";for="198.51.100.9:443""#,
            r#"host="\\";for=198.51.100.9"#,
            r#"FOR=198.51.100.9; proto=https ;"#,
            r#", ,for=198.51.100.9:443, ,"#,
            r#";for=198.51.100.9"#,
        ] {
            assert_eq!(addresses(list), [client()], "{list}");
        }
    }

    #[test]
    fn a_malformed_list_ends_without_an_address() {
        for list in [
            r#"for=6.6.6.6;x=", for=198.51.100.9"#,
            r#"for=6.6.6.6;x=", for="[2001:db8::1]""#,
            r#"for=6.6.6.6;x=", for=198.51.100.9;host=",for=7.7.7.7;y=";proto=https"#,
            r#"for="198.51.100.9"6.6.6.6"#,
            r#"for = 198.51.100.9"#,
            r#"for=198.51.100.9 6.6.6.6"#,
            r#"for=198.51.100.9;for=6.6.6.6"#,
            r#"for=6.6.6.6\, for=198.51.100.9"#,
            r#"198.51.100.9"#,
            r#"for="\"#,
            "=",
        ] {
            assert_eq!(addresses(list).last(), Some(&None), "{list}");
        }
    }

    proptest! {
        #[test]
        fn whatever_host_a_client_asks_for_a_proxys_element_names_the_client(host in "[ -~]{0,40}") {
            prop_assert_eq!(addresses(&by_proxy(&host)), [client()]);
        }

        /// A proxy appends to what the client sent.
        #[test]
        fn whatever_a_client_sends_before_the_last_address_is_the_clients_or_none(
            sent in r#"([ -~]|"|\\|, ?for=6\.6\.6\.6|;|=|x="){0,12}"#,
            host in r#"([ -~]|"|\\|,for=7\.7\.7\.7;y=){0,8}"#,
        ) {
            let list = format!("{sent}, {}", by_proxy(&host));
            let last = addresses(&list).pop();
            prop_assert!(last == Some(client()) || last == Some(None), "{}: {:?}", list, last);
        }
    }
}

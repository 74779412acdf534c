//! Users and passwords in URLs (pure): a character that is not percent-encoded there cuts a URL into other parts.

/// What to write where a URL's user name or password has a character that belongs to URLs; none where it has none. Quotes
/// nothing of the URL but that character.
pub(super) fn unescaped(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let before_query = tail.split('?').next().unwrap_or_default();
    // In `?user=me@host` the @ is a value's.
    let is_value = |at: usize| tail[..at].contains('=');
    let character = if tail.contains('#') {
        '#'
    } else if before_query.contains('@') {
        '/'
    } else if !authority.contains('@') && tail.find('@').is_some_and(|at| !is_value(at)) {
        '?'
    } else if authority.matches('@').count() > 1 {
        '@'
    } else {
        return None;
    };
    let code = u32::from(character);
    Some(format!(
        "a URL whose user name and password are percent-encoded: there is a {character} that cuts it in the wrong place; \
         in a password it is written %{code:02X}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_cuts_the_url_is_named_with_its_code_and_the_password_is_not() {
        for (url, code) in [
            ("postgres://ana:s3@cret@db.corp/rtmsd", "written %40"),
            ("postgres://ana:@s3cret@db.corp:5432/rtmsd?sslmode=require", "written %40"),
            ("postgres://ana:s3/cret@db.corp/rtmsd", "written %2F"),
            ("postgres://ana:12/3@db.corp/rtmsd", "written %2F"),
            ("postgres://ana:s3#cret@db.corp/rtmsd", "written %23"),
            ("postgres://ana:s3?cret@db.corp/rtmsd", "written %3F"),
            ("nats://ana:1#2@broker", "written %23"),
        ] {
            let advice = unescaped(url).unwrap_or_else(|| panic!("{url}"));
            assert!(advice.contains(code), "{url}: {advice}");
            assert!(!advice.contains("cret") && !advice.contains("corp"), "{advice}");
        }
    }

    #[test]
    fn a_url_that_is_encoded_or_has_no_password_is_left_alone() {
        for url in [
            "postgres://ana:p%40s%2Fs%23%3F:x@db.corp:5432/rtmsd?sslmode=require",
            "postgres://db.corp/rtmsd?user=ana@corp&password=s3cret",
            "postgres:///rtmsd?host=/run/postgresql&user=ana@corp",
            "postgresql://[::1]:5432/rtmsd",
            "nats://t0ken@broker:4222",
            "proxy.corp:3128",
        ] {
            assert_eq!(unescaped(url), None, "{url}");
        }
    }
}

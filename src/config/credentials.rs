//! Finds unescaped characters in the user names and passwords of URLs (pure).

/// Advice for a URL with a reserved character in its user name or password; `None` for a valid URL. Quotes only that
/// character.
pub(super) fn unescaped_advice(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    // These characters end the authority, so the rest of a password with one of them is in the tail.
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let before_query = tail.split('?').next().unwrap_or_default();
    // In `?user=me@host` the @ belongs to a value.
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
        "a URL with a percent-encoded user name and password: it contains an unescaped {character}; \
        in a password it is written %{code:02X}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unescaped_character_is_named_with_its_code_and_the_password_is_not() {
        for (url, code) in [
            ("postgres://ana:s3@cret@db.corp/rtmsd", "written %40"),
            ("postgres://ana:@s3cret@db.corp:5432/rtmsd?sslmode=require", "written %40"),
            ("postgres://ana:s3/cret@db.corp/rtmsd", "written %2F"),
            ("postgres://ana:12/3@db.corp/rtmsd", "written %2F"),
            ("postgres://ana:s3#cret@db.corp/rtmsd", "written %23"),
            ("postgres://ana:s3?cret@db.corp/rtmsd", "written %3F"),
            ("nats://ana:1#2@broker", "written %23"),
        ] {
            let advice = unescaped_advice(url).unwrap_or_else(|| panic!("{url}"));
            assert!(advice.contains(code), "{url}: {advice}");
            assert!(!advice.contains("cret") && !advice.contains("corp"), "{advice}");
        }
    }

    #[test]
    fn an_encoded_url_and_one_without_a_password_are_accepted() {
        for url in [
            "postgres://ana:p%40s%2Fs%23%3F:x@db.corp:5432/rtmsd?sslmode=require",
            "postgres://db.corp/rtmsd?user=ana@corp&password=s3cret",
            "postgres:///rtmsd?host=/run/postgresql&user=ana@corp",
            "postgresql://[::1]:5432/rtmsd",
            "nats://t0ken@broker:4222",
            "proxy.corp:3128",
        ] {
            assert_eq!(unescaped_advice(url), None, "{url}");
        }
    }
}

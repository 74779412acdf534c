//! The settings of the NATS sink.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::credentials::unescaped_advice;
use super::read::Reader;
use crate::model::MediaSet;
use crate::secret::Secret;
use crate::sinks::broker::FrameSettings;
use crate::sinks::nats::{self, Login};

const URL_FORM: &str = "nats://host:port or tls://host:port, with user:password@ before the first host where they are needed; several of \
     one cluster are separated by commas";

/// `None` after a mistake, `Some(None)` if no broker is set.
pub(super) fn read_settings(read: &mut Reader<'_>) -> Option<Option<nats::Settings>> {
    let url = read.optional("NATS_URL");
    let credentials = read.optional("NATS_CREDENTIALS").map(PathBuf::from);
    let subject_prefix = subject_prefix(read);
    let stream = read_stream(read);
    let media = read_media(read);
    let buffer = read.number("NATS_MEDIA_BUFFER_BYTES", 64 << 10..=1 << 30);
    // After the other settings, so that their mistakes are reported even without a broker.
    let Some(url) = url else { return Some(None) };
    if let Some(form) = url.split(',').find_map(unescaped_advice) {
        return read.wrong("NATS_URL", form);
    }
    let Some((servers, login)) = parse_servers(&url) else {
        return read.wrong("NATS_URL", URL_FORM);
    };
    Some(Some(nats::Settings {
        servers,
        login,
        credentials,
        subject_prefix: subject_prefix?,
        stream: stream?,
        frames: FrameSettings { media: media?, buffer_bytes: usize::try_from(buffer?).ok()? },
    }))
}

/// Separates the credentials from the URLs, because the client's log may show URLs.
fn parse_servers(text: &str) -> Option<(Vec<String>, Option<Login>)> {
    let (mut servers, mut login) = (Vec::new(), None);
    for text in text.split(',').map(str::trim) {
        let mut url = Url::parse(text).ok()?;
        let is_server = matches!(url.scheme(), "nats" | "tls") && url.has_host();
        if !is_server || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return None;
        }
        login = login.or(login_of(&url)?);
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        servers.push(url.to_string());
    }
    Some((servers, login))
}

/// Reads a user without a password as a token, like NATS's own tools.
fn login_of(url: &Url) -> Option<Option<Login>> {
    let decoded = |text| percent_decode_str(text).decode_utf8().ok().map(String::from);
    if url.username().is_empty() {
        return Some(None);
    }
    let name = decoded(url.username())?;
    Some(Some(match url.password() {
        Some(password) => Login::User { name, password: Secret::new(decoded(password)?) },
        None => Login::Token(Secret::new(name)),
    }))
}

fn subject_prefix(read: &mut Reader<'_>) -> Option<String> {
    let prefix = read.text("NATS_SUBJECT_PREFIX");
    if prefix.split('.').all(|part| part == nats::APP || is_name(part)) {
        Some(prefix)
    } else {
        read.wrong(
            "NATS_SUBJECT_PREFIX",
            "letters, digits, - and _, in parts with dots between; {app} can be one of the parts",
        )
    }
}

fn read_stream(read: &mut Reader<'_>) -> Option<String> {
    let stream = read.text("NATS_STREAM");
    if is_name(&stream) {
        Some(stream)
    } else {
        read.wrong("NATS_STREAM", "the name of a stream: letters, digits, - and _")
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

fn read_media(read: &mut Reader<'_>) -> Option<MediaSet> {
    let text = read.text("NATS_MEDIA");
    if text.eq_ignore_ascii_case("none") {
        return Some(MediaSet::default());
    }
    let has_frames = |media: &MediaSet| !media.is_empty() && *media == media.framed();
    match MediaSet::parse(&text).filter(has_frames) {
        Some(media) => Some(media),
        None => read.wrong(
            "NATS_MEDIA",
            "none, or of audio, video and share those to publish, separated by commas (transcript and chat are \
             entries, and are published always)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_and_token_are_taken_out_of_the_url() {
        let (servers, login) = parse_servers("tls://ana:p%40ss@a:4222, nats://b").unwrap();
        assert_eq!(servers, ["tls://a:4222", "nats://b"]);
        let Some(Login::User { name, password }) = login else { panic!("{login:?}") };
        assert_eq!((name.as_str(), password.expose().as_str()), ("ana", "p@ss"));
        let (_, login) = super::parse_servers("nats://t0ken@[::1]:4222").unwrap();
        assert!(matches!(login, Some(Login::Token(token)) if token.expose() == "t0ken"));
        assert!(super::parse_servers("nats://localhost").unwrap().1.is_none());
    }

    #[test]
    fn what_is_not_a_nats_server_is_refused() {
        for wrong in
            ["", "localhost:4222", "http://a", "ws://a", "nats://", "nats://a/path", "nats://a,"]
        {
            assert!(parse_servers(wrong).is_none(), "{wrong}");
        }
    }
}

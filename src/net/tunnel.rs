//! Tunnels through an HTTP proxy with `CONNECT` (RFC 9110 section 9.3.6).

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::USER_AGENT;
use super::proxy::{Proxy, host_and_port};

/// The longest response head from a proxy: a status line and a few headers.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Why the proxy opened no tunnel. Quotes nothing of its response except the status.
#[derive(Debug, Error)]
pub enum ProxyError {
    #[error("cannot reach the proxy in HTTPS_PROXY: {0}")]
    Unreachable(String),
    #[error(
        "the proxy requires a user name and password (HTTP status 407): put them in HTTPS_PROXY"
    )]
    CredentialsWanted,
    #[error(
        "the proxy rejects the user name or password in HTTPS_PROXY (HTTP status 407): correct them"
    )]
    CredentialsRefused,
    #[error(
        "the proxy refuses to connect to this host (HTTP status {0}): allow CONNECT to it in the proxy"
    )]
    Refused(u16),
    #[error(
        "the proxy in HTTPS_PROXY does not answer like an HTTP proxy: check its address and scheme"
    )]
    NotAProxy,
    #[error("lost the connection to the proxy: {0}")]
    Lost(#[from] io::Error),
}

/// Requests a tunnel. On success the stream carries the connection to the host.
pub(super) async fn open_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), ProxyError> {
    stream.write_all(connect_request(proxy, host, port).as_bytes()).await?;
    stream.flush().await?;
    match read_status(stream).await? {
        200..=299 => Ok(()),
        407 if proxy.authorization.is_none() => Err(ProxyError::CredentialsWanted),
        407 => Err(ProxyError::CredentialsRefused),
        status => Err(ProxyError::Refused(status)),
    }
}

fn connect_request(proxy: &Proxy, host: &str, port: u16) -> String {
    let host = host_and_port(host, port);
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {}\r\n", value.expose()),
        None => String::new(),
    };
    format!(
        "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n{authorization}\r\n"
    )
}

/// Reads the response head, and no byte beyond it.
async fn read_status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u16, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD_BYTES {
            return Err(ProxyError::NotAProxy);
        }
        // Byte by byte: a larger read would take bytes that belong to the tunnelled connection.
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = std::str::from_utf8(line).ok().and_then(|line| {
        let (version, rest) = line.split_once(' ')?;
        version.starts_with("HTTP/1.").then_some(rest)?.get(..3)?.parse().ok()
    });
    status.ok_or(ProxyError::NotAProxy)
}

#[cfg(test)]
mod tests {
    use super::super::proxy::ProxyRules;
    use super::*;

    fn proxy(url: &str) -> Proxy {
        ProxyRules::read(url, "").unwrap().proxy_for("zoom.us", 443).unwrap().clone()
    }

    /// The request that the proxy received, and the result of its answer.
    async fn ask(url: &str, answer: &[u8]) -> (String, Result<(), ProxyError>) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        let done = open_tunnel(&mut ours, &proxy(url), "::2", 443).await;
        let mut asked = vec![0; 1024];
        let length = theirs.read(&mut asked).await.unwrap();
        drop(theirs);
        // The bytes after the head belong to the host.
        let mut rest = String::new();
        ours.read_to_string(&mut rest).await.unwrap();
        assert!(rest.is_empty() || rest == "hello", "{rest}");
        asked.truncate(length);
        (String::from_utf8(asked).unwrap(), done)
    }

    #[tokio::test]
    async fn a_tunnel_request_carries_the_credentials() {
        let ok = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
        let (asked, done) = ask("http://u:p@a:1", ok).await;
        done.unwrap();
        assert!(asked.starts_with("CONNECT [::2]:443 HTTP/1.1\r\nHost: [::2]:443\r\n"), "{asked}");
        assert!(asked.ends_with("\r\nProxy-Authorization: Basic dTpw\r\n\r\n"), "{asked}");
        let (asked, _) = ask("http://a:1", ok).await;
        assert!(!asked.contains("Authorization"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_do() {
        let error = async |url: &str, answer: &[u8]| ask(url, answer).await.1.unwrap_err();
        let wanted = error("http://a:1", b"HTTP/1.1 407 x\r\n\r\n").await;
        assert!(matches!(wanted, ProxyError::CredentialsWanted), "{wanted}");
        let refused = error("http://u:p@a:1", b"HTTP/1.0 407 x\r\n\r\n").await;
        assert!(matches!(refused, ProxyError::CredentialsRefused), "{refused}");
        let refused = error("http://a:1", b"HTTP/1.1 403 s3cret\r\n\r\n").await;
        assert!(matches!(refused, ProxyError::Refused(403)), "{refused}");
        assert!(!refused.to_string().contains("s3cret"));
    }

    #[tokio::test]
    async fn a_malformed_answer_is_bounded_and_refused() {
        let endless = [b'x'; 2 * MAX_HEAD_BYTES];
        let answers: [&[u8]; 4] =
            [b"SSH-2.0\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", &endless];
        for answer in answers {
            let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
            theirs.write_all(answer).await.unwrap();
            let done = open_tunnel(&mut ours, &proxy("http://a:1"), "zoom.us", 443).await;
            assert!(matches!(done, Err(ProxyError::NotAProxy)), "{done:?}");
        }
        let (mut ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        let done = open_tunnel(&mut ours, &proxy("http://a:1"), "zoom.us", 443).await;
        assert!(matches!(done, Err(ProxyError::Lost(_))), "{done:?}");
    }
}

//! The settings of rtmsd's own server: addresses, tokens, origins, proxies before it and its limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::read::Reader;
use crate::http::auth::{ApiTokens, SessionLimits};
use crate::http::cors::AllowedOrigins;
use crate::http::{ForwardedHeader, TrustedProxies, check_webhook_path};

pub(super) fn listen_address(read: &mut Reader<'_>) -> Option<SocketAddr> {
    let host = read.parsed::<IpAddr>("HOST", "an IP address, such as 127.0.0.1");
    let port = read.number("PORT", 0..=65535);
    Some(SocketAddr::new(host?, u16::try_from(port?).ok()?))
}

/// Reads an address beside the main one: `None` for a mistake, `Some(None)` if it is not set.
pub(super) fn side_address(
    read: &mut Reader<'_>,
    name: &'static str,
) -> Option<Option<SocketAddr>> {
    let Some(text) = read.optional(name) else { return Some(None) };
    match text.parse() {
        Ok(address) => Some(Some(address)),
        Err(_) => read.wrong(name, "an IP address and a port, such as 127.0.0.1:3001"),
    }
}

pub(super) fn api_tokens(read: &mut Reader<'_>) -> Option<ApiTokens> {
    let Some(text) = read.optional("API_TOKENS") else { return Some(ApiTokens::default()) };
    match ApiTokens::parse(&text) {
        Ok(tokens) if tokens.is_empty() => {
            read.wrong("API_TOKENS", "at least one name:token; leave it out to use none")
        }
        Ok(tokens) => Some(tokens),
        Err(mistakes) => {
            for mistake in mistakes {
                let what = format!(
                    "name:token or name:token:scope+scope, separated by commas; number {} {}",
                    mistake.position, mistake.problem
                );
                read.wrong::<()>("API_TOKENS", what);
            }
            None
        }
    }
}

/// Reads when browsers are signed out of the dashboard: `None` for a mistake, `Some(None)` if it is off.
pub(super) fn dashboard(read: &mut Reader<'_>) -> Option<Option<SessionLimits>> {
    let is_on = read.flag("DASHBOARD");
    let idle = read.number("DASHBOARD_IDLE_SECONDS", 60..=31_536_000);
    let longest = read.number("DASHBOARD_LONGEST_SECONDS", 60..=31_536_000);
    let (idle, longest) = (Duration::from_secs(idle?), Duration::from_secs(longest?));
    Some(is_on?.then_some(SessionLimits { idle, longest }))
}

pub(super) fn read_cors(read: &mut Reader<'_>) -> Option<AllowedOrigins> {
    match AllowedOrigins::parse(&read.text("CORS_ALLOWED_ORIGINS")) {
        Ok(origins) => Some(origins),
        Err(problem) => {
            let form = "exact origins, such as https://app.example.com or http://localhost:5173, separated \
                        by commas";
            read.wrong("CORS_ALLOWED_ORIGINS", format!("{form}; {problem}"))
        }
    }
}

pub(super) fn webhook_path(read: &mut Reader<'_>) -> Option<String> {
    let path = read.text("WEBHOOK_PATH");
    match check_webhook_path(&path) {
        Ok(()) => Some(path),
        Err(problem) => {
            read.wrong("WEBHOOK_PATH", format!("a path such as /webhook; it {problem}"))
        }
    }
}

pub(super) fn trusted_proxies(read: &mut Reader<'_>) -> Option<TrustedProxies> {
    let headers = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    let header = read.one_of("FORWARDED_HEADER", &headers);
    let name = "TRUSTED_PROXIES";
    let text = read.text(name);
    TrustedProxies::parse(&text, header?).or_else(|| {
        read.wrong(name, "addresses or networks such as 10.0.0.0/8, separated by commas")
    })
}

/// Event streams hold a request's slot each: they must leave some for everything else.
pub(super) fn max_subscribers(read: &mut Reader<'_>, max_connections: Option<u64>) -> Option<u64> {
    let is_set = read.optional("MAX_SUBSCRIBERS").is_some();
    let max_subscribers = read.number("MAX_SUBSCRIBERS", 1..=1_000_000)?;
    let share = (max_connections? * 3 / 4).max(1);
    if is_set && max_subscribers > share {
        return read.wrong(
            "MAX_SUBSCRIBERS",
            format!("at most three quarters of MAX_CONNECTIONS, which is {share} here: raise MAX_CONNECTIONS or lower this"),
        );
    }
    // Only the default is lowered: a value that was set is an error above.
    Some(max_subscribers.min(share))
}

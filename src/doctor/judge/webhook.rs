//! The webhook URL, as Zoom sees it: a public address, a certificate that Zoom trusts, and an answer to a validation.

use std::net::IpAddr;
use std::time::Duration;

use crate::doctor::report::Check;
use crate::model::rfc3339;
use crate::net::public_addr::is_public;
use crate::net::{Presented, Trust};
use crate::zoom::client::ClientError;
use crate::zoom::own_validation::Answered;

pub(in crate::doctor) const ADDRESS: &str = "webhook.address";
pub(in crate::doctor) const TLS: &str = "webhook.tls";
pub(in crate::doctor) const DELIVERY: &str = "webhook.delivery";

/// How long Zoom waits for an answer (rtms-protocol.md section 13.4).
const ZOOM_WAITS: Duration = Duration::from_secs(3);
/// From so many days before its end on, a certificate should have been renewed.
const SOON_DAYS: i64 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whether the host of `PUBLIC_URL` is on the public internet.
pub(in crate::doctor) fn address(host: &str, found: &Result<Vec<IpAddr>, String>) -> Check {
    let todo = "Set PUBLIC_URL to the public https URL of this daemon, or receive events over ZOOM_EVENTS_URL.";
    let addresses = match found {
        Ok(addresses) => addresses,
        Err(error) => return Check::fail(ADDRESS, format!("{host}: {error}."), todo),
    };
    match addresses.iter().find(|address| !is_public(**address)) {
        None => Check::ok(ADDRESS, format!("{host} has a public address")),
        Some(own) => {
            let seen = format!("{host} is {own} here, where Zoom cannot send webhooks.");
            Check::warn(ADDRESS, seen, todo)
        }
    }
}

/// `PUBLIC_URL` is not https.
pub(in crate::doctor) fn no_tls(is_public_host: bool) -> Check {
    if !is_public_host {
        return Check::skipped(TLS, "PUBLIC_URL is http, on an address that is not public");
    }
    let todo = "Put something that terminates HTTPS in front of the daemon, and set PUBLIC_URL to its https URL.";
    Check::fail(TLS, "PUBLIC_URL is http: Zoom sends webhooks to https only.", todo)
}

/// The certificate of `PUBLIC_URL`.
pub(in crate::doctor) fn certificate(presented: &Result<Presented, String>, now_ms: i64) -> Check {
    let presented = match presented {
        Ok(presented) => presented,
        Err(error) => {
            let todo = "See that the proxy in front of the daemon runs and speaks TLS 1.2 or 1.3.";
            return Check::fail(TLS, format!("No TLS connection: {error}."), todo);
        }
    };
    let ends_ms = presented.not_after_ms.unwrap_or(i64::MAX);
    let ends = rfc3339(ends_ms).map_or("unknown".to_owned(), |date| date[..10].to_owned());
    let days = ends_ms.saturating_sub(now_ms).div_euclid(DAY_MS);
    match (&presented.by_public, &presented.by_daemon) {
        (Trust::Trusted, _) if days < SOON_DAYS => {
            let seen =
                format!("The certificate is trusted, and expires on {ends}, in {days} days.");
            Check::warn(TLS, seen, "Renew it, and see why that did not happen by itself.")
        }
        (Trust::Trusted, _) => {
            let seen = format!("trusted; {} certificates, until {ends}", presented.count);
            Check::ok(TLS, seen)
        }
        (Trust::UnknownIssuer, Trust::Trusted) => {
            let seen = format!(
                "Only CA_FILE makes the certificate trusted (until {ends}): Zoom does not trust it."
            );
            let todo = "Use a certificate of a public authority for the URL that Zoom calls.";
            Check::warn(TLS, seen, todo)
        }
        // The daemon, which knows more authorities, may see another fault.
        (Trust::UnknownIssuer, trust) | (trust, _) => {
            let (seen, todo) = distrust(trust, presented.count, &ends);
            Check::fail(TLS, seen, todo)
        }
    }
}

fn distrust(trust: &Trust, count: usize, ends: &str) -> (String, &'static str) {
    match trust {
        Trust::Expired => (format!("The certificate expired on {ends}."), "Renew the certificate."),
        Trust::NotYetValid => (
            "The certificate is not valid yet.".to_owned(),
            "Set the clock of this machine, or of the one that made the certificate.",
        ),
        Trust::OtherName => (
            "The certificate is for another host name.".to_owned(),
            "Get one for the host of PUBLIC_URL.",
        ),
        Trust::UnknownIssuer | Trust::Trusted => (
            format!(
                "No public authority vouches for the certificate; the server sends {count} of its chain."
            ),
            "Use a certificate of a public authority, and let the server send the whole chain (fullchain.pem).",
        ),
        Trust::Other(error) => (format!("The certificate is refused: {error}."), "Replace it."),
    }
}

/// A URL validation that was signed with the app's secret token and sent to the app's webhook URL.
pub(in crate::doctor) fn delivery(answered: &Result<Answered, ClientError>) -> Check {
    let answered = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let seen = format!("The webhook URL was called: {error}.");
            let todo = "See that the daemon runs, that the proxy in front of it forwards the path, and that this \
                        machine may reach its own public address (some routers do not loop back).";
            return Check::fail(DELIVERY, seen, todo);
        }
    };
    let took_ms = answered.took.as_millis();
    if answered.is_right && answered.took > ZOOM_WAITS {
        let seen = format!("The answer took {took_ms} ms: Zoom waits for 3 s.");
        return Check::fail(DELIVERY, seen, "See what delays the proxy or the store.");
    }
    if answered.is_right {
        return Check::ok(DELIVERY, format!("a signed validation was answered in {took_ms} ms"));
    }
    let (seen, todo) = wrong_answer(answered);
    Check::fail(DELIVERY, seen, todo)
}

fn wrong_answer(answered: &Answered) -> (String, &'static str) {
    let status = answered.status;
    match (status, answered.code.as_deref()) {
        (_, Some("signature_invalid")) => (
            "The daemon there refuses the signature: its secret token is another one.".to_owned(),
            "Set ZOOM_SECRET_TOKEN to the Secret Token of the Zoom app everywhere, and restart or send SIGHUP.",
        ),
        (_, Some("timestamp_out_of_window")) => (
            "The daemon there refuses the time of the request: one of the clocks is wrong."
                .to_owned(),
            "Set the clocks of both machines (NTP).",
        ),
        (_, Some(code)) => (
            format!("The daemon there answers {status} ({code})."),
            "See its log, and that it has the same apps.",
        ),
        (200..=299, None) => (
            format!("Something answers {status}, and does not know the secret token."),
            "See that the proxy forwards the webhook path to rtmsd, without a page of its own.",
        ),
        (300..=399, None) => (
            format!("The URL redirects ({status}): Zoom does not follow."),
            "Set PUBLIC_URL to the URL that it redirects to, or remove the redirect.",
        ),
        (401 | 403, None) => (
            format!("Something before the daemon answers {status}."),
            "Let the proxy or firewall pass the webhook path without a password.",
        ),
        (404 | 405, None) => (
            format!("Something answers {status}: no rtmsd serves the path there."),
            "Compare WEBHOOK_PATH with the path that the proxy forwards.",
        ),
        (500.., None) => (
            format!("The proxy answers {status}: it does not reach the daemon."),
            "See that the daemon runs, and that the proxy forwards to its HOST and PORT.",
        ),
        (_, None) => (format!("The answer is {status}."), "See what answers there."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    const NOW_MS: i64 = 1_732_313_172_000;

    fn presented(by_public: Trust, by_daemon: Trust, days: i64) -> Check {
        let not_after_ms = Some(NOW_MS + days * DAY_MS);
        certificate(&Ok(Presented { count: 2, not_after_ms, by_public, by_daemon }), NOW_MS)
    }

    #[test]
    fn a_certificate_must_be_trusted_by_public_authorities_and_last() {
        let trusted = || Trust::Trusted;
        assert_eq!(presented(trusted(), trusted(), 60).status, Status::Ok);
        let soon = presented(trusted(), trusted(), 3);
        assert_eq!(soon.status, Status::Warn);
        assert!(soon.seen.contains("2024-11-25, in 3 days"), "{soon:?}");
        assert_eq!(presented(Trust::UnknownIssuer, trusted(), 60).status, Status::Warn);
        for (trust, word) in [
            (Trust::Expired, "expired on 2024-11-21"),
            (Trust::OtherName, "another host name"),
            (Trust::NotYetValid, "not valid yet"),
            (Trust::UnknownIssuer, "No public authority"),
            (Trust::Other("bad encoding".to_owned()), "bad encoding"),
        ] {
            let check = presented(trust.clone(), trust, -1);
            assert_eq!(check.status, Status::Fail);
            assert!(check.seen.contains(word), "{check:?}");
        }
        // What is wrong beside the issuer is the better advice.
        let both = presented(Trust::UnknownIssuer, Trust::Expired, -1);
        assert!(both.seen.contains("expired"), "{both:?}");
    }

    #[test]
    fn every_answer_to_a_delivery_has_its_advice() {
        let of = |status, code: Option<&str>| {
            let code = code.map(str::to_owned);
            delivery(&Ok(Answered { status, took: Duration::ZERO, is_right: false, code }))
        };
        for (status, code, word) in [
            (401, Some("signature_invalid"), "secret token is another"),
            (401, Some("timestamp_out_of_window"), "clocks"),
            (404, Some("unknown_app"), "unknown_app"),
            (200, None, "does not know the secret token"),
            (301, None, "redirects"),
            (401, None, "before the daemon"),
            (404, None, "no rtmsd serves"),
            (502, None, "does not reach the daemon"),
            (429, None, "429"),
        ] {
            let check = of(status, code);
            assert_eq!(check.status, Status::Fail, "{status}");
            assert!(check.seen.contains(word), "{status}: {check:?}");
        }
    }

    #[test]
    fn a_right_answer_must_also_come_in_time() {
        let of = |seconds| {
            let took = Duration::from_secs(seconds);
            delivery(&Ok(Answered { status: 200, took, is_right: true, code: None })).status
        };
        assert_eq!([of(1), of(4)], [Status::Ok, Status::Fail]);
        assert_eq!(delivery(&Err(ClientError::NoConnection)).status, Status::Fail);
    }

    #[test]
    fn an_address_must_be_public() {
        let of = |ip: &str| address("rtms.example.com", &Ok(vec![ip.parse().unwrap()])).status;
        assert_eq!(of("127.0.0.1"), Status::Warn);
        assert_eq!(of("10.1.2.3"), Status::Warn);
        assert_eq!(of("1.1.1.1"), Status::Ok);
        assert_eq!(address("x", &Err("no such name".to_owned())).status, Status::Fail);
        assert_eq!(no_tls(true).status, Status::Fail);
        assert_eq!(no_tls(false).status, Status::Skipped);
    }
}

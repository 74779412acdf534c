//! The HTTP client for untrusted endpoints: bounded in time and size, without redirects or a proxy, and never to an
//! address that the policy rejects. The address is checked when connecting, so that a name cannot resolve differently
//! between check and connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, Url};
use thiserror::Error;

use super::address::AddressPolicy;
use super::signature::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};
use crate::net::{Network, Resolver};
use crate::telemetry::TRACEPARENT;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The limit for a whole exchange, from the first byte sent to the last byte received.
pub(super) const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is stored: enough for an error message.
const MAX_ANSWER_BYTES: usize = 1024;

/// Why there is no answer. Contains no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::sinks) enum SendError {
    #[error("the host has no address that may be connected to")]
    AddressRefused,
    #[error("no connection")]
    NoConnection,
    #[error("no answer in time")]
    TimedOut,
}

/// An endpoint's answer, whatever its status.
#[derive(Debug)]
pub(in crate::sinks) struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub text: String,
}

/// The headers of a delivery.
pub(super) struct Signed<'a> {
    pub id: &'a str,
    pub timestamp_s: i64,
    pub signature: &'a str,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::sinks) struct Client(reqwest::Client);

impl Client {
    pub(in crate::sinks) fn new(network: &Network, policy: Arc<AddressPolicy>) -> Self {
        let network = network.for_named_hosts();
        let client = network
            .http_client()
            .dns_resolver(Admitted { policy, resolver: network.resolver().clone() })
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .build()
            .expect("a client of constants and a finished TLS configuration can be built");
        Self(client)
    }

    /// Sends a body to a URL from [`AddressPolicy::read`]: an address in it is not resolved, and so not checked here.
    pub(super) async fn post(
        &self,
        url: Url,
        signed: &Signed<'_>,
        traceparent: Option<String>,
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let mut headers = vec![
            (HEADER_ID, signed.id.to_owned()),
            (HEADER_TIMESTAMP, signed.timestamp_s.to_string()),
            (HEADER_SIGNATURE, signed.signature.to_owned()),
        ];
        headers.extend(traceparent.map(|traceparent| (TRACEPARENT, traceparent)));
        self.post_as(url, &headers, body).await
    }

    /// Sends a JSON body with these headers.
    pub(in crate::sinks) async fn post_as(
        &self,
        url: Url,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Answer, SendError> {
        let request = self.0.post(url).header(CONTENT_TYPE, "application/json").body(body);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let response = request.send().await.map_err(|error| error_kind(&error))?;
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: header.map(str::to_owned),
            text: answer_excerpt(response).await,
        })
    }
}

/// The beginning of the answer's text. The status is the answer, so a truncated text is kept as far as it came.
async fn answer_excerpt(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER_BYTES {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MAX_ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A resolver that omits addresses that the policy rejects.
struct Admitted {
    policy: Arc<AddressPolicy>,
    resolver: Resolver,
}

#[derive(Debug, Error)]
#[error("the host has no address that may be connected to")]
struct AddressRefused;

impl Resolve for Admitted {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver) = (Arc::clone(&self.policy), self.resolver.clone());
        Box::pin(async move {
            // Port 0: reqwest takes the port of the URL.
            let found = resolver.addresses(name.as_str(), 0).await?.into_iter();
            let is_listed = policy.lists(name.as_str());
            let is_admitted = |found: &SocketAddr| is_listed || policy.admits(found.ip());
            let admitted: Vec<SocketAddr> = found.filter(is_admitted).collect();
            if admitted.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The error's own text would contain the URL.
fn error_kind(error: &reqwest::Error) -> SendError {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    if causes.any(|cause| cause.is::<AddressRefused>()) {
        SendError::AddressRefused
    } else if error.is_timeout() {
        SendError::TimedOut
    } else {
        SendError::NoConnection
    }
}

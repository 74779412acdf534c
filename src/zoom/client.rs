//! One HTTP client for everything that we ask Zoom: bounded in time and size, and never redirected.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use thiserror::Error;

use crate::net::Network;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A whole exchange, from the first byte out to the last byte in.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);
/// Answers of Zoom's have a few KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Why there is no answer. Holds no URL, header or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClientError {
    #[error("no connection")]
    NoConnection,
    #[error("no answer in time")]
    TimedOut,
    #[error("the answer was cut off")]
    CutOff,
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error(
        "the proxy wants a user name and a password, or others (HTTP status 407): check HTTPS_PROXY"
    )]
    ProxyCredentials,
    #[error("the proxy of HTTPS_PROXY opens no connection to Zoom: it must allow CONNECT")]
    Proxy,
}

/// What Zoom answered, whatever its status.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// May hold tokens.
    pub body: Vec<u8>,
}

/// The client: cheap to clone, shared by OAuth and the REST API.
#[derive(Debug, Clone)]
pub struct ZoomClient(reqwest::Client);

impl ZoomClient {
    pub fn new(network: &Network) -> Self {
        let client = network
            .http_client()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .build()
            .expect("a client of constants and a finished TLS configuration can be built");
        Self(client)
    }

    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.0.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = request.send().await.map_err(|error| failure(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: read(response).await? })
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a request has no answer. What the proxy refuses goes to the log, too: whoever set the proxy reads that. The error's
/// own text would name the URL.
pub fn failure(error: &reqwest::Error) -> ClientError {
    if let Some(refusal) = proxy_refusal(error) {
        tracing::warn!(error = %refusal, "a request to Zoom is not sent; it counts as unanswered");
        refusal
    } else if error.is_timeout() {
        ClientError::TimedOut
    } else if error.is_body() || error.is_decode() {
        ClientError::CutOff
    } else {
        ClientError::NoConnection
    }
}

/// By the beginning of its text: the type of this cause is not public.
fn proxy_refusal(error: &reqwest::Error) -> Option<ClientError> {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    causes.find_map(|cause| match cause.to_string().strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(ClientError::ProxyCredentials),
        "unsuccessful" => Some(ClientError::Proxy),
        _ => None,
    })
}

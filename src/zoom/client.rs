//! The HTTP client for all requests to Zoom: bounded in time and size, without redirects.

use std::time::{Duration, Instant};

use reqwest::header::{DATE, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use thiserror::Error;

use crate::metrics::Metrics;
use crate::model::AppName;
use crate::named::named;
use crate::net::Network;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The limit for a whole exchange, from the first byte sent to the last byte received.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest answer that is read. Zoom's answers have a few KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Why there is no answer. Contains no URL, header or body.
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
        "the proxy requires a valid user name and password (HTTP status 407): check HTTPS_PROXY"
    )]
    ProxyCredentials,
    #[error("the proxy in HTTPS_PROXY opens no connection to Zoom: allow CONNECT in the proxy")]
    Proxy,
}

named! {
    /// The parts of Zoom's API.
    pub enum ZoomApi {
        /// Start, stop, pause and resume of streams.
        Rest: "rest",
        /// OAuth: tokens, and the users that they belong to.
        OAuth: "oauth",
    }
}

/// Zoom's answer, of any status.
#[derive(Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// May hold tokens.
    pub body: Vec<u8>,
}

/// The client: cheap to clone, shared by OAuth and the REST API.
#[derive(Debug, Clone)]
pub struct ZoomClient {
    http: reqwest::Client,
    metrics: Metrics,
}

impl ZoomClient {
    pub fn new(network: &Network, metrics: Metrics) -> Self {
        let http = network
            .http_client()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .build()
            .expect("a client of constants and a finished TLS configuration can be built");
        Self { http, metrics }
    }

    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// What this daemon counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends a request of an app, and counts it for the API that it goes to.
    pub async fn start(
        &self,
        app: &AppName,
        api: ZoomApi,
        request: RequestBuilder,
    ) -> Result<Response, reqwest::Error> {
        let began = Instant::now();
        let sent = request.send().await;
        let status = sent.as_ref().map(|answer| answer.status().as_u16().to_string());
        let status = status.as_deref().unwrap_or("none");
        self.metrics.zoom_requests.inc([app.as_str(), api.as_str(), status]);
        self.metrics.zoom_seconds.observe_time([api.as_str()], began.elapsed());
        sent
    }

    /// Sends a request to OAuth and reads the whole answer.
    pub async fn send(
        &self,
        app: &AppName,
        request: RequestBuilder,
    ) -> Result<Answer, ClientError> {
        read_whole(self.start(app, ZoomApi::OAuth, request).await).await
    }

    /// Sends a request that serves no app, does not count it, and reads the whole answer.
    pub async fn send_uncounted(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        read_whole(request.send().await).await
    }

    /// The `Date` of an answer of the REST API at this address.
    pub async fn date(&self, api_base_url: &str) -> Result<Option<String>, ClientError> {
        // Without a token: the refusal has a date as well.
        let request = self.request(Method::GET, &format!("{api_base_url}/v2/users/me"));
        let answer = self.send_uncounted(request).await?;
        let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.map(str::to_owned))
    }
}

async fn read_whole(sent: Result<Response, reqwest::Error>) -> Result<Answer, ClientError> {
    let response = sent.map_err(|error| request_failure(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, body: read_bounded(response).await? })
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| request_failure(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Classifies a request that got no answer. Also logs a refusal by the proxy, for the operator who configured it. Does
/// not use the error's own text, which contains the URL.
pub fn request_failure(error: &reqwest::Error) -> ClientError {
    if let Some(refusal) = proxy_refusal(error) {
        tracing::warn!(error = %refusal, "the proxy refused a request to Zoom; it counts as unanswered");
        refusal
    } else if error.is_timeout() {
        ClientError::TimedOut
    } else if error.is_body() || error.is_decode() {
        ClientError::CutOff
    } else {
        ClientError::NoConnection
    }
}

/// Recognizes a refusal by the proxy from the prefix of its text, because the type of this cause is not public.
fn proxy_refusal(error: &reqwest::Error) -> Option<ClientError> {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    causes.find_map(|cause| match cause.to_string().strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(ClientError::ProxyCredentials),
        "unsuccessful" => Some(ClientError::Proxy),
        _ => None,
    })
}

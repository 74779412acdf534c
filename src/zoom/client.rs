//! One HTTP client for everything that we ask Zoom: bounded in time and size, and never redirected.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use thiserror::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A whole exchange, from the first byte out to the last byte in.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);
/// Answers of Zoom's have a few KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
const USER_AGENT: &str = concat!("rtmsd/", env!("CARGO_PKG_VERSION"));

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
    pub fn new(tls: &ClientConfig) -> Self {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent(USER_AGENT)
            .build()
            .expect("a client of constants and a finished TLS configuration can be built");
        Self(client)
    }

    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.0.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = request.send().await.map_err(|error| kind(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: read(response).await? })
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| kind(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error's own text would name the URL.
fn kind(error: &reqwest::Error) -> ClientError {
    if error.is_timeout() {
        ClientError::TimedOut
    } else if error.is_body() || error.is_decode() {
        ClientError::CutOff
    } else {
        ClientError::NoConnection
    }
}

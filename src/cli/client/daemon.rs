//! Requests to a daemon's API and its answers.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use url::Url;

use super::access::Access;
use super::failure::{Failure, Refusal};
use crate::model::one_line;
use crate::net::Network;
use crate::net::retry::retry;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The waits before a read is repeated that the daemon refuses for the moment: busy, or its store away.
const WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// How long the daemon may send nothing. It may ask Zoom meanwhile, which has its own, shorter limits.
const READ_LIMIT: Duration = Duration::from_secs(90);
/// The longest answer that is held in memory: a page has 200 rows at most, a transcript several megabytes.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A daemon as its clients see it.
pub(super) struct Daemon {
    url: Url,
    authorization: HeaderValue,
    http: Client,
    pub network: Network,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// In upper case.
    pub method: String,
    /// The parts of the path, not encoded.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub message: String,
    pub data: Value,
}

impl Daemon {
    pub(super) fn new(access: Access) -> Result<Self, Failure> {
        let bearer = format!("Bearer {}", access.token.expose());
        let mut authorization =
            HeaderValue::try_from(bearer).expect("the token was checked to be printable ASCII");
        // Keeps it out of debug output.
        authorization.set_sensitive(true);
        // Follows no redirect: the token would go where it leads.
        let client = access.network.http_client();
        let client = client.connect_timeout(CONNECT_LIMIT).read_timeout(READ_LIMIT).build();
        let http = client.map_err(|error| Failure::Usage(format!("no HTTP client: {error}")))?;
        Ok(Self { url: access.url, authorization, http, network: access.network })
    }

    /// The daemon's address, for messages.
    pub(super) fn name(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// The URL of a path of the API.
    pub(super) fn url(&self, path: &[String]) -> Url {
        let mut url = self.url.clone();
        // Each part is encoded, so that an id cannot lead to another path.
        let mut parts = url.path_segments_mut().expect("http URLs have paths");
        parts.pop_if_empty().extend(path);
        drop(parts);
        url
    }

    /// Sends a request, and opens the envelope of its answer. A read is repeated if the daemon refuses it for the moment.
    pub(super) async fn call(&self, request: &Request) -> Result<Answer, Failure> {
        let waits = if request.method == "GET" { &WAITS[..] } else { &[] };
        let is_refused_now =
            |failure: &Failure| matches!(failure, Failure::Refused(_)) && failure.is_temporary();
        retry(waits.iter().copied(), is_refused_now, || self.call_once(request)).await
    }

    async fn call_once(&self, request: &Request) -> Result<Answer, Failure> {
        let response = self.send(request, "application/json").await?;
        let body = self.read(response).await?;
        let Ok(mut envelope) = serde_json::from_slice::<Value>(&body) else {
            return Err(self.is_other("its answer is not the API's JSON"));
        };
        if envelope["status"] != true {
            return Err(self.is_other("its answer is not one of the API"));
        }
        let message = one_line(envelope["message"].as_str().unwrap_or_default());
        Ok(Answer { message, data: envelope["data"].take() })
    }

    /// Sends a request for a file, and passes it on piece by piece.
    pub(super) async fn download(
        &self,
        request: &Request,
        mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut response = self.send(request, "*/*").await?;
        while let Some(piece) = response.chunk().await.map_err(|error| self.lost(&error))? {
            write(&piece)?;
        }
        Ok(())
    }

    /// The answer of the daemon, unless it refuses.
    async fn send(&self, request: &Request, accept: &'static str) -> Result<Response, Failure> {
        let mut url = self.url(&request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let method = Method::from_bytes(request.method.as_bytes()).expect("a method of the API");
        let mut sent = self.http.request(method, url).header(ACCEPT, accept);
        sent = sent.header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = &request.body {
            sent = sent.json(body);
        }
        let response = sent.send().await.map_err(|error| self.lost(&error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status if status.is_redirection() => Err(self.redirected(&response)),
            _ => Err(self.refusal(response).await),
        }
    }

    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status().as_u16();
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(failure) => return failure,
        };
        let mut envelope = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        match envelope.get_mut("error").map(Value::take) {
            Some(error) if error.is_object() => Failure::Refused(Box::new(Refusal(error))),
            // A proxy in front of it, or another program.
            _ => self.is_other(&format!("it answered {status} without an error of the API")),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.lost(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_BYTES {
                return Err(self.is_other("its answer is longer than 256 MiB"));
            }
        }
        Ok(body)
    }

    /// Where a redirect leads is shown and not followed.
    fn redirected(&self, response: &Response) -> Failure {
        let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        // Without its path and query, which may hold something private.
        let to =
            to.and_then(|to| self.url.join(to).ok()).map(|to| to.origin().ascii_serialization());
        let to = to.unwrap_or_else(|| "another address".to_owned());
        self.is_other(&format!(
            "it redirects to {to}, which is not followed: set RTMSD_URL to the daemon's own address"
        ))
    }

    fn is_other(&self, problem: &str) -> Failure {
        Failure::Unreachable(format!("{} is not answered by rtmsd: {problem}", self.name()))
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        let cause = innermost(error);
        let what = if error.is_timeout() { "no answer in time".to_owned() } else { cause };
        Failure::Unreachable(format!("cannot reach {}: {what}", self.name()))
    }
}

/// The cause behind all others: it says what happened, without the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    one_line(&cause.to_string())
}

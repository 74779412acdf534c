//! One connection to Zoom's event socket, which delivers an app's events without a public URL (rtms-protocol.md section
//! 23.1).

// The messages (pure).
pub mod message;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use self::message::{HEARTBEAT, Incoming};
use super::app::App;
use super::oauth::{OAuth, OAuthError};
use super::token::Configured;
use crate::named::named;
use crate::net::websocket::decoder::MessageLimits;
use crate::net::websocket::{ClientSocket, End, Message, Upgrading};
use crate::net::{DialError, Network, Target, Transport};
use crate::rtms::endpoint::{Endpoint, EndpointError, Policy};
use crate::secret::Secret;

/// The parameter with the token, which the client adds to the URL.
const TOKEN_PARAMETER: &str = "access_token";
/// The life of a token if Zoom does not say it.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// A webhook body has less than 2 KiB; as JSON text in a message it has some more.
const MESSAGE_LIMITS: MessageLimits = MessageLimits { max_bytes: 1024 * 1024, head_bytes: 256 };
/// The upgrade's answer is short, and its buffer is cleared before every read.
const UPGRADE_BUFFER_BYTES: usize = 4 * 1024;
/// Messages before Zoom's first answer that are kept; more end the connection.
const MAX_EARLY: usize = 1024;

/// How long the parts of a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// Name, TCP, TLS and upgrade together.
    pub dial: Duration,
    /// How long Zoom's first message is awaited. Without one, the connection counts as accepted.
    pub first_message: Duration,
    /// The time between two heartbeats: Zoom asks for 25 to 30 s.
    pub heartbeat: Duration,
    /// How long the answer to a heartbeat may take.
    pub answer: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(10),
            first_message: Duration::from_secs(2),
            heartbeat: Duration::from_secs(25),
            answer: Duration::from_secs(10),
        }
    }
}

/// The URL of an app's event subscription, without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsUrl(Endpoint);

impl EventsUrl {
    /// Reads the URL as it stands on the app's page. A token in it is removed.
    ///
    /// # Errors
    /// The policy does not allow the URL.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != TOKEN_PARAMETER)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        policy.endpoint(url.as_str()).map(Self)
    }

    /// The URL. It names the subscription, which is of no use without the app's credentials.
    pub fn as_str(&self) -> &str {
        self.0.url()
    }

    fn with_token(&self, token: &Secret<String>) -> Secret<String> {
        let mut url = Url::parse(self.0.url()).expect("the policy has parsed it");
        url.query_pairs_mut().append_pair(TOKEN_PARAMETER, token.expose());
        Secret::new(url.into())
    }
}

/// A token for the event socket.
#[derive(Debug, Clone)]
pub struct SocketToken {
    token: Secret<String>,
    pub obtained: Instant,
    /// How long it is valid, from then.
    pub life: Duration,
}

/// Requests a token: of the account for a server-to-server app, else of the app itself.
pub async fn request_token(oauth: &OAuth, app: &App) -> Result<SocketToken, OAuthError> {
    let obtained = Instant::now();
    let tokens = match &app.configured {
        // The credentials of another app would open another app's subscription.
        Configured::Account { account_id, client } if *client == app.client => {
            oauth.account_credentials(app, account_id, client).await?
        }
        _ => oauth.client_credentials(app).await?,
    };
    let life = tokens.expires_in_s.and_then(|seconds| u64::try_from(seconds).ok());
    let life = life.map_or(TOKEN_LIFE, Duration::from_secs);
    Ok(SocketToken { token: tokens.access, obtained, life })
}

named! {
    /// Why there is no connection: the codes of health findings and metrics.
    pub enum Problem {
        /// Zoom's OAuth refused a token for the app.
        TokenRefused: "token_refused",
        /// Zoom's OAuth did not answer.
        OAuthUnreachable: "oauth_unreachable",
        /// The socket's server could not be reached.
        Unreachable: "unreachable",
        /// Zoom refused the connection.
        Refused: "refused",
        /// Zoom closed the connection.
        Closed: "closed",
        /// The connection broke.
        Dropped: "dropped",
        /// A heartbeat was not answered.
        Silent: "silent",
        /// Zoom closes every connection soon: another program uses the subscription.
        Contested: "contested",
    }
}

/// A connection that could not be made, or has ended. The text holds no URL, token or message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Failure {
    pub problem: Problem,
    detail: String,
}

impl Failure {
    fn new(problem: Problem, detail: impl Into<String>) -> Self {
        Self { problem, detail: detail.into() }
    }
}

impl From<OAuthError> for Failure {
    fn from(error: OAuthError) -> Self {
        let problem = match error.is_temporary() {
            true => Problem::OAuthUnreachable,
            false => Problem::TokenRefused,
        };
        Self::new(problem, error.to_string())
    }
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let problem = match error {
            DialError::Status(400..=499) => Problem::Refused,
            _ => Problem::Unreachable,
        };
        Self::new(problem, error.to_string())
    }
}

/// When a message last came over the connections that share it, or one was opened: Zoom's events arrived then. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct LastSeen(Arc<Mutex<Instant>>);

impl LastSeen {
    pub fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    pub fn get(&self) -> Instant {
        *self.0.lock().expect("no holder of this lock panics")
    }

    fn now(&self) {
        *self.0.lock().expect("no holder of this lock panics") = Instant::now();
    }
}

/// One open connection.
pub struct EventSocket {
    websocket: ClientSocket<Transport>,
    timings: Timings,
    /// Events that came before Zoom accepted the connection.
    early: VecDeque<String>,
    /// When the next heartbeat is due.
    heartbeat: Instant,
    /// When the answer to the last heartbeat is missing.
    answer_until: Option<Instant>,
    seen: LastSeen,
    unreadable: u64,
}

impl EventSocket {
    /// Connects, and waits in bounded time until Zoom accepts the connection.
    pub async fn open(
        url: &EventsUrl,
        token: &SocketToken,
        network: &Network,
        timings: Timings,
        seen: &LastSeen,
    ) -> Result<Self, Failure> {
        let with_token = url.with_token(&token.token);
        let endpoint = &url.0;
        let target = Target {
            host: endpoint.host(),
            port: endpoint.port(),
            is_tls: endpoint.is_tls(),
            url: with_token.expose(),
        };
        let config = WebSocketConfig::default().read_buffer_size(UPGRADE_BUFFER_BYTES);
        let dial = network.websocket(target, config, |_| true, Upgrading::new);
        let dialled = timeout(timings.dial, dial).await.unwrap_or(Err(DialError::Silent))?;
        let now = Instant::now();
        let mut socket = Self {
            websocket: ClientSocket::new(dialled.into_inner(), MESSAGE_LIMITS),
            timings,
            early: VecDeque::new(),
            heartbeat: now + timings.heartbeat,
            answer_until: None,
            seen: seen.clone(),
            unreadable: 0,
        };
        socket.accepted().await?;
        seen.now();
        Ok(socket)
    }

    /// Waits for Zoom's answer to the connection. Events before it are kept.
    async fn accepted(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + self.timings.first_message;
        while self.early.len() < MAX_EARLY {
            let received = tokio::select! {
                received = receive(&mut self.websocket) => received?,
                () = sleep_until(until) => return Ok(()),
            };
            match self.read(received) {
                Some(Incoming::Accepted) => return Ok(()),
                Some(Incoming::Refused) => {
                    return Err(Failure::new(Problem::Refused, "Zoom refused the connection"));
                }
                Some(Incoming::Event(text)) => self.early.push_back(text),
                Some(Incoming::Heartbeat | Incoming::Other) | None => {}
            }
        }
        Ok(())
    }

    /// The next event's text. Sends heartbeats and waits for their answers meanwhile. May be cancelled and called again.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn next(&mut self) -> Result<String, Failure> {
        if let Some(text) = self.early.pop_front() {
            return Ok(text);
        }
        loop {
            if self.answer_until.is_none() && Instant::now() >= self.heartbeat {
                self.beat()?;
            }
            let due = self.answer_until.unwrap_or(self.heartbeat);
            tokio::select! {
                // Messages first: after a pause of this process, the answer is there, and only read late.
                biased;
                received = receive(&mut self.websocket) => match self.read(received?) {
                    Some(Incoming::Event(text)) => return Ok(text),
                    Some(Incoming::Refused) => {
                        return Err(Failure::new(Problem::Refused, "Zoom ended the connection"));
                    }
                    Some(Incoming::Heartbeat) => self.answer_until = None,
                    Some(Incoming::Accepted | Incoming::Other) | None => {}
                },
                () = sleep_until(due) => self.beat()?,
            }
        }
    }

    /// Sends a due heartbeat, or reports that the last one was not answered.
    fn beat(&mut self) -> Result<(), Failure> {
        if self.answer_until.is_some() {
            return Err(Failure::new(Problem::Silent, "Zoom did not answer a heartbeat in time"));
        }
        let now = Instant::now();
        self.heartbeat = now + self.timings.heartbeat;
        self.answer_until = Some(now + self.timings.answer);
        self.websocket
            .send(HEARTBEAT)
            .map_err(|_| Failure::new(Problem::Silent, "Zoom does not read what it is sent"))
    }

    fn read(&mut self, received: Message) -> Option<Incoming> {
        self.seen.now();
        let incoming = match received {
            Message::Whole(bytes) => message::parse(&bytes),
            Message::TooLarge(_) => None,
        };
        self.unreadable += u64::from(incoming.is_none());
        incoming
    }

    /// How many messages could not be read since the last call.
    pub fn take_unreadable(&mut self) -> u64 {
        std::mem::take(&mut self.unreadable)
    }

    /// Sends a Close frame if Zoom takes it at once, and drops the connection.
    pub fn close(self) {
        self.websocket.close();
    }
}

async fn receive(websocket: &mut ClientSocket<Transport>) -> Result<Message, Failure> {
    poll_fn(|cx| websocket.poll_next(cx)).await.map_err(|end| match end {
        End::Closed(Some(code)) => {
            Failure::new(Problem::Closed, format!("Zoom closed the connection (code {code})"))
        }
        End::Closed(None) => Failure::new(Problem::Closed, "Zoom closed the connection"),
        End::Failed(cause) => Failure::new(Problem::Dropped, cause),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoom() -> Policy {
        Policy::new(vec![".zoom.us".to_owned()], false)
    }

    #[test]
    fn the_url_keeps_its_subscription_and_loses_a_token() {
        let url = EventsUrl::parse("wss://ws.zoom.us/ws?subscriptionId=aB_1-2", &zoom()).unwrap();
        assert_eq!(url.as_str(), "wss://ws.zoom.us/ws?subscriptionId=aB_1-2");
        let copied = "wss://ws.zoom.us/ws?access_token=s3cret&subscriptionId=aB_1-2";
        assert_eq!(EventsUrl::parse(copied, &zoom()), Ok(url.clone()));
        let with_token = url.with_token(&Secret::new("a+b/c=".to_owned()));
        let expected = "wss://ws.zoom.us/ws?subscriptionId=aB_1-2&access_token=a%2Bb%2Fc%3D";
        assert_eq!(with_token.expose(), expected);
    }

    #[test]
    fn only_an_allowed_host_gets_the_token() {
        for (url, error) in [
            ("wss://ws.zoom.us.evil.example/ws?subscriptionId=1", EndpointError::Host),
            ("ws://ws.zoom.us/ws?subscriptionId=1", EndpointError::Scheme),
            ("https://ws.zoom.us/ws?subscriptionId=1", EndpointError::Scheme),
            ("wss://ws.zoom.us@evil.example/ws", EndpointError::Credentials),
            ("ws.zoom.us", EndpointError::NotAUrl),
        ] {
            assert_eq!(EventsUrl::parse(url, &zoom()), Err(error), "{url}");
        }
    }

    #[test]
    fn a_failure_names_its_kind_and_no_secret() {
        let refused = Failure::from(OAuthError::Misconfigured("its client id is wrong"));
        assert_eq!(refused.problem, Problem::TokenRefused);
        assert_eq!(Failure::from(OAuthError::Failing(503)).problem, Problem::OAuthUnreachable);
        assert_eq!(Failure::from(DialError::Status(401)).problem, Problem::Refused);
        assert_eq!(Failure::from(DialError::Status(503)).problem, Problem::Unreachable);
        assert_eq!(Failure::from(DialError::Silent).to_string(), "no answer in time");
    }
}

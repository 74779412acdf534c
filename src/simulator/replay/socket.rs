//! One WebSocket of a client: its handshake selects the lives that are played on it.

use std::cmp::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::plan::{Fault, Life, Moment, Sent, medium_of, with_urls};
use super::{Shared, lock};
use crate::capture::body::{FILLER, MAX_MESSAGE_BYTES};
use crate::model::Medium;
use crate::rtms::message::{MEDIA_TYPE_ALL, msg_type};
use crate::rtms::server::handshake::{Handshake, HandshakeKind, Route, parse_handshake};
use crate::rtms::server::refusal::Refusal;
use crate::simulator::socket::{WebSocket, websocket_config};
use crate::simulator::transport::Transport;
use crate::simulator::{signature, wire};

/// How long a client may take for its upgrade and for its handshake.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take for its Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The lives on one socket: one for each link of the file.
type Lives<'a> = Vec<&'a Life>;

/// Serves one connection until the client or the file ends it.
pub(super) async fn serve(shared: &Shared, transport: Transport) {
    let mut route = Route::Any;
    // The signature of the library's callback, whose error is a whole answer.
    #[allow(clippy::result_large_err)]
    let upgrade = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        route = route_of(request.uri().path());
        if !fails_dial(shared, route) {
            return Ok(response);
        }
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Err(refused)
    };
    // A message that is too large for a client is larger than the library's queue.
    let config = websocket_config().max_write_buffer_size(2 * MAX_MESSAGE_BYTES);
    let accepted = accept_hdr_async_with_config(transport, upgrade, Some(config));
    let Ok(Ok(mut socket)) = timeout(CLIENT_TIMEOUT, accepted).await else { return };
    let Ok(Some(first)) = timeout(CLIENT_TIMEOUT, first_text(&mut socket)).await else { return };
    match admitted(shared, route, &first) {
        Ok((lives, media)) => Playing { shared, media }.play(socket, lives).await,
        Err(answer) => {
            lock(&shared.report).refused += 1;
            let _ = socket.send(Message::Text(answer.into())).await;
            close(socket, Some(1000)).await;
        }
    }
}

fn route_of(path: &str) -> Route {
    match path.strip_prefix("/media/") {
        Some("all") => Route::Media(None),
        // The key that Zoom's own client looks for (section 22).
        Some("deskshare") => Route::Media(Some(Medium::Share)),
        Some(name) => Medium::parse(name).map_or(Route::Any, |medium| Route::Media(Some(medium))),
        None if path.starts_with("/signaling") => Route::Signaling(1),
        None => Route::Any,
    }
}

async fn first_text(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Binary(bytes) => return String::from_utf8(bytes.into()).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// The lives to play, and the media that are wanted of them (none for signaling); or the refusal.
fn admitted<'a>(
    shared: &'a Shared,
    route: Route,
    first: &str,
) -> Result<(Lives<'a>, Vec<Medium>), String> {
    let handshake = parse_handshake(route, first)
        .map_err(|rejection| wire::handshake_refused(rejection.answer, rejection.refusal))?;
    let refuse = |refusal| wire::handshake_refused(handshake.answer, refusal);
    let header = &shared.plan.header;
    if handshake.stream_id != header.stream_id.as_str() {
        return Err(refuse(Refusal::STREAM_ID));
    }
    if handshake.signature != expected_signature(shared, &handshake) {
        return Err(refuse(Refusal::SIGNATURE));
    }
    let (lives, media) = match handshake.kind {
        HandshakeKind::Signaling { .. } => {
            (next_lives(shared, &["signaling"], "signaling"), vec![])
        }
        HandshakeKind::Media { media_type, .. } => {
            let media = media_of(media_type);
            (media_lives(shared, media_type, &media), media)
        }
    };
    // The stream is over, or Zoom never offered this.
    if lives.is_empty() { Err(refuse(Refusal::STREAM_ID)) } else { Ok((lives, media)) }
}

fn expected_signature(shared: &Shared, handshake: &Handshake) -> String {
    let app = &shared.settings.app;
    signature::handshake(
        &app.client_id,
        app.client_secret.expose(),
        &handshake.instance_id,
        &handshake.stream_id,
    )
}

fn media_of(media_type: i64) -> Vec<Medium> {
    let is_wanted = |medium: &Medium| {
        media_type == i64::from(MEDIA_TYPE_ALL) || media_type & i64::from(medium.media_type()) != 0
    };
    Medium::ALL.into_iter().filter(is_wanted).collect()
}

/// A client may want one socket where the daemon had several, and the other way round.
fn media_lives<'a>(shared: &'a Shared, media_type: i64, media: &[Medium]) -> Lives<'a> {
    let wanted = media_type.to_string();
    let lives = next_lives(shared, &["all"], &wanted);
    if !lives.is_empty() {
        return lives;
    }
    let links: Vec<&str> = media.iter().map(|medium| medium.as_str()).collect();
    next_lives(shared, &links, &wanted)
}

/// Whether the next try to open the link failed in the file.
fn fails_dial(shared: &Shared, route: Route) -> bool {
    let number = |medium: Medium| medium.media_type().to_string();
    let (link, wanted) = match route {
        Route::Signaling(_) => ("signaling", "signaling".to_owned()),
        Route::Media(None) => ("all", MEDIA_TYPE_ALL.to_string()),
        Route::Media(Some(medium)) => (medium.as_str(), number(medium)),
        Route::Any => return false,
    };
    shared.take_life_if(link, &wanted, |life| !life.is_opened).is_some()
}

/// The next opened life of each link. What failed with another choice of sockets is skipped.
fn next_lives<'a>(shared: &'a Shared, links: &[&str], wanted: &str) -> Lives<'a> {
    let next = |link: &&str| {
        let lives = std::iter::from_fn(|| shared.take_life_if(link, wanted, |_| true));
        lives.into_iter().find(|life| life.is_opened)
    };
    links.iter().filter_map(next).collect()
}

/// A socket that plays its lives.
struct Playing<'a> {
    shared: &'a Shared,
    media: Vec<Medium>,
}

impl Playing<'_> {
    async fn play(self, socket: WebSocket, lives: Lives<'_>) {
        lock(&self.shared.report).sockets += 1;
        let (mut writer, mut reader) = socket.split();
        // Several links on one socket end with the last of them.
        let end = lives.iter().map(|life| life.end).max_by(by_time).flatten();
        let end_at = end.map(|(at, _)| at);
        let links = || lives.iter().map(|life| life.link.as_str());
        let client = &self.shared.client;
        client.send_modify(|client| links().for_each(|link| client.opened(link, end_at)));
        let fault = tokio::select! {
            () = self.shared.stop.cancelled() => Some(Fault::Close(Some(1000))),
            () = self.read_all(&mut reader) => None,
            fault = self.write_all(&mut writer, &lives, end) => Some(fault),
        };
        client.send_modify(|client| links().for_each(|link| client.closed(link, end_at)));
        // The halves belong together, so `reunite` cannot fail.
        let (Some(fault), Ok(socket)) = (fault, writer.reunite(reader)) else { return };
        match fault {
            Fault::Close(code) => close(socket, code).await,
            Fault::Drop => socket.get_ref().reset_on_drop(),
        }
    }

    /// Counts what the client sends, until it leaves.
    async fn read_all(&self, reader: &mut SplitStream<WebSocket>) {
        while let Some(Ok(message)) = reader.next().await {
            let text = match &message {
                Message::Text(text) => text.as_bytes(),
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return,
                _ => continue,
            };
            let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
            let number = value["msg_type"].as_u64().unwrap_or_default();
            *lock(&self.shared.report).received.entry(number).or_default() += 1;
            if number == u64::from(msg_type::CLIENT_READY_ACK) {
                self.shared.client.send_modify(|client| client.is_ready = true);
            }
        }
    }

    /// Sends every message when it is due, and returns when the file ends the socket, and how. Never returns if the client
    /// is the one to close it.
    async fn write_all(
        &self,
        writer: &mut SplitSink<WebSocket, Message>,
        lives: &[&Life],
        end: Option<(Moment, Fault)>,
    ) -> Fault {
        for (at, sent) in in_order(lives) {
            if !self.is_wanted(sent) {
                continue;
            }
            self.wait_for(at, sent).await;
            if writer.send(self.message(sent)).await.is_err() {
                std::future::pending::<()>().await;
            }
            lock(&self.shared.report).messages += 1;
            self.shared.clock.start();
        }
        let Some((at, fault)) = end else { return std::future::pending().await };
        self.shared.clock.wait_until(at).await;
        lock(&self.shared.report).faults += 1;
        fault
    }

    /// Waits until a message is due, and with media until the client is ready for them (message 7).
    async fn wait_for(&self, at: Moment, sent: &Sent) {
        if sent.is_answer() {
            // A client that waits for one answer may not open the link that the clock pauses for.
            return self.shared.clock.wait_through_pause(at).await;
        }
        if !self.media.is_empty() {
            let mut client = self.shared.client.subscribe();
            // An error means that the replay has ended.
            let _ = client.wait_for(|client| client.is_ready).await;
        }
        self.shared.clock.wait_until(at).await;
    }

    fn is_wanted(&self, sent: &Sent) -> bool {
        medium_of(sent.body()).is_none_or(|medium| self.media.contains(&medium))
    }

    fn message(&self, sent: &Sent) -> Message {
        let bytes = match sent {
            Sent::Answer(body) | Sent::Message(body) => {
                let bytes = self.shared.timed(&body.bytes().unwrap_or_default());
                let origin = &self.shared.origin;
                with_urls(&bytes, |key| format!("{origin}/media/{key}"))
            }
            Sent::TooLarge(body) => {
                let mut bytes = body.bytes().unwrap_or_default();
                bytes.resize(MAX_MESSAGE_BYTES + 1, FILLER);
                bytes
            }
        };
        match Utf8Bytes::try_from(Bytes::from(bytes)) {
            Ok(text) => Message::Text(text),
            // It was sent in a frame for text all the same; clients take both for one.
            Err(_) => Message::Binary(sent.body().bytes().unwrap_or_default().into()),
        }
    }
}

/// What was sent on several links, by time. The answer to the handshake comes once: the earliest, before everything else.
fn in_order<'a>(lives: &[&'a Life]) -> Vec<(Moment, &'a Sent)> {
    let sent = lives.iter().flat_map(|life| &life.sent);
    let mut all: Vec<_> = sent.map(|(at, sent)| (*at, sent)).collect();
    // Several messages may have one time.
    all.sort_by_key(|(at, sent)| (*at, !sent.is_answer()));
    let mut is_answered = false;
    all.retain(|(_, sent)| !sent.is_answer() || !std::mem::replace(&mut is_answered, true));
    all
}

/// A socket without an end outlasts every other.
fn by_time(one: &Option<(Moment, Fault)>, other: &Option<(Moment, Fault)>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.0.cmp(&other.0),
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

async fn close(mut socket: WebSocket, code: Option<u16>) {
    let frame =
        code.map(|code| CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("") });
    let goodbye = async {
        if socket.send(Message::Close(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A client that does not answer loses the socket.
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::body::Body;

    #[test]
    fn on_one_socket_the_earliest_answer_comes_first_and_every_message_follows() {
        let body = |text: &str| Body::of(text.as_bytes());
        let life = |at: Moment, answer, message| Life {
            answered: Some(at),
            sent: vec![(at, Sent::Answer(body(answer))), (at, Sent::Message(body(message)))],
            ..Life::default()
        };
        let text = |sent: &Sent| sent.body().text.clone().unwrap();
        let played = |audio_at, chat_at| {
            let (audio, chat) = (life(audio_at, "audio", "sound"), life(chat_at, "chat", "line"));
            in_order(&[&audio, &chat]).iter().map(|(_, sent)| text(sent)).collect::<Vec<_>>()
        };
        assert_eq!(played(1, 1), ["audio", "sound", "line"]);
        assert_eq!(played(1, 2), ["audio", "sound", "line"]);
        assert_eq!(played(2, 1), ["chat", "line", "sound"]);
    }
}

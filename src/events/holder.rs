//! Holds the event socket of one app: claims it, keeps a connection up, and hands it over.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::sockets::Settings;
use super::status::{Keeper, Status};
use crate::model::ms;
use crate::net::retry::Doubling;
use crate::store::EventSocketClaim;
use crate::zoom::app::App;
use crate::zoom::event_socket::{
    EventSocket, EventsUrl, Failure, LastSeen, Problem, SocketToken, request_token,
};

/// A token is replaced when one part in this many of its life is left.
const AHEAD: u32 = 10;
/// After this many short connections in a row that Zoom closed, another program is using the subscription.
const CONTESTED_AFTER: u32 = 3;
/// How long the last events may take to be stored after the stop.
const FINISH_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

/// The event socket of one app.
pub(super) struct Holder {
    settings: Settings,
    app: Arc<App>,
    url: EventsUrl,
    seen: LastSeen,
}

/// A connection, and the token that it was made with.
type Opened = Result<(EventSocket, SocketToken), Failure>;

impl Holder {
    pub(super) fn new(settings: Settings, app: Arc<App>, url: EventsUrl) -> Self {
        Self { settings, app, url, seen: LastSeen::new(Instant::now()) }
    }

    /// Connects whenever no other daemon does, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let (intake, recording) = Intake::new(&self.settings, &self.app.name);
        let recording = tokio::spawn(recording);
        while let Some(claim) = stop.run_until_cancelled(self.claim()).await {
            tracing::info!(app = %self.app.name, "this daemon holds the event socket");
            self.hold(&claim, &intake, &stop).await;
            if stop.is_cancelled() {
                break;
            }
            tracing::warn!(app = %self.app.name, "another daemon holds the event socket now; this one waits");
        }
        drop(intake);
        if timeout(FINISH_LIMIT, recording).await.is_err() {
            tracing::error!(app = %self.app.name, "the store did not accept the last events in time; they are lost");
        }
    }

    /// Waits until this daemon has the claim.
    async fn claim(&self) -> EventSocketClaim {
        let Settings { store, node, timings, .. } = &self.settings;
        loop {
            let claimed = store.claim_event_socket(&self.app.name, *node, ms(timings.lease)).await;
            match claimed {
                Ok(Some(claim)) => return claim,
                // Other parts report an unavailable store.
                Ok(None) | Err(_) => sleep(timings.poll_interval).await,
            }
        }
    }

    /// Stays connected until another daemon has the claim, or until `stop`.
    async fn hold(&self, claim: &EventSocketClaim, intake: &Intake, stop: &CancellationToken) {
        let (status, noted) = watch::channel(Status::New);
        let keeper = Keeper { settings: &self.settings, app: &self.app, claim, seen: &self.seen };
        let mut connecting = self.stay_connected(&status, intake).boxed();
        tokio::select! {
            () = keeper.run(noted) => return,
            () = &mut connecting => return,
            () = stop.cancelled() => {}
        }
        // Another daemon connects now, which ends this connection. Alone, there is nothing to wait for.
        let is_up = matches!(*status.borrow(), Status::Up { .. });
        let hands_over = is_up && self.settings.store.is_shared();
        let overlap = self.settings.timings.overlap;
        let stays_ms = if hands_over { ms(overlap) } else { 0 };
        if let Err(error) = self.settings.store.release_event_socket(claim, stays_ms).await {
            tracing::warn!(app = %self.app.name, %error,
                "cannot release the event socket; another daemon takes it when the lease ends");
        }
        if hands_over {
            let mut changed = status.subscribe();
            tokio::select! {
                () = connecting => {}
                _ = changed.changed() => {}
                () = sleep(overlap) => {}
            }
        }
    }

    /// Connects, and connects again after every loss. Never returns.
    async fn stay_connected(&self, status: &watch::Sender<Status>, intake: &Intake) {
        let timings = &self.settings.timings;
        let mut waits = Doubling::new(timings.first_wait, timings.longest_wait);
        let (mut token, mut closed_soon) = (None, 0);
        loop {
            let mut failure = match self.open(token.take()).await {
                Err(failure) => failure,
                Ok(opened) => {
                    let since = Instant::now();
                    status.send_replace(Status::Up { since });
                    tracing::info!(app = %self.app.name, "connected to Zoom's event socket");
                    let (failure, last_token) = self.serve(opened, intake).await;
                    let is_stable = since.elapsed() >= timings.stable;
                    if is_stable {
                        waits.restart();
                    }
                    let is_soon = failure.problem == Problem::Closed && !is_stable;
                    closed_soon = if is_soon { closed_soon + 1 } else { 0 };
                    token = Some(last_token).filter(|_| failure.problem != Problem::Refused);
                    failure
                }
            };
            if closed_soon >= CONTESTED_AFTER {
                failure.problem = Problem::Contested;
            }
            let wait = rand::rng().random_range(std::time::Duration::ZERO..=waits.next_wait());
            self.note(status, &failure, wait);
            sleep(wait).await;
        }
    }

    /// Notes that no connection is up. Of failures of one kind in a row only the first is logged.
    fn note(&self, status: &watch::Sender<Status>, failure: &Failure, wait: std::time::Duration) {
        let app = self.app.name.as_str();
        self.settings.metrics.socket_losses.inc([app, failure.problem.as_str()]);
        let before = *status.borrow();
        let seen = match before {
            Status::Down { seen, .. } => seen,
            // Zoom closed the connection itself, so everything that it sent before has arrived.
            _ if failure.problem == Problem::Closed => Instant::now(),
            _ => self.seen.get(),
        };
        let problem = failure.problem;
        if !matches!(before, Status::Down { problem: last, .. } if last == problem) {
            let (cause, wait_ms) = (problem.as_str(), ms(wait));
            tracing::warn!(app, cause, error = %failure, wait_ms,
                "not connected to Zoom's event socket; connecting again after a wait (the same cause is not logged again)");
        }
        status.send_replace(Status::Down { problem, seen });
    }

    /// Connects, with this token if it is valid for long enough.
    async fn open(&self, token: Option<SocketToken>) -> Opened {
        let token = match token.filter(|token| Instant::now() < renewal(token)) {
            Some(token) => token,
            None => request_token(&self.settings.oauth, &self.app).await?,
        };
        let Settings { network, timings, .. } = &self.settings;
        let socket =
            EventSocket::open(&self.url, &token, network, timings.socket, &self.seen).await?;
        Ok((socket, token))
    }

    /// Takes events until the connection ends. Before the token ends, a new connection with a fresh token takes the
    /// place of the old one, which is read until Zoom ends it. Returns why it ended, and the last token.
    async fn serve(
        &self,
        (mut socket, mut token): (EventSocket, SocketToken),
        intake: &Intake,
    ) -> (Failure, SocketToken) {
        let overlap = self.settings.timings.overlap;
        let mut renew_at = renewal(&token);
        let mut opening: Option<BoxFuture<'_, Opened>> = None;
        let mut retiring: Option<(EventSocket, Instant)> = None;
        loop {
            let opened = tokio::select! {
                next = socket.next() => match (next, opening.take()) {
                    (Ok(text), running) => {
                        intake.push(text);
                        self.count_unreadable(&mut socket);
                        opening = running;
                        continue;
                    }
                    (Err(failure), None) => return (failure, token),
                    // Zoom ends the old connection for the new one, perhaps before it accepts the new one.
                    (Err(failure), Some(running)) => match running.await {
                        Ok(opened) => Ok(opened),
                        Err(_) => return (failure, token),
                    },
                },
                opened = wait_for(&mut opening), if opening.is_some() => {
                    opening = None;
                    opened
                }
                () = read_on(&mut retiring, intake), if retiring.is_some() => {
                    if let Some((old, _)) = retiring.take() {
                        old.close();
                    }
                    continue;
                }
                () = sleep_until(renew_at), if opening.is_none() => {
                    opening = Some(self.open(None).boxed());
                    continue;
                }
            };
            match opened {
                Ok((fresh, fresh_token)) => {
                    tracing::debug!(app = %self.app.name, "connected again with a fresh token");
                    let old = std::mem::replace(&mut socket, fresh);
                    retiring = Some((old, Instant::now() + overlap));
                    token = fresh_token;
                    renew_at = renewal(&token);
                }
                Err(failure) => {
                    let app = self.app.name.as_str();
                    self.settings.metrics.socket_losses.inc([app, failure.problem.as_str()]);
                    tracing::warn!(app, error = %failure,
                        "cannot connect with a fresh token; the old connection stays, and it is tried again");
                    renew_at = Instant::now() + self.settings.timings.longest_wait;
                }
            }
        }
    }

    fn count_unreadable(&self, socket: &mut EventSocket) {
        let unreadable = socket.take_unreadable();
        if unreadable > 0 {
            let app = self.app.name.as_str();
            self.settings.metrics.socket_events.add([app, "", "refused"], unreadable);
            tracing::warn!(
                app,
                unreadable,
                "messages of the event socket could not be read; they are skipped"
            );
        }
    }
}

/// When a token is replaced.
fn renewal(token: &SocketToken) -> Instant {
    token.obtained + token.life - token.life / AHEAD
}

async fn wait_for(opening: &mut Option<BoxFuture<'_, Opened>>) -> Opened {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

/// Takes the events of a replaced connection, until it ends or its time is over.
async fn read_on(retiring: &mut Option<(EventSocket, Instant)>, intake: &Intake) {
    let Some((socket, until)) = retiring else { return std::future::pending().await };
    loop {
        tokio::select! {
            next = socket.next() => match next {
                Ok(text) => intake.push(text),
                Err(_) => return,
            },
            () = sleep_until(*until) => return,
        }
    }
}

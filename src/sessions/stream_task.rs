//! Runs one stream from its claim to its recorded end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Span;

use super::Settings;
use super::capturing::{Beginning, stored_of};
use super::dial_threads::DialThreads;
use super::driver::{CommandSender, Commands, Exit, Lease, Reach, command_queue, drive_stream};
use super::stream_threads::StreamThreads;
use crate::capture::event::Event;
use crate::clock;
use crate::hub::{Feed, Hub};
use crate::metrics::Metrics;
use crate::model::params::Params;
use crate::model::{
    AppName, Entry, EntryBody, Outcome, StopReason, StreamId, StreamRecord, between,
};
use crate::net::Network;
use crate::net::retry::{Doubling, retry};
use crate::rtms::endpoint::Endpoint;
use crate::rtms::stream::{End, Setup};
use crate::store::{Claim, Ending, Store, StoreError};
use crate::zoom::app::App;

/// The waits between tries to store a stream's end.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How many commands may wait for one stream.
const COMMANDS_QUEUE: usize = 16;
/// At a stream's end, the entries that other daemons offered are read in pages of this size and within this time.
const OFFERS_AT_ONCE: u32 = 500;
const LAST_OFFERS: Duration = Duration::from_secs(2);

/// One stream from its claim to its recorded end: what its driver needs, and what records the end.
pub(super) struct StreamTask {
    /// What the state machine needs from the start.
    pub setup: Setup,
    pub endpoint: Endpoint,
    pub app: AppName,
    /// When the webhook that announced the stream arrived, Unix milliseconds.
    pub announced_at_ms: i64,
    /// Whether the stream has not run before.
    pub is_new: bool,
    /// The announcement that `endpoint` is from; updated by each move.
    pub generation: i64,
    pub lease: watch::Receiver<Lease>,
    /// The stream was claimed from a daemon that did not release it.
    pub is_taken_over: bool,
    pub network: Network,
    pub feed: Feed,
    /// With what the capture of this run begins.
    pub beginning: Option<Beginning>,
    pub commands: Commands,
    pub reach: Reach,
    store: Store,
    hub: Arc<Hub>,
}

/// The supervisor's end of a task.
pub(super) struct Controls {
    /// What log lines about the stream carry.
    pub context: Span,
    pub commands: CommandSender,
    pub lease: watch::Sender<Lease>,
    pub reach: Reach,
}

/// What the supervisor does when a stream's task has ended. Only the supervisor releases a claim: a poll that finds the
/// claim of a running task released claims the stream again.
pub(super) enum After {
    /// Reads the stream's row, because it may have been announced again meanwhile.
    Reread,
    /// Gives the claim back: another daemon is connected to the stream.
    GiveBack,
    /// Releases the claim for a daemon that may reach Zoom.
    Release,
}

impl StreamTask {
    /// Prepares a stream that this node claimed: its handshake signature, its parameters, and its feed.
    pub(super) fn new(
        settings: &Settings,
        app: &App,
        store: Store,
        hub: Arc<Hub>,
        claim: &Claim,
        endpoint: Endpoint,
        until: Instant,
    ) -> (Self, Controls) {
        let stream = &claim.stream;
        // The session's media at the time of the announcement.
        let own = stream.media.as_ref().map(|plan| &plan.params);
        let params = own.unwrap_or(&app.params).clone().in_product(stream.instance.product);
        let mut feed = Feed::new(Arc::clone(&hub), stream, claim.last_seq, params.media);
        let beginning = feed.capture().map(|capture| {
            capture.hide(app.secrets());
            Beginning {
                at_ms: clock::now_ms(),
                last_seq: claim.last_seq,
                stored: stored_of(stream),
            }
        });
        // A captured run begins with this entry, and both have one time.
        feed.set_clock(beginning.as_ref().map(|beginning| beginning.at_ms));
        if claim.last_seq > 0 || claim.is_taken_over {
            feed.picked_up(claim.is_taken_over);
        }
        feed.set_clock(None);
        let (sender, commands) = command_queue(COMMANDS_QUEUE);
        let (lease, leased) = watch::channel(Lease { epoch: stream.epoch, until });
        let (reach, context) = (Reach::default(), feed.context().clone());
        let task = Self {
            setup: setup(settings, app, stream, params),
            endpoint,
            app: stream.app.clone(),
            announced_at_ms: stream.created_at_ms,
            is_new: claim.last_seq == 0,
            generation: stream.generation,
            lease: leased,
            is_taken_over: claim.is_taken_over,
            network: settings.network.clone(),
            feed,
            beginning,
            commands,
            reach: reach.clone(),
            store,
            hub,
        };
        (task, Controls { context, commands: sender, lease, reach })
    }

    /// Drives the stream on its thread and records its end, if it ends.
    pub(super) async fn run(self: Box<Self>, threads: StreamThreads) -> After {
        // TLS handshakes would take CPU time from the webhooks that are still arriving. A resumed stream is losing data, so
        // it does not wait.
        if self.is_new {
            self.store.wait_for_burst_end().await;
        }
        let drive = self.drive(threads.dials().clone());
        let (task, exit) = threads.run(drive).await;
        // Boxed: the futures of the store's transactions are large, and would enlarge the task of every live stream.
        Box::pin(task.end(exit)).await
    }

    async fn drive(mut self: Box<Self>, dials: DialThreads) -> (Box<Self>, Exit) {
        let exit = drive_stream(&mut self, dials).await;
        // What follows happens now, and not with the last message.
        self.feed.set_clock(None);
        (self, exit)
    }

    async fn end(mut self: Box<Self>, exit: Exit) -> After {
        // From here on the supervisor cannot send commands to this task: a command that is accepted must have
        // an effect.
        self.commands.close();
        match exit {
            Exit::LeftToOwner => {
                tracing::info!("another daemon is connected to the stream; giving the claim back");
                self.metrics().leases.inc(["given_back"]);
                return After::GiveBack;
            }
            Exit::Left => {
                self.feed.capture_now(Event::Left {});
                self.feed.finish().await;
                tracing::info!("released the stream for another daemon or the next start")
            }
            Exit::GivenUp => {
                self.feed.capture_now(Event::Left {});
                self.feed.finish().await;
                self.metrics().leases.inc(["given_up"]);
                return After::Release;
            }
            Exit::Finished(end) => {
                // Before the end is recorded: the store accepts no offered entry after it.
                if !end.stop_reason.is_some_and(StopReason::is_revoked) {
                    self.take_last_offers().await;
                }
                self.feed.finish().await;
                let ended_ms = clock::now_ms();
                let recorded = record_end(
                    &self.store,
                    &self.hub,
                    self.stream_id(),
                    self.generation,
                    &self.lease,
                    &end,
                    ended_ms,
                );
                if let Some(last_entry) = recorded.await {
                    self.count_end(end.outcome);
                    self.capture_end(end.outcome, last_entry);
                }
                // Last, so that a consumer that learns of the end finds it in the store.
                self.feed.over(true);
            }
        }
        After::Reread
    }

    /// Appends entries that other daemons offered after the last poll.
    async fn take_last_offers(&mut self) {
        let (store, feed, stream_id) = (&self.store, &mut self.feed, &self.setup.stream_id);
        let all = async {
            loop {
                let found = store.offers(stream_id, feed.offered(), OFFERS_AT_ONCE).await?;
                if found.is_empty() {
                    return Ok::<_, StoreError>(());
                }
                feed.handed_over(found);
            }
        };
        if !matches!(timeout(LAST_OFFERS, all).await, Ok(Ok(()))) {
            tracing::warn!(
                "could not read entries offered by other daemons in time; they are missing from the log"
            );
        }
    }

    fn capture_end(&mut self, outcome: Outcome, last_entry: Entry) {
        if let EntryBody::Ended { reason, detail, .. } = last_entry.body {
            self.feed.set_clock(Some(last_entry.at_ms));
            self.feed.capture_now(Event::Ended { outcome, stop_reason: reason, detail });
        }
    }

    fn count_end(&self, outcome: Outcome) {
        let (app, product) = (self.app.as_str(), self.setup.instance.product.as_str());
        let lasted = between(self.announced_at_ms, clock::now_ms());
        self.metrics().streams_ended.inc([app, product, outcome.as_str()]);
        self.metrics().stream_duration.observe_time([app, product], lasted);
    }

    /// What this daemon counts.
    pub(super) fn metrics(&self) -> &Metrics {
        self.hub.metrics()
    }

    fn stream_id(&self) -> &StreamId {
        &self.setup.stream_id
    }
}

/// Records an end of this time, publishes the final entry and returns it. Retries until the store has answered, because
/// a stream without a recorded end would be picked up again. Does nothing, and returns none, if the stream was announced
/// again since `generation` or was claimed by another node.
pub(super) async fn record_end(
    store: &Store,
    hub: &Hub,
    stream_id: &StreamId,
    generation: i64,
    lease: &watch::Receiver<Lease>,
    end: &End,
    ended_ms: i64,
) -> Option<Entry> {
    let ending = ending_of(end);
    let waits = Doubling::new(FIRST_RETRY, LAST_RETRY);
    let ended = retry(waits, StoreError::is_temporary, || {
        // Read for every try: this node may claim the stream again while it retries.
        let epoch = lease.borrow().epoch;
        let (ending, reason) = (ending.clone(), end.stop_reason);
        store.finish_stream(stream_id, epoch, generation, ending, reason, ended_ms)
    });
    match ended.await {
        Ok(Some(last_entry)) => {
            log_end(end);
            hub.publish(vec![last_entry.clone()]);
            Some(last_entry)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!(%error, "the store rejected a stream's end; the stream will be picked up again");
            None
        }
    }
}

/// The content of the stream's last entry. A requested end needs no cause.
fn ending_of(end: &End) -> Ending {
    let is_asked = matches!(end.outcome, Outcome::Stopped | Outcome::Closed);
    let detail = (!is_asked && !end.detail.is_empty()).then(|| end.detail.clone());
    Ending { outcome: end.outcome, detail }
}

fn setup(settings: &Settings, app: &App, stream: &StreamRecord, params: Params) -> Setup {
    Setup {
        stream_id: stream.stream_id.clone(),
        instance: app.handshake_ids.named(&stream.instance),
        signature: app.sign_handshake(&stream.instance, &stream.stream_id),
        params,
        policy: app.rtms_hosts.clone(),
        timings: settings.timings.clone(),
    }
}

fn log_end(end: &End) {
    let outcome = end.outcome.as_str();
    match end.outcome {
        _ if end.stop_reason == Some(StopReason::AUTHENTICATION_FAILURE) => {
            tracing::error!(
                outcome,
                "Zoom ended the stream because it could not authenticate us: \
                check the client id and client secret of its app (ZOOM_CLIENT_ID, ZOOM_CLIENT_SECRET); it is not started again"
            );
        }
        Outcome::Stopped | Outcome::Closed => {
            tracing::info!(
                outcome,
                stop_reason = end.stop_reason.map(|reason| reason.0),
                "stream ended"
            );
        }
        Outcome::LeftOut => {
            tracing::info!(outcome, detail = end.detail, "stream left out; it is not joined");
        }
        _ => {
            let detail = &end.detail;
            tracing::warn!(outcome, stop_reason = end.stop_reason.map(|reason| reason.0), %detail, "stream lost");
        }
    }
}

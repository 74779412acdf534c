//! Serves each stream that runs here to the program of every matching relay.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::deliver::deliver_all;
use super::known::OpenRelay;
use super::program::{ProgramTask, Taps, stopped_event};
use super::{Client, Relays};
use crate::hub::{StreamInfo, Wants};
use crate::model::params::Params;
use crate::model::{MediaSet, RelayId, StreamId, StreamRecord};
use crate::sinks::Runner;
use crate::store::StoreError;
use crate::telemetry::stream_span_of;

/// How long a change of the running streams waits for others, so that one search covers them.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How often the store is searched for ended streams with programs that no daemon has notified.
const END_INTERVAL: Duration = Duration::from_secs(60);
/// How long ago such a stream may have ended.
const RECENTLY_MS: i64 = 24 * 60 * 60 * 1000;
/// How many of them are notified at a time.
const MAX_ENDED: u32 = 100;

/// A stream that begins to run here and that a relay may serve.
pub(super) struct Begun {
    relay: Arc<OpenRelay>,
    stream: Arc<StreamInfo>,
    /// The media and parameters that are requested from Zoom.
    params: Params,
    taps: Taps,
}

/// Owns every program's task.
pub(super) struct RelayRunner {
    relays: Relays,
    begins: mpsc::UnboundedReceiver<Begun>,
    client: Client,
    tasks: JoinSet<(RelayId, StreamId)>,
    ended_at: Option<Instant>,
}

impl RelayRunner {
    pub(super) fn new(
        relays: Relays,
        begins: mpsc::UnboundedReceiver<Begun>,
        client: Client,
    ) -> Self {
        Self { relays, begins, client, tasks: JoinSet::new(), ended_at: None }
    }

    async fn dispatch(&mut self, stop: CancellationToken) {
        let mut changes = self.relays.inner().hub.changes();
        let poll = self.relays.inner().settings.timings.poll;
        while !stop.is_cancelled() {
            if let Err(error) = self.reconcile(&stop).await {
                tracing::warn!(%error, "cannot read the relays; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.relays.inner().changed.notified() => {}
                // Debounced: many streams that begin together cause few searches. The other branches can wait this long.
                Ok(()) = changes.changed() => {
                    sleep(DEBOUNCE).await;
                    self.relays.notify_of_moves();
                }
                () = sleep(poll) => {}
                Some(begun) = self.begins.recv() => self.begin(begun, &stop).await,
                Some(ended) = self.tasks.join_next() => self.forget(ended.ok()),
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Removes the handle of a task that has ended; one that panicked is replaced by the next reconciliation.
    fn forget(&self, ended: Option<(RelayId, StreamId)>) {
        match ended {
            Some(key) => drop(self.relays.programs().remove(&key)),
            None => {
                tracing::error!("a program's task panicked; it is started again");
                self.relays.programs().retain(|_, program| !program.is_closed());
            }
        }
    }

    async fn reconcile(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        // New streams first: they bring taps that already hold their first frames.
        while let Ok(begun) = self.begins.try_recv() {
            self.begin(begun, stop).await;
        }
        self.relays.refresh().await?;
        self.relays.end_removed();
        let relays = self.relays.all();
        if relays.is_empty() {
            return Ok(());
        }
        for (stream, _) in self.relays.inner().hub.running_all() {
            for relay in relays.iter() {
                let key = (relay.relay.id, stream.stream_id.clone());
                if self.relays.programs().contains_key(&key) {
                    continue;
                }
                if let Some(begun) = self.relays.offered(relay, &stream).await? {
                    self.begin(begun, stop).await;
                }
            }
        }
        self.notify_of_ends().await
    }

    /// Serves a stream to a program, if the session matches.
    async fn begin(&mut self, begun: Begun, stop: &CancellationToken) {
        let Begun { relay, stream, params, taps } = begun;
        let key = (relay.relay.id, stream.stream_id.clone());
        if self.relays.programs().contains_key(&key) {
            return;
        }
        let session = match self.relays.inner().store.session(stream.session_id).await {
            Ok(session) => session.filter(|session| relay.relay.filter.matches(session)),
            // The next reconciliation tries again.
            Err(error) => {
                return tracing::warn!(%error, "cannot read a session for a relay; trying again");
            }
        };
        let Some(session) = session else { return };
        let (id, product, app) = (stream.session_id, stream.instance.product, &stream.app);
        let context = stream_span_of(id, &stream.stream_id, product, app);
        let task =
            ProgramTask { relays: self.relays.clone(), relay, session, stream, params, taps };
        let (handle, program) = task.start(stop.child_token());
        self.relays.programs().insert(key.clone(), handle);
        self.tasks.spawn(
            async move {
                program.await;
                key
            }
            .instrument(context),
        );
    }

    /// Notifies the programs of streams that ended while no daemon served them.
    async fn notify_of_ends(&mut self) -> Result<(), StoreError> {
        if self.ended_at.is_some_and(|at| at.elapsed() < END_INTERVAL) {
            return Ok(());
        }
        self.ended_at = Some(Instant::now());
        let relays = &self.relays;
        let since_ms = relays.now_ms().saturating_sub(RECENTLY_MS);
        for ended in relays.inner().store.relay_streams_to_end(since_ms, MAX_ENDED).await? {
            let key = (ended.relay_id, ended.stream_id.clone());
            if relays.programs().contains_key(&key) {
                continue;
            }
            let session = relays.inner().store.session(ended.session_id).await?;
            let streams = relays.inner().store.streams_of(ended.session_id).await?;
            let stream = streams.iter().find(|stream| stream.stream_id == ended.stream_id);
            if let (Some(session), Some(stream)) = (session, stream) {
                let reason = super::program::stop_reason(stream.stop_reason);
                let ids = (ended.relay_id, &ended.stream_id);
                let event = stopped_event(ids, &session, reason, relays.now_ms());
                relays.inner().store.add_relay_event(&event).await?;
                relays.inner().events.notify_one();
            }
        }
        Ok(())
    }
}

impl Runner for RelayRunner {
    fn name(&self) -> &'static str {
        "relays"
    }

    /// At the stop, sockets end without a Close frame, so that programs connect again.
    fn run(&mut self, stop: CancellationToken) -> BoxFuture<'_, ()> {
        let (relays, client) = (self.relays.clone(), self.client.clone());
        Box::pin(async move {
            tokio::join!(self.dispatch(stop.clone()), deliver_all(&relays, &client, stop));
        })
    }
}

impl Relays {
    /// Opens the taps of every relay that may serve a stream that begins to run here. Never waits.
    pub(super) fn begins(&self, record: &StreamRecord) {
        let product = record.instance.product;
        for relay in self.all().iter() {
            if !relay.relay.filter.may_match(&record.app, product) {
                continue;
            }
            let Some(params) = self.params_of(record) else { continue };
            let stream = Arc::new(StreamInfo {
                session_id: record.session_id,
                stream_id: record.stream_id.clone(),
                app: record.app.clone(),
                ordinal: record.ordinal,
                instance: record.instance.clone(),
                first_packet_ms: record.first_packet_ms,
                effective: Default::default(),
            });
            let taps = self.taps(relay, &stream, params.media);
            // An error means that the daemon is stopping.
            let _ = self.0.begun.send(Begun { relay: Arc::clone(relay), stream, params, taps });
        }
    }

    /// Opens the taps of a stream that already runs here, if the relay may serve it.
    async fn offered(
        &self,
        relay: &Arc<OpenRelay>,
        stream: &Arc<StreamInfo>,
    ) -> Result<Option<Begun>, StoreError> {
        if !relay.relay.filter.may_match(&stream.app, stream.instance.product) {
            return Ok(None);
        }
        let streams = self.0.store.streams_of(stream.session_id).await?;
        let record = streams.iter().find(|record| record.stream_id == stream.stream_id);
        let Some(params) = record.and_then(|record| self.params_of(record)) else {
            return Ok(None);
        };
        let taps = self.taps(relay, stream, params.media);
        let (relay, stream) = (Arc::clone(relay), Arc::clone(stream));
        Ok(Some(Begun { relay, stream, params, taps }))
    }

    /// The parameters that are requested from Zoom for a stream; `None` if its app is gone.
    fn params_of(&self, record: &StreamRecord) -> Option<Params> {
        let own = record.media.as_ref().map(|plan| plan.params.clone());
        let params =
            own.or_else(|| Some(self.0.settings.apps.for_stream(record)?.params.clone()))?;
        Some(params.in_product(record.instance.product))
    }

    fn taps(&self, relay: &OpenRelay, stream: &StreamInfo, received: MediaSet) -> Taps {
        let media = relay.relay.filter.media.framed();
        let media = media.iter().filter(|medium| received.contains(*medium));
        let wants =
            |medium| Wants { media: MediaSet::from(medium), is_wire: true, ..Wants::default() };
        let (hub, bytes) = (&self.0.hub, self.0.settings.buffer_bytes);
        Taps::new(media.map(|medium| {
            (medium, hub.tap_for("relays", Some(stream.session_id), wants(medium), bytes))
        }))
    }

    /// Disconnects the programs of relays that were deleted or changed. A changed relay's program is served again.
    fn end_removed(&self) {
        let known: HashSet<*const OpenRelay> = self.all().iter().map(Arc::as_ptr).collect();
        for program in self.programs().values() {
            if !known.contains(&Arc::as_ptr(&program.relay)) {
                program.stop.cancel();
            }
        }
    }

    /// Notifies the tasks of streams that have left this daemon.
    fn notify_of_moves(&self) {
        if self.programs().is_empty() {
            return;
        }
        let running = self.0.hub.running_all();
        let here: HashSet<&StreamId> =
            running.iter().map(|(stream, _)| &stream.stream_id).collect();
        for ((_, stream), program) in self.programs().iter() {
            if !here.contains(stream) {
                program.stream_is_gone.notify_one();
            }
        }
    }
}

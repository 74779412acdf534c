//! Connects streams and taps: one topic per session, and one for the taps of all sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::frame::{Frame, StreamInfo};
use super::left_out::LeftOut;
use super::live_streams::{Figures, LiveStream};
use super::roster::{Person, Roster};
use super::tap::{Drops, Tap, TapQueue, Tapped, Wants};
use crate::model::{MediaSet, Medium, SessionId, StreamId};
use crate::prefetch::prefetch;

#[cfg(test)]
mod tests;

/// The most queues that are prefetched for a frame: a core loads only about a dozen cache lines at once.
const MAX_PREFETCHED_QUEUES: usize = 4;

/// The taps and streams of every session, and the taps of all sessions.
#[derive(Default)]
pub(super) struct Registry {
    everything: Arc<Topic>,
    sessions: Mutex<HashMap<SessionId, Arc<Topic>>>,
    /// Signals that a stream began, changed its description, or ended.
    changes: watch::Sender<()>,
}

/// The taps of one session (or of all), and its streams that run here.
#[derive(Default)]
pub(super) struct Topic {
    /// Rises with every change of `taps`, so that a stream compares only this number per frame.
    version: AtomicU64,
    taps: Mutex<Vec<Arc<TapQueue>>>,
    streams: Mutex<HashMap<StreamId, Arc<RunningStream>>>,
}

/// A stream that runs here, as consumers see it.
pub(super) struct RunningStream {
    pub stream: Mutex<Arc<StreamInfo>>,
    pub people: Mutex<Roster>,
    figures: Mutex<Figures>,
}

impl RunningStream {
    pub(super) fn new(stream: Arc<StreamInfo>, figures: Figures) -> Self {
        Self { stream: Mutex::new(stream), people: Mutex::default(), figures: Mutex::new(figures) }
    }

    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().expect("nothing panics while holding figures")
    }

    pub(super) fn people(&self) -> MutexGuard<'_, Roster> {
        self.people.lock().expect("nothing panics while holding a roster")
    }

    pub(super) fn stream(&self) -> MutexGuard<'_, Arc<StreamInfo>> {
        self.stream.lock().expect("nothing panics while holding a stream's description")
    }
}

impl Registry {
    pub(super) fn tap(
        &self,
        session: Option<SessionId>,
        wants: Wants,
        max_bytes: usize,
        drops: Drops,
    ) -> Tap {
        let topic = session.map_or_else(|| Arc::clone(&self.everything), |id| self.session(id));
        let queue = Arc::new(TapQueue::new(wants, max_bytes, drops));
        topic.taps().push(Arc::clone(&queue));
        // After the push: a stream that sees the new number must also find the new tap.
        topic.version.fetch_add(1, Ordering::Release);
        Tap::new(queue, Some(topic))
    }

    /// The streams of a session that run here, with their participants.
    pub(super) fn running(&self, session: SessionId) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        self.session(session).about()
    }

    /// The streams of every session that run here.
    pub(super) fn running_all(&self) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        // Copied, so that the registry's lock is not held while each roster is locked.
        let topics: Vec<Arc<Topic>> = self.sessions().values().cloned().collect();
        topics.iter().flat_map(|topic| topic.about()).collect()
    }

    /// What the streams that run here receive.
    pub(super) fn live_streams(&self) -> Vec<LiveStream> {
        let topics: Vec<Arc<Topic>> = self.sessions().values().cloned().collect();
        let streams = topics.iter().flat_map(|topic| topic.running());
        let now = std::time::Instant::now();
        streams
            .map(|running| {
                let stream = Arc::clone(&*running.stream());
                running.figures().read(now, stream)
            })
            .collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Registers a stream that begins to run here.
    pub(super) fn begin(&self, running: Arc<RunningStream>, sinks: Vec<Arc<TapQueue>>) -> Fanout {
        let stream = Arc::clone(&*running.stream());
        let topic = self.session(stream.session_id);
        topic.streams().insert(stream.stream_id.clone(), Arc::clone(&running));
        let topics = [Arc::clone(&self.everything), topic];
        self.changes.send_replace(());
        Fanout {
            changes: self.changes.clone(),
            topics,
            seen: None,
            sinks,
            taps: Vec::new(),
            media: MediaSet::default(),
            wire_media: MediaSet::default(),
            live_media: MediaSet::default(),
            running,
            is_over: false,
        }
    }

    fn session(&self, id: SessionId) -> Arc<Topic> {
        let mut sessions = self.sessions();
        if !sessions.contains_key(&id) {
            // A topic that only this map holds has neither stream nor tap. A tap's or stream's
            // `Arc` is cloned under the same lock, so the count cannot rise meanwhile.
            sessions.retain(|_, topic| Arc::strong_count(topic) > 1);
        }
        Arc::clone(sessions.entry(id).or_default())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Topic>>> {
        self.sessions.lock().expect("nothing panics while holding the registry")
    }
}

impl Topic {
    fn about(&self) -> Vec<(Arc<StreamInfo>, Vec<Arc<Person>>)> {
        let about = |running: &Arc<RunningStream>| {
            let people = running.people().all();
            (Arc::clone(&*running.stream()), people)
        };
        self.running().iter().map(about).collect()
    }

    /// A copy of the list, so that its lock is not held while each stream's own locks are taken.
    fn running(&self) -> Vec<Arc<RunningStream>> {
        self.streams().values().cloned().collect()
    }

    pub(super) fn remove(&self, queue: &Arc<TapQueue>) {
        self.taps().retain(|other| !Arc::ptr_eq(other, queue));
        self.version.fetch_add(1, Ordering::Release);
    }

    fn taps(&self) -> MutexGuard<'_, Vec<Arc<TapQueue>>> {
        self.taps.lock().expect("nothing panics while holding the taps")
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<RunningStream>>> {
        self.streams.lock().expect("nothing panics while holding the streams")
    }
}

/// The forms of a frame that at least one consumer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedForms {
    /// The decoded payload.
    pub payload: bool,
    /// The message as Zoom sent it.
    pub wire: bool,
}

/// Passes one stream's frames to its taps and sinks.
pub(super) struct Fanout {
    topics: [Arc<Topic>; 2],
    /// The versions of the topics that `taps` and `media` were read at.
    seen: Option<[u64; 2]>,
    sinks: Vec<Arc<TapQueue>>,
    taps: Vec<Arc<TapQueue>>,
    /// The media that at least one consumer wants decoded, and those that one wants as Zoom sent them.
    media: MediaSet,
    wire_media: MediaSet,
    /// The media that live consumers take.
    live_media: MediaSet,
    running: Arc<RunningStream>,
    changes: watch::Sender<()>,
    is_over: bool,
}

impl Fanout {
    pub(super) fn running(&self) -> &RunningStream {
        &self.running
    }

    /// Notifies consumers that the stream's description has changed.
    pub(super) fn notify(&self) {
        self.changes.send_replace(());
    }

    /// Prefetches what the fields point to. Call it after they have been prefetched.
    pub(super) fn prefetch_targets(&self) {
        self.topics.iter().for_each(|topic| prefetch(&topic.version));
        if self.has_consumers() {
            prefetch(&*self.sinks);
            self.taps.iter().take(MAX_PREFETCHED_QUEUES).for_each(prefetch);
        }
    }

    /// Prefetches the queues. Call it after [`Self::prefetch_targets`] has loaded the pointers.
    pub(super) fn prefetch_queues(&self) {
        if self.has_consumers() {
            self.first_queues().for_each(|queue| prefetch(&**queue));
        }
    }

    /// Prefetches the slots that the next frame takes in the queues. Call it after [`Self::prefetch_queues`] has loaded them.
    pub(super) fn prefetch_slots(&self) {
        self.first_queues().for_each(|queue| queue.prefetch_slot());
    }

    /// The queues that are prefetched.
    fn first_queues(&self) -> impl Iterator<Item = &Arc<TapQueue>> {
        self.sinks.iter().chain(&self.taps).take(MAX_PREFETCHED_QUEUES)
    }

    /// Whether a consumer takes frames, as of the last call of [`Self::wants`].
    pub(super) fn has_consumers(&self) -> bool {
        !self.media.is_empty() || !self.wire_media.is_empty()
    }

    /// Whether a live consumer takes frames of this medium, as of the last call of [`Self::wants`].
    pub(super) fn has_live_consumer(&self, medium: Medium) -> bool {
        self.live_media.contains(medium)
    }

    /// Whether a sink had so many bytes queued at the last push that it should read them now.
    pub(super) fn is_sink_behind(&self) -> bool {
        self.sinks.iter().any(|sink| sink.is_behind())
    }

    /// What consumers want of the frames of this medium now.
    pub(super) fn wants(&mut self, medium: Medium) -> WantedForms {
        let version = |topic: &Arc<Topic>| topic.version.load(Ordering::Acquire);
        let versions = [version(&self.topics[0]), version(&self.topics[1])];
        if self.seen != Some(versions) {
            // The versions were read before the taps: a tap that comes in between causes one more
            // read, never a missed one.
            self.refresh(versions);
        }
        WantedForms { payload: self.media.contains(medium), wire: self.wire_media.contains(medium) }
    }

    fn refresh(&mut self, versions: [u64; 2]) {
        let stream = Arc::clone(&*self.running.stream());
        self.taps = self.topics.iter().flat_map(|topic| topic.taps().clone()).collect();
        self.taps.retain(|tap| !tap.wants_of(&stream).is_empty());
        let all = || self.taps.iter().chain(&self.sinks);
        let union_of = |taps: &mut dyn Iterator<Item = &Arc<TapQueue>>| {
            taps.map(|tap| tap.wants_of(&stream)).fold(MediaSet::default(), MediaSet::union)
        };
        self.media = union_of(&mut all().filter(|tap| !tap.is_wire()));
        self.wire_media = union_of(&mut all().filter(|tap| tap.is_wire()));
        self.live_media = union_of(&mut self.taps.iter());
        self.seen = Some(versions);
    }

    /// Offers a frame to every consumer that wants it. Returns false when a sink refused it. A live consumer's losses
    /// are not reported here.
    pub(super) fn offer(&self, frame: Frame) -> bool {
        for tap in self.taps.iter().filter(|tap| tap.wants(&frame)) {
            tap.push(Tapped::Frame(frame.clone()));
        }
        let mut sinks = self.sinks.iter().filter(|sink| sink.wants(&frame));
        let Some(first) = sinks.next() else { return true };
        let mut is_whole = true;
        for sink in sinks {
            is_whole &= sink.push(Tapped::Frame(frame.clone()));
        }
        // Moved: a frame often has only one consumer, a recording.
        first.push(Tapped::Frame(frame)) && is_whole
    }

    /// Drops the frames of this stream that nobody has taken yet.
    pub(super) fn forget_frames(&mut self) {
        self.wants(Medium::Audio);
        let stream = Arc::clone(&*self.running.stream());
        self.taps.iter().chain(&self.sinks).for_each(|tap| tap.forget(&stream.stream_id));
    }

    /// The frames that sinks dropped since the last call.
    pub(super) fn take_left_out(&self) -> impl Iterator<Item = LeftOut> {
        self.sinks.iter().flat_map(|sink| sink.take_left_out())
    }

    /// Waits, at most `limit`, until every sink has settled the frames it took.
    pub(super) async fn settle(&self, limit: Duration) {
        let until = Instant::now() + limit;
        for sink in &self.sinks {
            sink.settle(until).await;
        }
    }

    /// Notifies consumers that the stream no longer runs here. Only the first call has an effect.
    pub(super) fn over(&mut self, is_final: bool) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        // Called for its refresh of `taps`: a tap that came after the last frame must learn of the
        // end, too.
        self.wants(Medium::Audio);
        let stream = Arc::clone(&*self.running.stream());
        self.topics[1].streams().remove(&stream.stream_id);
        self.notify();
        for tap in self.taps.drain(..).chain(self.sinks.drain(..)) {
            tap.push(Tapped::Over { stream: Arc::clone(&stream), is_final });
        }
    }
}

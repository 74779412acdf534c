//! The streams that a live consumer knows.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hub::StreamInfo;
use crate::model::StreamId;

/// What the consumer knows of each stream.
#[derive(Default)]
pub(super) struct KnownStreams {
    by_id: HashMap<StreamId, Arc<StreamInfo>>,
    /// The address of the last stream noted, which saves hashing its id for the next frame. The map keeps the stream
    /// alive, so the address cannot be reused.
    last: Option<usize>,
}

impl KnownStreams {
    pub(super) fn of<'a>(streams: impl Iterator<Item = &'a Arc<StreamInfo>>) -> Self {
        let by_id = streams.map(|s| (s.stream_id.clone(), Arc::clone(s))).collect();
        Self { by_id, last: None }
    }

    /// Notes a stream. Returns whether it is new or has changed.
    pub(super) fn note(&mut self, stream: &Arc<StreamInfo>) -> bool {
        let address = Some(Arc::as_ptr(stream).addr());
        if self.last == address {
            return false;
        }
        self.last = address;
        match self.by_id.get_mut(&stream.stream_id) {
            // Not cloned: all consumers and the stream's thread share the reference count.
            Some(known) if Arc::ptr_eq(known, stream) => false,
            // Replaced even if equal, so that the next frame matches by pointer.
            Some(known) => std::mem::replace(known, Arc::clone(stream)) != *stream,
            None => {
                self.by_id.insert(stream.stream_id.clone(), Arc::clone(stream));
                true
            }
        }
    }

    /// Forgets a stream. Returns it if it was known.
    pub(super) fn forget(&mut self, stream: &StreamId) -> Option<Arc<StreamInfo>> {
        self.last = None;
        self.by_id.remove(stream)
    }

    /// Forgets the streams that do not run, and returns them.
    pub(super) fn forget_unless(
        &mut self,
        runs: impl Fn(&StreamId) -> bool,
    ) -> Vec<Arc<StreamInfo>> {
        self.last = None;
        self.by_id.extract_if(|id, _| !runs(id)).map(|(_, stream)| stream).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::stream_info;

    fn stream(id: &str, first_packet_ms: Option<i64>) -> Arc<StreamInfo> {
        let stream_id = StreamId::parse(id).unwrap();
        Arc::new(StreamInfo { stream_id, first_packet_ms, ..stream_info() })
    }

    #[test]
    fn a_stream_is_new_once_and_again_when_its_description_changes() {
        let (old, equal, changed) = (stream("s1", None), stream("s1", None), stream("s1", Some(9)));
        let mut known = KnownStreams::default();
        let news = [&old, &old, &equal, &old, &changed, &changed].map(|stream| known.note(stream));
        assert_eq!(news, [true, false, false, false, true, false]);
    }

    #[test]
    fn streams_in_turn_are_new_once_and_the_latest_description_of_each_is_kept() {
        let (one, two, changed) = (stream("s1", None), stream("s2", None), stream("s1", Some(9)));
        let mut known = KnownStreams::default();
        let news = [&one, &two, &one, &two, &changed, &two].map(|stream| known.note(stream));
        assert_eq!(news, [true, true, false, false, true, false]);
        assert_eq!([&one, &two, &changed].map(Arc::strong_count), [1, 2, 2]);
    }

    #[test]
    fn a_stream_that_was_forgotten_is_new_although_it_was_the_last_one_noted() {
        let (one, two) = (stream("s1", None), stream("s2", None));
        let mut known = KnownStreams::of([&one].into_iter());
        assert_eq!([&one, &two].map(|stream| known.note(stream)), [false, true]);
        assert!(known.forget(&two.stream_id).is_some() && known.forget(&two.stream_id).is_none());
        assert!(known.note(&two));
        assert_eq!(known.forget_unless(|id| *id == one.stream_id), [Arc::clone(&two)]);
        assert_eq!([&two, &one].map(|stream| known.note(stream)), [true, false]);
    }
}

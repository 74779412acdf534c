//! The time origin of a recording: where every file begins.

use std::collections::VecDeque;
use std::io;

use super::open::OpenTrack;
use super::{Key, TrackSet};
use crate::hub::Frame;
use crate::sinks::record::track::shift;

impl TrackSet {
    /// Sets the time origin to the oldest frame. Zoom may buffer audio that is older than pictures received before it.
    pub(super) fn place_origin(&mut self, frames: &VecDeque<Frame>) -> io::Result<()> {
        let oldest =
            frames.iter().filter(|frame| self.believes(frame)).map(|frame| frame.at_ms).min();
        let Some(oldest_ms) = oldest else { return Ok(()) };
        match self.meta.origin_ms {
            None => {
                let first_packet = frames.iter().filter_map(|frame| frame.stream().first_packet_ms);
                self.meta
                    .begin_at(first_packet.min().map_or(oldest_ms, |at_ms| at_ms.min(oldest_ms)));
                self.save()
            }
            Some(origin_ms) if oldest_ms < origin_ms => self.move_origin(origin_ms, oldest_ms),
            Some(_) => Ok(()),
        }
    }

    /// Extends every file by silence at its start; if there is no space for it, older frames are dropped.
    fn move_origin(&mut self, origin_ms: i64, oldest_ms: i64) -> io::Result<()> {
        let moved_ms = shift::origin_for(origin_ms, oldest_ms);
        let longer = self.meta.silence_bytes(origin_ms - moved_ms);
        if self.bytes().saturating_add(longer) > self.max_bytes {
            self.warn_once("there is no space for frames older than its files");
            return Ok(());
        }
        // The counts of every file must be final before it is shifted.
        self.sync()?;
        let mixes = self.open.tracks.iter().filter_map(|(key, open)| Some((key, open.mix()?)));
        self.moved_mixes = mixes.map(|(key, mix)| (key.clone(), (origin_ms, mix.ends()))).collect();
        let now_shown = self.open.tracks.get(&Key::Meeting).and_then(OpenTrack::now_shown);
        self.close_all()?;
        self.now_shown = now_shown;
        self.closed_bytes += longer;
        self.meta.begin_at(moved_ms);
        let by_ms = origin_ms - oldest_ms;
        tracing::debug!(by_ms, "older frames arrived; the recording's files are shifted");
        self.save()
    }
}

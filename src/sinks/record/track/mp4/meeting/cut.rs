//! Decides which picture a film shows (pure). Pictures depend on the ones before them, so every cut is at a key frame.

use std::collections::HashMap;

use crate::model::SpeakerKey;

/// How long the last picture of a camera, or of a screen, stays when nothing follows.
pub(super) const CAMERA_STAYS_MS: u64 = 3_000;
pub(super) const SCREEN_STAYS_MS: u64 = 5_000;

/// A camera that sent within this time sends at the same time as the shown one. A camera that did not is the new one of
/// Zoom's active speaker.
const BESIDE_MS: u64 = 1_000;
/// The most cameras that are remembered beside the shown one.
const MAX_BESIDE: usize = 64;

/// Where a picture comes from. `None`: Zoom names no participant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Camera(Option<SpeakerKey>),
    Screen(Option<SpeakerKey>),
}

impl Source {
    /// How long its last picture stays when nothing follows.
    pub(super) fn stays_ms(&self) -> u64 {
        match self {
            Self::Camera(_) => CAMERA_STAYS_MS,
            Self::Screen(_) => SCREEN_STAYS_MS,
        }
    }
}

/// The picture of one film. Times are milliseconds since the origin.
#[derive(Debug)]
pub(super) struct Cut {
    prefers_screen: bool,
    /// What is shown, and its last picture; nothing where the film is black.
    shown: Option<(Source, u64)>,
    /// The last picture of cameras that are not shown.
    beside: HashMap<Option<SpeakerKey>, u64>,
    /// The participant that was heard last.
    voice: Option<SpeakerKey>,
}

impl Cut {
    pub(super) fn new(prefers_screen: bool) -> Self {
        Self { prefers_screen, shown: None, beside: HashMap::new(), voice: None }
    }

    /// Notes that a participant speaks.
    pub(super) fn hear(&mut self, who: &SpeakerKey) {
        if self.voice.as_ref() != Some(who) {
            self.voice = Some(who.clone());
        }
    }

    /// Whether the film shows this picture.
    pub(super) fn shows(&mut self, at_ms: u64, source: &Source, is_key: bool) -> bool {
        if matches!(source, Source::Screen(_)) && !self.prefers_screen {
            return false;
        }
        let is_shown = match &self.shown {
            Some((shown, _)) if shown == source => true,
            Some((shown, last_ms)) => is_key && self.gives_way(shown, *last_ms, source, at_ms),
            None => is_key,
        };
        match (is_shown, source) {
            (true, _) => {
                self.shown = Some((source.clone(), at_ms));
                if let Source::Camera(who) = source {
                    self.beside.remove(who);
                }
            }
            (false, Source::Camera(who)) => self.note_beside(who, at_ms),
            (false, Source::Screen(_)) => {}
        }
        is_shown
    }

    /// Whether the shown source makes room for another one.
    fn gives_way(&self, shown: &Source, last_ms: u64, to: &Source, at_ms: u64) -> bool {
        let is_stale = at_ms.saturating_sub(last_ms) > BESIDE_MS;
        match (shown, to) {
            (Source::Camera(_), Source::Screen(_)) => true,
            (Source::Screen(_), Source::Screen(_)) => is_stale,
            (Source::Screen(_), Source::Camera(_)) => {
                at_ms.saturating_sub(last_ms) > SCREEN_STAYS_MS
            }
            (Source::Camera(_), Source::Camera(who)) => {
                let beside_ms = self.beside.get(who);
                let is_beside = beside_ms.is_some_and(|ms| at_ms.saturating_sub(*ms) <= BESIDE_MS);
                !is_beside || is_stale || who.is_some() && *who == self.voice
            }
        }
    }

    fn note_beside(&mut self, who: &Option<SpeakerKey>, at_ms: u64) {
        if self.beside.len() >= MAX_BESIDE && !self.beside.contains_key(who) {
            self.beside.retain(|_, ms| at_ms.saturating_sub(*ms) <= BESIDE_MS);
        }
        if self.beside.len() < MAX_BESIDE || self.beside.contains_key(who) {
            self.beside.insert(who.clone(), at_ms);
        }
    }

    /// What is shown.
    pub(super) fn shown(&self) -> Option<&Source> {
        self.shown.as_ref().map(|(source, _)| source)
    }

    /// Continues with a source that has all its pictures in the film.
    pub(super) fn go_on(&mut self, source: Source, at_ms: u64) {
        self.shown = Some((source, at_ms));
    }

    /// Notes that the film is black: what follows begins with a key frame.
    pub(super) fn go_black(&mut self) {
        self.shown = None;
    }

    /// Notes that a picture is lost: if its source is shown, it goes on with a key frame.
    pub(super) fn break_off(&mut self, source: &Source) {
        self.shown.take_if(|(shown, _)| shown == source);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::model::{SpeakerUserId, UserId};

    fn who(id: u32) -> SpeakerKey {
        SpeakerKey::User(SpeakerUserId::Number(UserId(id.into())))
    }

    fn camera(id: u32) -> Source {
        Source::Camera(Some(who(id)))
    }

    fn screen(id: u32) -> Source {
        Source::Screen(Some(who(id)))
    }

    #[test]
    fn the_picture_follows_the_speaker_that_zoom_chooses_at_key_frames() {
        let mut cut = Cut::new(false);
        assert!(!cut.shows(0, &camera(1), false), "nothing to decode it with");
        assert!(cut.shows(40, &camera(1), true));
        assert!(cut.shows(80, &camera(1), false));
        assert!(!cut.shows(120, &camera(2), false));
        let mut cut = Cut::new(false);
        assert!(cut.shows(0, &camera(1), true));
        assert!(cut.shows(40, &camera(2), true), "the first picture of a new speaker");
        assert!(!cut.shows(80, &camera(1), false));
    }

    #[test]
    fn of_two_cameras_at_a_time_the_one_that_is_heard_is_shown() {
        let mut cut = Cut::new(false);
        assert!(cut.shows(0, &camera(1), true));
        assert!(!cut.shows(10, &camera(2), false));
        assert!(!cut.shows(40, &camera(2), true), "beside, and not heard");
        cut.hear(&who(2));
        assert!(cut.shows(80, &camera(2), true));
        assert!(!cut.shows(90, &camera(1), false));
        assert!(!cut.shows(120, &camera(1), true));
        assert!(cut.shows(80 + 1_001, &camera(1), true), "the other one has stopped");
    }

    #[test]
    fn a_screen_comes_first_if_it_is_preferred_and_leaves_when_it_stops() {
        let mut cut = Cut::new(false);
        assert!(!cut.shows(0, &screen(1), true));
        let mut cut = Cut::new(true);
        assert!(cut.shows(0, &camera(1), true));
        assert!(cut.shows(100, &screen(2), true));
        assert!(!cut.shows(140, &camera(1), true));
        assert!(!cut.shows(140, &screen(3), true), "two screens do not alternate");
        assert!(!cut.shows(100 + SCREEN_STAYS_MS, &camera(1), true));
        assert!(cut.shows(101 + SCREEN_STAYS_MS, &camera(1), true));
    }

    #[test]
    fn whatever_comes_a_shown_picture_can_be_decoded() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(seed);
        for prefers_screen in [false, true] {
            let mut cut = Cut::new(prefers_screen);
            let (mut at_ms, mut on) = (0, None);
            for _ in 0..20_000 {
                at_ms += if dice.random_bool(0.01) { 10_000 } else { dice.random_range(0..60) };
                if dice.random_bool(0.01) {
                    cut.go_black();
                    on = None;
                }
                let id = dice.random_range(1..4);
                let source = if dice.random_bool(0.3) { screen(id) } else { camera(id) };
                if dice.random_bool(0.2) {
                    cut.hear(&who(id));
                }
                let is_key = dice.random_bool(0.1);
                if cut.shows(at_ms, &source, is_key) {
                    assert!(is_key || on.as_ref() == Some(&source), "a cut without a key frame");
                    on = Some(source);
                }
            }
        }
    }
}

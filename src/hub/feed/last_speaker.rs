//! The speaker of the last frame. While the next frames have the same speaker, they need neither the roster's lock nor a
//! lookup.

use std::sync::Arc;

use crate::hub::registry::RunningStream;
use crate::hub::roster::Person;
use crate::model::{SpeakerRef, UserId, UserIdRef};
use crate::prefetch::prefetch_ref_counts;

/// The roster's record of the last frame's speaker, if that is a participant with a number.
#[derive(Default)]
pub(super) struct LastSpeaker(Option<(UserId, Arc<Person>)>);

impl LastSpeaker {
    /// The speaker of a frame or, for mixed audio, the active speaker.
    pub(super) fn heard(
        &mut self,
        who: &SpeakerRef<'_>,
        running: &RunningStream,
    ) -> (Option<Arc<Person>>, Option<Arc<Person>>) {
        let (Some(UserIdRef::Number(user_id)), None) = (&who.user_id, &who.channel_id) else {
            return running.people().heard(who);
        };
        if let Some((last, person)) = &self.0
            && last == user_id
        {
            return (Some(Arc::clone(person)), None);
        }
        let (speaker, active) = running.people().heard(who);
        self.0 = speaker.clone().map(|person| (*user_id, person));
        (speaker, active)
    }

    /// Forgets the speaker. Call it before every entry, because an entry may change the roster.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Prefetches the reference counts that the next frame of the same speaker changes.
    pub(super) fn prefetch(&self) {
        if let Some((_, person)) = &self.0 {
            prefetch_ref_counts(person);
        }
    }
}

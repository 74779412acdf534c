//! The kinds of entries, and what holds for each.

use super::EntryBody;
use crate::named::named;

named! {
    /// The kinds of [`EntryBody`], for filters and columns.
    #[derive(Hash)]
    pub enum EntryKind {
        /// The kind of [`EntryBody::Transcript`].
        Transcript: "transcript",
        /// The kind of [`EntryBody::Chat`].
        Chat: "chat",
        /// The kind of [`EntryBody::ParticipantJoined`].
        ParticipantJoined: "participant_joined",
        /// The kind of [`EntryBody::ParticipantLeft`].
        ParticipantLeft: "participant_left",
        /// The kind of [`EntryBody::ActiveSpeaker`].
        ActiveSpeaker: "active_speaker",
        /// The kind of [`EntryBody::SharingStarted`].
        SharingStarted: "sharing_started",
        /// The kind of [`EntryBody::SharingStopped`].
        SharingStopped: "sharing_stopped",
        /// The kind of [`EntryBody::VideoOn`].
        VideoOn: "video_on",
        /// The kind of [`EntryBody::VideoOff`].
        VideoOff: "video_off",
        /// The kind of [`EntryBody::VideoSubscription`].
        VideoSubscription: "video_subscription",
        /// The kind of [`EntryBody::ChatGroup`].
        ChatGroup: "chat_group",
        /// The kind of [`EntryBody::ContactCenterEvent`].
        ContactCenterEvent: "contact_center_event",
        /// The kind of [`EntryBody::UnknownEvent`].
        UnknownEvent: "unknown_event",
        /// The kind of [`EntryBody::FirstPacket`].
        FirstPacket: "first_packet",
        /// The kind of [`EntryBody::StreamState`].
        StreamState: "stream_state",
        /// The kind of [`EntryBody::SessionState`].
        SessionState: "session_state",
        /// The kind of [`EntryBody::LinkUp`].
        LinkUp: "link_up",
        /// The kind of [`EntryBody::LinkDown`].
        LinkDown: "link_down",
        /// The kind of [`EntryBody::Moved`].
        Moved: "moved",
        /// The kind of [`EntryBody::PickedUp`].
        PickedUp: "picked_up",
        /// The kind of [`EntryBody::EntriesLost`].
        EntriesLost: "entries_lost",
        /// The kind of [`EntryBody::HandedOver`].
        HandedOver: "handed_over",
        /// The kind of [`EntryBody::NotKept`].
        NotKept: "not_kept",
        /// The kind of [`EntryBody::Gap`].
        Gap: "gap",
        /// The kind of [`EntryBody::Summary`].
        Summary: "summary",
        /// The kind of [`EntryBody::Ended`].
        Ended: "ended",
    }
}

impl EntryBody {
    /// The kind, without the content.
    pub fn kind(&self) -> EntryKind {
        match self {
            EntryBody::Transcript(_) => EntryKind::Transcript,
            EntryBody::Chat(_) => EntryKind::Chat,
            EntryBody::ParticipantJoined(_) => EntryKind::ParticipantJoined,
            EntryBody::ParticipantLeft(_) => EntryKind::ParticipantLeft,
            EntryBody::ActiveSpeaker(_) => EntryKind::ActiveSpeaker,
            EntryBody::SharingStarted(_) => EntryKind::SharingStarted,
            EntryBody::SharingStopped {} => EntryKind::SharingStopped,
            EntryBody::VideoOn(_) => EntryKind::VideoOn,
            EntryBody::VideoOff(_) => EntryKind::VideoOff,
            EntryBody::VideoSubscription { .. } => EntryKind::VideoSubscription,
            EntryBody::ChatGroup(_) => EntryKind::ChatGroup,
            EntryBody::ContactCenterEvent(_) => EntryKind::ContactCenterEvent,
            EntryBody::UnknownEvent(_) => EntryKind::UnknownEvent,
            EntryBody::FirstPacket {} => EntryKind::FirstPacket,
            EntryBody::StreamState { .. } => EntryKind::StreamState,
            EntryBody::SessionState { .. } => EntryKind::SessionState,
            EntryBody::LinkUp { .. } => EntryKind::LinkUp,
            EntryBody::LinkDown { .. } => EntryKind::LinkDown,
            EntryBody::Moved {} => EntryKind::Moved,
            EntryBody::PickedUp {} => EntryKind::PickedUp,
            EntryBody::EntriesLost { .. } => EntryKind::EntriesLost,
            EntryBody::HandedOver { .. } => EntryKind::HandedOver,
            EntryBody::NotKept { .. } => EntryKind::NotKept,
            EntryBody::Gap { .. } => EntryKind::Gap,
            EntryBody::Summary { .. } => EntryKind::Summary,
            EntryBody::Ended { .. } => EntryKind::Ended,
        }
    }
}

impl EntryKind {
    /// Whether Zoom sends this kind of entry to every connected daemon, so that one daemon can hand it to another.
    pub fn is_of_zoom(self) -> bool {
        // Zoom answers only the daemon that asked.
        let is_answer = self == EntryKind::VideoSubscription;
        let is_impersonal = matches!(self, EntryKind::SharingStopped | EntryKind::SessionState);
        (self.is_personal() && !is_answer) || is_impersonal
    }

    /// Whether it holds what people said or did, which is deleted when a stream is revoked (rtms-protocol.md
    /// section 12.3, reason 8).
    pub fn is_personal(self) -> bool {
        matches!(
            self,
            EntryKind::Transcript
                | EntryKind::Chat
                | EntryKind::ParticipantJoined
                | EntryKind::ParticipantLeft
                | EntryKind::ActiveSpeaker
                | EntryKind::SharingStarted
                | EntryKind::VideoOn
                | EntryKind::VideoOff
                | EntryKind::VideoSubscription
                | EntryKind::ChatGroup
                | EntryKind::ContactCenterEvent
                | EntryKind::UnknownEvent
        )
    }
}

//! The parameters' values by name, as settings and the API write them.

use serde::{Serialize, Serializer};

/// A closed set of named values. Their numbers on the wire are in `rtms::params`.
pub trait Named: Copy + PartialEq + 'static {
    /// All values of the set, in the order of their definition.
    const ALL: &'static [Self];

    /// The name in settings and API, followed by the other accepted names: those of Zoom's samples.
    fn names(self) -> &'static [&'static str];

    /// The name in settings and API.
    fn as_str(self) -> &'static str {
        self.names()[0]
    }

    /// Returns the value with this name. Ignores case, and treats `-` and `_` alike.
    fn parse(text: &str) -> Option<Self> {
        let is_name = |value: &Self| value.names().iter().any(|name| is_same(name, text));
        Self::ALL.iter().copied().find(is_name)
    }
}

fn is_same(name: &str, text: &str) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    name.bytes().map(fold).eq(text.bytes().map(fold))
}

/// Defines an enum of a setting's values, each with all accepted names ([`crate::named`] accepts one name
/// only).
macro_rules! setting_values {
    ($(#[$about:meta])* $type:ident { $($variant:ident: $name:literal $(or $other:literal)*,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = concat!("`", $name, "`")] $variant),+
        }

        impl $crate::model::params::Named for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn names(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &[$name $(, $other)*]),+
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::model::params::Named::as_str(*self))
            }
        }
    };
}
pub(super) use setting_values;

setting_values! {
    /// One socket per medium, or one for all of them (section 3.3).
    ConnectionMode {
        Split: "split",
        Unified: "unified" or "combined",
    }
}

setting_values! {
    /// The packaging of audio (rtms-protocol.md section 10.7).
    AudioContent {
        Rtp: "rtp",
        Raw: "raw",
    }
}

setting_values! {
    /// The codec of audio (rtms-protocol.md section 10.10).
    AudioCodec {
        L16: "l16",
        G711: "g711",
        G722: "g722",
        Opus: "opus",
    }
}

setting_values! {
    /// The channels of audio (rtms-protocol.md section 10.12).
    Channels {
        Mono: "mono",
        Stereo: "stereo",
    }
}

setting_values! {
    /// One stream with all participants, or one per participant with up to three speakers at a time
    /// (rtms-protocol.md section 8.1).
    AudioStreams {
        Mixed: "mixed",
        PerParticipant: "per_participant" or "multi" or "multiple" or "individual",
    }
}

setting_values! {
    /// The codec of camera video and shared screens (rtms-protocol.md section 10.10).
    VideoCodec {
        Jpg: "jpg" or "jpeg",
        Png: "png",
        H264: "h264",
    }
}

setting_values! {
    /// The size of pictures (rtms-protocol.md section 10.11): 854x480 or 640x360, 1280x720, 1920x1080,
    /// 2560x1440.
    Resolution {
        Sd: "sd",
        Hd: "hd",
        Fhd: "fhd",
        Qhd: "qhd",
    }
}

setting_values! {
    /// The camera to send: the active speaker's, or one subscribed participant's (rtms-protocol.md section
    /// 10.9). An API client chooses that participant, or all participants with a camera take turns.
    VideoSelect {
        Active: "active" or "active_speaker" or "single_active" or "speaker" or "speaker_view" or "mixed_speaker",
        Individual: "individual" or "single_individual" or "pinned",
        RoundRobin: "round_robin",
    }
}

/// The sample rate of audio (rtms-protocol.md section 10.12). Its names are the rate in Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleRate {
    /// 8000 Hz; 0 on the wire.
    Khz8,
    /// 16000 Hz; 1 on the wire.
    Khz16,
    /// 32000 Hz; 2 on the wire.
    Khz32,
    /// 48000 Hz; 3 on the wire.
    Khz48,
}

impl SampleRate {
    /// The rate in samples per second.
    pub fn hz(self) -> u32 {
        match self {
            SampleRate::Khz8 => 8_000,
            SampleRate::Khz16 => 16_000,
            SampleRate::Khz32 => 32_000,
            SampleRate::Khz48 => 48_000,
        }
    }
}

impl Named for SampleRate {
    const ALL: &'static [Self] = &[Self::Khz8, Self::Khz16, Self::Khz32, Self::Khz48];

    fn names(self) -> &'static [&'static str] {
        match self {
            SampleRate::Khz8 => &["8000", "8khz"],
            SampleRate::Khz16 => &["16000", "16khz"],
            SampleRate::Khz32 => &["32000", "32khz"],
            SampleRate::Khz48 => &["48000", "48khz"],
        }
    }
}

impl Serialize for SampleRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.hz())
    }
}

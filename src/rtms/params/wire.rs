//! The wire's numbers for parameters, and the `media_params` objects that carry them (rtms-protocol.md sections
//! 6.3 and 10.8 to 10.15).

use serde_json::{Value, json};

use super::effective::Effective;
use crate::model::params::{
    AudioCodec, AudioContent, AudioStreams, Channels, Language, Named, Params, Resolution,
    SampleRate, VideoCodec, VideoSelect,
};
use crate::model::{MediaSet, Medium};
use crate::rtms::message::MEDIA_TYPE_ALL;

/// A named value that has a number on the wire.
pub(super) trait Coded: Named {
    fn code(self) -> i64;

    fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.code() == code)
    }
}

macro_rules! codes {
    ($type:ident { $($variant:ident = $code:literal),+ }) => {
        impl Coded for $type {
            fn code(self) -> i64 {
                match self {
                    $($type::$variant => $code),+
                }
            }
        }
    };
}

codes!(AudioContent { Rtp = 1, Raw = 2 });
codes!(AudioCodec { L16 = 1, G711 = 2, G722 = 3, Opus = 4 });
codes!(SampleRate { Khz8 = 0, Khz16 = 1, Khz32 = 2, Khz48 = 3 });
codes!(Channels { Mono = 1, Stereo = 2 });
codes!(AudioStreams { Mixed = 1, PerParticipant = 2 });
codes!(VideoCodec { Jpg = 5, Png = 6, H264 = 7 });
codes!(Resolution { Sd = 1, Hd = 2, Fhd = 3, Qhd = 4 });
// Zoom has no turns: a round-robin is a series of individual subscriptions. `from_code` finds `Individual` for
// 4, because it comes first.
codes!(VideoSelect { Active = 3, Individual = 4, RoundRobin = 4 });

impl Coded for Language {
    fn code(self) -> i64 {
        self.number()
    }
}

/// `content_type` of cameras and shared screens (section 10.7).
const RAW_VIDEO: i64 = 3;
/// `content_type` of transcript and chat.
const TEXT: i64 = 5;

/// Reads a bit mask of media as Zoom's samples write it (rtms-protocol.md section 10.8); 32 means all. `None`
/// for an invalid mask.
pub fn media_from_mask(mask: u32) -> Option<MediaSet> {
    if mask == MEDIA_TYPE_ALL {
        return Some(MediaSet::ALL);
    }
    let is_in = |medium: &Medium| mask & medium.media_type() != 0;
    let media: MediaSet = Medium::ALL.into_iter().filter(is_in).collect();
    let sum: u32 = media.iter().map(Medium::media_type).sum();
    (sum == mask && !media.is_empty()).then_some(media)
}

/// The key of a medium's object in `media_params` (section 6.3).
pub(super) fn medium_key(medium: Medium) -> &'static str {
    match medium {
        Medium::Share => "deskshare",
        medium => medium.as_str(),
    }
}

impl Params {
    /// The `media_params` of a handshake that asks for these media (section 6.3).
    pub fn media_params(&self, media: MediaSet) -> Value {
        media
            .iter()
            .map(|medium| (medium_key(medium).to_owned(), medium_object(self, medium)))
            .collect()
    }
}

impl Effective {
    /// The `media_params` of an answer for these media (section 6.4). What is not known is as it was asked for.
    pub(crate) fn media_params(&self, asked: &Params, media: &[Medium]) -> Value {
        let granted = self.applied_to(asked);
        granted.media_params(media.iter().copied().collect())
    }

    /// The parameters that were asked for, with what Zoom granted in their place.
    fn applied_to(&self, asked: &Params) -> Params {
        let mut params = asked.clone();
        if let Some(audio) = self.audio {
            let own = &mut params.audio;
            own.content_type = audio.content_type.unwrap_or(own.content_type);
            own.codec = audio.codec.unwrap_or(own.codec);
            own.sample_rate = audio.sample_rate.unwrap_or(own.sample_rate);
            own.channels = audio.channels.unwrap_or(own.channels);
            own.streams = audio.streams.unwrap_or(own.streams);
            own.send_rate_ms = audio.send_rate_ms.unwrap_or(own.send_rate_ms);
        }
        if let Some(video) = self.video {
            let own = &mut params.video;
            own.codec = video.codec.unwrap_or(own.codec);
            own.resolution = video.resolution.unwrap_or(own.resolution);
            own.fps = video.fps.unwrap_or(own.fps);
            own.select = video.select.unwrap_or(own.select);
        }
        if let Some(share) = self.share {
            let own = &mut params.share;
            own.codec = share.codec.unwrap_or(own.codec);
            own.resolution = share.resolution.unwrap_or(own.resolution);
            own.fps = share.fps.unwrap_or(own.fps);
        }
        if let Some(transcript) = self.transcript {
            let own = &mut params.transcript;
            own.language = transcript.language.unwrap_or(own.language);
            own.identify_language = transcript.identify_language.unwrap_or(own.identify_language);
        }
        params
    }
}

fn medium_object(params: &Params, medium: Medium) -> Value {
    let Params { audio, video, share, transcript, .. } = params;
    match medium {
        Medium::Audio => json!({
            "content_type": audio.content_type.code(),
            "sample_rate": audio.sample_rate.code(),
            "channel": audio.channels.code(),
            "codec": audio.codec.code(),
            "data_opt": audio.streams.code(),
            "send_rate": audio.send_rate_ms,
        }),
        Medium::Video => json!({
            "content_type": RAW_VIDEO,
            "codec": video.codec.code(),
            "resolution": video.resolution.code(),
            "fps": video.fps,
            "data_opt": video.select.code(),
        }),
        Medium::Share => json!({
            "content_type": RAW_VIDEO,
            "codec": share.codec.code(),
            "resolution": share.resolution.code(),
            "fps": share.fps,
        }),
        Medium::Transcript => json!({
            "content_type": TEXT,
            "src_language": transcript.language.code(),
            "enable_lid": transcript.identify_language,
        }),
        Medium::Chat => json!({ "content_type": TEXT }),
    }
}

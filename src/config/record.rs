//! The settings of recordings.

use super::apps::{RECORDINGS_LAYOUT, RECORDINGS_URL};
use super::read::Reader;
use crate::model::params::{FILMED_SOUND, Params, RecordError, VideoCodec, check_record};
use crate::model::{CaptureMode, MediaSet, Medium, MeetingPicture, RecordSet};
use crate::secret::Secret;
use crate::sinks::record;
use crate::sinks::record::layout::Layout;
use crate::sinks::record::target::{Access, Place};
use crate::zoom::app::{OwnPlace, OwnRecordings};

/// Reads what is recorded, and where it goes. `keeps_media`: whether any app keeps media.
pub(super) fn read_settings(
    read: &mut Reader<'_>,
    keeps_media: bool,
    params: Option<&Params>,
) -> Option<record::Settings> {
    let data_dir = super::data_dir(read);
    let record = match read.optional("RECORD") {
        None => Some(RecordSet::default()),
        Some(text) if text.eq_ignore_ascii_case("off") => Some(RecordSet::default()),
        Some(text) => RecordSet::parse(&text).or_else(|| {
            let form = format!("off, or some of {}, separated by commas", RecordSet::all_names());
            read.wrong("RECORD", form)
        }),
    };
    // After a mistake in the media settings, what is received is not known.
    match check_record(record.unwrap_or_default(), params, keeps_media) {
        Err(RecordError::NothingKept) => {
            return read.wrong("RECORD", "off while RETENTION_MEDIA is zero");
        }
        Err(RecordError::NotReceived(missing)) => {
            let problem =
                format!("MEDIA_TYPES lacks {missing}: add it there, or remove it from RECORD");
            read.mistake("RECORD", problem);
        }
        Err(RecordError::NothingToFilm) => {
            let problem = "MEDIA_TYPES lacks audio and video: add one of them there, or remove \
                           meeting from RECORD";
            read.mistake("RECORD", problem);
        }
        Err(RecordError::SilentFilm) => {
            let problem = format!(
                "cannot have meeting with these AUDIO_CODEC, AUDIO_STREAMS and AUDIO_CONTENT_TYPE: \
                 {FILMED_SOUND}"
            );
            read.mistake("RECORD", problem);
        }
        Ok(()) => {}
    }
    let picture = read.text("MEETING_PICTURE");
    let picture = MeetingPicture::parse(&picture.to_ascii_lowercase())
        .or_else(|| read.wrong("MEETING_PICTURE", "speaker or screen"));
    let shows_screen = picture == Some(MeetingPicture::Screen)
        && record.is_some_and(|record| record.meeting)
        && params.is_some_and(|params| params.wants(Medium::Share));
    if shows_screen && params.is_some_and(|params| params.share.codec != VideoCodec::H264) {
        read.wrong::<()>("SHARE_CODEC", "h264 with MEETING_PICTURE=screen");
    }
    let place = match read.optional(RECORDINGS_URL) {
        None => Some(Place::Folder(data_dir.join("recordings"))),
        Some(text) => read_place(read, &text),
    };
    let layout = read.text(RECORDINGS_LAYOUT);
    let layout = read_layout(read, &layout);
    let spool_bytes = read.number("RECORDINGS_SPOOL_BYTES", 1024 * 1024..=i64::MAX as u64);
    let stream_percent = read.number("RECORDINGS_STREAM_PERCENT", 1..=100);
    let access = match read.flag("RECORDINGS_GROUP_READABLE") {
        Some(true) => Some(Access::Group),
        Some(false) => Some(Access::Owner),
        None => None,
    };
    let capture = read_capture(read, keeps_media);
    let capture_bytes = read.number("CAPTURE_BYTES", 1024 * 1024..=i64::MAX as u64);
    Some(record::Settings {
        record: record?,
        received: params.map_or(MediaSet::ALL, |params| params.media),
        picture: picture?,
        place: place?,
        layout: layout?,
        spools: data_dir.join("spool"),
        spool_bytes: spool_bytes?,
        // The cast fits: 100 at most.
        stream_percent: stream_percent? as u8,
        access: access?,
        capture: capture?,
        capture_bytes: capture_bytes?,
    })
}

fn read_capture(read: &mut Reader<'_>, keeps_media: bool) -> Option<CaptureMode> {
    let text = read.text("CAPTURE").to_ascii_lowercase();
    match CaptureMode::parse(&text) {
        Some(mode) if mode != CaptureMode::Off && !keeps_media => {
            read.wrong("CAPTURE", "off while RETENTION_MEDIA is zero")
        }
        Some(mode) => Some(mode),
        None => read.wrong("CAPTURE", CaptureMode::ALL.map(CaptureMode::as_str).join(", ")),
    }
}

/// Reads an app's own settings for the place of its recordings.
pub(super) fn read_own(read: &mut Reader<'_>) -> Option<OwnRecordings> {
    let (url, layout) = (read.optional(RECORDINGS_URL), read.optional(RECORDINGS_LAYOUT));
    let place = match url {
        None => Some(None),
        Some(url) => read_place(read, &url).map(|place| Some(own_place(url, &place))),
    };
    let layout = match layout {
        None => Some(None),
        Some(text) => read_layout(read, &text).map(|_| Some(text)),
    };
    Some(OwnRecordings { place: place?, layout: layout? })
}

fn own_place(url: String, place: &Place) -> OwnPlace {
    let option = |(name, value): &(&'static str, String)| (*name, Secret::new(value.clone()));
    let options = place.options().iter().map(option).collect();
    OwnPlace { url: Secret::new(url), name: place.name(), options }
}

fn read_place(read: &mut Reader<'_>, text: &str) -> Option<Place> {
    match Place::parse(text, read.environment()) {
        Ok(place) => Some(place),
        Err(error) => read.wrong(RECORDINGS_URL, error.to_string()),
    }
}

fn read_layout(read: &mut Reader<'_>, text: &str) -> Option<Layout> {
    match Layout::parse(text) {
        Ok(layout) => Some(layout),
        Err(error) => {
            let form = format!(
                "rtms-samples, or a folder such as {{date}}/{{session}}/{{ordinal}}; it {error}"
            );
            read.wrong(RECORDINGS_LAYOUT, form)
        }
    }
}

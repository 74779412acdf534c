//! The settings of recordings.

use super::read::Reader;
use super::retention::{Keep, Retention};
use crate::model::MediaSet;
use crate::model::params::{Params, RecordError, check_record};
use crate::sinks::record;
use crate::sinks::record::layout::Layout;
use crate::sinks::record::target::{Access, Place};

/// What is recorded, and where it goes.
pub(super) fn read_settings(
    read: &mut Reader<'_>,
    retention: Option<Retention>,
    params: Option<&Params>,
) -> Option<record::Settings> {
    let data_dir = super::data_dir(read);
    let media = match read.optional("RECORD") {
        None => Some(MediaSet::default()),
        Some(text) if text.eq_ignore_ascii_case("off") => Some(MediaSet::default()),
        Some(text) => MediaSet::parse(&text).or_else(|| {
            let form = format!("off, or some of {}, separated by commas", MediaSet::ALL);
            read.wrong("RECORD", form)
        }),
    };
    let is_kept = retention.is_none_or(|retention| retention.media != Keep::Nothing);
    // After a mistake in the media settings, any medium may be received.
    let received = params.map_or(MediaSet::ALL, |params| params.media);
    match check_record(media.unwrap_or_default(), received, is_kept) {
        Err(RecordError::NothingKept) => {
            return read.wrong("RECORD", "off while RETENTION_MEDIA is zero");
        }
        Err(RecordError::NotReceived(missing)) => {
            let problem =
                format!("MEDIA_TYPES lacks {missing}: add it there, or remove it from RECORD");
            read.mistake("RECORD", problem);
        }
        Ok(()) => {}
    }
    let place = match read.optional("RECORDINGS_URL") {
        None => Some(Place::Folder(data_dir.join("recordings"))),
        Some(text) => match Place::parse(&text, read.environment()) {
            Ok(place) => Some(place),
            Err(error) => read.wrong("RECORDINGS_URL", error.to_string()),
        },
    };
    let layout = read.text("RECORDINGS_LAYOUT");
    let layout = match Layout::parse(&layout) {
        Ok(layout) => Some(layout),
        Err(error) => {
            let form = format!(
                "rtms-samples, or a folder such as {{date}}/{{session}}/{{ordinal}}; it {error}"
            );
            read.wrong("RECORDINGS_LAYOUT", form)
        }
    };
    let spool_bytes = read.number("RECORDINGS_SPOOL_BYTES", 1024 * 1024..=i64::MAX as u64);
    let stream_percent = read.number("RECORDINGS_STREAM_PERCENT", 1..=100);
    let access = match read.flag("RECORDINGS_GROUP_READABLE") {
        Some(true) => Some(Access::Group),
        Some(false) => Some(Access::Owner),
        None => None,
    };
    Some(record::Settings {
        media: media?,
        place: place?,
        layout: layout?,
        spools: data_dir.join("spool"),
        spool_bytes: spool_bytes?,
        // The cast fits: 100 at most.
        stream_percent: stream_percent? as u8,
        access: access?,
    })
}

//! The picture of the ledger: one band for each medium over the time of the session.

use askama::Template;

use crate::model::{Entry, EntryBody, Medium, MediumAccount, SessionId, StreamRecord, rfc3339};
use crate::web::dashboard::bands::{self, Part, WIDTH, Window};
use crate::web::dashboard::rendered;

/// A chat message is a point in time; so wide is its mark, in ms.
const POINT_MS: i64 = 1;

/// The picture, its legend and figures.
#[derive(Template)]
#[template(path = "dashboard/session_ledger.html")]
pub struct Ledger {
    id: String,
    is_active: bool,
    bands: Vec<Row>,
    from: Option<String>,
    to: Option<String>,
    /// The causes of gaps in the picture: class and words.
    causes: Vec<(&'static str, &'static str)>,
    /// Gaps that are too old for the stored account.
    earlier_gaps: u64,
}

/// One medium.
struct Row {
    medium: Medium,
    parts: Vec<Part>,
    completeness: Option<String>,
    is_complete: bool,
}

impl Row {
    fn gaps(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.is_gap())
    }

    fn sound(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.is_gap())
    }
}

impl Ledger {
    /// `marks` are the lines, messages and events that show when something was received.
    pub fn of(id: SessionId, streams: &[StreamRecord], marks: &[Entry]) -> Self {
        let accounts: Vec<_> = streams.iter().flat_map(|stream| &stream.ledger).collect();
        let from_ms = accounts.iter().map(|account| account.since_ms).min().unwrap_or_default();
        let to_ms = accounts.iter().map(|account| account.until_ms).max().unwrap_or_default();
        let window = Window { from_ms, to_ms };
        let row = |medium| row(medium, streams, &accounts, marks, window);
        let bands: Vec<Row> = bands::media_of(&accounts).into_iter().map(row).collect();
        let mut causes: Vec<_> =
            bands.iter().flat_map(Row::gaps).map(|part| (part.class, part.what)).collect();
        causes.sort_unstable();
        causes.dedup();
        Self {
            id: id.to_string(),
            is_active: streams.iter().any(|stream| stream.ended_at_ms.is_none()),
            bands,
            from: rfc3339(from_ms),
            to: rfc3339(to_ms),
            causes,
            earlier_gaps: accounts.iter().map(|account| account.earlier_gaps).sum(),
        }
    }

    pub fn html(&self) -> String {
        rendered(self)
    }
}

fn row(
    medium: Medium,
    streams: &[StreamRecord],
    accounts: &[&MediumAccount],
    marks: &[Entry],
    window: Window,
) -> Row {
    let own: Vec<_> = accounts.iter().copied().filter(|account| account.medium == medium).collect();
    let share = bands::completeness(&own);
    let mut parts = bands::band(medium, &own, window).parts;
    let first_gap = parts.iter().position(Part::is_gap).unwrap_or(parts.len());
    // Over what is covered and under the gaps.
    parts.splice(first_gap..first_gap, received(medium, streams, marks, window));
    Row {
        medium,
        parts,
        completeness: share.map(bands::percent),
        is_complete: share.is_none_or(|share| share >= 1.0),
    }
}

/// The spans in which something is known to have been received; spans that touch in the picture are one.
fn received(
    medium: Medium,
    streams: &[StreamRecord],
    marks: &[Entry],
    window: Window,
) -> Vec<Part> {
    let mut spans: Vec<(i64, i64)> = match medium {
        Medium::Share => shared(marks, window.to_ms),
        Medium::Video => frames(medium, streams),
        medium => marks.iter().filter_map(|entry| said(medium, entry)).collect(),
    };
    // A screen that was shared before the stream began is announced by its frames alone.
    if medium == Medium::Share && spans.is_empty() {
        spans = frames(medium, streams);
    }
    spans.sort_unstable();
    let pixel_ms = (window.to_ms - window.from_ms) / WIDTH;
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (start_ms, end_ms) in spans {
        match merged.last_mut() {
            Some(last) if start_ms <= last.1 + pixel_ms => last.1 = last.1.max(end_ms),
            _ => merged.push((start_ms, end_ms)),
        }
    }
    let part = |(start_ms, end_ms)| window.part(start_ms, end_ms, "received", "received");
    merged.into_iter().filter_map(part).collect()
}

/// When something was said or written. Somebody is heard while the transcript has a line.
fn said(medium: Medium, entry: &Entry) -> Option<(i64, i64)> {
    match (medium, &entry.body) {
        (Medium::Audio | Medium::Transcript, EntryBody::Transcript(line)) => {
            Some((line.start_ms, line.end_ms))
        }
        (Medium::Chat, EntryBody::Chat(_)) => Some((entry.at_ms, entry.at_ms + POINT_MS)),
        _ => None,
    }
}

fn shared(marks: &[Entry], until_ms: i64) -> Vec<(i64, i64)> {
    let mut spans = Vec::new();
    let mut since_ms = None;
    for entry in marks {
        match entry.body {
            EntryBody::SharingStarted(_) => since_ms = since_ms.or(Some(entry.at_ms)),
            EntryBody::SharingStopped {} => {
                spans.extend(since_ms.take().map(|since_ms| (since_ms, entry.at_ms)));
            }
            _ => {}
        }
    }
    spans.extend(since_ms.map(|since_ms| (since_ms, until_ms)));
    spans
}

/// From the first frame of each stream to its last.
fn frames(medium: Medium, streams: &[StreamRecord]) -> Vec<(i64, i64)> {
    let tallies = streams.iter().map(|stream| stream.tally.of(medium));
    tallies.filter_map(|tally| tally.first_ms.zip(tally.last_ms)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Participant, Speaker, StreamId, TranscriptLine, UserId};

    const WINDOW: Window = Window { from_ms: 0, to_ms: 100_000 };

    fn entry(at_ms: i64, body: EntryBody) -> Entry {
        let (session_id, stream_id) = (SessionId(uuid::Uuid::nil()), StreamId::parse("s").unwrap());
        Entry { session_id, stream_id, stream_ordinal: 1, seq: 1, at_ms, body }
    }

    fn line(start_ms: i64, end_ms: i64) -> Entry {
        let line = TranscriptLine {
            speaker: Speaker::participant(UserId(7), None),
            text: "x".into(),
            start_ms,
            end_ms,
            language: None,
            attribute: None,
        };
        entry(end_ms, EntryBody::Transcript(line))
    }

    fn spans(medium: Medium, marks: &[Entry]) -> Vec<(i64, i64)> {
        let parts = received(medium, &[], marks, WINDOW);
        parts.iter().map(|part| (part.start_ms, part.end_ms)).collect()
    }

    #[test]
    fn lines_that_touch_in_the_picture_are_one_span() {
        let marks = [line(50_000, 51_000), line(1_000, 2_000), line(2_050, 3_000)];
        assert_eq!(spans(Medium::Transcript, &marks), [(1_000, 3_000), (50_000, 51_000)]);
        assert_eq!(spans(Medium::Audio, &marks), spans(Medium::Transcript, &marks));
        assert_eq!(spans(Medium::Chat, &marks), []);
    }

    #[test]
    fn a_screen_is_received_while_it_is_shared() {
        let ana = || Participant { user_id: UserId(7), user_name: None };
        let marks = [
            entry(1_000, EntryBody::SharingStarted(ana())),
            entry(5_000, EntryBody::SharingStopped {}),
            entry(6_000, EntryBody::SharingStopped {}),
            entry(90_000, EntryBody::SharingStarted(ana())),
        ];
        assert_eq!(spans(Medium::Share, &marks), [(1_000, 5_000), (90_000, 100_000)]);
    }
}

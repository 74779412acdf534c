//! An entry of a session's log as one line for people.

use crate::model::{EntryBody, Participant, TranscriptLine, one_line, rfc3339};

/// `attribute` of a line that replaces an earlier one, and of one that withdraws it (rtms-protocol.md section 10.14).
const UPDATE: i64 = 2;
const DELETE: i64 = 3;

/// What an entry says, safe for a terminal; none for a kind that people do not need to see.
pub(super) fn entry_line(body: &EntryBody) -> Option<String> {
    // Names and texts come from outside and must not control the terminal.
    describe(body).map(|line| one_line(&line))
}

fn describe(body: &EntryBody) -> Option<String> {
    Some(match body {
        EntryBody::Transcript(line) => transcript_line(line),
        EntryBody::Chat(message) => {
            format!("[chat] {}: {}", message.user_name.as_deref().unwrap_or("?"), message.text)
        }
        EntryBody::ParticipantJoined(person) => format!("-- {} joins", display_name(person)),
        EntryBody::ParticipantLeft(person) => format!("-- {} leaves", display_name(person)),
        EntryBody::SharingStarted(person) => {
            format!("-- {} shares the screen", display_name(person))
        }
        EntryBody::SharingStopped {} => "-- the screen is no longer shared".to_owned(),
        EntryBody::LinkDown { link, cause } => format!("-- {link} lost: {cause}"),
        EntryBody::LinkUp { link } => format!("-- {link} connected"),
        EntryBody::Moved {} => "-- Zoom moved the stream to another server".to_owned(),
        EntryBody::EntriesLost { count } => {
            format!("-- {count} entries are lost: the store was unavailable for too long")
        }
        EntryBody::Gap { medium, start_ms, end_ms, cause } => {
            let (from, to) = (clock_time(*start_ms), clock_time(*end_ms));
            format!("-- {} is missing from {from} to {to}: {}", medium.as_str(), cause.as_str())
        }
        EntryBody::Ended { outcome, detail, .. } => {
            let detail = detail.as_deref().map(|detail| format!(" ({detail})"));
            format!("-- the stream has ended: {outcome}{}", detail.unwrap_or_default())
        }
        _ => return None,
    })
}

fn transcript_line(line: &TranscriptLine) -> String {
    let speaker = &line.speaker;
    let name = speaker.name.clone().unwrap_or_else(|| speaker.placeholder());
    let mark = match line.attribute {
        Some(UPDATE) => " (corrected)",
        Some(DELETE) => " (withdrawn)",
        _ => "",
    };
    format!("{name}{mark}: {}", line.text)
}

/// The time of day in UTC, as `04:05:06`; the whole number if it is out of range.
pub(super) fn clock_time(at_ms: i64) -> String {
    let time = rfc3339(at_ms).and_then(|at| Some(at.split_once('T')?.1.get(..8)?.to_owned()));
    time.unwrap_or_else(|| at_ms.to_string())
}

fn display_name(person: &Participant) -> String {
    person.user_name.clone().unwrap_or_else(|| person.user_id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapCause, Medium, Speaker, UserId};

    fn said(attribute: Option<i64>) -> EntryBody {
        EntryBody::Transcript(TranscriptLine {
            speaker: Speaker::participant(UserId(7), Some("Ana\u{1b}[31m".to_owned())),
            text: "good\r\nmorning\u{202e}".to_owned(),
            start_ms: 0,
            end_ms: 1,
            language: None,
            attribute,
        })
    }

    #[test]
    fn a_line_names_its_speaker_and_cannot_control_the_terminal() {
        assert_eq!(entry_line(&said(None)).unwrap(), "Ana [31m: good morning");
        assert_eq!(entry_line(&said(Some(2))).unwrap(), "Ana [31m (corrected): good morning");
        assert_eq!(entry_line(&said(Some(3))).unwrap(), "Ana [31m (withdrawn): good morning");
    }

    #[test]
    fn a_gap_names_its_medium_its_span_and_its_cause() {
        let gap = EntryBody::Gap {
            medium: Medium::Transcript,
            start_ms: 1_732_313_171_881,
            end_ms: 1_732_313_180_000,
            cause: GapCause::LinkLost,
        };
        let line = entry_line(&gap).unwrap();
        assert_eq!(line, "-- transcript is missing from 22:06:11 to 22:06:20: link_lost");
    }

    #[test]
    fn a_time_out_of_range_is_shown_as_its_number() {
        assert_eq!(clock_time(i64::MAX), i64::MAX.to_string());
    }
}

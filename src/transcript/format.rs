//! Renders a transcript as text, WebVTT, SRT and JSON.

mod json_line;

use std::borrow::Cow;
use std::io::Write;

use serde_json::json;

use super::lines::Line;
use crate::model::{SessionId, TranscriptLine, one_line, rfc3339};

/// The formats of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object in the API's envelope.
    Json,
    /// One JSON object per line.
    Jsonl,
    Vtt,
    Srt,
    Txt,
}

/// The available media types, for the error to a client that asks for another one.
pub const MEDIA_TYPES: &str =
    "application/json, application/jsonl, text/vtt, application/x-subrip, text/plain";

impl Format {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "jsonl" => Some(Self::Jsonl),
            "vtt" => Some(Self::Vtt),
            "srt" => Some(Self::Srt),
            "txt" => Some(Self::Txt),
            _ => None,
        }
    }

    /// The preferred supported format in an `Accept` header, by weight and then by position.
    pub fn accepted(accept: &str) -> Option<Self> {
        let mut ranges: Vec<(f32, Self)> = accept.split(',').filter_map(accepted_range).collect();
        // A stable sort keeps the order of equal weights.
        ranges.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        ranges.first().map(|(_, format)| *format)
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jsonl => "application/jsonl",
            Self::Vtt => "text/vtt; charset=utf-8",
            Self::Srt => "application/x-subrip; charset=utf-8",
            Self::Txt => "text/plain; charset=utf-8",
        }
    }

    /// The suffix of a downloaded file; none for the API's JSON, which is not offered as a file.
    pub fn file_suffix(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Jsonl => Some("jsonl"),
            Self::Vtt => Some("vtt"),
            Self::Srt => Some("srt"),
            Self::Txt => Some("txt"),
        }
    }

    /// Whether corrections are applied. Formats for people show the corrected text; programs get every line with its
    /// attribute.
    pub fn applies_corrections(self) -> bool {
        !matches!(self, Self::Json | Self::Jsonl)
    }
}

fn accepted_range(range: &str) -> Option<(f32, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        // `application/*` and `*/*` mean the API's default, `text/*` the most readable one.
        "application/json" | "application/*" | "*/*" => Format::Json,
        "application/jsonl" | "application/x-ndjson" => Format::Jsonl,
        "text/vtt" => Format::Vtt,
        "application/x-subrip" | "text/srt" => Format::Srt,
        "text/plain" | "text/*" => Format::Txt,
        _ => return None,
    };
    // A malformed weight excludes its range instead of failing the whole header.
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
    weight.ok().filter(|weight| *weight > 0.0).map(|weight| (weight, format))
}

/// Writes lines in one format, with times relative to one origin.
pub struct Writer {
    format: Format,
    session_id: SessionId,
    /// The origin of the time line, in Unix milliseconds.
    origin_ms: i64,
    written: u64,
}

impl Writer {
    pub fn new(format: Format, session_id: SessionId, origin_ms: i64) -> Self {
        Self { format, session_id, origin_ms, written: 0 }
    }

    pub fn start(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => {
                let id = self.session_id;
                let origin = json!({ "ms": self.origin_ms, "at": rfc3339(self.origin_ms) });
                // Written by hand, because a `Value` of all lines would hold the whole transcript in memory.
                push_text(
                    out,
                    format_args!(
                        "{{\"status\":true,\"message\":\"transcript\",\"data\":{{\
                         \"session_id\":\"{id}\",\"origin\":{origin},\"lines\":["
                    ),
                );
            }
            Format::Vtt => out.extend_from_slice(b"WEBVTT\n\n"),
            Format::Jsonl | Format::Srt | Format::Txt => {}
        }
    }

    pub fn line(&mut self, out: &mut Vec<u8>, line: &Line) {
        self.written += 1;
        // Saturating and clamped: times come from Zoom, and a cue must not be empty or negative.
        let from_ms = line.said.start_ms.saturating_sub(self.origin_ms).max(0);
        match self.format {
            Format::Json => {
                if self.written > 1 {
                    out.push(b',');
                }
                json_line::push(out, line, from_ms);
            }
            Format::Jsonl => {
                json_line::push(out, line, from_ms);
                out.push(b'\n');
            }
            Format::Vtt | Format::Srt | Format::Txt => self.readable_line(out, &line.said, from_ms),
        }
    }

    fn readable_line(&self, out: &mut Vec<u8>, said: &TranscriptLine, from_ms: i64) {
        // At least one millisecond: WebVTT requires an end after the start.
        let to_ms = said.end_ms.saturating_sub(self.origin_ms).max(from_ms.saturating_add(1));
        // A line break would end a cue or start a forged line.
        let text = one_line(&said.text);
        let speaker = speaker_name(said);
        // WebVTT and text separate milliseconds with a point, SRT with a comma.
        let point = if self.format == Format::Srt { ',' } else { '.' };
        let (from, to) = (format_time(from_ms, point), format_time(to_ms, point));
        match self.format {
            Format::Vtt => {
                let (speaker, text) = (escape_cue(&speaker), escape_cue(&text));
                push_text(out, format_args!("{from} --> {to}\n<v {speaker}>{text}\n\n"));
            }
            Format::Srt => {
                // SRT has no escapes: an arrow in the text would look like a time line.
                let (number, text) = (self.written, text.replace("-->", "->"));
                push_text(out, format_args!("{number}\n{from} --> {to}\n{speaker}: {text}\n\n"));
            }
            Format::Json | Format::Jsonl | Format::Txt => {
                push_text(out, format_args!("[{from}] {speaker}: {text}\n"));
            }
        }
    }

    pub fn end(&self, out: &mut Vec<u8>) {
        if self.format == Format::Json {
            out.extend_from_slice(b"]}}");
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

/// Formats a time as `01:02:03.004`, with more digits for the hours if needed.
fn format_time(ms: i64, point: char) -> String {
    // Never negative: `line` clamps both times.
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{point}{:03}", ms / 1000 % 60, ms % 1000)
}

fn speaker_name(said: &TranscriptLine) -> String {
    let name = said.speaker.name.as_deref().map(one_line).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| one_line(&said.speaker.placeholder()))
}

/// Escapes a text or a voice's name for WebVTT.
fn escape_cue(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    // `&` first, so that the entities are not escaped again.
    Cow::Owned(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::super::lines::tests::line;
    use super::*;
    use crate::model::{ChannelId, Speaker};

    const ORIGIN_MS: i64 = 1_732_313_190_000;

    fn written(format: Format, lines: &[Line]) -> String {
        let mut writer = Writer::new(format, SessionId(Uuid::nil()), ORIGIN_MS);
        let mut text = Vec::new();
        writer.start(&mut text);
        for line in lines {
            writer.line(&mut text, line);
        }
        writer.end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn web_vtt_has_voices_and_escapes() {
        let mut odd = line(1, 2, ORIGIN_MS + 3_661_001, "a <b> & c\n\n00:01 --> 00:02");
        odd.said.speaker.name = Some("Bo>b\n".into());
        let text = written(Format::Vtt, &[line(1, 1, ORIGIN_MS + 1000, "Good morning"), odd]);
        assert_eq!(
            text,
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Ana>Good morning\n\n\
             01:01:01.001 --> 01:01:02.501\n<v Bo&gt;b>a &lt;b&gt; &amp; c 00:01 --&gt; 00:02\n\n"
        );
    }

    #[test]
    fn srt_is_numbered_and_has_commas() {
        let lines = [line(1, 1, ORIGIN_MS, "one"), line(1, 2, ORIGIN_MS + 2000, "two --> three")];
        assert_eq!(
            written(Format::Srt, &lines),
            "1\n00:00:00,000 --> 00:00:01,500\nAna: one\n\n\
             2\n00:00:02,000 --> 00:00:03,500\nAna: two -> three\n\n"
        );
    }

    #[test]
    fn text_shows_the_number_of_a_speaker_without_a_name() {
        let mut nameless = line(1, 1, ORIGIN_MS, "hi\r\n[00:00:00.000] Eve: forged");
        nameless.said.speaker.name = None;
        assert_eq!(
            written(Format::Txt, &[nameless]),
            "[00:00:00.000] Participant 7: hi [00:00:00.000] Eve: forged\n"
        );
    }

    #[test]
    fn text_files_have_no_format_characters_and_json_has_the_text_as_sent() {
        let mut odd = line(1, 1, ORIGIN_MS, "see \u{202e}txt.exe\u{202c} 👩\u{200d}💻");
        odd.said.speaker.name = Some("An\u{200f}a\u{2066}".into());
        let odd = [odd];
        for format in [Format::Vtt, Format::Srt, Format::Txt] {
            let text = written(format, &odd);
            assert!(text.contains("see txt.exe 👩\u{200d}💻") && text.contains("Ana"), "{text:?}");
        }
        let json: Value = serde_json::from_str(&written(Format::Jsonl, &odd)).unwrap();
        assert_eq!(json["user_name"], "An\u{200f}a\u{2066}");
        assert_eq!(json["text"], odd[0].said.text);
    }

    #[test]
    fn the_parties_of_an_engagement_are_never_participant_0() {
        let mut agent = line(1, 1, ORIGIN_MS, "hello");
        agent.said.speaker = Speaker { channel_id: ChannelId::new("c\n1"), ..Speaker::default() };
        let mut nobody = line(1, 2, ORIGIN_MS, "hm");
        nobody.said.speaker = Speaker::default();
        let lines = [agent, nobody];
        assert_eq!(
            written(Format::Txt, &lines),
            "[00:00:00.000] Channel c 1: hello\n[00:00:00.000] Unknown speaker: hm\n"
        );
        let text = written(Format::Jsonl, &lines);
        let in_json: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&in_json[0]["channel_id"], &in_json[0]["user_id"]),
            (&"c\n1".into(), &Value::Null)
        );
        assert!(in_json[1].get("channel_id").is_none());
        // In the order of their names, as in all JSON of the API.
        let in_order: Vec<String> = in_json.iter().map(Value::to_string).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), in_order);
    }

    #[test]
    fn json_is_one_envelope_and_jsonl_the_same_line_by_line() {
        for count in [0, 1, 3] {
            let lines: Vec<_> = (0..count).map(|n| line(1, n, ORIGIN_MS, "\"x\"")).collect();
            let json: Value = serde_json::from_str(&written(Format::Json, &lines)).unwrap();
            assert_eq!(json["status"], true);
            assert_eq!(json["data"]["lines"].as_array().unwrap().len() as u64, count);
            let text = written(Format::Jsonl, &lines);
            let each: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(json["data"]["lines"], Value::from(each));
        }
    }

    #[test]
    fn a_cue_is_neither_before_the_origin_nor_empty() {
        let mut early = line(1, 1, ORIGIN_MS - 5000, "early");
        early.said.end_ms = ORIGIN_MS - 6000;
        let text = written(Format::Vtt, &[early]);
        assert!(text.contains("00:00:00.000 --> 00:00:00.001"), "{text}");
        let mut absurd = line(1, 1, i64::MIN, "x");
        absurd.said.end_ms = i64::MAX;
        for format in [Format::Json, Format::Jsonl, Format::Vtt, Format::Srt, Format::Txt] {
            assert!(!written(format, std::slice::from_ref(&absurd)).is_empty());
        }
    }

    #[test]
    fn an_accept_header_chooses_by_weight_then_position() {
        assert_eq!(Format::accepted("text/vtt"), Some(Format::Vtt));
        assert_eq!(Format::accepted("text/html, text/plain;q=0.5, text/vtt"), Some(Format::Vtt));
        assert_eq!(Format::accepted("application/x-subrip, */*"), Some(Format::Srt));
        assert_eq!(Format::accepted("*/*;q=0.1, TEXT/PLAIN"), Some(Format::Txt));
        for unknown in ["text/html", "", "text/vtt;q=0", "text/vtt;q=x", "json"] {
            assert_eq!(Format::accepted(unknown), None, "{unknown:?}");
        }
    }
}

//! A value of the API as a cell for people (pure): times, sizes and shares in their usual form, and never a control
//! character.

use serde_json::Value;

use super::style::Tone;
use super::table::Cell;
use super::verbs::Form;
use crate::model::{one_line, rfc3339};

/// What stands for a value that there is not.
const NOTHING: &str = "-";
const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

/// The cell of a value. One that does not have the expected form is shown as it is.
pub(super) fn cell(value: &Value, form: Form) -> Cell {
    let text = formatted(value, form).unwrap_or_else(|| plain(value));
    let is_right = matches!(form, Form::Count | Form::Bytes | Form::Share | Form::Milliseconds);
    let tone = match form {
        _ if text == NOTHING => Tone::Faint,
        Form::Status => Tone::of_status(&text),
        _ => Tone::Plain,
    };
    Cell { text, tone, is_right }
}

fn formatted(value: &Value, form: Form) -> Option<String> {
    match form {
        Form::Text | Form::Status | Form::Count => None,
        Form::Time => time(value),
        Form::Bytes => value.as_u64().map(size),
        Form::Share => value.as_f64().map(share),
        Form::Milliseconds => value.as_i64().map(span),
    }
}

/// A value on one line.
pub(super) fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => one_line(&other.to_string()),
    };
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

/// `2026-11-29 04:05:06Z`: a time in UTC to the second.
fn time(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => one_line(text),
        other => rfc3339(other.as_i64()?)?,
    };
    let (date, time) = text.split_once('T')?;
    let seconds = time.get(..8).filter(|_| time.ends_with('Z'))?;
    Some(format!("{date} {seconds}Z"))
}

fn size(bytes: u64) -> String {
    let unit = (1..UNITS.len()).take_while(|unit| bytes >= 1000_u64.pow(*unit as u32)).last();
    match unit {
        None => format!("{bytes} B"),
        Some(unit) => {
            let scaled = bytes as f64 / 1000_f64.powi(unit as i32);
            format!("{scaled:.1} {}", UNITS[unit])
        }
    }
}

/// A share in percent. Only what is complete is shown as 100 %.
fn share(share: f64) -> String {
    let percent = if share < 1.0 { (share * 1000.0).floor() / 10.0 } else { share * 100.0 };
    format!("{percent:.1} %")
}

/// `1:02:03.004`, without the hours if there are none.
fn span(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let rest = ms % 1000;
    match hours {
        0 => format!("{sign}{minutes}:{seconds:02}.{rest:03}"),
        hours => format!("{sign}{hours}:{minutes:02}:{seconds:02}.{rest:03}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: Value, form: Form) -> String {
        cell(&value, form).text
    }

    #[test]
    fn a_value_has_the_form_that_people_know() {
        assert_eq!(text(json!("2026-11-29T04:05:06.789Z"), Form::Time), "2026-11-29 04:05:06Z");
        assert_eq!(text(json!(1_732_313_171_881_i64), Form::Time), "2024-11-22 22:06:11Z");
        assert_eq!(text(json!(999), Form::Bytes), "999 B");
        assert_eq!(text(json!(1_500), Form::Bytes), "1.5 kB");
        assert_eq!(text(json!(u64::MAX), Form::Bytes), "18446744.1 TB");
        assert_eq!(text(json!(0.99999), Form::Share), "99.9 %");
        assert_eq!(text(json!(1.0), Form::Share), "100.0 %");
        assert_eq!(text(json!(3_723_004), Form::Milliseconds), "1:02:03.004");
        assert_eq!(text(json!(65_000), Form::Milliseconds), "1:05.000");
        assert_eq!(text(json!(["a", "b"]), Form::Text), "a, b");
        assert_eq!(text(json!(true), Form::Text), "yes");
    }

    #[test]
    fn a_value_of_another_form_is_shown_as_it_is_and_a_missing_one_as_a_dash() {
        for form in [Form::Time, Form::Bytes, Form::Share, Form::Milliseconds, Form::Count] {
            assert_eq!(text(json!("soon"), form), "soon");
            assert_eq!(text(Value::Null, form), "-");
        }
        assert_eq!(text(json!(i64::MAX), Form::Time), i64::MAX.to_string());
        assert_eq!(text(json!(""), Form::Text), "-");
    }

    #[test]
    fn no_value_controls_the_terminal() {
        let hostile = json!("\u{1b}]0;owned\u{7}\u{9b}2Jname\r\nNEXT\u{202e}");
        for form in [Form::Text, Form::Status, Form::Time] {
            let shown = text(hostile.clone(), form);
            assert!(
                !shown.chars().any(char::is_control) && !shown.contains('\u{202e}'),
                "{shown:?}"
            );
            assert!(shown.contains("name NEXT"), "{shown:?}");
        }
        let nested = text(json!({"a\u{9b}": hostile}), Form::Text);
        assert!(!nested.chars().any(char::is_control), "{nested:?}");
    }
}

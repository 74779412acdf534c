//! Answers of the API as text for people (pure): tables, and one object field by field.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::cell::{cell, plain};
use super::style::{Style, Tone};
use super::table::{self, Cell};
use super::verbs::{Column, Form, Part, Rows, array};
use crate::model::escape_json;

/// The parts of an answer, with an empty line between two of them. A table without rows is left out behind another part.
pub(super) fn show(parts: &[Part], data: &Value, style: Style) -> String {
    let texts = parts.iter().enumerate().filter_map(|(at, part)| match part {
        Part::Fields { at: name, first } => Some(show_fields(&data[name], first, style)),
        Part::Table { title, rows, columns } => {
            let rows = rows_of(rows, data);
            let is_shown = at == 0 || !rows.is_empty();
            is_shown.then(|| titled(title, &show_rows(&rows, columns, style), style))
        }
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Rows as a table.
pub(super) fn show_rows(rows: &[Value], columns: &[Column], style: Style) -> String {
    let headings: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let line = |row: &Value| -> Vec<Cell> {
        columns.iter().map(|column| cell(&row[column.field], column.form)).collect()
    };
    table::render(&headings, &rows.iter().map(line).collect::<Vec<_>>(), style)
}

fn rows_of(rows: &Rows, data: &Value) -> Vec<Value> {
    match rows {
        Rows::Named(name) => array(&data[name]).cloned().collect(),
        Rows::Made(make) => make(data),
    }
}

fn titled(title: &str, text: &str, style: Style) -> String {
    match title {
        "" => text.to_owned(),
        title => format!("{}\n{text}", style.paint(Tone::Heading, title)),
    }
}

/// The fields of an object: those of the columns first, then all others by name. A time that is there in two forms is
/// shown once.
fn show_fields(object: &Value, first: &[Column], style: Style) -> String {
    let none = Map::new();
    let fields = object.as_object().unwrap_or(&none);
    let is_first = |name: &str| first.iter().any(|column| column.field == name);
    let is_twin = |name: &str| name.strip_suffix("_ms").is_some_and(|of| fields.contains_key(of));
    let others = fields.iter().filter(|(name, _)| !is_first(name) && !is_twin(name));
    let firsts = first.iter().map(|column| (column.field, &object[column.field], column.form));
    let all: Vec<_> =
        firsts.chain(others.map(|(name, value)| (&**name, value, form_of(name)))).collect();
    let names: Vec<String> = all.iter().map(|(name, ..)| plain(&Value::from(*name))).collect();
    let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let line = |(name, (_, value, form)): (&String, &(&str, &Value, Form))| {
        let padding = " ".repeat(width - name.width());
        let name = style.paint(Tone::Heading, name);
        match parts_text(value) {
            Some(json) => format!("{name}\n{json}\n"),
            None => {
                let Cell { text, tone, .. } = cell(value, *form);
                format!("{name}{padding}  {}\n", style.paint(tone, &text))
            }
        }
    };
    names.iter().zip(&all).map(line).collect()
}

fn form_of(name: &str) -> Form {
    if name.ends_with("_at") || name.ends_with("_at_ms") { Form::Time } else { Form::Text }
}

/// A value with parts of its own, as JSON; none for one that fits on a line.
fn parts_text(value: &Value) -> Option<String> {
    let has_parts = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    };
    let json = has_parts.then(|| escape_json(&format!("{value:#}")))?;
    Some(format!("  {}", json.replace('\n', "\n  ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column { title: "ID", field: "id", form: Form::Text },
        Column { title: "STATUS", field: "status", form: Form::Status },
    ];

    #[test]
    fn an_object_shows_its_columns_first_and_every_time_once() {
        let parts = [Part::Fields { at: "session", first: COLUMNS }];
        let data = json!({"session": {
            "app": "default", "created_at": "2026-11-29T04:05:06.789Z", "created_at_ms": 1, "id": "s1",
            "metadata": {"crm": "a\u{9b}b"}, "status": "live", "ends_at_ms": 7,
        }});
        assert_eq!(
            show(&parts, &data, Style::PLAIN),
            "id          s1\n\
             status      live\n\
             app         default\n\
             created_at  2026-11-29 04:05:06Z\n\
             ends_at_ms  1970-01-01 00:00:00Z\n\
             metadata\n  {\n    \"crm\": \"a\\u009bb\"\n  }\n"
        );
    }

    #[test]
    fn a_table_behind_another_part_has_a_title_and_is_left_out_without_rows() {
        let table = |title| Part::Table { title, rows: Rows::Named("rows"), columns: COLUMNS };
        let parts = [Part::Fields { at: "one", first: &[] }, table("streams")];
        let data = json!({"one": {"x": 1}, "rows": [{"id": "a", "status": "ended"}]});
        assert_eq!(show(&parts, &data, Style::PLAIN), "x  1\n\nstreams\nID  STATUS\na   ended\n");
        let data = json!({"one": {"x": 1}, "rows": []});
        assert_eq!(show(&parts, &data, Style::PLAIN), "x  1\n");
        assert_eq!(show(&[table("")], &json!({}), Style::PLAIN), "ID  STATUS\n");
    }
}

//! Writes to standard output: whole texts, which a reader may cut short, as `head` does.

use std::io::{self, IsTerminal};

use serde_json::Value;

use super::failure::Failure;
use super::style::Style;
use crate::model::{escape_json, one_line};
use crate::stdio;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub style: Style,
    pub is_json: bool,
}

impl Output {
    /// Writes a text that is safe for a terminal.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        stdio::write(text).map_err(Failure::Output)
    }

    /// Writes a value for programs. Control characters in it are escaped, which changes nothing for them.
    pub(super) fn json(&self, value: &Value) -> Result<(), Failure> {
        self.text(&format!("{}\n", escape_json(&format!("{value:#}"))))
    }

    /// The same on one line.
    pub(super) fn json_line(&self, value: &Value) -> Result<(), Failure> {
        self.text(&format!("{}\n", escape_json(&value.to_string())))
    }

    /// Writes a part of a file as it is, but to a terminal without its control characters.
    pub(super) fn file(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match io::stdout().is_terminal() {
            true => stdio::write(readable(&String::from_utf8_lossy(bytes))),
            false => stdio::write(bytes),
        };
        written.map_err(Failure::Output)
    }

    /// Says something beside the results.
    pub(super) fn note(&self, text: &str) {
        stdio::print_stderr(&format!("rtmsd: {}", one_line(text)));
    }
}

/// A text of several lines without control characters.
fn readable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_a_terminal_has_its_lines_and_controls_nothing() {
        assert_eq!(readable("WEBVTT\n\n\u{1b}[2Ja\u{9b}b\r\n"), "WEBVTT\n\n[2Jab\n");
    }
}

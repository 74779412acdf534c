//! Makes text from outside safe for people to read in a file, a file name or a terminal (pure). Programs get the text
//! as sent.

use std::fmt::Write;

/// Puts a text on one line. Each run of spaces and control characters becomes one space. Format characters are dropped,
/// because they reorder or hide the text around them, except for the two joiners, which emoji, Persian and the scripts
/// of India need. A text of only joiners becomes empty.
pub fn one_line(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_format(*c)).collect();
    let words = visible.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match words.iter().all(|word| word.chars().all(is_joiner)) {
        true => String::new(),
        false => words.join(" "),
    }
}

/// Writes the control and format characters in JSON text as escapes, which mean the same to programs. Line breaks stay:
/// inside a string of JSON they are escapes already.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !(c.is_control() || is_format(c)) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// Whether this is the zero width joiner or the zero width non-joiner.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether this is in Unicode's category Cf, except for the joiners and the visible ones (number signs and verse marks
/// of Arabic, Syriac and Kaithi).
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{e0001}'
        | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_reorder_or_hide_text_are_dropped() {
        for format in ["\u{202e}", "\u{2066}", "\u{200f}", "\u{feff}", "\u{ad}", "\u{e0041}"] {
            assert_eq!(one_line(&format!("ab{format}cd")), "abcd", "{}", format.escape_unicode());
            assert_eq!(one_line(format), "", "{}", format.escape_unicode());
        }
        assert_eq!(one_line("invoice\u{202e}fdp.exe"), "invoicefdp.exe");
    }

    #[test]
    fn escaped_json_means_the_same_and_controls_no_terminal() {
        for text in
            ["plain", "a\u{9b}31m\u{7f}b", "\u{202e}fdp", "\u{e0041}\u{1d173}", "é 👩\u{200d}💻"]
        {
            let json = serde_json::json!({ "text": text, "more": [text] });
            let escaped = escape_json(&format!("{json:#}"));
            assert!(
                !escaped.chars().any(|c| c != '\n' && (c.is_control() || is_format(c))),
                "{escaped}"
            );
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
        }
    }

    #[test]
    fn text_written_with_joiners_stays() {
        for whole in
            ["👩\u{200d}💻", "می\u{200c}خواهم", "क\u{94d}\u{200d}ष", "❤\u{fe0f}", "١\u{6dd}"]
        {
            assert_eq!(one_line(whole), whole);
        }
        assert_eq!(one_line("\u{200d} \u{200c}"), "");
    }

    #[test]
    fn spaces_and_control_characters_become_one_space() {
        assert_eq!(one_line("\u{1b}[31m a\r\n\tb\u{2028}c\0 "), "[31m a b c");
        assert_eq!(one_line(""), "");
    }
}

//! Other people's text as a person may read it in a file, in a file's name, or on a terminal (pure). What programs get
//! is what was sent.

/// A text on one line, without what only changes how its neighbours look: every run of space and control characters is
/// one space, and format characters are dropped, since they reorder or hide what stands beside them. The two joiners
/// stay: emoji, Persian and the scripts of India are written with them. A text of joiners alone is empty.
pub fn one_line(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_format(*c)).collect();
    let words = visible.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    match words.iter().all(|word| word.chars().all(is_joiner)) {
        true => String::new(),
        false => words.join(" "),
    }
}

/// Zero width non-joiner and zero width joiner.
pub fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Unicode's category Cf, without the joiners and without those that are seen (the number signs and verse marks of
/// Arabic, Syriac and Kaithi).
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
    fn what_reorders_or_hides_its_neighbours_is_dropped() {
        for format in ["\u{202e}", "\u{2066}", "\u{200f}", "\u{feff}", "\u{ad}", "\u{e0041}"] {
            assert_eq!(one_line(&format!("ab{format}cd")), "abcd", "{}", format.escape_unicode());
            assert_eq!(one_line(format), "", "{}", format.escape_unicode());
        }
        assert_eq!(one_line("invoice\u{202e}fdp.exe"), "invoicefdp.exe");
    }

    #[test]
    fn what_is_written_with_joiners_stays() {
        for whole in
            ["👩\u{200d}💻", "می\u{200c}خواهم", "क\u{94d}\u{200d}ष", "❤\u{fe0f}", "١\u{6dd}"]
        {
            assert_eq!(one_line(whole), whole);
        }
        assert_eq!(one_line("\u{200d} \u{200c}"), "");
    }

    #[test]
    fn space_and_control_characters_are_one_space() {
        assert_eq!(one_line("\u{1b}[31m a\r\n\tb\u{2028}c\0 "), "[31m a b c");
        assert_eq!(one_line(""), "");
    }
}

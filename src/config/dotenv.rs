//! Reads `.env` of the working directory. Reports mistakes by line, never with a value.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file's name. It is read only from the working directory.
pub(super) const FILE: &str = ".env";
/// The longest file that is accepted.
const MAX_BYTES: u64 = 1 << 20;
/// The most lines that a quoted value may span.
const MAX_VALUE_LINES: usize = 200;
const ROOT: u32 = 0;
/// Mode bits that let other users write the file.
const WRITABLE_BY_OTHERS: u32 = 0o022;

const BYTE_ORDER_MARK: char = '\u{feff}';
const REFERENCE: &str = "has a $ that may be a character or refer to another variable: put the value in single quotes if \
                         it is a character, or write out the other variable's value";
const BACKSLASH: &str = "has a backslash outside quotes that may be a character or escape the next one: put the value in \
                         single quotes if it is a character, or leave it out";
const REPEATED: &str =
    "sets a variable that a line above sets to another value: keep one of the lines";
const OPEN_QUOTE: &str =
    "has a quote that is not closed: close it, or put the value in single quotes";
const UNREADABLE: &str =
    "cannot be read: write NAME=value, and put a value with spaces or quotes in single quotes";
const NOT_UTF8: &str = "is not UTF-8: save the file as UTF-8";
const MARKED: &str = "begins with a byte order mark (U+FEFF): remove it";

/// The content of a `.env` file.
#[derive(Debug, Default)]
pub(super) struct DotEnv {
    values: HashMap<String, Line>,
    pub problems: Vec<LineProblem>,
    /// Whether the file starts with a byte order mark, which is not part of the first name.
    pub is_marked: bool,
}

struct Line {
    number: usize,
    value: String,
}

/// A mistake in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LineProblem {
    pub line: usize,
    /// The variable that the line sets, if its name can be read.
    pub name: Option<String>,
    pub problem: &'static str,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.number)
    }
}

impl DotEnv {
    /// Reads the file; empty if it does not exist. `is_set` returns whether the environment has a variable. `user` is the
    /// id of the user that the daemon runs as.
    ///
    /// # Errors
    /// Why the whole file is rejected, and what to do.
    pub(super) fn read(
        path: &Path,
        user: u32,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        let unreadable = |error| format!("cannot be read: {error}");
        // Of the open file, because the path could name another file by now.
        check_access(&file.metadata().map_err(unreadable)?, user, FILE)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!(
                "is longer than {MAX_BYTES} bytes: remove what does not belong in it"
            ));
        }
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err("is UTF-16: save it as UTF-8".to_owned());
        }
        Ok(Self::parse(&bytes, is_set))
    }

    fn parse(bytes: &[u8], is_set: &dyn Fn(&str) -> bool) -> Self {
        let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf");
        let mut file = Self { is_marked: unmarked.is_some(), ..Self::default() };
        let lines = unmarked.unwrap_or(bytes).split(|byte| *byte == b'\n');
        let lines: Vec<_> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        let mut index = 0;
        while index < lines.len() {
            index += file.statement(&lines[index..], index + 1, is_set);
        }
        file
    }

    /// Reads the statement that begins at the first of `lines` and returns its number of lines.
    fn statement(
        &mut self,
        lines: &[&[u8]],
        number: usize,
        is_set: &dyn Fn(&str) -> bool,
    ) -> usize {
        let mut text = String::new();
        for (index, line) in lines.iter().take(MAX_VALUE_LINES).enumerate() {
            let Ok(line) = str::from_utf8(line) else {
                self.refuse(number + index, &String::from_utf8_lossy(line), NOT_UTF8);
                return index + 1;
            };
            text.push_str(line);
            text.push('\n');
            let known = |name: &str| is_set(name) || self.values.contains_key(name);
            let scan = Scan::of(&text, &known);
            if !scan.is_open {
                self.take(&text, &scan, number);
                return index + 1;
            }
        }
        // Lines after an open quote are read as separate statements, so that their mistakes are found too.
        self.refuse(number, &text, OPEN_QUOTE);
        1
    }

    fn take(&mut self, text: &str, scan: &Scan, number: usize) {
        if scan.is_reference {
            return self.refuse(number, text, REFERENCE);
        }
        if scan.has_backslash {
            return self.refuse(number, text, BACKSLASH);
        }
        match dotenvy::from_read_iter(scan.literal.as_bytes()).next() {
            None => {}
            Some(Ok((name, value))) => self.set(name, Line { number, value }, text),
            Some(Err(_)) if text.starts_with(BYTE_ORDER_MARK) => self.refuse(number, text, MARKED),
            Some(Err(_)) => self.refuse(number, text, UNREADABLE),
        }
    }

    /// Keeps the first value of a variable. An empty value counts as none.
    fn set(&mut self, name: String, line: Line, text: &str) {
        match self.values.get(&name).filter(|first| !first.value.is_empty()) {
            None => drop(self.values.insert(name, line)),
            Some(first) if line.value.is_empty() || line.value == first.value => {}
            Some(_) => self.refuse(line.number, text, REPEATED),
        }
    }

    fn refuse(&mut self, line: usize, text: &str, problem: &'static str) {
        self.problems.push(LineProblem { line, name: name_of(text), problem });
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|line| line.value.as_str())
    }

    /// The variables, in the order of their lines.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut names: Vec<_> =
            self.values.iter().map(|(name, line)| (line.number, name.as_str())).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The number of the line that sets a variable.
    pub(super) fn line(&self, name: &str) -> Option<usize> {
        self.values.get(name).map(|line| line.number)
    }
}

/// Checks that only root and the user that the daemon runs as can have written the file at `path`.
///
/// # Errors
/// Why the file is rejected, and what to do.
pub(super) fn check_access(file: &Metadata, user: u32, path: &str) -> Result<(), String> {
    let (owner, mode) = (file.uid(), file.mode());
    if owner != user && owner != ROOT {
        return Err(format!(
            "belongs to user {owner}, and rtmsd runs as user {user}: run chown {user} {path}"
        ));
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(format!(
            "can be written by users other than its owner (mode {:03o}): run chmod go-w {path}",
            mode & 0o777
        ));
    }
    Ok(())
}

/// The text before the first `=`, if it is a valid name.
fn name_of(text: &str) -> Option<String> {
    let (name, _) = text.trim_start_matches(BYTE_ORDER_MARK).split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    (!name.is_empty() && name.chars().all(is_name_char)).then(|| name.to_owned())
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// A statement rewritten for dotenvy so that every `$` is a character.
struct Scan {
    literal: String,
    /// Whether a quote is still open, so that the next line belongs to the value.
    is_open: bool,
    /// Whether a `$` may refer to a variable.
    is_reference: bool,
    /// Whether a backslash is outside quotes.
    has_backslash: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

impl Scan {
    fn of(text: &str, is_known: &dyn Fn(&str) -> bool) -> Self {
        let mut scan = Self {
            literal: text.to_owned(),
            is_open: false,
            is_reference: false,
            has_backslash: false,
        };
        let Some((name, value)) = text.split_once('=') else { return scan };
        if name.trim_start().starts_with('#') {
            return scan;
        }
        scan.literal = format!("{name}=");
        scan.value(value, is_known);
        scan
    }

    fn value(&mut self, value: &str, is_known: &dyn Fn(&str) -> bool) {
        let (mut quote, mut escaped, mut after_space) = (Quote::None, false, true);
        for (at, c) in value.char_indices() {
            if c == '#' && after_space && quote == Quote::None {
                break;
            }
            let was_escaped = std::mem::take(&mut escaped);
            match (quote, c) {
                _ if was_escaped => {}
                (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
                // In single quotes, `$` and backslashes are plain characters.
                (Quote::Single, _) => {}
                (_, '\\') => {
                    self.has_backslash |= quote == Quote::None;
                    escaped = true;
                }
                (_, '$') => {
                    self.is_reference |= is_reference(&value[at + 1..], is_known);
                    self.literal.push('\\');
                }
                (Quote::None, '\'') => quote = Quote::Single,
                (Quote::None, '"') => quote = Quote::Double,
                _ => {}
            }
            after_space = c.is_whitespace();
            self.literal.push(c);
        }
        self.literal.push('\n');
        self.is_open = quote != Quote::None;
    }
}

/// Whether the text after a `$` refers to a variable: in braces, or by the name of a variable that is set.
fn is_reference(rest: &str, is_known: &dyn Fn(&str) -> bool) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = &rest[..rest.find(|c: char| !is_part(c)).unwrap_or(rest.len())];
    rest.starts_with('{') || (!name.is_empty() && is_known(name))
}

#[cfg(test)]
mod tests;

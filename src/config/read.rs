//! Reads variables one by one and collects every mistake.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::variables::{self, Variable};
use crate::secret::Secret;

/// A mistake in one variable and what to write instead. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub name: &'static str,
    pub problem: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Mistake>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have mistakes (environment, .env or --config):")?;
        for mistake in &self.0 {
            write!(f, "\n  {}: {}", mistake.name, mistake.problem)?;
        }
        Ok(())
    }
}

/// Reads variables and collects what is wrong with them.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, mistakes: Vec::new() }
    }

    /// Returns the settings, or every mistake.
    pub(super) fn finish<T>(self, config: Option<T>) -> Result<T, ConfigErrors> {
        let mut mistakes: Vec<Mistake> = Vec::new();
        for mistake in self.mistakes {
            // A variable that several settings derive from is read several times.
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigErrors(mistakes)),
        }
    }

    /// The value under the variable's name or one of its aliases. Two different values are a mistake.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<String> {
        let variable = variables::find_variable(name);
        let mut found: Option<(&str, String)> = None;
        for name in variable.names() {
            let Some(value) = self.value(name) else { continue };
            match &found {
                Some((first, other)) if *other != value => {
                    let problem =
                        format!("{first} and {name} have different values; keep one of them");
                    self.mistake(variable.name, problem);
                    return None;
                }
                Some(_) => {}
                None => found = Some((name, value)),
            }
        }
        match found {
            Some((_, value)) if is_quoted(&value) => {
                self.mistake(variable.name, QUOTED);
                None
            }
            Some((_, value)) if variable.is_credential && !is_printable(&value) => {
                self.mistake(variable.name, UNPRINTABLE);
                None
            }
            found => found.map(|(_, value)| value),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The raw environment, for a library's own variables, which are not in the table.
    pub(super) fn environment(&self) -> &'a dyn Fn(&str) -> Option<String> {
        self.lookup
    }

    pub(super) fn required(&mut self, name: &'static str) -> Option<String> {
        let mistakes = self.mistakes.len();
        let value = self.optional(name);
        // A value with a mistake is not missing.
        if value.is_none() && self.mistakes.len() == mistakes {
            let Variable { about, aliases, .. } = variables::find_variable(name);
            let also = match aliases {
                [] => String::new(),
                aliases => format!(" (also read as {})", aliases.join(", ")),
            };
            self.mistake(name, format!("missing: {about}{also}"));
        }
        value
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret<String>> {
        self.required(name).map(Secret::new)
    }

    /// The value, else the default in the table of settings.
    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.optional(name).unwrap_or_else(|| variables::find_variable(name).default.to_owned())
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str, form: &str) -> Option<T> {
        match self.text(name).parse() {
            Ok(value) => Some(value),
            Err(_) => self.wrong(name, form),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let form = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parsed(name, &form)?;
        if range.contains(&number) { Some(number) } else { self.wrong(name, form) }
    }

    /// `Some(None)` if the variable is unset.
    pub(super) fn optional_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        match self.optional(name) {
            None => Some(None),
            Some(_) => self.number(name, range).map(Some),
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.text(name).to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => self.wrong(name, "true or false"),
        }
    }

    pub(super) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(name).to_ascii_lowercase();
        match choices.iter().find(|(choice, _)| *choice == text) {
            Some((_, value)) => Some(*value),
            None => {
                let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
                self.wrong(name, format!("one of {}", names.join(", ")))
            }
        }
    }

    /// Records that a value does not have the expected form.
    pub(super) fn wrong<T>(&mut self, name: &'static str, form: impl Into<String>) -> Option<T> {
        self.mistake(name, format!("must be {}", form.into()));
        None
    }

    /// Records a mistake in a variable.
    pub(super) fn mistake(&mut self, name: &'static str, problem: impl Into<String>) {
        self.mistakes.push(Mistake { name, problem: problem.into() });
    }
}

/// Docker's `--env-file` and some shells keep the quotes around a value.
const QUOTED: &str = "the value is in quotes, which are part of the value here: remove them (docker --env-file keeps quotes)";

const UNPRINTABLE: &str = "the value has a character that is not printable ASCII, such as a no-break space or a letter \
                           with an accent: copy it again from your Zoom app";

fn is_printable(value: &str) -> bool {
    value.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

/// Whether a value is enclosed in a pair of quotes.
fn is_quoted(value: &str) -> bool {
    const PAIRS: [(char, char); 6] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{2018}', '\u{2019}'),
    ];
    PAIRS
        .iter()
        .any(|(first, last)| value.strip_prefix(*first).is_some_and(|rest| rest.ends_with(*last)))
}

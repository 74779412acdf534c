//! The source of settings: the environment, then `.env` of the working directory, then the file of `--config`, and the
//! files that they name.

use std::path::{Path, PathBuf};

use super::dotenv::{self, DotEnv, LineProblem};
use super::file::ConfigFile;
use super::read::{ConfigErrors, Mistake};
use super::value_files::{self, ValueFiles};
use super::variables::{Variable, variable_named, variables};

/// Prefixes of the object stores' and OpenTelemetry's own variables, which libraries read under their names.
const STORE_PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "OTEL_"];

/// From this length on a name with two wrong letters is still recognized.
const LONG_NAME: usize = 8;

/// The environment, with `.env` and a settings file as fallbacks.
pub struct Source<E> {
    environment: E,
    dotenv: DotEnv,
    file: ConfigFile,
    /// Why the whole `.env`, or the whole settings file, is rejected.
    refused: Vec<Mistake>,
    files: ValueFiles,
}

impl<E: Fn(&str) -> Option<String>> Source<E> {
    /// Reads `.env` in a folder, and the settings file if there is one. [`Self::settle`] reports their mistakes.
    pub fn read(folder: &Path, file: Option<&Path>, environment: E) -> Self {
        let is_set = |name: &str| environment(name).is_some();
        let user = rustix::process::geteuid().as_raw();
        let dotenv = DotEnv::read(&folder.join(dotenv::FILE), user, &is_set);
        let dotenv = dotenv.map_err(|problem| Mistake { name: dotenv::FILE, problem });
        let file =
            file.map_or_else(|| Ok(ConfigFile::default()), |path| ConfigFile::read(path, user));
        let refused = [dotenv.as_ref().err(), file.as_ref().err()];
        let refused = refused.into_iter().flatten().cloned().collect();
        let (dotenv, file) = (dotenv.unwrap_or_default(), file.unwrap_or_default());
        let mut source = Self { environment, dotenv, file, refused, files: ValueFiles::default() };
        let lookup = |name: &str| {
            let written = source.written(name).map(str::to_owned);
            (source.environment)(name).or(written).or_else(|| source.in_file(name))
        };
        source.files = ValueFiles::read(lookup, source.credentials().as_deref());
        source
    }

    /// The value of a variable. The environment takes precedence, also under another name of the same setting, and then
    /// `.env`.
    pub fn lookup(&self, name: &str) -> Option<String> {
        if let Some(value) = (self.environment)(name) {
            return Some(value);
        }
        if let Some(value) = self.files.value(name) {
            return Some(value.to_owned());
        }
        // The environment has it under an alias: another value from `.env` would count as a conflict.
        if self.is_in_environment(name) {
            return None;
        }
        self.written(name).map(str::to_owned).or_else(|| self.in_file(name))
    }

    /// The value of a variable in `.env`. An empty one counts as none.
    fn written(&self, name: &str) -> Option<&str> {
        self.dotenv.value(name).filter(|value| !value.is_empty())
    }

    /// The folder of systemd's credentials.
    fn credentials(&self) -> Option<PathBuf> {
        (self.environment)(value_files::CREDENTIALS).map(PathBuf::from)
    }

    /// The value of a variable in the settings file, unless the setting has a value above it: in the environment or in
    /// `.env`, under any of its names or in a file, or in a credential of systemd.
    fn in_file(&self, name: &str) -> Option<String> {
        let value = self.file.value(name)?;
        let credentials = self.credentials();
        let is_set = |name: &str| {
            (self.environment)(name).is_some()
                || self.written(name).is_some()
                || credentials.as_ref().is_some_and(|folder| folder.join(name).exists())
        };
        let of_file = || variable_named(value_files::setting_of(name)?);
        let is_above = match variable_named(name).or_else(of_file) {
            Some(variable) => variable.names().any(|name| {
                is_set(name) || value_files::file_name(name).is_some_and(|name| is_set(&name))
            }),
            None => is_set(name),
        };
        (!is_above).then(|| value.to_owned())
    }

    /// Where the value of a variable comes from; none if it is not set.
    pub(super) fn origin(&self, name: &str) -> Option<String> {
        let is_in_environment =
            |name: &str| (self.environment)(name).is_some_and(|value| !value.is_empty());
        let of = |name: &str| match self.written(name) {
            _ if is_in_environment(name) => Some("environment".to_owned()),
            Some(_) => self.dotenv.line(name).map(|line| format!("{} line {line}", dotenv::FILE)),
            None => self.file.place(name),
        };
        if self.files.value(name).is_none() || is_in_environment(name) {
            return of(name);
        }
        let file = value_files::file_name(name).and_then(|file| Some((of(&file)?, file)));
        Some(match file {
            Some((origin, file)) => format!("the file of {file}, {origin}"),
            None => format!("the credential {name}"),
        })
    }

    /// Warnings that do not prevent the start.
    pub fn notes(&self) -> Vec<String> {
        let marked =
            format!("{} line 1 begins with a byte order mark; it is ignored", dotenv::FILE);
        let misspelt = self.dotenv.names().filter_map(|(line, name)| {
            let meant = similar_variable(name)?;
            let file = dotenv::FILE;
            Some(format!(
                "{file} line {line}: {name} is not a setting and is ignored; did you mean {meant}?"
            ))
        });
        let marked = self.dotenv.is_marked.then_some(marked);
        marked.into_iter().chain(misspelt).chain(self.file.note()).collect()
    }

    /// Returns the settings that were read, unless a file itself has mistakes. All mistakes are in one list, each with
    /// its line.
    pub fn settle<T>(&self, read: Result<T, ConfigErrors>) -> Result<T, ConfigErrors> {
        if !self.refused.is_empty() {
            // Without the file, its settings would be reported as missing.
            return Err(ConfigErrors(self.refused.clone()));
        }
        let lines = self.dotenv.problems.iter().filter_map(|it| self.mistake(it));
        let lines: Vec<Mistake> = lines.chain(self.file.mistakes().cloned()).collect();
        let (config, mut mistakes) = match read {
            Ok(config) => (Some(config), Vec::new()),
            Err(ConfigErrors(mistakes)) => (None, mistakes),
        };
        // A setting with an unreadable line is not missing.
        mistakes.retain(|mistake| lines.iter().all(|line| line.name != mistake.name));
        for mistake in &mut mistakes {
            mistake.problem.push_str(&self.place(mistake.name));
        }
        // Nor is one whose file cannot be read.
        mistakes.retain(|mistake| self.files.mistakes.iter().all(|file| file.name != mistake.name));
        mistakes.splice(0..0, self.files.mistakes.iter().cloned());
        mistakes.splice(0..0, lines);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigErrors(mistakes)),
        }
    }

    /// The mistake in a line of one of our settings; none for a line of another program's variable.
    fn mistake(&self, line: &LineProblem) -> Option<Mistake> {
        let at = format!("{} line {} {}", dotenv::FILE, line.line, line.problem);
        let Some(name) = &line.name else {
            return Some(Mistake {
                name: dotenv::FILE,
                problem: format!("line {} {}", line.line, line.problem),
            });
        };
        if self.is_in_environment(name) {
            return None;
        }
        if let Some(variable) = variable_named(name) {
            return Some(Mistake { name: variable.name, problem: at });
        }
        let is_stores = STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        is_stores.then(|| Mistake {
            name: dotenv::FILE,
            problem: format!("line {} ({name}) {}", line.line, line.problem),
        })
    }

    /// The lines that set a setting, in parentheses.
    fn place(&self, name: &str) -> String {
        let Some(variable) = variable_named(name).filter(|_| !self.is_in_environment(name)) else {
            return String::new();
        };
        let lines = variable.names().filter(|name| self.written(name).is_some());
        let mut lines: Vec<usize> = lines.filter_map(|name| self.dotenv.line(name)).collect();
        lines.sort_unstable();
        match lines.as_slice() {
            [] => {
                self.file.place(variable.name).map_or(String::new(), |place| format!(" ({place})"))
            }
            [line] => format!(" ({} line {line})", dotenv::FILE),
            lines => {
                let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                format!(" ({} lines {})", dotenv::FILE, lines.join(", "))
            }
        }
    }

    /// Whether the environment has a setting, under any of its names.
    fn is_in_environment(&self, name: &str) -> bool {
        let is_set = |name: &str| (self.environment)(name).is_some();
        match variable_named(name) {
            Some(variable) => variable.names().any(is_set),
            None => is_set(name),
        }
    }
}

/// The name of a setting that this name was probably meant to be: it differs by one letter, or by two in a long name.
fn similar_variable(name: &str) -> Option<&'static str> {
    if variable_named(name).is_some()
        || value_files::is_file_name(name)
        || STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let most = if name.len() < LONG_NAME { 1 } else { 2 };
    let known = variables().flat_map(Variable::names);
    let near = known.map(|known| (edit_distance(&upper, &known.to_ascii_uppercase()), known));
    near.filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|it| it.1)
}

/// How many letters to insert, remove or replace to turn one text into the other (Levenshtein).
pub(super) fn edit_distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;

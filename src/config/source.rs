//! The source of settings: the environment, with `.env` of the working directory as fallback, and files that they name.

use std::path::{Path, PathBuf};

use super::dotenv::{self, DotEnv, LineProblem};
use super::read::{ConfigErrors, Mistake};
use super::value_files::{self, ValueFiles};
use super::variables::{Variable, variable_named, variables};

/// Prefixes of the object stores' and OpenTelemetry's own variables, which libraries read under their names.
const STORE_PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "OTEL_"];

/// From this length on a name with two wrong letters is still recognized.
const LONG_NAME: usize = 8;

/// The environment, with `.env` as fallback.
pub struct Source<E> {
    environment: E,
    dotenv: DotEnv,
    /// Why the whole `.env` is rejected.
    refused: Option<String>,
    files: ValueFiles,
}

impl<E: Fn(&str) -> Option<String>> Source<E> {
    /// Reads `.env` in a folder. [`Self::settle`] reports its mistakes.
    pub fn read(folder: &Path, environment: E) -> Self {
        let is_set = |name: &str| environment(name).is_some();
        let user = rustix::process::geteuid().as_raw();
        let (dotenv, refused) = match DotEnv::read(&folder.join(dotenv::FILE), user, &is_set) {
            Ok(dotenv) => (dotenv, None),
            Err(reason) => (DotEnv::default(), Some(reason)),
        };
        let lookup =
            |name: &str| environment(name).or_else(|| dotenv.value(name).map(str::to_owned));
        let credentials = environment(value_files::CREDENTIALS).map(PathBuf::from);
        let files = ValueFiles::read(lookup, credentials.as_deref());
        Self { environment, dotenv, refused, files }
    }

    /// The value of a variable. The environment takes precedence, also under another name of the same setting.
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
        self.dotenv.value(name).map(str::to_owned)
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
        self.dotenv.is_marked.then_some(marked).into_iter().chain(misspelt).collect()
    }

    /// Returns the settings that were read, unless `.env` itself has mistakes. All mistakes are in one list, each with
    /// its line.
    pub fn settle<T>(&self, read: Result<T, ConfigErrors>) -> Result<T, ConfigErrors> {
        if let Some(reason) = &self.refused {
            // Without the file, its settings would be reported as missing.
            let mistake = Mistake { name: dotenv::FILE, problem: reason.clone() };
            return Err(ConfigErrors(vec![mistake]));
        }
        let lines: Vec<Mistake> =
            self.dotenv.problems.iter().filter_map(|it| self.mistake(it)).collect();
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
        let mut lines: Vec<usize> =
            variable.names().filter_map(|name| self.dotenv.line(name)).collect();
        lines.sort_unstable();
        match lines.as_slice() {
            [] => String::new(),
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
fn edit_distance(one: &str, other: &str) -> usize {
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

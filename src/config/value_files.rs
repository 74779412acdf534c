//! Settings whose value is in a file: `NAME_FILE` names the file that has the value of `NAME`, such as a container's
//! secret. A credential of systemd that is called `NAME` needs no such variable.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::read::Mistake;
use super::variables::{Variable, variable_named, variables};

const SUFFIX: &str = "_FILE";
/// Names the folder of the credentials that systemd passed to this process (systemd.exec(5)).
pub(super) const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The longest value.
const MAX_BYTES: u64 = 64 * 1024;

/// The values that were in files.
#[derive(Default)]
pub(super) struct ValueFiles {
    values: HashMap<&'static str, String>,
    pub mistakes: Vec<Mistake>,
}

impl ValueFiles {
    /// Reads the file of every setting that has one. `lookup` is the value of a variable, wherever it is set.
    /// `credentials` is the folder of systemd's credentials.
    pub(super) fn read(
        lookup: impl Fn(&str) -> Option<String>,
        credentials: Option<&Path>,
    ) -> Self {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut files = Self::default();
        for variable in variables() {
            let set = variable.names().find(|name| lookup(name).is_some());
            for name in variable.names() {
                for (source, path) in files_of(name, &lookup, credentials) {
                    let in_a_file = files.values.contains_key(name).then_some("another file of it");
                    let value = match set.or(in_a_file) {
                        Some(other) => {
                            Err(format!("{other} and {source} are both set: keep one of them"))
                        }
                        None => read_value(&path).map_err(|error| {
                            format!("the file of {source} cannot be read: {error}")
                        }),
                    };
                    files.add(variable, name, value);
                }
            }
        }
        files
    }

    /// The value of a variable, if it was in a file.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn add(&mut self, variable: &Variable, name: &'static str, value: Result<String, String>) {
        match value {
            Ok(value) => drop(self.values.insert(name, value)),
            Err(problem) => self.mistakes.push(Mistake { name: variable.name, problem }),
        }
    }
}

/// The files that have the value of a variable, each with what names it.
fn files_of(
    name: &str,
    lookup: impl Fn(&str) -> Option<String>,
    credentials: Option<&Path>,
) -> impl Iterator<Item = (String, PathBuf)> {
    let named = file_name(name).and_then(|file| Some((lookup(&file)?, file)));
    let named = named.map(|(path, file)| (file, PathBuf::from(path)));
    let credential = credentials.map(|folder| folder.join(name)).filter(|path| path.exists());
    let credential = credential.map(|path| (format!("the credential {name}"), path));
    named.into_iter().chain(credential)
}

/// Whether this is the name of a setting's file.
pub(super) fn is_file_name(name: &str) -> bool {
    setting_of(name).and_then(variable_named).is_some()
}

/// The name that a setting has if this is the name of its file.
pub(super) fn setting_of(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX)
}

/// The variable that names a setting's file. `None` if there is a setting of that name, such as ZOOM_APPS_FILE beside
/// ZOOM_APPS.
pub(super) fn file_name(name: &str) -> Option<String> {
    let file = format!("{name}{SUFFIX}");
    variable_named(&file).is_none().then_some(file)
}

/// Reads the text of a file, without the line break at its end.
///
/// # Errors
/// Fails if the file cannot be read, is not UTF-8 or is longer than 64 KiB.
pub fn read_value(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is longer than 64 KiB"));
    }
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

//! Settings whose value is in a file: `NAME_FILE` names the file that has the value of `NAME`, such as a container's
//! secret or a credential of systemd.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::read::Mistake;
use super::variables::{Variable, variable_named, variables};

const SUFFIX: &str = "_FILE";
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
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut files = Self::default();
        for variable in variables() {
            for (name, path) in
                variable.names().filter_map(|name| Some((name, lookup(&file_name(name)?)?)))
            {
                let value = match variable.names().find(|name| lookup(name).is_some()) {
                    Some(set) => {
                        Err(format!("{set} and {name}{SUFFIX} are both set: keep one of them"))
                    }
                    None => read_value(Path::new(&path)).map_err(|error| {
                        format!("the file that {name}{SUFFIX} names cannot be read: {error}")
                    }),
                };
                files.add(variable, name, value);
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

/// Whether this is the name of a setting's file.
pub(super) fn is_file_name(name: &str) -> bool {
    let of = name.strip_suffix(SUFFIX);
    of.and_then(variable_named).is_some()
}

/// `None` if there is a setting of that name, such as ZOOM_APPS_FILE beside ZOOM_APPS.
fn file_name(name: &str) -> Option<String> {
    let file = format!("{name}{SUFFIX}");
    variable_named(&file).is_none().then_some(file)
}

/// The text of a file, without the line break at its end.
fn read_value(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is longer than 64 KiB"));
    }
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

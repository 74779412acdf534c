//! Documents that are written from tables in the code. With `UPDATE_DOCS=1` the tests write them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Compares the part of a document between two marks with its text, or writes it when `UPDATE_DOCS` is set.
pub(crate) fn part_agrees(path: &str, begin: &str, expected: &str, end: &str) {
    // Several tests write parts of one document, one after the other.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock();
    let text = fs::read_to_string(at(path)).expect("the document can be read");
    let (before, rest) = text.split_once(begin).expect("the part begins");
    let (_, after) = rest.split_once(end).expect("the part ends");
    agrees(path, &format!("{before}{begin}{expected}\n{end}{after}"));
}

/// Compares a file with its text, or writes it when `UPDATE_DOCS` is set.
pub(crate) fn agrees(path: &str, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(at(path), expected).expect("the file can be written");
    }
    let found = fs::read_to_string(at(path)).expect("the file can be read");
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{path} is out of date; run UPDATE_DOCS=1 cargo test --lib yields\n{differs:#?}"
    );
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

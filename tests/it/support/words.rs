//! Finds words in stored data: in files and in database rows.

use std::fs;
use std::path::{Path, PathBuf};

use rtmsd::store::Location;

use super::raw::Raw;

/// The files under a folder that contain one of `words`, each with the word.
pub(crate) fn in_files(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in files_below(folder) {
        // A file that was removed meanwhile contains nothing.
        let Ok(bytes) = fs::read(&path) else { continue };
        let holds = |word: &&&str| bytes.windows(word.len()).any(|it| it == word.as_bytes());
        found.extend(words.iter().filter(holds).map(|word| format!("{}: {word}", path.display())));
        let name = path.display().to_string();
        let named = words.iter().filter(|word| name.contains(**word));
        found.extend(named.map(|word| format!("the name {name}: {word}")));
    }
    found
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let below = |path: PathBuf| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    };
    entries.flatten().flat_map(|entry| below(entry.path())).collect()
}

/// The rows of a store's tables that contain one of `words`, each with the word.
pub(crate) async fn in_tables(location: &Location, words: &[&str]) -> Vec<String> {
    let rows = Raw::connect(location).await.dump().await;
    let found = |row: &String| -> Vec<String> {
        let held = words.iter().filter(|word| row.contains(**word));
        held.map(|word| format!("{word} in {row}")).collect()
    };
    rows.iter().flat_map(found).collect()
}

/// The matches in the tables and, for SQLite, in the files.
pub(crate) async fn at_rest(location: &Location, words: &[&str]) -> Vec<String> {
    let mut found = in_tables(location, words).await;
    if let Location::Sqlite(path) = location {
        found.extend(in_files(path.parent().expect("a file has a folder"), words));
    }
    found
}

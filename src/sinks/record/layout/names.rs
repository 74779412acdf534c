//! Ids and names of other parties as components of paths (pure): unsafe characters are omitted, and two ids never
//! become the same name.

use sha2::{Digest, Sha256};

use crate::model::{is_joiner, one_line};

/// The longest form of a name or an id in a path.
pub(super) const MAX_CHARS: usize = 60;
const MAX_BYTES: usize = 120;
/// The longest folder name, and the longest stem of a file. File systems allow 255 bytes: the rest is for suffixes of a
/// folder (a part, a recording's id) and additions to a stem (numbers, extensions, `.damaged`).
pub(super) const MAX_FOLDER_BYTES: usize = 200;
pub(super) const MAX_STEM_BYTES: usize = 160;
/// The number of hex digits of a SHA-256 that follow a changed name.
const HASH_DIGITS: usize = 12;
/// The word between a folder and the number of a further part.
pub(super) const PART: &str = "part";

/// An id as a unique name: an id that cannot stand as it is, or could be the name of another one, gets a hash suffix.
pub(super) fn distinct_name(id: &str) -> String {
    match safe_name(id) {
        Some(name) if name == id && !could_be_made(id) => name,
        _ => hashed_name(id),
    }
}

/// Whether a name ends like a generated one.
fn could_be_made(name: &str) -> bool {
    let Some((_, end)) = name.rsplit_once('-') else { return false };
    let is_hash = end.len() == HASH_DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_part = end
        .strip_prefix(PART)
        .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    is_hash || is_part
}

pub(super) fn hashed_name(id: &str) -> String {
    format!("{}-{}", safe_name(id).as_deref().unwrap_or("unnamed"), short_hash(id))
}

/// A name of at most `max_bytes`; a shortened one gets a hash suffix.
pub(super) fn bounded_name(name: &str, max_bytes: usize) -> String {
    if name.len() <= max_bytes {
        return name.to_owned();
    }
    let end = name.floor_char_boundary(max_bytes - HASH_DIGITS - 1);
    format!("{}-{}", &name[..end], short_hash(name))
}

pub(super) fn short_hash(text: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    // 48 bits: the few ids below one folder do not collide by accident.
    hash.truncate(HASH_DIGITS);
    hash
}

/// The characters of a text that a path may hold: letters and digits of any script with joiners after them, and `-`;
/// `_` for all others.
pub(super) fn safe_name(text: &str) -> Option<String> {
    let mut safe = String::new();
    for c in one_line(text).chars() {
        let is_joining = is_joiner(c) && safe.ends_with(char::is_alphanumeric);
        let c = if c.is_alphanumeric() || c == '-' || is_joining { c } else { '_' };
        // Characters for people, bytes for file systems.
        if safe.len() + c.len_utf8() > MAX_BYTES || safe.chars().count() >= MAX_CHARS {
            break;
        }
        if c != '_' || !safe.ends_with('_') {
            safe.push(c);
        }
    }
    let safe = safe.trim_matches(|c| c == '_' || c == '-' || is_joiner(c));
    (!safe.is_empty()).then(|| safe.to_owned())
}

/// The sample library's folder of a stream. It maps `/` and `+` to one character: an id that contains them gets a hash.
pub(super) fn samples_folder(stream_id: &str) -> String {
    match sample_style(stream_id) {
        name if name == stream_id => bounded_name(&name, MAX_FOLDER_BYTES),
        name => {
            let hash = short_hash(stream_id);
            format!("{}-{hash}", bounded_name(&name, MAX_FOLDER_BYTES - hash.len() - 1))
        }
    }
}

/// Writes an id as the sample library does.
pub(super) fn sample_style(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

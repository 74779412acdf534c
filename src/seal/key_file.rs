//! Generated secrets in files of the data folder, used if the settings have none: the token encryption key and the API
//! token.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{KEY_BYTES, random_bytes};
use crate::secret::Secret;

/// The file of the key that seals stored tokens, in the format of `TOKEN_ENCRYPTION_KEYS`.
pub const TOKEN_KEY: &str = "token-encryption-key";
/// The file of the REST API's token.
pub const API_TOKEN: &str = "api-token";

/// A secret and its file.
#[derive(Debug)]
pub struct Kept {
    /// 32 bytes in hex.
    pub value: Secret<String>,
    pub path: PathBuf,
    /// Whether it was generated now.
    pub is_new: bool,
}

/// Reads a secret of a data folder, and generates it first if there is none. Only the owner may read the file and a
/// folder that is created here. An existing file is never overwritten.
///
/// # Errors
/// Fails if the folder or the file cannot be used, or the file does not contain a secret.
pub fn read_or_make(folder: &Path, name: &str) -> io::Result<Kept> {
    if let Some(value) = read_secret(folder, name)? {
        return Ok(Kept { value, path: folder.join(name), is_new: false });
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let is_new = make_file(folder, name)?;
    // Another process that started at the same time may have created the file: read it.
    let value = read_secret(folder, name)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Kept { value, path: folder.join(name), is_new })
}

/// Reads a secret of a data folder; `None` if there is no such file.
///
/// # Errors
/// Fails if the file cannot be read, or does not contain a secret.
pub fn read_secret(folder: &Path, name: &str) -> io::Result<Option<Secret<String>>> {
    let path = folder.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(describe_error(&path, &error.to_string())),
    };
    let text = text.trim();
    if text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(Some(Secret::new(text.to_owned())))
    } else {
        Err(describe_error(
            &path,
            "it does not hold 32 bytes in hex; restore it, or remove it for a new one",
        ))
    }
}

/// Writes the file atomically: to a temporary name, then linked into place unless another process was first.
fn make_file(folder: &Path, name: &str) -> io::Result<bool> {
    let path = folder.join(name);
    let draft = folder.join(format!(".{name}.{}", hex::encode(random_bytes::<8>())));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        writeln!(file, "{}", hex::encode(random_bytes::<KEY_BYTES>()))?;
        // Before the file gets its name: after a power cut, an empty key file would stop the next start.
        file.sync_all()?;
        // Unlike a rename, a link does not replace an existing file.
        fs::hard_link(&draft, &path)
    };
    let linked = write();
    let removed = fs::remove_file(&draft);
    match linked {
        // The folder too: otherwise a power cut can lose the name, and with it the key.
        Ok(()) => removed.and_then(|()| File::open(folder)?.sync_all()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(describe_error(&path, &error.to_string())),
    }
}

fn describe_error(path: &Path, problem: &str) -> io::Error {
    io::Error::other(format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;
    use crate::seal::KeyRing;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_has_one_key_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = read_or_make(&data, TOKEN_KEY).unwrap();
        assert!(made.is_new && KeyRing::parse(made.value.expose()).is_ok());
        let read = read_or_make(&data, TOKEN_KEY).unwrap();
        assert!(!read.is_new && read.value.expose() == made.value.expose());
        assert_eq!((mode(&made.path), mode(&data)), (0o600, 0o700));
        let token = read_or_make(&data, API_TOKEN).unwrap();
        assert_ne!(token.value.expose(), made.value.expose());
        assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn concurrent_starts_share_one_generated_key() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let make = || {
            thread::spawn({
                let data = data.clone();
                move || read_or_make(&data, TOKEN_KEY).unwrap()
            })
        };
        let starts: Vec<_> = (0..8).map(|_| make()).collect();
        let kept: Vec<Kept> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        let values: HashSet<_> = kept.iter().map(|kept| kept.value.expose().clone()).collect();
        assert_eq!(values.len(), 1);
        assert_eq!(kept.iter().filter(|kept| kept.is_new).count(), 1);
    }

    #[test]
    fn a_file_that_holds_no_secret_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "s3cret", &"zz".repeat(KEY_BYTES)] {
            fs::write(folder.path().join(TOKEN_KEY), text).unwrap();
            let error = read_or_make(folder.path(), TOKEN_KEY).unwrap_err().to_string();
            assert!(error.contains(TOKEN_KEY) && !error.contains("s3cret"), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join(TOKEN_KEY)).unwrap(), text);
        }
    }
}

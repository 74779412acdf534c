//! A key in a file of the data folder, for those who set none: good for a demo on one machine.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{KEY_BYTES, random_bytes};
use crate::secret::Secret;

const NAME: &str = "token-encryption-key";

/// Reads the key of a data folder, as `TOKEN_ENCRYPTION_KEYS` takes it; makes it first if there is none. Only its owner
/// may read it.
pub fn read_or_make(folder: &Path) -> io::Result<Secret<String>> {
    let path = folder.join(NAME);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Exclusive: of two that start at once, the second reads what the first has made.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            file.write_all(hex::encode(random_bytes::<KEY_BYTES>()).as_bytes())?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    fs::read_to_string(path).map(|text| Secret::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::seal::KeyRing;

    #[test]
    fn a_folder_has_one_key_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let key = read_or_make(&data).unwrap();
        assert!(KeyRing::parse(key.expose()).is_ok());
        assert_eq!(read_or_make(&data).unwrap().expose(), key.expose());
        let mode = fs::metadata(data.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

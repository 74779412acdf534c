//! Recordings in a folder of this machine. All functions block. Existing files are never replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Access, PROBE, TargetError, missing_or_failed};

/// The size of one comparison of two files.
const COMPARED_BYTES: usize = 128 * 1024;

impl Access {
    fn folders(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
        }
    }

    fn files(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }
}

/// Moves a file atomically. Succeeds if it was moved before.
pub(super) fn move_file(from: &Path, to: &Path, access: Access) -> Result<(), TargetError> {
    if let Some(folder) = to.parent() {
        make_folders(folder, access)?;
    }
    // Before the rename: the file never has its final name with another mode.
    match fs::set_permissions(from, Permissions::from_mode(access.files())) {
        // An earlier call has moved it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.try_exists()? => return Ok(()),
        done => done.map_err(missing_or_failed)?,
    }
    match rename_to_free(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_file(from, to),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => settle_existing(from, to),
        Err(error) => Err(missing_or_failed(error)),
    }
}

/// Whether a folder is empty.
pub(super) fn is_free(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Writes a file in a folder, or in the nearest one above it that exists, reads it back and removes it.
pub(super) fn probe(folder: &Path, name: &str) -> io::Result<()> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
    let path = here.ancestors().find(is_there).unwrap_or(here).join(name);
    let probed = write_and_read(&path);
    // Also after an error: a part of it may be there.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => probed.and(Err(error)),
        _ => probed,
    }
}

fn write_and_read(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(PROBE)?;
    file.sync_all()?;
    match fs::read(path)? == PROBE {
        true => Ok(()),
        false => Err(io::Error::other("what was written is not what was read")),
    }
}

/// Removes a file, and the folders below `root` that become empty. A missing file is no error.
pub(super) fn remove_file(root: &Path, path: &str) -> io::Result<()> {
    let file = root.join(path);
    // A cancelled copy leaves its partial file.
    for path in [part_of(&file), file] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // Up to the first folder that is not empty.
    let mut folder = Path::new(path).parent();
    while let Some(inner) = folder.filter(|inner| !inner.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(inner)).is_err() {
            break;
        }
        folder = inner.parent();
    }
    Ok(())
}

/// Creates the folders; existing ones keep their mode.
fn make_folders(folder: &Path, access: Access) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(above, access)?;
    }
    match DirBuilder::new().mode(access.folders()).create(folder) {
        // The process's umask may have removed the group's permissions.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(access.folders())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails if the name is taken, even if that happened at this very moment.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system supports it: NFS does not, but it can link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // Like NOREPLACE, `link` fails if the name is taken.
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

/// The name is taken: by the same file, if a move was interrupted before its source was removed.
fn settle_existing(from: &Path, to: &Path) -> Result<(), TargetError> {
    match is_same(from, to).map_err(missing_or_failed)? {
        true => Ok(fs::remove_file(from)?),
        false => Err(TargetError::Taken),
    }
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut some, mut others) = (Vec::new(), Vec::new());
    loop {
        some.clear();
        others.clear();
        Read::by_ref(&mut one).take(COMPARED_BYTES as u64).read_to_end(&mut some)?;
        Read::by_ref(&mut other).take(COMPARED_BYTES as u64).read_to_end(&mut others)?;
        match (some == others, some.is_empty()) {
            (true, false) => {}
            (is_same, _) => return Ok(is_same),
        }
    }
}

/// Copies to another disk, under a temporary name until it is complete.
fn copy_file(from: &Path, to: &Path) -> Result<(), TargetError> {
    if to.try_exists()? {
        return settle_existing(from, to);
    }
    let part = part_of(to);
    fs::copy(from, &part).map_err(missing_or_failed)?;
    // Before the source is removed: a power cut must not lose both.
    File::open(&part)?.sync_all()?;
    rename_to_free(&part, to)?;
    Ok(fs::remove_file(from)?)
}

/// The temporary name of an incomplete file.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

//! Recordings in a folder of this machine. Everything here blocks. No file that is there is ever replaced.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Access, TargetError, missing};

/// How much of two files is compared at a time.
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

/// Moves a file, whole or not at all. A file that was moved before is as good.
pub(super) fn take(from: &Path, to: &Path, access: Access) -> Result<(), TargetError> {
    if let Some(folder) = to.parent() {
        make_folders(folder, access)?;
    }
    match fs::set_permissions(from, Permissions::from_mode(access.files())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.try_exists()? => return Ok(()),
        done => done.map_err(missing)?,
    }
    match rename_to_free(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => settle(from, to),
        Err(error) => Err(missing(error)),
    }
}

/// Whether nothing lies in a folder.
pub(super) fn is_free(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Removes a file, and the folders below `root` that are empty without it. One that is not there is removed.
pub(super) fn remove(root: &Path, path: &str) -> io::Result<()> {
    let file = root.join(path);
    // A copy that was cancelled leaves its part.
    for path in [part_of(&file), file] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // Up to the first that holds something else.
    let mut folder = Path::new(path).parent();
    while let Some(inner) = folder.filter(|inner| !inner.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(inner)).is_err() {
            break;
        }
        folder = inner.parent();
    }
    Ok(())
}

/// Folders that are there keep the mode that they have.
fn make_folders(folder: &Path, access: Access) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(above, access)?;
    }
    match DirBuilder::new().mode(access.folders()).create(folder) {
        // The process's mask may have taken the group's rights.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(access.folders())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fails where something has the name already, also when it came this very moment.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows it: NFS does not, and can link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}

/// Something has the name: the same file, where a move was cut off before its source was removed.
fn settle(from: &Path, to: &Path) -> Result<(), TargetError> {
    match is_same(from, to).map_err(missing)? {
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

/// To another disk: under another name until it is whole.
fn copy(from: &Path, to: &Path) -> Result<(), TargetError> {
    if to.try_exists()? {
        return settle(from, to);
    }
    let part = part_of(to);
    fs::copy(from, &part).map_err(missing)?;
    File::open(&part)?.sync_all()?;
    rename_to_free(&part, to)?;
    Ok(fs::remove_file(from)?)
}

/// Where a file is that is not whole yet.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

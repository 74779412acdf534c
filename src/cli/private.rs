//! Whom the files that the daemon writes are for: its own user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;

use crate::sinks::record::Settings;
use crate::sinks::record::target::Access;

/// What nobody but the owner may do with a new file or folder.
const MASK: u32 = 0o077;
/// The same where the group may read recordings.
const GROUP_MASK: u32 = 0o027;

/// Every file that this process makes from here on is its user's: 0600, and folders 0700. What is stored for a group is
/// opened to it where it is stored.
pub(super) fn keep_files_private() {
    rustix::process::umask(Mode::from_raw_mode(MASK));
}

/// Says where others may look: folders that were there keep the mode that they have.
pub(super) fn warn_of_open_folders(recordings: &Settings) {
    let data_dir = recordings.spools.parent();
    let folders = [("DATA_DIR", data_dir), ("RECORDINGS_URL", recordings.place.folder())];
    for (setting, folder) in folders {
        let Some(mode) = folder.and_then(open_mode(recordings.access)) else { continue };
        tracing::warn!(
            setting,
            folder = ?folder.unwrap_or(Path::new("")),
            mode = %format!("{mode:04o}"),
            "a folder with what people said is open to other users of this machine; close it with chmod 700, or chmod 750 \
             for RECORDINGS_GROUP_READABLE"
        );
    }
}

/// The mode of a folder that lets others in.
fn open_mode(access: Access) -> impl Fn(&Path) -> Option<u32> {
    let mask = match access {
        Access::Owner => MASK,
        Access::Group => GROUP_MASK,
    };
    move |folder| {
        let mode = folder.metadata().ok()?.permissions().mode() & 0o777;
        (mode & mask != 0).then_some(mode)
    }
}

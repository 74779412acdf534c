//! Keeps the files that the daemon writes readable only by its own user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::Mode;

use crate::sinks::record::Settings;
use crate::sinks::record::target::Access;
use crate::zoom::app::App;

/// The umask for new files and folders: no access except for the owner.
const MASK: u32 = 0o077;
/// The umask if the group may read recordings.
const GROUP_MASK: u32 = 0o027;

/// Sets the umask so that new files get mode 0600 and new folders 0700. Code that stores files for a group opens them
/// to it explicitly.
pub(super) fn keep_files_private() {
    // The umask belongs to the whole process, so it is set before other threads create files.
    rustix::process::umask(Mode::from_raw_mode(MASK));
}

/// Warns of existing folders that other users can access. Their mode is not changed.
pub(super) fn warn_of_open_folders(recordings: &Settings, apps: &[App]) {
    let data_dir = recordings.spools.parent();
    let folders = [("DATA_DIR", data_dir), ("RECORDINGS_URL", recordings.place.folder())];
    let own = apps.iter().filter_map(|app| app.recordings.place.as_ref()?.folder());
    for (setting, folder) in folders.into_iter().chain(own.map(|own| ("recordings_url", Some(own))))
    {
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

/// The mode of a folder that other users can access; none for a private folder.
fn open_mode(access: Access) -> impl Fn(&Path) -> Option<u32> {
    let mask = match access {
        Access::Owner => MASK,
        Access::Group => GROUP_MASK,
    };
    move |folder| {
        // A folder that does not exist yet is created under the umask above, so it is never open.
        let mode = folder.metadata().ok()?.permissions().mode() & 0o777;
        (mode & mask != 0).then_some(mode)
    }
}

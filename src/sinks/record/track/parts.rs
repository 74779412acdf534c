//! The files of a track: their numbering, their creation, and the handling of damaged ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most further files of one track.
pub const MAX_PARTS: usize = 99;
/// The suffix of a file that neither a player nor this program can continue to read.
pub const DAMAGED: &str = ".damaged";
/// The most damaged pieces of one file that are kept separately.
const MAX_DAMAGED: usize = 99;

/// The existing parts of a track.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// In order, without those that were set aside.
    pub paths: Vec<PathBuf>,
    /// The number of used part numbers, including those.
    pub numbers: usize,
}

/// The file of part `number` (from 1): `ana.mp4`, `ana_2.mp4`.
pub fn part_path(base: &Path, number: usize) -> PathBuf {
    if number <= 1 {
        return base.to_owned();
    }
    let mut name = base.file_stem().unwrap_or_default().to_owned();
    name.push(format!("_{number}"));
    if let Some(extension) = base.extension() {
        name.push(".");
        name.push(extension);
    }
    base.with_file_name(name)
}

/// Lists the existing parts.
pub fn existing_parts(base: &Path) -> Parts {
    let all = (1..=1 + MAX_PARTS).map(|number| part_path(base, number));
    // Numbers have no gaps, because a file that is set aside keeps its own.
    let taken: Vec<PathBuf> = all.take_while(|path| is_taken(path)).collect();
    let numbers = taken.len();
    Parts { paths: taken.into_iter().filter(|path| path.exists()).collect(), numbers }
}

/// Whether a part has its file, or had one that was set aside.
pub fn is_taken(path: &Path) -> bool {
    path.exists() || damaged_path(path, 1).exists()
}

/// Creates a file with this beginning; fails if it exists. The beginning and the file's name survive a power cut,
/// because data after them could not be read without them.
pub fn create_part(path: &Path, beginning: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all_at(beginning, 0)?;
    file.sync_all()?;
    sync_folder(path)?;
    Ok(file)
}

/// Makes the names in a file's folder survive a power cut.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Sets a whole file aside. Returns its new name.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let to = free_path(path)?;
    fs::rename(path, &to)?;
    Ok(to)
}

/// Cuts off data that cannot be continued. A killed process leaves a piece of one `unit` there, which is discarded; if
/// there is more, or a further unit (which contains `mark`), the data is kept beside the file.
pub fn cut_after(file: &File, path: &Path, end: u64, unit: u64, mark: &[u8; 4]) -> io::Result<()> {
    let length = file.metadata()?.len();
    if length <= end {
        return Ok(());
    }
    if length - end > unit || holds_mark(&mut read_tail(file, end)?.take(unit), mark)? {
        let kept = free_path(path)?;
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kept)?;
        io::copy(&mut read_tail(file, end)?, &mut copy)?;
        copy.sync_all()?;
        sync_folder(path)?;
        let bytes = length - end;
        tracing::error!(file = ?path, ?kept, bytes,
            "a recorded file is damaged; the data after the damage is kept in a separate file");
    }
    // Only now: the copy is on the disk.
    file.set_len(end)
}

fn read_tail(file: &File, from: u64) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(from))?;
    Ok(file)
}

/// Whether the mark occurs anywhere but in the header at the start.
fn holds_mark(tail: &mut Take<File>, mark: &[u8; 4]) -> io::Result<bool> {
    let mut bytes = Vec::new();
    tail.read_to_end(&mut bytes)?;
    // The cut unit has the mark in its own header: at 0 in Ogg, at 4 in MP4.
    Ok(bytes.windows(4).skip(2 * mark.len()).any(|four| four == mark))
}

/// `ana.mp4.damaged`, `ana.mp4.2.damaged`, …
fn damaged_path(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    if number > 1 {
        name.push(format!(".{number}"));
    }
    name.push(DAMAGED);
    path.with_file_name(name)
}

fn free_path(path: &Path) -> io::Result<PathBuf> {
    let mut names = (1..=MAX_DAMAGED).map(|number| damaged_path(path, number));
    let too_many = || io::Error::other("too many damaged pieces of one recorded file");
    names.find(|path| !path.exists()).ok_or_else(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_parts_are_numbered_before_the_extension() {
        let base = Path::new("a/ana.x.mp4");
        assert_eq!(part_path(base, 1), base);
        assert_eq!(part_path(base, 2), Path::new("a/ana.x_2.mp4"));
    }

    #[test]
    fn a_file_set_aside_keeps_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("ana.mp4");
        (1..=3).for_each(|number| drop(create_part(&part_path(&base, number), b"x").unwrap()));
        assert_eq!(set_aside(&base).unwrap(), folder.path().join("ana.mp4.damaged"));
        let paths = vec![part_path(&base, 2), part_path(&base, 3)];
        assert_eq!(existing_parts(&base), Parts { paths, numbers: 3 });
        create_part(&base, b"y").unwrap();
        assert_eq!(set_aside(&base).unwrap(), folder.path().join("ana.mp4.2.damaged"));
    }

    #[test]
    fn data_after_damage_is_kept_and_half_a_unit_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (base, kept) = (folder.path().join("ana.ogg"), folder.path().join("ana.ogg.damaged"));
        let file = create_part(&base, b"goodOggShalf").unwrap();
        cut_after(&file, &base, 4, 10, b"OggS").unwrap();
        assert!(!kept.exists());
        file.write_all_at(b"\0\0\0\0\0\0\0\0OggS", 4).unwrap();
        cut_after(&file, &base, 4, 100, b"OggS").unwrap();
        assert_eq!(fs::read(&base).unwrap(), b"good");
        assert_eq!(fs::read(&kept).unwrap(), b"\0\0\0\0\0\0\0\0OggS");
    }
}

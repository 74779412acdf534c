use std::path::{Path, PathBuf};

/// How many files one track may have, beside its first.
pub const MAX_PARTS: usize = 99;

/// The file of part `number` (from 1): `ana.mp4`, `ana_2.mp4`.
pub fn path(base: &Path, number: usize) -> PathBuf {
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

/// The parts that are there, in order.
pub fn existing(base: &Path) -> Vec<PathBuf> {
    let paths = (1..=1 + MAX_PARTS).map(|number| path(base, number));
    paths.take_while(|path| path.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_parts_are_numbered_before_the_extension() {
        let base = Path::new("a/ana.x.mp4");
        assert_eq!(path(base, 1), base);
        assert_eq!(path(base, 2), Path::new("a/ana.x_2.mp4"));
    }
}

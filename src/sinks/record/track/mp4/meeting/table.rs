//! The samples of one track, as an index lists them (ISO/IEC 14496-12, section 8.6 and 8.7; pure).

use super::super::boxes::Boxes;

/// Where a sample is, and how long it is shown or heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place in the file.
    pub offset: u64,
    pub bytes: u32,
    /// In ticks of the track.
    pub duration: u32,
    pub is_key: bool,
}

/// All samples of a track, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

impl Table {
    /// In ticks.
    pub(super) fn duration(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.duration)).sum()
    }

    /// The boxes of a sample table, except the descriptions.
    pub(super) fn write(&self, out: &mut Boxes) {
        self.times(out);
        if self.entries.iter().any(|entry| !entry.is_key) {
            self.key_frames(out);
        }
        let chunks = self.chunks();
        out.full(b"stsc", 0, 0, |out| {
            // The first of equally long chunks, from 1; their length; the description.
            let mut runs: Vec<(u32, u32)> = Vec::new();
            for (index, (_, samples)) in chunks.iter().enumerate() {
                if runs.last().is_none_or(|(_, of_last)| of_last != samples) {
                    runs.push((index as u32 + 1, *samples));
                }
            }
            out.u32(runs.len() as u32);
            runs.iter().for_each(|(first, samples)| out.u32s(&[*first, *samples, 1]));
        });
        out.full(b"stsz", 0, 0, |out| {
            out.u32s(&[0, self.entries.len() as u32]);
            self.entries.iter().for_each(|entry| out.u32(entry.bytes));
        });
        out.full(b"co64", 0, 0, |out| {
            out.u32(chunks.len() as u32);
            chunks.iter().for_each(|(offset, _)| out.u64(*offset));
        });
    }

    fn times(&self, out: &mut Boxes) {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for entry in &self.entries {
            match runs.last_mut() {
                Some((count, duration)) if *duration == entry.duration => *count += 1,
                _ => runs.push((1, entry.duration)),
            }
        }
        out.full(b"stts", 0, 0, |out| {
            out.u32(runs.len() as u32);
            runs.iter().for_each(|(count, duration)| out.u32s(&[*count, *duration]));
        });
    }

    fn key_frames(&self, out: &mut Boxes) {
        let numbers = self.entries.iter().zip(1u32..).filter(|(entry, _)| entry.is_key);
        let numbers: Vec<u32> = numbers.map(|(_, number)| number).collect();
        out.full(b"stss", 0, 0, |out| {
            out.u32(numbers.len() as u32);
            out.u32s(&numbers);
        });
    }

    /// Samples that follow each other in the file: the place of the first, and how many there are.
    fn chunks(&self) -> Vec<(u64, u32)> {
        let mut chunks: Vec<(u64, u32)> = Vec::new();
        let mut end = None;
        for entry in &self.entries {
            match chunks.last_mut() {
                Some((_, samples)) if end == Some(entry.offset) => *samples += 1,
                _ => chunks.push((entry.offset, 1)),
            }
            end = Some(entry.offset + u64::from(entry.bytes));
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset: u64, bytes: u32, duration: u32, is_key: bool) -> Entry {
        Entry { offset, bytes, duration, is_key }
    }

    #[test]
    fn samples_beside_each_other_are_one_chunk() {
        let entries = vec![
            entry(100, 10, 40, true),
            entry(110, 5, 40, false),
            entry(300, 7, 40, false),
            entry(90, 10, 80, true),
            entry(100, 1, 80, false),
        ];
        let table = Table { entries };
        assert_eq!(table.duration(), 280);
        assert_eq!(table.chunks(), [(100, 2), (300, 1), (90, 2)]);
        let mut out = Boxes::default();
        table.write(&mut out);
        let after = |name: &[u8; 4], count: usize| {
            let at = out.bytes.windows(4).position(|four| four == name).unwrap() + 8;
            let words = out.bytes[at..].chunks(4).take(count);
            words.map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(after(b"stts", 5), [2, 3, 40, 2, 80]);
        assert_eq!(after(b"stss", 3), [2, 1, 4]);
        assert_eq!(after(b"stsc", 10), [3, 1, 2, 1, 2, 1, 1, 3, 2, 1]);
        assert_eq!(after(b"stsz", 7), [0, 5, 10, 5, 7, 10, 1]);
        assert_eq!(after(b"co64", 5), [3, 0, 100, 0, 300]);
    }
}

//! Compresses lines to blocks (pure). A block is one member of a gzip file. Bytes behind the last whole block come from
//! a process that was killed while it wrote.

use std::io::{self, BufRead, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};

/// The comment in the gzip header of the block with webhooks and REST calls, which is written last and may be replaced.
const HTTP: &str = "http";

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// What happened on the wire.
    Wire,
    /// Webhooks and REST calls.
    Http,
}

/// Compresses lines to a block.
pub fn compress(kind: BlockKind, lines: &[u8]) -> Vec<u8> {
    let mut builder = GzBuilder::new();
    if kind == BlockKind::Http {
        builder = builder.comment(HTTP);
    }
    // The fastest level: payloads in base64 barely shrink, and everything else shrinks at any level.
    let mut encoder = builder.write(Vec::with_capacity(lines.len() / 4), Compression::fast());
    encoder.write_all(lines).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

/// The length of the whole blocks of the wire at the beginning of a file: where the next one goes.
///
/// # Errors
/// The file cannot be read.
pub fn whole_blocks(file: &mut impl BufRead) -> io::Result<u64> {
    let mut counted = Counted { inner: file, bytes: 0 };
    let mut whole = 0;
    loop {
        if counted.fill_buf()?.is_empty() {
            return Ok(whole);
        }
        let mut decoder = GzDecoder::new(&mut counted);
        let is_wire = decoder.header().is_some_and(|header| header.comment().is_none());
        if !is_wire || io::copy(&mut decoder.by_ref(), &mut io::sink()).is_err() {
            return Ok(whole);
        }
        whole = counted.bytes;
    }
}

/// Counts the bytes that are consumed.
struct Counted<'a, R> {
    inner: &'a mut R,
    bytes: u64,
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_blocks_of_a_cut_file_are_found_at_every_length() {
        let blocks = [
            compress(BlockKind::Wire, b"one\n"),
            compress(BlockKind::Wire, &b"two\n".repeat(10_000)),
        ];
        let (file, first) = (blocks.concat(), blocks[0].len());
        for length in 0..=file.len() {
            let expected = match length {
                _ if length == file.len() => length,
                _ if length >= first => first,
                _ => 0,
            };
            let found = whole_blocks(&mut &file[..length]).unwrap();
            assert_eq!(found, expected as u64, "{length}");
        }
    }

    #[test]
    fn the_block_of_http_is_not_kept() {
        let wire = compress(BlockKind::Wire, b"one\n");
        let file = [wire.clone(), compress(BlockKind::Http, b"two\n")].concat();
        assert_eq!(whole_blocks(&mut &*file).unwrap(), wire.len() as u64);
    }
}

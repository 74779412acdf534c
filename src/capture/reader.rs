//! Reads a capture line by line. Memory is bounded for every file, because files come from other people.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::body::MAX_MESSAGE_BYTES;
use super::event::{Event, Header, Record, VERSION};

/// The longest line: the largest message with every byte escaped, and everything beside it.
const MAX_LINE_BYTES: usize = 2 * MAX_MESSAGE_BYTES + 1024 * 1024;
/// The longest header.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Why a file cannot be read as a capture.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    /// The first line is missing, or is no header.
    #[error("the file is not a capture of rtmsd: it must be gzip, with a header in its first line")]
    NotACapture,
    /// Another version of the format.
    #[error(
        "the capture has version {0}, and this rtmsd reads version {VERSION}: use the rtmsd that made it"
    )]
    Version(u64),
    /// The compressed data is damaged.
    #[error("the compressed data is damaged after line {0}; what is before it is good")]
    Damaged(u64),
    /// A line is not a line of a capture.
    #[error("line {line} cannot be read: {problem}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// A line is longer than any message.
    #[error("line {0} is longer than {MAX_LINE_BYTES} bytes")]
    TooLong(u64),
}

/// A capture that is being read.
pub struct Reader<R> {
    lines: BufReader<MultiGzDecoder<BufReader<R>>>,
    line: Vec<u8>,
    number: u64,
    header: Header,
    is_truncated: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// The file is no capture, or one of another version.
    pub fn open(file: R) -> Result<Self, CaptureError> {
        let mut lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        let mut line = Vec::new();
        let read = lines.by_ref().take(MAX_HEADER_BYTES as u64).read_until(b'\n', &mut line);
        if read.is_err() || line.last() != Some(&b'\n') {
            return Err(CaptureError::NotACapture);
        }
        let header = read_header(&line)?;
        Ok(Self { lines, line, number: 1, header, is_truncated: false })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the file ends in the middle of a block: the process that wrote it was killed, or it was copied in part.
    /// Known at the end.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.number
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// A line cannot be read.
    pub fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        self.line.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        match self.lines.by_ref().take(limit).read_until(b'\n', &mut self.line) {
            Ok(0) => return Ok(None),
            Ok(_) if self.line.last() == Some(&b'\n') => {}
            Ok(_) if self.line.len() > MAX_LINE_BYTES => {
                return Err(CaptureError::TooLong(self.number + 1));
            }
            Ok(_) => return Ok(self.cut_off()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(self.cut_off());
            }
            Err(_) => return Err(CaptureError::Damaged(self.number)),
        }
        self.number += 1;
        let record = serde_json::from_slice(&self.line).map_err(|error| CaptureError::Line {
            line: self.number,
            problem: error.to_string(),
        })?;
        self.check(&record)?;
        Ok(Some(record))
    }

    fn cut_off(&mut self) -> Option<Record> {
        self.is_truncated = true;
        None
    }

    fn check(&self, record: &Record) -> Result<(), CaptureError> {
        let body = match &record.event {
            Event::In { body, .. }
            | Event::TooLarge { body, .. }
            | Event::Out { body, .. }
            | Event::Webhook { body, .. } => body,
            _ => return Ok(()),
        };
        match body.bytes() {
            Some(_) => Ok(()),
            None => Err(CaptureError::Line {
                line: self.number,
                problem: "its message is neither text nor base64, or its filler is out of bounds"
                    .to_owned(),
            }),
        }
    }
}

fn read_header(line: &[u8]) -> Result<Header, CaptureError> {
    let value: serde_json::Value =
        serde_json::from_slice(line).map_err(|_| CaptureError::NotACapture)?;
    match value["rtmsd_capture"].as_u64() {
        None => Err(CaptureError::NotACapture),
        Some(version) if version != u64::from(VERSION) => Err(CaptureError::Version(version)),
        Some(_) => serde_json::from_value(value)
            .map_err(|error| CaptureError::Line { line: 1, problem: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::capture::block::{BlockKind, compress};
    use crate::capture::body::Body;
    use crate::capture::event::Subject;
    use crate::model::{AppName, CaptureMode, IdKey, Product, SessionId, StreamId};

    fn header() -> Vec<u8> {
        let subject = Subject {
            session_id: SessionId(Uuid::nil()),
            stream_id: StreamId::parse("s").unwrap(),
            ordinal: 1,
            app: AppName::default(),
            product: Product::Meeting,
            id_key: IdKey::MeetingUuid,
            instance_id: "m".to_owned(),
        };
        let header = Header::new(&subject, CaptureMode::All, 1024);
        [serde_json::to_vec(&header).unwrap(), b"\n".to_vec()].concat()
    }

    fn line(at_ms: i64) -> Vec<u8> {
        let event = Event::In { link: "audio".to_owned(), body: Body::of(b"{}") };
        let record = Record { t: 0, at_ms, event };
        [serde_json::to_vec(&record).unwrap(), b"\n".to_vec()].concat()
    }

    fn file(lines: &[Vec<u8>]) -> Vec<u8> {
        compress(BlockKind::Wire, &lines.concat())
    }

    fn read(file: &[u8]) -> Result<(Vec<i64>, bool), CaptureError> {
        let mut reader = Reader::open(file)?;
        let mut times = Vec::new();
        while let Some(record) = reader.next_record()? {
            times.push(record.at_ms);
        }
        Ok((times, reader.is_truncated()))
    }

    #[test]
    fn a_cut_file_is_read_to_its_last_whole_block_at_least() {
        let first = file(&[header(), line(1)]);
        let whole = [first.clone(), file(&[line(2), line(3)])].concat();
        assert_eq!(read(&whole).unwrap(), (vec![1, 2, 3], false));
        for length in first.len() + 1..whole.len() {
            let (times, is_truncated) = read(&whole[..length]).unwrap();
            assert!(times.starts_with(&[1]) && is_truncated, "{length}: {times:?}");
        }
    }

    #[test]
    fn what_is_no_capture_is_named() {
        let other = compress(BlockKind::Wire, b"{\"a\":1}\n");
        let newer = compress(BlockKind::Wire, b"{\"rtmsd_capture\":99}\n");
        let broken = compress(BlockKind::Wire, b"{\"rtmsd_capture\":1}\n");
        let error = |file: &[u8]| read(file).unwrap_err().to_string();
        for none in [&b""[..], b"text", &other, &file(&[header()])[..20]] {
            assert!(error(none).contains("not a capture"), "{none:?}");
        }
        assert!(error(&newer).contains("version 99"));
        assert!(error(&broken).contains("line 1"));
        let odd = file(&[header(), line(1), b"{\"t\":0,\"at_ms\":1,\"event\":\"odd\"}\n".to_vec()]);
        assert!(error(&odd).starts_with("line 3 cannot be read"), "{}", error(&odd));
        let filler =
            br#"{"t":0,"at_ms":1,"event":"in","link":"a","text":"","filler":[0,99999999999]}"#;
        let odd = file(&[header(), filler.to_vec(), b"\n".to_vec()]);
        assert!(error(&odd).contains("filler"), "{}", error(&odd));
    }

    #[test]
    fn damaged_data_is_named_with_its_place() {
        let mut damaged = [file(&[header(), line(1)]), file(&[line(2)])].concat();
        let at = damaged.len() - 6;
        damaged[at] ^= 0xff;
        assert!(read(&damaged).unwrap_err().to_string().contains("damaged"));
    }

    /// A gigabyte of one line takes a megabyte compressed.
    #[test]
    fn a_bomb_is_refused_before_it_takes_memory() {
        let mut bomb = file(&[header()]);
        let block = compress(BlockKind::Wire, &vec![b' '; 4 * 1024 * 1024]);
        (0..256).for_each(|_| bomb.extend_from_slice(&block));
        let mut reader = Reader::open(&*bomb).unwrap();
        assert!(matches!(reader.next_record(), Err(CaptureError::TooLong(2))));
        assert!(reader.line.capacity() < 3 * MAX_LINE_BYTES);
        let header_bomb = compress(BlockKind::Wire, &vec![b'{'; 4 * 1024 * 1024]);
        assert!(matches!(Reader::open(&*header_bomb), Err(CaptureError::NotACapture)));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            lines in proptest::collection::vec("[ -~]{0,80}\n", 0..6),
            is_compressed in any::<bool>(),
        ) {
            let text = lines.concat().into_bytes();
            let _ = read(&bytes);
            let _ = read(&[file(&[header(), line(1)]), bytes].concat());
            if is_compressed {
                let _ = read(&file(&[header(), text]));
            }
        }
    }
}

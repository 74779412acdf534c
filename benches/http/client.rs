//! A keep-alive connection that sends prepared requests and finds the end of each answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::zoom::Problem;

const BUFFER_BYTES: usize = 256 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";
/// The end of a chunked body. No answer of the API contains CRLF, so it appears nowhere else.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer with status 200.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// From the first byte of the request to the first one of the body.
    pub first_byte: Duration,
    /// To the last byte.
    pub whole: Duration,
    /// Of the body, as sent.
    pub bytes: usize,
}

/// What the head of an answer says.
struct Head {
    bytes: usize,
    /// None for a body in chunks.
    content_length: Option<usize>,
    closes: bool,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Sends a request and reads the whole answer. Connects first where the last answer has closed the connection.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Problem> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        let began = Instant::now();
        stream.write_all(request).await?;
        let (head, mut filled) = self.read_head(&mut stream).await?;
        if filled == head.bytes {
            filled += read_some(&mut stream, &mut self.buffer[filled..]).await?;
        }
        let first_byte = began.elapsed();
        let body = self.buffer[head.bytes..filled].to_vec();
        let bytes = match head.content_length {
            Some(length) => self.skip(&mut stream, body.len(), length).await?,
            None => self.skip_chunks(&mut stream, body).await?,
        };
        let whole = began.elapsed();
        self.stream = Some(stream).filter(|_| !head.closes);
        Ok(Answer { first_byte, whole, bytes })
    }

    /// Returns the head and how many bytes were read.
    async fn read_head(&mut self, stream: &mut TcpStream) -> Result<(Head, usize), Problem> {
        let mut filled = 0;
        loop {
            filled += read_some(stream, &mut self.buffer[filled..]).await?;
            let read = &self.buffer[..filled];
            if let Some(at) = read.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) {
                return Ok((parse_head(&read[..at])?, filled));
            }
        }
    }

    /// Reads up to the end of a body of known length.
    async fn skip(
        &mut self,
        stream: &mut TcpStream,
        mut seen: usize,
        length: usize,
    ) -> Result<usize, Problem> {
        while seen < length {
            seen += read_some(stream, &mut self.buffer).await?;
        }
        Ok(length)
    }

    /// Reads up to the last chunk of a body, and returns its length with the frames of the chunks.
    async fn skip_chunks(
        &mut self,
        stream: &mut TcpStream,
        mut tail: Vec<u8>,
    ) -> Result<usize, Problem> {
        let mut seen = tail.len();
        while !tail.ends_with(LAST_CHUNK) {
            let read = read_some(stream, &mut self.buffer).await?;
            seen += read;
            tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
            tail.extend_from_slice(&self.buffer[read.saturating_sub(LAST_CHUNK.len())..read]);
        }
        Ok(seen)
    }
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, Problem> {
    match stream.read(buffer).await? {
        0 => Err("the daemon closed the connection inside an answer".into()),
        read => Ok(read),
    }
}

fn parse_head(head: &[u8]) -> Result<Head, Problem> {
    let head_text = std::str::from_utf8(head)?;
    if !head_text.starts_with("HTTP/1.1 200") {
        return Err(format!("an answer is not 200: {head_text}").into());
    }
    let header = |name: &str| {
        let mut lines = head_text.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    Ok(Head {
        bytes: head.len() + HEAD_END.len(),
        content_length: header("content-length").map(str::parse).transpose()?,
        closes: header("connection") == Some("close"),
    })
}

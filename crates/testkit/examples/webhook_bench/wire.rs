//! HTTP/1.1 on one kept connection, with as little work as possible: generator and service share the machine.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Largest answer head and body taken; the service's answers have some hundred bytes.
const MOST_ANSWER: usize = 64 * 1024;

/// A connection that is kept.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(4_096),
        })
    }

    /// Sends a request and waits for the whole answer; its status.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if let Some((status, length)) = whole_answer(&self.read)
                && self.read.len() >= length
            {
                return Ok(status);
            }
            if self.read.len() > MOST_ANSWER {
                return Err(io::Error::other("the answer has no end"));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Status and total length of an answer, once its head is there.
fn whole_answer(read: &[u8]) -> Option<(u16, usize)> {
    let head_ends = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&read[..head_ends]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let body: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())?;
    Some((status, head_ends + body))
}

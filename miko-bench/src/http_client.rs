//! A blocking HTTP client on one connection, which does no more than the measurement needs.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::str;

use httparse::{EMPTY_HEADER, Response, Status};
use miko_shared::BoxError;

/// The most header fields of a response.
const MAX_FIELDS: usize = 32;

/// The most bytes of a response.
const MAX_SIZE: usize = 1 << 20;

/// The bytes for which there is room at first.
const FIRST_ROOM: usize = 4 << 10;

/// A connection that is kept between requests. If the server has closed it meanwhile, as after a long pause
/// between two slices, the client connects again.
pub(crate) struct HttpClient<S = UnixStream> {
    stream: S,
    reconnect: Box<dyn Fn() -> io::Result<S>>,
    request: Vec<u8>,
    /// The response, up to `filled`. The bytes after it are free.
    received: Vec<u8>,
    filled: usize,
}

/// The sizes of the head of a response and of its body.
struct Sizes {
    head: usize,
    body: usize,
}

impl HttpClient {
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let socket = socket.to_owned();
        Ok(Self::on(stream, Box::new(move || UnixStream::connect(&socket))))
    }
}

impl<S: Read + Write> HttpClient<S> {
    fn on(stream: S, reconnect: Box<dyn Fn() -> io::Result<S>>) -> Self {
        Self { stream, reconnect, request: Vec::new(), received: vec![0; FIRST_ROOM], filled: 0 }
    }

    /// The body of the resource at this path.
    ///
    /// # Errors
    /// If the response is not one of status 200 whose head says its length.
    pub(crate) fn get(&mut self, folder: &str, name: &str) -> Result<&str, BoxError> {
        self.request.clear();
        write!(self.request, "GET {folder}{name} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        if self.stream.write_all(&self.request).is_err() {
            self.stream = (self.reconnect)()?;
            self.stream.write_all(&self.request)?;
        }
        self.filled = 0;
        let Sizes { head, body } = loop {
            self.read()?;
            if let Some(sizes) = sizes(&self.received[..self.filled])? {
                break sizes;
            }
        };
        while self.filled < head + body {
            self.read()?;
        }
        if self.filled > head + body {
            return Err("the response is longer than it says".into());
        }
        Ok(str::from_utf8(&self.received[head..head + body])?)
    }

    /// Reads what has arrived, or waits for it.
    fn read(&mut self) -> Result<(), BoxError> {
        if self.filled == self.received.len() {
            if self.filled >= MAX_SIZE {
                return Err("the response is too large".into());
            }
            self.received.resize(2 * self.filled, 0);
        }
        match self.stream.read(&mut self.received[self.filled..])? {
            0 => Err("the connection has ended".into()),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }
}

/// The sizes of a response; `None` if its head is not complete.
fn sizes(received: &[u8]) -> Result<Option<Sizes>, BoxError> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    let Status::Complete(head) = response.parse(received)? else { return Ok(None) };
    if response.code != Some(200) {
        return Err(format!("the response is not 200: {}", String::from_utf8_lossy(received)).into());
    }
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let body = str::from_utf8(length.ok_or("the response does not say its length")?.value)?.parse()?;
    Ok(Some(Sizes { head, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has written its responses before, and whose bytes arrive one at a time or all at once.
    struct Scripted {
        responses: &'static [u8],
        at_a_time: usize,
        requests: Vec<u8>,
    }

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.at_a_time.min(buffer.len());
            self.responses.read(&mut buffer[..count])
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.requests.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn client(responses: &'static [u8], at_a_time: usize) -> HttpClient<Scripted> {
        let scripted = Scripted { responses, at_a_time, requests: Vec::new() };
        HttpClient::on(scripted, Box::new(|| Err(io::ErrorKind::NotConnected.into())))
    }

    #[test]
    fn responses_are_read_however_they_arrive() {
        const ONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: a\r\nContent-Length: 4\r\n\r\nfour";
        let mut whole = client(ONE, usize::MAX);
        assert_eq!(whole.get("/a/", "b").unwrap(), "four");
        assert_eq!(whole.stream.requests, b"GET /a/b HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(whole.get("/a/", "b").is_err(), "the connection has ended");

        const TWO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\
                             HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let mut pieces = client(TWO, 1);
        assert_eq!(pieces.get("/", "").unwrap(), "");
        assert_eq!(pieces.get("/", "").unwrap(), "hi");
    }

    #[test]
    fn other_responses_are_refused() {
        for response in [
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ntwo",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            b"nonsense\r\n\r\n",
        ] {
            assert!(client(response, usize::MAX).get("/", "").is_err(), "{response:?}");
        }
    }

    #[test]
    fn a_connection_that_the_server_has_closed_is_replaced() {
        let (closed, _) = UnixStream::pair().unwrap();
        let (stream, mut server) = UnixStream::pair().unwrap();
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        let mut client = HttpClient::on(closed, Box::new(move || stream.try_clone()));
        assert_eq!(client.get("/", "a").unwrap(), "hi");
    }
}

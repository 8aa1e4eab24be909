//! A small HTTP client, which can also send what no proper client would.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

/// A connection to a server.
pub struct Client<S = UnixStream> {
    pub stream: BufReader<S>,
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// The id of the first error, whose body must have the form of a failure.
    pub fn error_id(&self) -> String {
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        body["errors"][0]["id"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub fn connect(path: &Path) -> Self {
        Self { stream: BufReader::new(UnixStream::connect(path).unwrap()) }
    }
}

impl Client<TcpStream> {
    pub fn connect_tcp(address: &str) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).unwrap()) }
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request whose headers are lines.
    pub fn send_request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let host = if headers.contains("host: ") { "" } else { "host: localhost\r\n" };
        let head = format!("{method} {path} HTTP/1.1\r\n{host}content-length: {length}\r\n{headers}\r\n");
        self.send([head.as_bytes(), body].concat());
    }

    /// Sends a request and reads its response.
    pub fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        self.send_request(method, path, headers, body);
        self.response()
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "", b"")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Response {
        self.request("POST", path, "content-type: application/json\r\n", body.to_string().as_bytes())
    }

    /// As [`post`](Self::post), in a session.
    pub fn post_in(&mut self, session: &str, path: &str, body: &Value) -> Response {
        let headers = format!("content-type: application/json\r\nmikobase-session: {session}\r\n");
        self.request("POST", path, &headers, body.to_string().as_bytes())
    }

    /// The next line, without its end; `None` at the end of the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).unwrap();
        (count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub fn head(&mut self) -> Head {
        let line = self.line().unwrap();
        let status = line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        Head { status, headers: self.fields() }
    }

    /// The header fields that come next.
    pub fn fields(&mut self) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        headers
    }

    /// The next chunk of a body; `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    pub fn response(&mut self) -> Response {
        let Head { status, headers } = self.head();
        let mut body = Vec::new();
        if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        } else if let Some(length) = headers.get("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).unwrap();
        }
        Response { status, headers, body }
    }

    /// Whether the server has closed the connection, after what it may still have sent.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_ok()
    }
}

/// A session, which ends when it is dropped.
pub struct Session {
    pub id: String,
    pub connection: Client,
}

impl Session {
    pub fn open(path: &Path) -> Self {
        let mut connection = Client::connect(path);
        connection.send_request("POST", "/session", "", b"");
        assert_eq!(connection.head().status, 200);
        let line = connection.chunk().unwrap();
        let line: Value = serde_json::from_slice(&line).unwrap();
        Self { id: line["session"].as_str().unwrap().to_owned(), connection }
    }
}

//! Where a server is, and the credentials for it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper::header::HeaderValue;
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::{Limits, Token};
use nix::sys::socket::{setsockopt, sockopt};

use super::channel::Channel;
use super::fault;
use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// A server that speaks HTTP: its address, the credentials for it, and the limits of the client.
///
/// ```
/// use miko_http::HttpServer;
///
/// let server = HttpServer::unix("/run/mikobase/socket.http");
/// assert_eq!(format!("{server:?}"), r#"HttpServer { address: "/run/mikobase/socket.http", .. }"#);
/// assert!(HttpServer::at("http://127.0.0.1:8080").is_ok());
/// assert!(HttpServer::at("http://127.0.0.1:8080/path").is_err());
/// # Ok::<(), miko_rpc::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpServer {
    place: Place,
    /// What tells this server from others.
    identity: PathBuf,
    /// The value of `Host`.
    host: HeaderValue,
    token: Option<Token>,
    pub(super) limits: Limits,
    /// The index of the worker that connects.
    pub(super) worker: Option<usize>,
    /// For a URL with `https`.
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

#[derive(Clone)]
enum Place {
    Unix(PathBuf),
    /// Host and port, as `ToSocketAddrs` takes them.
    Tcp(String),
}

/// What the scheme of a URL says.
struct Scheme {
    name: &'static str,
    /// The port of a URL without one.
    default_port: u16,
}

const SCHEMES: [Scheme; 2] =
    [Scheme { name: "http", default_port: 80 }, Scheme { name: "https", default_port: 443 }];

impl HttpServer {
    /// The server that listens on a Unix socket, such as that of `uds.http_path()`.
    pub fn unix(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        Self::new(Place::Unix(path.clone()), path, HeaderValue::from_static("localhost"))
    }

    /// The server at a URL, `http://HOST:PORT` or `https://HOST:PORT`, by TCP. With `https` (feature `tls`)
    /// its certificate must be for HOST, and be signed by an authority that the system knows, or one of
    #[cfg_attr(feature = "tls", doc = "[`ca_file`](Self::ca_file).")]
    #[cfg_attr(not(feature = "tls"), doc = "`ca_file`.")]
    ///
    /// # Errors
    /// `invalid_request` for any other URL, and for `https` without the feature `tls`.
    pub fn at(url: &str) -> Result<Self> {
        let refused =
            |message: &str| Error::new(ErrorId::INVALID_REQUEST, message).with("found", without_user(url));
        let form = "the URL of a server has the form `http://HOST:PORT` or `https://HOST:PORT`";
        let parsed: Uri = url.parse().map_err(|_| refused(form))?;
        let scheme = SCHEMES.iter().find(|scheme| parsed.scheme_str() == Some(scheme.name));
        let is_bare = matches!(parsed.path_and_query().map(|path| path.as_str()), None | Some("/"));
        let (Some(scheme), Some(authority), true) = (scheme, parsed.authority(), is_bare) else {
            return Err(refused(form));
        };
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused(form));
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| refused(form))?;
        let port = match &authority.as_str()[authority.host().len()..] {
            "" => scheme.default_port,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(|| refused(form))?,
        };
        let address = format!("{}:{port}", authority.host());
        let identity = PathBuf::from(format!("{}://{address}", scheme.name));
        let server = Self::new(Place::Tcp(address), identity, host);
        if scheme.name == "http" {
            return Ok(server);
        }
        #[cfg(feature = "tls")]
        {
            let tls = Tls::with(authority.host()).ok_or_else(|| refused(form))?;
            Ok(Self { tls: Some(tls), ..server })
        }
        #[cfg(not(feature = "tls"))]
        Err(refused("this program was built without TLS: build it with the feature `tls`"))
    }

    fn new(place: Place, identity: PathBuf, host: HeaderValue) -> Self {
        Self {
            place,
            identity,
            host,
            token: None,
            limits: Limits::default(),
            worker: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Trusts the authorities whose certificates are in this file of PEM, and none of the system. It is how a
    /// client knows the server of a private authority.
    ///
    /// ```no_run
    /// use miko_http::HttpServer;
    ///
    /// let server = HttpServer::at("https://ship.example:8443")?.ca_file("ca.pem")?;
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request`, if the file cannot be read or has no certificates, or the URL is one with `http`.
    #[cfg(feature = "tls")]
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let Some(tls) = self.tls.take() else {
            let message = "a server without TLS shows no certificate: name an `https` URL";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message)
                .with("found", self.identity.display().to_string()));
        };
        self.tls = Some(tls.trusting(path.as_ref())?);
        Ok(self)
    }

    /// Sends this token with each request, for a server with [`Auth::Token`](crate::Auth::Token).
    #[must_use]
    pub fn token(mut self, token: &Token) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Sets the limits of the client: how long a call waits, and the largest request and answer, if the
    /// server does not have a smaller one.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    #[must_use]
    pub(crate) fn worker(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// What tells this server from others: the path of its socket, or its URL.
    pub(super) fn identity(&self) -> &Path {
        &self.identity
    }

    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The value of `Authorization`, which is not printed.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.token.as_ref()?.to_hex())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Opens a connection, which takes at most this time by TCP. On a Unix socket the kernel connects at
    /// once, unless the queue of the server is full.
    pub(super) fn open(&self, timeout: Duration) -> io::Result<OwnedFd> {
        match &self.place {
            Place::Unix(path) => UnixStream::connect(path).map(OwnedFd::from),
            Place::Tcp(address) => open_tcp(address, timeout).map(OwnedFd::from),
        }
    }

    /// What HTTP is spoken over on a connection: TLS after its handshake, which ends at `until`, or the
    /// socket.
    ///
    /// # Errors
    /// Those of the handshake.
    pub(super) fn channel(&self, socket: &Socket, until: Option<Instant>) -> Result<Channel> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let secured = tls.open(socket, until).map_err(|error| self.at_place(error))?;
            return Ok(Channel::Tls(Box::new(secured)));
        }
        let _ = until;
        Ok(Channel::Plain(socket.clone()))
    }

    /// The error for a failed connect.
    pub(super) fn unreachable(&self, fault: io::Error) -> Error {
        self.at_place(fault::unreachable(fault))
    }

    /// Names the server in an error.
    fn at_place(&self, error: Error) -> Error {
        error.with("path", self.identity.display().to_string())
    }
}

/// A URL without what stands before the last `@`, which may be a password, to be printed.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, rest)) => {
            let scheme = ["http://", "https://"].into_iter().find(|scheme| before.starts_with(scheme));
            format!("{}{rest}", scheme.unwrap_or_default())
        }
        None => url.to_owned(),
    }
}

/// Connects to the first address of a name that answers.
fn open_tcp(name: &str, timeout: Duration) -> io::Result<TcpStream> {
    let began = Instant::now();
    let addresses: Vec<SocketAddr> = name.to_socket_addrs()?.collect();
    open_one_of(&addresses, timeout.saturating_sub(began.elapsed()))
}

/// Connects to the first of these addresses that answers. One that does not leaves time for those after it.
fn open_one_of(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let began = Instant::now();
    let mut last_fault = io::Error::from(io::ErrorKind::NotFound);
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = timeout.saturating_sub(began.elapsed());
        let part = left / u32::try_from(untried).unwrap_or(u32::MAX);
        // A timeout of 0 is refused.
        match TcpStream::connect_timeout(address, part.max(Duration::from_millis(1))) {
            Ok(stream) => {
                // Small requests are not held back. A failure makes them slower only.
                let _ = stream.set_nodelay(true);
                // The kernel notices a server whose machine is gone, after the time set for the system.
                let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
                return Ok(stream);
            }
            Err(fault) => last_fault = fault,
        }
    }
    Err(last_fault)
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("address", &self.identity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_nothing_else() {
        for (url, is_taken) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/", true),
            ("http://localhost", true),
            ("https://localhost", cfg!(feature = "tls")),
            ("https://[::1]:8443", cfg!(feature = "tls")),
            ("https://-", false),
            ("ftp://localhost", false),
            ("http://localhost/path", false),
            ("http://localhost/?query", false),
            ("http://user@localhost", false),
            ("http://localhost:", false),
            ("http://localhost:0x50", false),
            ("http://localhost:99999", false),
            ("http://[::1]:99999", false),
            ("http://[::1]:", false),
            ("http://:80", false),
            ("localhost:8080", false),
            ("/run/socket", false),
            ("", false),
        ] {
            let server = HttpServer::at(url);
            assert_eq!(server.is_ok(), is_taken, "{url}");
            if let Err(error) = server {
                assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
            }
        }
        let server = HttpServer::at("http://localhost").unwrap();
        assert_eq!(server.identity(), Path::new("http://localhost:80"));
    }

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_the_next_one() {
        use std::net::TcpListener;

        use nix::sys::socket::{Backlog, listen};

        let [silent, answering] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        listen(&silent, Backlog::new(0).unwrap()).unwrap();
        let addresses = [&silent, &answering].map(|listener| listener.local_addr().unwrap());
        // With its queue full, it answers no more.
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addresses[0], Duration::from_millis(20)) {
            queue.push(stream);
        }
        let opened = open_one_of(&addresses, Duration::from_millis(100)).unwrap();
        assert_eq!(opened.peer_addr().unwrap(), addresses[1]);
    }

    #[test]
    fn a_password_in_a_url_is_not_printed() {
        for url in [
            "http://picard:secret@ship:8080",
            "http://picard:sec@secret@ship",
            "https://picard:secret@ship",
            "http://picard:secret@ship/@path",
            "picard:secret@ship",
            "picard:secret://secret@ship",
            "http://picard:secret/secret@ship x",
        ] {
            let error = HttpServer::at(url).unwrap_err();
            let printed = format!("{error} {error:?}");
            assert!(!printed.contains("secret"), "{printed}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::random().unwrap();
        let server = HttpServer::unix("/socket").token(&token);
        let printed = format!("{server:?} {:?}", server.authorization());
        assert!(!printed.contains(&token.to_hex()), "{printed}");
    }
}

//! The options of HTTP, and what its connections share.

use std::fmt;
use std::time::Duration;

use miko_rpc::Result;

use crate::auth::Auth;
use crate::cors::AllowedOrigins;
use crate::counts::Counts;
use crate::sessions::Sessions;
#[cfg(feature = "tls")]
use crate::tls::TlsCertificate;
use crate::unproven::Unproven;

/// HTTP, as a protocol that a server speaks beside its own.
///
/// ```
/// use miko_http::{Auth, Http};
///
/// let http = Http::new(Auth::Peer);
/// assert_eq!(format!("{http:?}"), "Http { auth: Peer, .. }");
/// ```
pub struct Http {
    pub(crate) auth: Auth,
    pub(crate) limits: HttpLimits,
    /// The names of this server in `Host`, without a port.
    pub(crate) hosts: Vec<String>,
    /// The origins whose pages may use the server.
    pub(crate) allowed_origins: AllowedOrigins,
    pub(crate) sessions: Sessions,
    pub(crate) counts: Counts,
    pub(crate) unproven: Unproven,
    /// That of a server that speaks TLS by TCP.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsCertificate>,
}

/// A time that no client waits for. Instants that are later by it can be computed.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Bounds on what a client sends. The size of a body is bounded by the limit `frame_size` of the server, the
/// number of connections by its limit `connections`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpLimits {
    /// The largest head of a request in bytes; larger ones are refused as `headers-too-large`. 16 KiB, and at
    /// least 8 KiB.
    pub head_size: usize,
    /// The most header fields of a request; more are refused as `headers-too-large`. 100.
    pub fields: usize,
    /// How long the head of a request may take. It is also how long a connection may be idle. 60 s.
    pub head_timeout: Duration,
    /// How long a body may take, beyond a second for each 64 KiB of it; a slower one is refused as
    /// `client-too-slow`. 30 s.
    pub body_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_size: 16 << 10,
            fields: 100,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Http {
    /// HTTP for callers that `auth` lets in.
    pub fn new(auth: Auth) -> Self {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        Self {
            auth,
            limits: HttpLimits::default(),
            hosts,
            allowed_origins: AllowedOrigins::default(),
            sessions: Sessions::default(),
            counts: Counts::default(),
            unproven: Unproven::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets the bounds on what a client sends.
    #[must_use]
    pub fn limits(mut self, mut limits: HttpLimits) -> Self {
        for timeout in [&mut limits.head_timeout, &mut limits.body_timeout] {
            *timeout = FAR_FUTURE.min(*timeout);
        }
        self.limits = limits;
        self
    }

    /// Adds a name of this server. By TCP, a request whose `Host` has another name is refused, and one whose
    /// `Origin` is not what its `Host` names, port included. `localhost` and the addresses of the loopback
    /// device are known.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Lets web pages of this origin, such as `https://app.example.com`, send requests and read the answers
    /// (CORS). Without it no page of another origin can.
    ///
    /// ```
    /// use miko_http::{Auth, Http};
    ///
    /// let http = Http::new(Auth::Open).allow_origin("http://localhost:8080")?;
    /// assert!(http.allow_origin("*").is_err());
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_request`, if it is no origin as browsers send it.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self> {
        self.allowed_origins.add(origin)?;
        Ok(self)
    }

    /// Speaks TLS by TCP, and nothing else there, with this certificate. The names for which it is valid are
    /// names of the server: add them by [`host`](Self::host). On a Unix socket nothing is encrypted: what is
    /// sent there does not leave the machine.
    ///
    /// A handshake takes at most the limit `handshake` of the server, and until the client has shown that it
    /// may call, its connection is one of those that make room for others.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, certificate: &TlsCertificate) -> Self {
        self.tls = Some(certificate.clone());
        self
    }

    /// Whether it speaks TLS by TCP.
    pub(crate) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let has_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let has_tls = false;
        has_tls
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("auth", &self.auth).finish_non_exhaustive()
    }
}

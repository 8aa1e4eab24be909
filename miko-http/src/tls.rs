//! TLS of a server, by TCP (feature `tls`).
//!
//! rustls speaks it, with the cryptography of `ring`: TLS 1.2 and 1.3, and HTTP/1.1 inside (ALPN). The client
//! has its own part, `client/tls.rs`.

mod accept;
mod certificate;
mod pem;

pub(crate) use accept::{Opening, accept, expected};
pub use certificate::TlsCertificate;
pub(crate) use pem::certificates;

/// The name of HTTP/1.1 in the negotiation of TLS (ALPN), the only protocol that is spoken inside.
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

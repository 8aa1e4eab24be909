//! TLS of a client: whom it trusts, and the handshake of a connection.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hyper_util::rt::TokioIo;
use miko_rpc::{Error, ErrorId, Result};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tracing::debug;

use super::fault;
use super::socket::{Socket, has_passed};
use crate::tls::{HTTP_1_1, certificates};

/// A socket over which TLS is spoken.
pub(super) type SecureSocket = TokioIo<TlsStream<TokioIo<Socket>>>;

/// How a client speaks TLS with a server.
#[derive(Clone)]
pub(super) struct Tls {
    /// The name or address that the certificate of the server must have.
    name: ServerName<'static>,
    /// The authorities of a file; `None` for those of the system.
    authorities: Option<Arc<RootCertStore>>,
    /// Made when the first connection is opened. Its clones resume the sessions of one another.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    /// For the server with this host, as a URL has it; `None` if it is neither a name nor an address.
    pub(super) fn with(host: &str) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).ok()?;
        Some(Self { name, authorities: None, config: Arc::default() })
    }

    /// Trusts the authorities of this file, and none of the system.
    ///
    /// # Errors
    /// Those of [`certificates`]; `invalid_request`, if one is no authority.
    pub(super) fn trusting(self, path: &Path) -> Result<Self> {
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(path)? {
            authorities.add(certificate).map_err(|fault| {
                let message = "a certificate of the file cannot be used as an authority";
                Error::caused_by(ErrorId::INVALID_REQUEST, message, fault)
                    .with("path", path.display().to_string())
            })?;
        }
        Ok(Self { authorities: Some(Arc::new(authorities)), config: Arc::default(), ..self })
    }

    /// Performs the handshake on a socket that is connected, until `until`.
    ///
    /// # Errors
    /// `tls-failed` with the reason; `server-gone`; `deadline-exceeded`.
    pub(super) fn open(&self, socket: &Socket, until: Option<Instant>) -> Result<SecureSocket> {
        let connector = TlsConnector::from(Arc::clone(self.config()?));
        let mut handshake = pin!(connector.connect(self.name.clone(), TokioIo::new(socket.clone())));
        loop {
            socket.clear();
            // What it waits for is noted by the socket.
            match handshake.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(stream)) => return Ok(TokioIo::new(stream)),
                Poll::Ready(Err(fault)) => return Err(self.refused(fault)),
                Poll::Pending => {}
            }
            let in_time = !socket.is_blocked() || socket.wait(until).map_err(fault::lost)?;
            if !in_time || has_passed(until) {
                let message = "the server did not complete the TLS handshake in time";
                return Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message));
            }
        }
    }

    fn config(&self) -> Result<&Arc<ClientConfig>> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let authorities = match &self.authorities {
            Some(authorities) => Arc::clone(authorities),
            None => Arc::new(of_system()?),
        };
        let unusable = |fault| Error::caused_by(ErrorId::INTERNAL, "TLS cannot be set up", fault);
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(self.config.get_or_init(|| Arc::new(config)))
    }

    /// The error of a handshake that has failed.
    fn refused(&self, fault: io::Error) -> Error {
        let Some(reason) = fault.get_ref().and_then(|fault| fault.downcast_ref::<rustls::Error>()) else {
            return fault::lost(fault);
        };
        let message = match reason {
            rustls::Error::InvalidCertificate(reason) => {
                format!("the certificate of the server {}", self.fault_of_certificate(reason))
            }
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "the server does not speak TLS there: its URL may be one with `http`".to_owned()
            }
            _ => "the server and this client could not agree on TLS".to_owned(),
        };
        Error::caused_by(ErrorId::TLS_FAILED, message, fault)
    }

    /// What is wrong with a certificate, as the end of a sentence.
    fn fault_of_certificate(&self, reason: &CertificateError) -> String {
        match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired: renew it".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet: compare the clocks of both machines".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("is not for `{}`: ask by a name that it has", self.name.to_str())
            }
            CertificateError::UnknownIssuer => {
                let trusted = match self.authorities {
                    Some(_) => "the file of `ca_file` does not have",
                    None => "the system does not know: name that of a private authority by `ca_file`",
                };
                format!("is signed by an authority that {trusted}")
            }
            _ => "cannot be accepted".to_owned(),
        }
    }
}

/// The authorities of the system: those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, or of the folders of the
/// distribution.
fn of_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for fault in &found.errors {
        debug!(%fault, "authorities of the system");
    }
    let mut authorities = RootCertStore::empty();
    let (added, skipped) = authorities.add_parsable_certificates(found.certs);
    debug!(added, skipped, "authorities of the system");
    if added > 0 {
        return Ok(authorities);
    }
    let message = "the system has no certificates of authorities: install them (`ca-certificates`), or name \
                   a file by `ca_file`";
    Err(Error::new(ErrorId::TLS_FAILED, message))
}

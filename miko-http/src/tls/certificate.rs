//! The certificate of a server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use miko_rpc::{Error, ErrorId, Result};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};
use tracing::info;

use super::{HTTP_1_1, pem};

/// The certificate with which a server speaks TLS, and its private key, in two files of PEM.
///
/// Clones are the same certificate: [`reload`](Self::reload) of one takes effect for the server that has
/// another.
///
/// ```no_run
/// use miko_http::{Auth, Http, TlsCertificate};
/// use miko_shared::Token;
///
/// let certificate = TlsCertificate::read("server.pem", "server.key")?;
/// let http = Http::new(Auth::Token(Token::random()?)).tls(&certificate).host("ship.example");
/// # Ok::<(), miko_rpc::Error>(())
/// ```
#[derive(Clone)]
pub struct TlsCertificate {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The value is whole also if a thread has panicked.
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl TlsCertificate {
    /// Reads both files. That of the certificate has the certificate of the server first, and those that lead
    /// to its authority after it; that of the key has it as PKCS#8, PKCS#1 or SEC1, without a password.
    ///
    /// Whether the certificate is valid now, and for which names, is not looked at: its clients do that.
    ///
    /// # Errors
    /// `invalid_request` with the path, if a file cannot be read, does not have what it should, or the key is
    /// that of another certificate.
    pub fn read(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let (chain, key) = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let current = Arc::new(Current(RwLock::new(Arc::new(certified_key(&chain, &key)?))));
        let unusable = |fault| Error::caused_by(ErrorId::INTERNAL, "TLS cannot be set up", fault);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self { chain, key, current, config: Arc::new(config) })
    }

    /// Reads the files again, as after the certificate was renewed. Connections that are open go on with the
    /// old one. If the files are not usable, the old one stays.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn reload(&self) -> Result<()> {
        let renewed = Arc::new(certified_key(&self.chain, &self.key)?);
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        info!(path = %self.chain.display(), "the TLS certificate was read again");
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for TlsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

fn certified_key(chain: &Path, key: &Path) -> Result<CertifiedKey> {
    let certificates = pem::certificates(chain)?;
    let private_key = pem::private_key(key)?;
    let refused = |fault| match fault {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let message = "the private key is not that of the certificate";
            let error = Error::caused_by(ErrorId::INVALID_REQUEST, message, fault);
            pem::of_file(error, key).with("certificate", chain.display().to_string())
        }
        rustls::Error::InvalidCertificate(_) => {
            let message = "the certificate cannot be used";
            pem::of_file(Error::caused_by(ErrorId::INVALID_REQUEST, message, fault), chain)
        }
        fault => {
            let message = "the private key cannot be used: ECDSA (P-256, P-384), Ed25519 and RSA are known";
            pem::of_file(Error::caused_by(ErrorId::INVALID_REQUEST, message, fault), key)
        }
    };
    CertifiedKey::from_der(certificates, private_key, &ring::default_provider()).map_err(refused)
}

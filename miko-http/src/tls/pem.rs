//! Certificates and keys in files of PEM.

use std::fs;
use std::io;
use std::path::Path;

use miko_rpc::{Error, ErrorId, Result};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a file: at least one.
///
/// # Errors
/// `invalid_request` with the path, if the file cannot be read or has none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|fault| unreadable(path, fault))?;
    if found.is_empty() {
        let message = "the file has no certificate: PEM is expected, `-----BEGIN CERTIFICATE-----`";
        return Err(of_file(Error::new(ErrorId::INVALID_REQUEST, message), path));
    }
    Ok(found)
}

/// The private key in a file.
///
/// # Errors
/// `invalid_request` with the path, if the file cannot be read or has none.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|fault| match fault {
        pem::Error::NoItemsFound => {
            let message = "the file has no private key: PEM is expected, in the form PKCS#8, PKCS#1 or SEC1, \
                           without a password";
            of_file(Error::new(ErrorId::INVALID_REQUEST, message), path)
        }
        fault => unreadable(path, fault),
    })
}

/// Names the file in an error.
pub(super) fn of_file(error: Error, path: &Path) -> Error {
    error.with("path", path.display().to_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |fault: io::Error| {
        let error = Error::caused_by(ErrorId::INVALID_REQUEST, "the file cannot be read", fault);
        of_file(error, path)
    };
    fs::read(path).map_err(failed)
}

fn unreadable(path: &Path, fault: pem::Error) -> Error {
    of_file(Error::caused_by(ErrorId::INVALID_REQUEST, "the file is no proper PEM", fault), path)
}

//! TLS of `miko serve`: its options, and what they become.

use std::path::PathBuf;

use mikobase::{Http, StandaloneServer};

use crate::exit::Failure;
#[cfg(feature = "tls")]
use crate::exit::print_stderr;

/// The options of `miko serve` for TLS.
#[derive(clap::Args)]
pub(crate) struct TlsArgs {
    /// Speak TLS by TCP, with the certificate in this file of PEM. SIGHUP reads it and the key again.
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "socket")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in a file of PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// The certificate of a server, if it speaks TLS.
#[cfg(feature = "tls")]
pub(crate) struct Certificate(Option<mikobase::TlsCertificate>);

#[cfg(feature = "tls")]
impl Certificate {
    /// Reads the files that the options name.
    pub(crate) fn read(args: &TlsArgs) -> Result<Self, Failure> {
        let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(Self(None)) };
        // Relative to the folder in which the command was started.
        let (certificate, key) = (std::path::absolute(certificate)?, std::path::absolute(key)?);
        Ok(Self(Some(mikobase::TlsCertificate::read(certificate, key)?)))
    }

    /// Whether there is one.
    pub(crate) fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// Lets HTTP by TCP speak TLS.
    pub(crate) fn secure(&self, http: Http) -> Http {
        match &self.0 {
            Some(certificate) => http.tls(certificate),
            None => http,
        }
    }

    /// Lets the server read the files again at SIGHUP. If they are not usable, the old certificate stays.
    pub(crate) fn reload_at_hangup(self, server: StandaloneServer) -> StandaloneServer {
        let Some(certificate) = self.0 else { return server };
        server.at_hangup(move || match certificate.reload() {
            Ok(()) => print_stderr(format_args!("miko: the certificate was read again")),
            Err(error) => print_stderr(format_args!("miko: the old certificate stays: {error}")),
        })
    }
}

/// The certificate of a server; there is none in a program without TLS.
#[cfg(not(feature = "tls"))]
pub(crate) struct Certificate;

#[cfg(not(feature = "tls"))]
impl Certificate {
    /// Refuses the options.
    pub(crate) fn read(args: &TlsArgs) -> Result<Self, Failure> {
        if args.tls_cert.is_none() && args.tls_key.is_none() {
            return Ok(Self);
        }
        let message = "--tls-cert, --tls-key: this program was built without TLS. \
                       Install it by `cargo install --path . --features tls`, or let another program end TLS";
        Err(Failure::Usage(message.to_owned()))
    }

    /// Whether there is one.
    pub(crate) fn is_named(&self) -> bool {
        false
    }

    /// Lets HTTP by TCP speak TLS.
    pub(crate) fn secure(&self, http: Http) -> Http {
        http
    }

    /// Lets the server read the files again at SIGHUP.
    pub(crate) fn reload_at_hangup(self, server: StandaloneServer) -> StandaloneServer {
        server
    }
}

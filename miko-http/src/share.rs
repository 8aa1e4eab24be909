//! HTTP in a share.

use std::path::PathBuf;
use std::rc::Rc;

use miko_rpc::Interface;
use miko_shared::{Share, Uds};

use crate::auth::Auth;
use crate::options::Http;

/// HTTP as an option of a share.
///
/// ```
/// use miko_http::HttpUds;
/// use miko_shared::Uds;
///
/// let uds = Uds::new()?.http(true);
/// assert!(uds.http_path().ends_with("socket.http"));
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub trait HttpUds: Sized {
    /// Offers HTTP on a second socket, in the same private directory, to processes of the same user. By
    /// default it is not offered.
    #[must_use]
    fn http(self, offered: bool) -> Self;

    /// As [`http`](Self::http), with options.
    #[must_use]
    fn http_with(self, http: Http) -> Self;

    /// The path of the second socket, which exists while a share runs that offers HTTP.
    fn http_path(&self) -> PathBuf;

    /// What the `db` of the workers speaks: the wire by default. With [`Transport::Http`] the share offers
    /// HTTP, too.
    #[must_use]
    fn transport(self, transport: Transport) -> Self;
}

/// What the proxies of the workers of a share speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// The wire of Mikobase: MessagePack in the frames of tarpc.
    #[default]
    Tarpc,
    /// HTTP, on the second socket of the share.
    Http,
}

impl HttpUds for Uds {
    fn http(self, offered: bool) -> Self {
        if offered { self.http_with(Http::new(Auth::Peer)) } else { self.second_protocol(None) }
    }

    fn http_with(self, http: Http) -> Self {
        self.second_protocol(Some(Rc::new(http)))
    }

    fn http_path(&self) -> PathBuf {
        self.second_path()
    }

    fn transport(self, transport: Transport) -> Self {
        match transport {
            Transport::Tarpc => self.workers_use_second_protocol(false),
            Transport::Http if self.has_second_protocol() => self.workers_use_second_protocol(true),
            Transport::Http => self.http(true).workers_use_second_protocol(true),
        }
    }
}

/// HTTP of a running share.
pub trait HttpShare {
    /// The path of the socket on which HTTP is spoken, if the share offers it.
    fn http_path(&self) -> PathBuf;
}

impl<I: Interface + ?Sized, R: serde::de::DeserializeOwned, S> HttpShare for Share<'_, I, R, S> {
    fn http_path(&self) -> PathBuf {
        self.second_path()
    }
}

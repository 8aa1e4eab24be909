//! HTTP for any interface that a server of `miko-shared` serves. The routes are made from its surface: a new
//! method needs no code here.
//!
//! | subject | where |
//! | --- | --- |
//! | the options, and the connections of a server | [`Http`] |
//! | who may call | [`Auth`], `guard`, `unproven` |
//! | what a path means, and what a request is asked with | `routes`, `asked` |
//! | calls, sessions and streams | `call`, `session`, `sessions`, `stream` |
//! | how far the exchanges of a connection are, and its end | `progress`, `hang_up` |
//! | bodies, and the bounds on what a client sends | `request`, `body`, `gzip` |
//! | refusals, also of requests that cannot be read | `refusal`, `bare_refusal` |
//! | the status of each error | [`status_of`] |
//! | the description of the routes | `openapi` |
//! | header fields of our own | `headers` |
//! | the transport of a proxy that calls a server over HTTP | [`HttpServer`], `client` |
//! | pages of named origins | `cors` |
//! | TLS by TCP | `tls`, `client/tls.rs` (feature `tls`) |
//! | what is counted | `metrics`, `counts` |
//! | the routes of a Mikobase | `mikobase` (feature `mikobase`) |
//!
//! It runs in the thread and the runtime of the server. Calls take the same path as those of the server's own
//! socket.

mod asked;
mod auth;
mod bare_refusal;
mod body;
mod call;
mod client;
mod connection;
mod cors;
mod counts;
mod guard;
mod gzip;
mod hang_up;
mod headers;
#[cfg(feature = "mikobase")]
mod mikobase;

mod metrics;
mod openapi;
mod options;
mod progress;
mod refusal;
mod reply;
mod request;
mod routes;
mod session;
mod sessions;
mod share;
mod status;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod unproven;

pub use auth::Auth;
pub use client::{ConnectHttp, HttpServer};
pub use options::{Http, HttpLimits};
pub use share::{HttpShare, HttpUds, Transport};
pub use status::status_of;
#[cfg(feature = "tls")]
pub use tls::TlsCertificate;

//! Shares any trait that carries `#[mikobase_interface]`: serves it from one process to others over a Unix
//! socket.
//!
//! The layers, each using only those above it in this table:
//!
//! | layer | responsibility |
//! | --- | --- |
//! | [`wire`] | the wire format: bytes, frames, handshake and messages |
//! | [`client`] | the transports of blocking and async proxies |
//! | [`server`] | serves one implementation to many connections, one call at a time |
//! | [`share`] | forks the server process and the workers, and reports how they ended |
//! | `standalone` | runs a server in this process, without workers |
//! | `mikobase` | shares or serves a Mikobase: backend URL, final worldlet (feature `mikobase`) |
//!
//! The other modules are helpers of these layers, apart from [`testing`], which runs tests in separate
//! processes.
//!
//! The package runs on Linux only. [`linux`] has functions for system calls that several modules need.

mod async_socket;
pub mod client;
mod descriptors;
mod limits;
pub mod linux;
#[cfg(feature = "mikobase")]
pub mod mikobase;
mod polling;
pub mod server;
#[cfg(feature = "mikobase")]
mod server_name;
mod serving;
pub mod share;
mod shared_memory;
mod standalone;
#[doc(hidden)]
pub mod testing;
mod token;
pub mod wire;

pub use client::{Connect, ConnectAsync};
pub use limits::Limits;
#[cfg(feature = "mikobase")]
pub use mikobase::{Returning, Worldlet};
pub use server::{CallInfo, Next, Peer};
#[cfg(feature = "mikobase")]
pub use server_name::ServerName;
pub use share::{BoxError, ExitStatus, Outcome, Report, Share, ShareError, Uds, Worker, WorkerReport};
pub use standalone::StandaloneServer;
pub use token::Token;

//! Tests of TLS with real sockets: `miko serve`, and clients that know its authority or do not.
//!
//! Run by `cargo test --workspace --features mikobase/tls --test tls`.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr, reason = "a test program")]

mod clients;
mod handshakes;
#[path = "../share/page.rs"]
mod page;
mod relay;
mod reload;
mod server;
mod start;
mod tls_page;

//! What crosses the socket, in three layers that each check before they allocate: frames, then the handshake or
//! messages in them.
//!
//! After the handshake a connection carries tarpc's protocol, framed as `tokio-util`'s length-delimited codec does by
//! default and serialized as MessagePack: a stock tarpc client that sends the handshake can talk to the server.

pub mod envelope;
pub mod frame;
pub mod handshake;
pub mod message;

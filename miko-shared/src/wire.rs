//! The wire format, in layers: [frames](frame), and inside them the [`handshake`] or messages. Each layer
//! checks its input before it allocates.
//!
//! After the handshake a connection carries tarpc's protocol, framed as `tokio-util`'s length-delimited codec
//! does by default and serialized as MessagePack. A stock tarpc client that performs the handshake can call
//! the server. [`envelope`] reads and writes messages in the byte form that this package writes; [`message`]
//! reads every other valid form. Streams and objects have additional frames, in [`extension`].

pub mod envelope;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod message;

//! The wire format, in layers: [frames](frame), and inside them messages. A connection begins with the
//! [`handshake`]: magic bytes and a version, which are in no frame, and then frames. Each layer checks its
//! input before it allocates.
//!
//! After the handshake a connection carries tarpc's protocol. Its messages are serialized as MessagePack, in
//! the frames that `tokio-util`'s length-delimited codec makes by default. A stock tarpc client that performs
//! the handshake can call the server. [`envelope`] reads and writes calls and responses in the byte form that
//! this package writes; [`message`] reads every other valid form, and writes refusals. [`extension`] has
//! additional frames, for objects, streams and cancellations.

pub mod envelope;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod message;

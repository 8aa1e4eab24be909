//! Limits on the size, number and duration of frames, calls and connections.

use std::time::Duration;

/// The limits of a server, and of the clients in the processes of its share. A client that connects by
/// [`Connect`](crate::Connect) has the default limits. The defaults are far beyond ordinary use.
///
/// ```
/// use miko_shared::{Limits, Uds};
///
/// let mut limits = Limits::default();
/// limits.frame_size = 1 << 20;
/// let uds = Uds::new()?.limits(limits);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The largest request or response in bytes; larger ones are refused as `request-too-large`. 64 MiB by
    /// default.
    ///
    /// A request of more than [64 KiB](miko_rpc::memory::LARGE_FRAME) is refused with the same error if its
    /// values take more memory in the server than this limit multiplied by
    /// [12](miko_rpc::memory::MAX_EXPANSION). `put_file` and `import_worldlet` of a Mikobase send pieces of
    /// up to 1 MiB, each in a request, so a limit of 1 MiB or less refuses full pieces.
    pub frame_size: usize,
    /// The most connections that are open at once; further ones are refused as `too-many-connections`. 1024
    /// by default.
    pub connections: usize,
    /// The most unanswered calls of one connection: calls that wait for their turn at a gate, and calls whose
    /// answers come later. Further ones are refused as `storage-full`. 16,384 by default.
    ///
    /// The bytes of the calls that wait at gates are limited, too: those of all connections together take at
    /// most [`frame_size`](Self::frame_size), and those of one connection at most half of it. Further calls
    /// are refused as `storage-full`. If no other call waits, a call may have any size. Towards the memory
    /// limit each waiting call counts its bytes and 1 KiB.
    pub calls_in_flight: usize,
    /// How long a client waits for the answer to a call before the call fails as `deadline-exceeded`, if its
    /// method declares no deadline. If a call has to open the connection first, its time includes the
    /// handshake. [`Connect`](crate::Connect) opens a connection without a call: its handshake fails after
    /// this time, too. Five minutes by default.
    pub call_deadline: Duration,
    /// How long each step of the handshake of a new connection may take. Also how long the server tries to
    /// send the last answers of a connection that it closes. Ten seconds by default.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_size: 64 << 20,
            connections: 1024,
            calls_in_flight: 1 << 14,
            call_deadline: Duration::from_secs(300),
            handshake: Duration::from_secs(10),
        }
    }
}

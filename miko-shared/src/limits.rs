//! Limits on the size, number and duration of frames, calls and connections.

use std::time::Duration;

/// The limits of a server and its clients. The defaults are far beyond ordinary use.
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
    /// The largest request or response in bytes; larger ones are refused as `request-too-large`. 64 MiB.
    ///
    /// So is a request whose values take more than
    /// [12 times as many bytes](miko_rpc::memory::MAX_EXPANSION) in the memory of the server. `put_file` and
    /// `import_worldlet` of a Mikobase send pieces of 1 MiB, which have to fit.
    pub frame_size: usize,
    /// The most connections that are open at once; further ones are refused as `too-many-connections`. 1024.
    pub connections: usize,
    /// The most calls of one connection that wait for their turn at a gate, or whose answers come later;
    /// further ones are refused as `storage-full`. 16,384.
    ///
    /// The calls that wait at gates have at most as many bytes as one frame may have, those of one connection
    /// half as many; further ones are refused as `storage-full`, too. One call may always wait. Each counts
    /// 1 KiB more towards the memory limit.
    pub calls_in_flight: usize,
    /// How long a client waits for the answer to a call before it fails as `deadline-exceeded`, for methods
    /// that have no deadline of their own. Five minutes.
    pub call_deadline: Duration,
    /// How long each step of the handshake of a new connection may take, and the last answers of one that the
    /// server closes. Ten seconds.
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

//! The limits of transactions.

use std::time::Duration;

/// Limits of the time and memory of transactions. Beyond a limit of time or memory the transaction is rolled
/// back, and its next call fails with `transaction-invalidated`.
///
/// ```
/// use std::time::Duration;
///
/// use miko_core::{SqliteEngine, TransactionLimits};
///
/// let limits = TransactionLimits { idle: Duration::from_secs(60), ..TransactionLimits::default() };
/// let db = SqliteEngine::in_memory()?.transaction_limits(limits);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionLimits {
    /// How long a write waits for its turn while a transaction is open: 90 s by default. Then it fails with
    /// `lock-timeout`.
    pub lock_timeout: Duration,
    /// How long a transaction may be idle between two calls: 5 s by default. After that it is rolled back as
    /// soon as another write waits, or at its next call.
    pub idle: Duration,
    /// How long a transaction may last: 60 s by default.
    pub total: Duration,
    /// The approximate size in bytes of the writes of a transaction, including the previous states of the
    /// records that it has changed: 64 MiB by default.
    pub memory: usize,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(90),
            idle: Duration::from_secs(5),
            total: Duration::from_secs(60),
            memory: 64 << 20,
        }
    }
}

//! The limits of transactions.

use std::time::Duration;

/// Limits of the time and memory of transactions. A transaction that exceeds `idle`, `total` or `memory` is
/// rolled back. Its next calls fail with `transaction-invalidated` until
/// [`roll_back`](crate::Transaction::roll_back) is called. The write that exceeds `memory` also fails with
/// this error.
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
    /// How long a write, or the first call of a transaction, waits for its turn to write: 90 s by default.
    /// After that it fails with `lock-timeout`.
    pub lock_timeout: Duration,
    /// How long a transaction may be idle between two calls: 5 s by default. After that it is rolled back as
    /// soon as another write waits for its turn, or at the next call of the transaction.
    pub idle: Duration,
    /// How long a transaction may last: 60 s by default. After that it is rolled back as soon as another
    /// write waits for its turn, or at the next call of the transaction, as after `idle`.
    pub total: Duration,
    /// How many bytes the writes of a transaction may take, including the previous states of the records that
    /// it has changed: 64 MiB by default. The bytes are estimated.
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

//! Which writes a database accepts from its callers.

/// Which writes a database accepts from its callers: see [`Engine::restrict`](crate::Engine::restrict). `Ord`
/// sorts from the strictest access to the widest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// No writes: each is refused with `read-only-connection`, as are transactions, subscriptions and live
    /// queries.
    ReadOnly,
    /// Writes that only add: creates, new classes and files, imports of records with new pks, and merges,
    /// which add versions. Any other write is refused with `action-not-supported`, upserts and claims
    /// included.
    AppendOnly,
    /// All writes.
    #[default]
    Full,
}

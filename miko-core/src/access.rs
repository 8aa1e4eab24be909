//! Which writes a database accepts from its callers.

/// Which writes a database accepts from its callers: see [`Engine::restrict`](crate::Engine::restrict).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// None: each is refused with `read-only-connection`.
    ReadOnly,
    /// Writes that only add: creates, new classes and files, imports of new pks, and merges. Any other write
    /// is refused with `action-not-supported`, claims included.
    AppendOnly,
    /// All.
    #[default]
    Full,
}

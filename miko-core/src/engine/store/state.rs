//! The part of a store that is derived from its storage: the classes in force, when former definitions ended,
//! the claims, and the ids and commit numbers given out.

use rpds::HashTrieMapSync;

use crate::class::Catalog;
use crate::engine::store::claims::table::ClaimTable;
use crate::storage::ids::LastNumbers;
use crate::timestamp::Timestamp;

/// The state of a store that is restored when a write or a transaction is undone. While the writes of an open
/// transaction are hidden from other callers, the store has the committed state, and the transaction keeps
/// the state with its writes. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct StoreState {
    pub(crate) catalog: Catalog,
    /// In a temporal database: for each class name, the latest time at which a definition of the name was
    /// replaced or deleted. A new definition of the name begins no earlier.
    pub(crate) definition_ends: HashTrieMapSync<String, Timestamp>,
    pub(crate) claim_rows: ClaimTable,
    /// The ids and the commit number given out last.
    pub(crate) last: LastNumbers,
}

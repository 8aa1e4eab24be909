//! The part of a store that is derived from its storage: the classes in force, the claims, and the numbers
//! given out.

use rpds::HashTrieMapSync;

use crate::class::Catalog;
use crate::engine::store::claims::table::ClaimTable;
use crate::storage::ids::LastNumbers;
use crate::timestamp::Timestamp;

/// The state of a store that is restored when a write is undone. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct StoreState {
    pub(crate) catalog: Catalog,
    /// When the last former definition of each class name ended, in a temporal database.
    pub(crate) definition_ends: HashTrieMapSync<String, Timestamp>,
    pub(crate) claim_rows: ClaimTable,
    /// The numbers given out last.
    pub(crate) last: LastNumbers,
}

//! The engine on the naive storage, for the behavioural tests.

use miko_rpc::Result;

use crate::engine::local::LocalEngine;
use crate::engine::store::Store;
use crate::mode::Mode;
use crate::storage::naive::NaiveStorage;

/// A Mikobase on the naive storage.
pub type NaiveEngine = LocalEngine<NaiveStorage>;

impl LocalEngine<NaiveStorage> {
    /// Creates an empty database in memory. A temporal one keeps every version of a record.
    ///
    /// # Errors
    /// None so far: it returns a `Result` because the constructors of the other engines do.
    pub fn in_memory(is_temporal: bool) -> Result<Self> {
        Ok(Self::of(Store::on(NaiveStorage::new(is_temporal), Mode::ReadWrite)?))
    }
}

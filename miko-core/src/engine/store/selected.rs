//! Writes to all records that a select finds.

use miko_rpc::Result;

use crate::engine::store::Store;
use crate::query::SelectRequest;
use crate::response::{MAX_CHANGED_PKS, Results};
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::{Storage, corruption};

impl<T: Storage> Store<T> {
    /// Calls `change`, which changes or deletes a record, for each record that a select finds, in the order
    /// of the select. The select is run before the first change, so its result does not depend on the
    /// changes. Returns the number of records, and the pks of the first [`MAX_CHANGED_PKS`] of them.
    ///
    /// # Errors
    /// The errors of the select; the first error of `change`, with the pk of the record; `request-too-large`,
    /// if the pks exceed the size limit of the answer. The caller must undo the write then.
    pub(super) fn change_selected(
        &mut self,
        select: &SelectRequest,
        mut change: impl FnMut(&mut Self, RowId, Row) -> Result<()>,
    ) -> Result<Results> {
        let rows = self.select_current_rows(select)?;
        // A record may get a unique value that a later record of the select still has.
        self.deferred.allows_taken_values = true;
        let count = rows.len() as u64;
        let mut pks = Vec::with_capacity(rows.len().min(MAX_CHANGED_PKS));
        for id in rows {
            let row = self.storage.row(id)?.ok_or_else(|| corruption("a selected row that is not there"))?;
            let pk = row.pk.clone();
            change(self, id, row).map_err(|error| error.with_all("pk", pk.as_str()))?;
            if pks.len() < MAX_CHANGED_PKS {
                self.answer.charge(pk.len())?;
                pks.push(pk);
            }
        }
        Ok(Results::Changed { count, pks })
    }
}

//! Runs selects of the current state; [`past`](super::past) runs those of the past.
//!
//! Storage finds the records by a plan. If storage can only find candidates, the evaluator
//! (`query/evaluate.rs`) filters, sorts and limits them. Some selects are answered from columns
//! ([`column_scans`](super::column_scans)).

use std::ops::ControlFlow;

use miko_rpc::Result;

use crate::engine::store::Store;
use crate::engine::store::answer::charge_found;
use crate::engine::store::candidate::Candidate;
use crate::engine::store::column_scans::{Scanned, Wanted};
use crate::query::{MatchCollector, SelectRequest};
use crate::record::{Record, Records};
use crate::storage::Storage;
use crate::storage::explain::Explanation;
use crate::storage::ids::RowId;
use crate::storage::plan::Plan;

impl<T: Storage> Store<T> {
    /// The records of a class and its subclasses. Fails as [`select_current`](Self::select_current) does.
    pub(in crate::engine) fn by_class(&mut self, class: &str) -> Result<Records> {
        self.transaction.before_select(&mut self.storage);
        self.select_current(&SelectRequest::of_class(class))
    }

    /// The current records that a select finds. `history` and `cutoff` of the select are ignored. Fails if
    /// the records exceed the size limit of the answer. Outside of a write, the caller must have called
    /// `Transaction::before_select`, which commits deferred writes before a select that may fail.
    pub(super) fn select_current(&self, select: &SelectRequest) -> Result<Records> {
        if let Some(pks) = select.only_pks() {
            return self.records_by_creation(pks);
        }
        let plan = self.plan(select)?;
        // With a residual filter, storage finds only candidates, which the evaluator filters.
        if plan.residual_filter_reason.is_some() {
            let found = self.evaluate(&plan, |record| self.answer.charge_record(record))?;
            return Ok(found.into_iter().map(|(_, record)| record).collect::<Vec<_>>().into());
        }
        let missing_columns = match self.scan_columns(&plan, Wanted::Records)? {
            Scanned::Rows(rows) => return self.records_of_rows(&rows),
            Scanned::BySql(missing_columns) => missing_columns,
        };
        let mut records: Vec<Record> = Vec::new();
        self.storage.select(&plan, &mut |found| {
            self.answer.charge(found.text_length())?;
            // Consecutive records often have equal stacks. They then share the text.
            let shared = records.last().map(|last| &last.stack).filter(|stack| stack.as_str() == found.stack);
            records.push(found.with_stack(shared.cloned()));
            Ok(ControlFlow::Continue(()))
        })?;
        // If columns could have answered this select and are missing, they are built after some scans like
        // this one. So the scan is counted.
        if let Some(missing_columns) = missing_columns {
            self.count_scan(&missing_columns, select, Wanted::Records, records.len());
        }
        Ok(records.into())
    }

    /// The row ids of the current records that a select finds, in the order of the select. `history` and
    /// `cutoff` of the select are ignored.
    pub(super) fn select_current_rows(&self, select: &SelectRequest) -> Result<Vec<RowId>> {
        let plan = self.plan(select)?;
        if plan.residual_filter_reason.is_some() {
            return Ok(self.evaluate(&plan, charge_found)?.into_iter().map(|(id, _)| id).collect());
        }
        let missing_columns = match self.scan_columns(&plan, Wanted::Rows)? {
            Scanned::Rows(rows) => return Ok(rows),
            Scanned::BySql(missing_columns) => missing_columns,
        };
        let rows = self.storage.select_row_ids(&plan)?;
        // The scan is counted as in `select_current`.
        if let Some(missing_columns) = missing_columns {
            self.count_scan(&missing_columns, select, Wanted::Rows, rows.len());
        }
        Ok(rows)
    }

    /// Filters, sorts and limits the candidates of a plan. Calls `charge` once for each record of the result.
    fn evaluate(
        &self,
        plan: &Plan<'_>,
        charge: impl Fn(&Record) -> Result<()>,
    ) -> Result<Vec<(RowId, Record)>> {
        let select = plan.select;
        let mut matches = MatchCollector::of(select, |candidate: &Candidate<'_>| charge(&candidate.record));
        self.storage.select_with_ids(plan, &mut |id, record| {
            let candidate = Candidate::of(record.into(), &self.catalog)?.with_row_id(id);
            if select.filter.matches(&candidate)? {
                matches.push(candidate)?;
            }
            Ok(if matches.is_complete() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(matches.finish()?.into_iter().map(|Candidate { id, record, .. }| (id, record)).collect())
    }

    /// How storage would run a select, and which columns would answer it.
    pub(in crate::engine) fn explain(&self, select: &SelectRequest) -> Result<Explanation> {
        let plan = self.plan(select)?;
        let columns = self.columns.explain(&plan);
        Ok(Explanation { columns, ..self.storage.explain(&plan)? })
    }
}

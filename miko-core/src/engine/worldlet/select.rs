//! Selects: finds candidates through the indexes; the evaluator filters, sorts and limits them.

use std::collections::BTreeSet;

use crate::class::Catalog;
use crate::engine::Explanation;
use crate::engine::store::plan::{AccessPath, Lookup};
use crate::engine::store::{Store, broken};
use crate::engine::tables::Shown;
use crate::engine::worldlet::tables::MemoryTables;
use crate::error::Result;
use crate::json;
use crate::query::{RecordView, SelectRequest};
use crate::record::{Record, Records};
use crate::stack;
use crate::timestamp::Timestamp;

impl Store<MemoryTables> {
    pub(super) fn run_select(&self, select: &SelectRequest) -> Result<Records> {
        let selected = self.evaluate(select, |stored| self.answer.charge_shown(&stored.record))?;
        Ok(selected.into_iter().map(|stored| Record::from(stored.record)).collect::<Vec<_>>().into())
    }

    pub(super) fn fetch_row_ids(&self, select: &SelectRequest) -> Result<Vec<i64>> {
        Ok(self.evaluate(select, |_| Ok(()))?.into_iter().map(|stored| stored.seq).collect())
    }

    fn evaluate<'s>(
        &'s self,
        select: &SelectRequest,
        charge: impl Fn(&StoredRecord<'s>) -> Result<()>,
    ) -> Result<Vec<StoredRecord<'s>>> {
        let source = self.plan(select)?.source;
        let candidates = self.tables.row_ids(&source).filter_map(|seq| {
            let record = self.tables.record.get(&seq)?.shown()?;
            Some(Ok(StoredRecord { seq, record, catalog: &self.catalog }))
        });
        select.evaluate(candidates, charge)
    }

    pub(super) fn explain_select(&self, select: &SelectRequest) -> Result<Explanation> {
        let source = self.plan(select)?.source;
        let index = match &source {
            AccessPath::Index(lookup) => Some(lookup.name()),
            _ => None,
        };
        let scanned = match &source {
            AccessPath::Everything => "every record",
            AccessPath::Pks(_) => "the records of some pks",
            AccessPath::Members(_) => "the records of some classes",
            AccessPath::Index(_) => "the records of an index",
        };
        Ok(Explanation {
            sql: None,
            values: Vec::new(),
            plan: vec![format!("SCAN {scanned}")],
            index,
            evaluator: Some("this engine has no SQL".to_owned()),
        })
    }
}

impl MemoryTables {
    /// The row ids (`seq`) of the records of a source, in order of creation, without duplicates.
    fn row_ids<'s>(&'s self, source: &AccessPath<'_>) -> Box<dyn Iterator<Item = i64> + 's> {
        match source {
            AccessPath::Everything => Box::new(self.record.range(..).map(|(seq, _)| *seq)),
            AccessPath::Pks(pks) => {
                let found: BTreeSet<i64> = pks.iter().filter_map(|pk| self.by_pk.get(pk).copied()).collect();
                Box::new(found.into_iter())
            }
            AccessPath::Members(classes) => match classes[..] {
                [class] => Box::new(self.members_of(class)),
                _ => {
                    let members: BTreeSet<i64> =
                        classes.iter().flat_map(|class| self.members_of(*class)).collect();
                    Box::new(members.into_iter())
                }
            },
            AccessPath::Index(lookup) => Box::new(self.index_row_ids(lookup).into_iter()),
        }
    }

    fn index_row_ids(&self, lookup: &Lookup) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        for value in &lookup.keys {
            let key = |seq| (lookup.constraint_id, value.clone(), seq);
            found.extend(self.unique_value.get(&(lookup.constraint_id, value.clone())));
            found.extend(self.indexed_value.range(key(0)..=key(i64::MAX)).map(|((.., seq), ())| *seq));
        }
        found
    }
}

/// A reference to a stored record, with the class catalog that the evaluator needs.
struct StoredRecord<'s> {
    seq: i64,
    record: Shown<'s>,
    catalog: &'s Catalog,
}

impl RecordView for StoredRecord<'_> {
    fn pk(&self) -> &str {
        self.record.pk
    }

    fn bucket(&self) -> &str {
        self.record.bucket
    }

    fn is_instance_of(&self, classes: &[String]) -> bool {
        let stack = json::object_from_text(self.record.stack).map_err(broken);
        stack.is_ok_and(|stack| {
            stack::classes(&stack).into_iter().any(|class| self.catalog.is_one_of(class, classes))
        })
    }

    fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.record.updated_at
    }
}

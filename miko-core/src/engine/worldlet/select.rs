//! Selects: which records are looked at. What is selected of them, the evaluator says.

use std::collections::BTreeSet;

use crate::class::Catalog;
use crate::engine::Explanation;
use crate::engine::store::plan::{Lookup, Source};
use crate::engine::store::{Store, broken};
use crate::engine::tables::Shown;
use crate::engine::worldlet::tables::MemoryTables;
use crate::error::Result;
use crate::json;
use crate::query::{Select, Subject, stack};
use crate::record::{Record, Records};
use crate::timestamp::Timestamp;

impl Store<MemoryTables> {
    pub(super) fn evaluate_select(&self, select: &Select) -> Result<Records> {
        let selected = self.selected(select, |stored| self.answer.take_shown(&stored.record))?;
        Ok(selected.into_iter().map(|stored| Record::from(stored.record)).collect::<Vec<_>>().into())
    }

    pub(super) fn evaluate_numbers(&self, select: &Select) -> Result<Vec<i64>> {
        Ok(self.selected(select, |_| Ok(()))?.into_iter().map(|stored| stored.seq).collect())
    }

    fn selected<'s>(
        &'s self,
        select: &Select,
        take: impl Fn(&StoredRecord<'s>) -> Result<()>,
    ) -> Result<Vec<StoredRecord<'s>>> {
        let source = self.plan(select)?.source;
        let active = self.tables.numbers(&source).filter_map(|seq| {
            let record = self.tables.record.get(&seq)?.shown()?;
            Some(Ok(StoredRecord { seq, record, catalog: &self.catalog }))
        });
        select.evaluate(active, take)
    }

    pub(super) fn explain_evaluation(&self, select: &Select) -> Result<Explanation> {
        let source = self.plan(select)?.source;
        let index = match &source {
            Source::Index(lookup) => Some(lookup.name()),
            _ => None,
        };
        let looked_at = match &source {
            Source::Everything => "every record",
            Source::Pks(_) => "the records of some pks",
            Source::Members(_) => "the records of some classes",
            Source::Index(_) => "the records that an index has",
        };
        Ok(Explanation {
            sql: None,
            values: Vec::new(),
            plan: vec![format!("LOOK AT {looked_at}")],
            index,
            evaluator: Some("this engine has no SQL".to_owned()),
        })
    }
}

impl MemoryTables {
    /// The numbers of the records of a source, in order of creation, each once.
    fn numbers<'s>(&'s self, source: &Source<'_>) -> Box<dyn Iterator<Item = i64> + 's> {
        match source {
            Source::Everything => Box::new(self.record.range(..).map(|(seq, _)| *seq)),
            Source::Pks(pks) => {
                let found: BTreeSet<i64> = pks.iter().filter_map(|pk| self.by_pk.get(pk).copied()).collect();
                Box::new(found.into_iter())
            }
            Source::Members(classes) => match classes[..] {
                [class] => Box::new(self.members_of(class)),
                _ => {
                    let members: BTreeSet<i64> =
                        classes.iter().flat_map(|class| self.members_of(*class)).collect();
                    Box::new(members.into_iter())
                }
            },
            Source::Index(lookup) => Box::new(self.found(lookup).into_iter()),
        }
    }

    fn found(&self, lookup: &Lookup) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        for value in &lookup.keys {
            let key = |seq| (lookup.constraint_id, value.clone(), seq);
            found.extend(self.unique_value.get(&(lookup.constraint_id, value.clone())));
            found.extend(self.indexed_value.range(key(0)..=key(i64::MAX)).map(|((.., seq), ())| *seq));
        }
        found
    }
}

/// A record where it lies, and the classes as the select sees them.
struct StoredRecord<'s> {
    seq: i64,
    record: Shown<'s>,
    catalog: &'s Catalog,
}

impl Subject for StoredRecord<'_> {
    fn pk(&self) -> &str {
        self.record.pk
    }

    fn bucket(&self) -> &str {
        self.record.bucket
    }

    fn is_of(&self, classes: &[String]) -> bool {
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

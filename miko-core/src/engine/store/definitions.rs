//! Class definitions in the store: defining, redefining and undefining classes, and what that means for stored records.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind, Definition};
use crate::engine::store::pending::LISTED;
use crate::engine::store::write::map;
use crate::engine::store::{Store, broken};
use crate::engine::tables::{ONE_DEFINITION, State, Tables};
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::json::key_of;
use crate::query::Place;
use crate::uns;

impl<T: Tables> Store<T> {
    /// Reads all definitions there are.
    pub(super) fn load_catalog(&mut self) -> Result<()> {
        let buckets: Vec<_> = self.definition_records()?.into_iter().map(|(_, bucket)| bucket).collect();
        self.catalog = catalog_of(&buckets)?;
        Ok(())
    }

    /// The buckets of all definitions, in order of creation, with the pks of their records.
    pub(super) fn definition_records(&self) -> Result<Vec<(String, Map<String, Value>)>> {
        let mut records = Vec::new();
        let Some(class) = self.tables.find_class(uns::CLASS)? else { return Ok(records) };
        for seq in self.tables.members(class)? {
            if let Some(Member { pk, bucket, .. }) = self.member(seq)? {
                records.push((pk, bucket));
            }
        }
        Ok(records)
    }

    /// The record that defines a class: its number and its pk.
    pub(super) fn definition_record(&self, name: &str) -> Result<Option<(i64, String)>> {
        self.holder(ONE_DEFINITION, &key_of(&[&name.into()]))
    }

    /// Says that the record `seq`, which defines nothing, now defines `name`.
    pub(super) fn enter_name(&mut self, seq: i64, name: &str) -> Result<()> {
        let constraint = Constraint {
            kind: ConstraintKind::Unique,
            class: uns::CLASS.to_owned(),
            fields: vec![vec!["name".to_owned()]],
        };
        let taken = self.enter_unique(ONE_DEFINITION, &key_of(&[&name.into()]), seq, &constraint)?;
        let message = match taken {
            None if !uns::is_built_in(name) => return Ok(()),
            None => format!("`{name}` is built in, and needs no definition"),
            Some(_) => format!("`{name}` is defined already: update that definition"),
        };
        let other = self.definition_record(name)?.filter(|(holder, _)| *holder != seq).map(|(_, pk)| pk);
        Err(Error::new(ErrorId::DUPLICATE_CLASS, message).with("class", name).with("other", other))
    }

    /// Says that the record `seq`, which defined `name`, defines nothing.
    pub(super) fn leave_name(&mut self, seq: i64, name: &str) -> Result<()> {
        self.tables.leave_unique(ONE_DEFINITION, &key_of(&[&name.into()]), seq)
    }

    /// Puts definitions into force and others out of it, and brings the index of stored records up to date.
    ///
    /// # Errors
    /// `class-not-found`, `validation-failed` for a hierarchy that does not hold together; `unique-violation` for the first
    /// stored records that break what is now unique.
    pub(super) fn redefine(&mut self, added: Vec<Definition>, removed: &[String]) -> Result<()> {
        let names: BTreeSet<String> =
            added.iter().map(|definition| definition.name.clone()).chain(removed.iter().cloned()).collect();
        let (old, new) = (self.catalog.clone(), self.catalog.with(added, removed)?);
        let mut affected: BTreeSet<String> = names
            .iter()
            .flat_map(|name| old.with_subclasses(name).chain(new.with_subclasses(name)))
            .map(str::to_owned)
            .collect();
        old.add_embedding(&mut affected);
        new.add_embedding(&mut affected);
        let differs = |class: &&String| {
            old.constraints(class) != new.constraints(class)
                || old.has_references(class)
                || new.has_references(class)
        };
        let stale: Vec<String> = affected.iter().filter(differs).cloned().collect();
        let members = self.members(&stale)?;
        self.unindex_members(&members, &old)?;
        for name in &names {
            let declared = new.constraints(name).iter().filter(|constraint| constraint.class == *name);
            self.tables.keep_constraints(name, &declared.cloned().collect::<Vec<_>>())?;
        }
        self.catalog = new;
        self.index_members(&members)
    }

    /// The numbers of the records of these classes.
    fn members(&self, classes: &[String]) -> Result<BTreeSet<i64>> {
        let mut members = BTreeSet::new();
        for class in classes {
            if let Some(class) = self.tables.find_class(class)? {
                members.extend(self.tables.members(class)?);
            }
        }
        Ok(members)
    }

    /// Takes the values of these records out of the index. Which record is first must not depend on values that are about
    /// to go.
    fn unindex_members(&mut self, members: &BTreeSet<i64>, catalog: &Catalog) -> Result<()> {
        for &seq in members {
            if let Some(Member { bucket, stack, .. }) = self.member(seq)? {
                self.unindex_values(seq, &stack, &bucket, catalog)?;
            }
        }
        Ok(())
    }

    /// Indexes stored records by the classes that are in force.
    fn index_members(&mut self, members: &BTreeSet<i64>) -> Result<()> {
        let mut offenders: Vec<ErrorItem> = Vec::new();
        let unchecked = self.pending.mark();
        for &seq in members {
            let Some(Member { pk, bucket, stack }) = self.member(seq)? else { continue };
            let mut faults = Vec::new();
            self.index_values(seq, &stack, &bucket, &mut faults)?;
            offenders.extend(faults.into_iter().map(|fault| fault.with("pk", pk.as_str())));
            if offenders.len() >= LISTED {
                break;
            }
        }
        // Stored references are looked at when their records are written again.
        self.pending.forget_since(unchecked);
        Error::check(offenders)
    }

    fn member(&self, seq: i64) -> Result<Option<Member>> {
        let Some(row) = self.tables.row(seq)? else { return Ok(None) };
        let Some(State { bucket, stack, .. }) = row.state else { return Ok(None) };
        Ok(Some(Member { pk: row.pk, bucket: map(&bucket)?, stack: map(&stack)? }))
    }
}

/// The classes that stored definitions define.
pub(super) fn catalog_of(buckets: &[Map<String, Value>]) -> Result<Catalog> {
    let mut definitions = Vec::new();
    for bucket in buckets {
        let mut faults = Vec::new();
        definitions.extend(Definition::read(bucket, Place::Request, &mut faults));
        Error::check(faults).map_err(broken)?;
    }
    Catalog::of(definitions).map_err(broken)
}

/// A stored record of a class that is redefined.
struct Member {
    pk: String,
    bucket: Map<String, Value>,
    stack: Map<String, Value>,
}

//! Class definitions in the store: defining, redefining and undefining classes, and what that means for stored records.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind, Definition};
use crate::engine::sqlite::broken;
use crate::engine::sqlite::pending::LISTED;
use crate::engine::sqlite::store::Store;
use crate::engine::sqlite::write::map;
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::json::key_of;
use crate::query::Place;
use crate::uns;

/// The constraint that a class has one definition; the schema enters it.
const ONE_DEFINITION: i64 = 1;

impl Store {
    /// Reads all definitions there are.
    pub(super) fn load_catalog(&mut self) -> Result<()> {
        let mut definitions = Vec::new();
        for (_, bucket) in self.definition_records()? {
            let mut faults = Vec::new();
            let definition = Definition::read(&bucket, Place::Request, &mut faults);
            Error::check(faults).map_err(broken)?;
            definitions.extend(definition);
        }
        self.catalog = Catalog::of(definitions).map_err(broken)?;
        Ok(())
    }

    /// The buckets of all definitions, in order of creation, with the pks of their records.
    pub(super) fn definition_records(&self) -> Result<Vec<(String, Map<String, Value>)>> {
        const SQL: &str = "SELECT pk, bucket FROM membership CROSS JOIN record USING (seq) \
                           WHERE bucket IS NOT NULL AND class_id = (SELECT id FROM class WHERE uns = ?1) ORDER BY seq";
        let mut statement = self.connection.prepare_cached(SQL)?;
        let rows = statement
            .query_map([uns::CLASS], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut records = Vec::new();
        for row in rows {
            let (pk, bucket) = row?;
            records.push((pk, serde_json::from_str(&bucket).map_err(broken)?));
        }
        Ok(records)
    }

    /// The record that defines a class: its number and its pk.
    pub(super) fn definition_record(&self, name: &str) -> Result<Option<(i64, String)>> {
        self.holder(ONE_DEFINITION, &key_of(&[&name.into()]))
    }

    /// Says that the record `seq`, which defines nothing, now defines `name`.
    pub(super) fn enter_name(&self, seq: i64, name: &str) -> Result<()> {
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
    pub(super) fn leave_name(&self, seq: i64, name: &str) -> Result<()> {
        const SQL: &str = "DELETE FROM unique_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        let key = key_of(&[&name.into()]);
        self.connection.prepare_cached(SQL)?.execute(params![ONE_DEFINITION, key, seq])?;
        Ok(())
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
            self.drop_constraints(name, &new)?;
        }
        self.catalog = new;
        self.numbers.borrow_mut().forget_constraints();
        self.index_members(&members)
    }

    /// Drops the constraints that a class no longer declares, with their values.
    fn drop_constraints(&self, class: &str, catalog: &Catalog) -> Result<()> {
        const FIND: &str = "SELECT id FROM class_constraint WHERE class = ?1";
        let declared = catalog.constraints(class).iter().filter(|constraint| constraint.class == class);
        let kept: Vec<i64> =
            declared.map(|constraint| self.constraint_id(constraint)).collect::<Result<_>>()?;
        let mut find = self.connection.prepare_cached(FIND)?;
        let all: Vec<i64> = find.query_map([class], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for id in all.into_iter().filter(|id| !kept.contains(id)) {
            for sql in [
                "DELETE FROM unique_value WHERE constraint_id = ?1",
                "DELETE FROM indexed_value WHERE constraint_id = ?1",
                "DELETE FROM class_constraint WHERE id = ?1",
            ] {
                self.connection.prepare_cached(sql)?.execute([id])?;
            }
        }
        Ok(())
    }

    /// The numbers of the records of these classes.
    fn members(&self, classes: &[String]) -> Result<BTreeSet<i64>> {
        const MEMBERS: &str = "SELECT seq FROM membership WHERE class_id = ?1";
        let mut members = BTreeSet::new();
        for class in classes {
            let Some(id) = self.find_class(class)? else { continue };
            let mut statement = self.connection.prepare_cached(MEMBERS)?;
            let rows = statement.query_map([id], |row| row.get::<_, i64>(0))?;
            members.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(members)
    }

    /// Takes the values of these records out of the index. Which record is first must not depend on values that are about
    /// to go.
    fn unindex_members(&self, members: &BTreeSet<i64>, catalog: &Catalog) -> Result<()> {
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
        const SQL: &str = "SELECT pk, bucket, stack FROM record WHERE seq = ?1";
        let text = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        let row = self.connection.prepare_cached(SQL)?.query_row([seq], text).optional()?;
        row.map(|(pk, bucket, stack)| Ok(Member { pk, bucket: map(&bucket)?, stack: map(&stack)? }))
            .transpose()
    }
}

/// A stored record of a class that is redefined.
struct Member {
    pk: String,
    bucket: Map<String, Value>,
    stack: Map<String, Value>,
}

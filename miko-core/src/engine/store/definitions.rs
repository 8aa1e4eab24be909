//! Class definitions in the store: defining, redefining and undefining classes, and what that means for
//! stored records.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::class::{Catalog, Constraint, ConstraintKind, Definition};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::pending::LISTED;
use crate::engine::store::write::{defined_by, map};
use crate::engine::store::{Store, broken};
use crate::engine::tables::{ONE_DEFINITION, State, Tables};
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::json::key_of;
use crate::json::pointer::PointerToken;
use crate::timestamp::Timestamp;
use crate::uns;

impl<T: Tables> Store<T> {
    /// Reads all definitions there are.
    pub(super) fn load_catalog(&mut self) -> Result<()> {
        let buckets: Vec<_> = self.definition_records()?.into_iter().map(|(_, bucket)| bucket).collect();
        self.catalog = catalog_of(&buckets)?;
        if self.tables.is_temporal() {
            // What is wrong with the past was told when it came in.
            self.load_name_history()?;
        }
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
        self.enter_unique(ONE_DEFINITION, &key_of(&[&name.into()]), seq, &constraint)?;
        Error::check(self.check_name(Some(seq), name)?.into_iter().collect())
    }

    /// The fault of a definition whose name is built in, or is that of another definition than the record
    /// `seq`.
    pub(super) fn check_name(&self, seq: Option<i64>, name: &str) -> Result<Option<ErrorItem>> {
        let other = self.definition_record(name)?.filter(|(holder, _)| Some(*holder) != seq);
        let message = match &other {
            None if !uns::is_built_in(name) => return Ok(None),
            None => format!("`{name}` is built in, and needs no definition"),
            Some(_) => format!("`{name}` is defined already: update that definition"),
        };
        let item = ErrorItem::new(ErrorId::DUPLICATE_CLASS, message);
        Ok(Some(item.with("class", name).with("other", other.map(|(_, pk)| pk))))
    }

    /// Says that the record `seq`, which defined `name`, defines nothing.
    pub(super) fn leave_name(&mut self, seq: i64, name: &str) -> Result<()> {
        if self.tables.is_temporal()
            && let Some(row) = self.tables.row(seq)?
        {
            note_release(&mut self.released, name, row.updated_at);
        }
        self.tables.leave_unique(ONE_DEFINITION, &key_of(&[&name.into()]), seq)
    }

    /// Makes sure that what the open transaction writes from now on is no earlier than the end of the last
    /// definition of `name`: a clock that was set back, or a write that was put off to be later than the one
    /// before it, must not let two definitions of a name hold at the same time.
    pub(super) fn wait_for_name(&mut self, name: &str) {
        if let Some(released) = self.released(name) {
            self.moment = self.moment.max(released);
        }
    }

    /// When a class name was last given up, in a temporal database.
    pub(super) fn released(&self, name: &str) -> Option<Timestamp> {
        self.released.get(name).copied()
    }

    /// Reads when each name was last given up. Two definitions that held at the same time under one name are
    /// faults.
    pub(super) fn load_name_history(&mut self) -> Result<FaultList> {
        let mut held: HashMap<String, Vec<Held>> = HashMap::new();
        self.released.clear();
        for seq in self.tables.ever_definitions()? {
            let mut versions = self.tables.versions(seq)?.into_iter().peekable();
            while let Some(version) = versions.next() {
                let Some(State { bucket, stack, .. }) = &version.state else { continue };
                let Some(name) = defined_by(&map(stack)?, &map(bucket)?) else { continue };
                let until = versions.peek().map(|next| next.updated_at);
                if let Some(until) = until {
                    note_release(&mut self.released, &name, until);
                }
                let instance = version.instance.unwrap_or_default();
                held.entry(name).or_default().push(Held { from: version.updated_at, until, instance });
            }
        }
        let mut faults = FaultList::default();
        for (name, mut held) in held {
            held.retain(|held| held.until.is_none_or(|until| held.from < until));
            held.sort_unstable();
            for pair in held.windows(2) {
                let [one, other] = pair else { continue };
                // Two that hold now are told by their records.
                let both_hold = one.until.is_none() && other.until.is_none();
                if !both_hold && one.until.is_none_or(|until| until > other.from) {
                    let message = format!("`{name}` has two definitions at the same time");
                    let item = ErrorItem::new(ErrorId::DUPLICATE_CLASS, message).with("class", name.as_str());
                    let place = format!("/history{}", PointerToken(&other.instance));
                    faults.push(item.with("other", one.instance.as_str()).with("pointer", place));
                }
            }
        }
        Ok(faults)
    }

    /// Puts definitions into force and others out of it, and brings the index of stored records up to date.
    ///
    /// # Errors
    /// `class-not-found`, `validation-failed` for a hierarchy that does not hold together; `unique-violation`
    /// for the first stored records that break what is now unique.
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

    /// Takes the values of these records out of the index. Which record is first must not depend on values
    /// that are about to go.
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
        let mut offenders = FaultList::default();
        let unchecked = self.pending.mark();
        for &seq in members {
            let Some(Member { pk, bucket, stack }) = self.member(seq)? else { continue };
            let mut faults = FaultList::default();
            self.index_values(seq, &stack, &bucket, &mut faults)?;
            offenders.append_with(faults, |fault| fault.with("pk", pk.as_str()));
            if offenders.len() >= LISTED {
                break;
            }
        }
        // Stored references are looked at when their records are written again.
        self.pending.forget_since(unchecked);
        offenders.check()
    }

    fn member(&self, seq: i64) -> Result<Option<Member>> {
        let Some(row) = self.tables.row(seq)? else { return Ok(None) };
        let Some(State { bucket, stack, .. }) = row.state else { return Ok(None) };
        Ok(Some(Member { pk: row.pk, bucket: map(&bucket)?, stack: map(&stack)? }))
    }
}

/// A version of a definition, under whose name it held from one time to another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    from: Timestamp,
    /// `None` if it holds still.
    until: Option<Timestamp>,
    instance: String,
}

fn note_release(released: &mut HashMap<String, Timestamp>, name: &str, time: Timestamp) {
    released.entry(name.to_owned()).and_modify(|last| *last = time.max(*last)).or_insert(time);
}

/// The classes that stored definitions define.
pub(super) fn catalog_of(buckets: &[Map<String, Value>]) -> Result<Catalog> {
    let mut definitions = Vec::new();
    for bucket in buckets {
        let mut faults = FaultList::default();
        definitions.extend(Definition::read(bucket, Place::Root, &mut faults));
        // A rule that is newer than the definition does not keep a database from being opened.
        faults.retain(|fault| !fault.details.contains_key("rule"));
        Error::check(faults.listed().to_vec()).map_err(broken)?;
    }
    Catalog::of(definitions).map_err(broken)
}

/// A stored record of a class that is redefined.
struct Member {
    pk: String,
    bucket: Map<String, Value>,
    stack: Map<String, Value>,
}

//! Importing a worldlet: all of it, or nothing.
//!
//! Records are written as they come by, in the order of the text; definitions are put into force after the last of them,
//! and only then is each record checked against its classes. So the order in the text never matters.

use std::io::Read;

use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};

use crate::class::{Definition, Purpose};
use crate::engine::sqlite::broken;
use crate::engine::sqlite::examine::misplaced_definition;
use crate::engine::sqlite::schema;
use crate::engine::sqlite::store::Store;
use crate::engine::sqlite::write::{defined_by, extras_text, map, text};
use crate::error::{ErrorId, ErrorItem, Result};
use crate::json::pointer::Step;
use crate::query::{Place, Stack, stack};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::{self, Imported, Incoming, Problems, Sink};

impl Store {
    /// Imports a worldlet inside the open transaction. With `trust`, what validation finds becomes a warning.
    pub(super) fn import_worldlet(&mut self, reader: &mut dyn Read, trust: bool) -> Result<Imported> {
        let (before, now) = (self.commits, Timestamp::now());
        let mut problems = Problems::default();
        let mut import =
            Import { store: self, before, now, records: 0, added: Vec::new(), removed: Vec::new() };
        worldlet::read(reader, &mut import, &mut problems)?;
        let Import { records, added, removed, .. } = import;
        let removed: Vec<String> = removed
            .into_iter()
            .filter(|name| !added.iter().any(|definition| definition.name == *name))
            .collect();
        if !added.is_empty() || !removed.is_empty() {
            match self.redefine(added, &removed) {
                Ok(()) => {}
                Err(error) => error.items().iter().for_each(|item| problems.refuse(item.clone())),
            }
        }
        self.check_imported(before, trust, &mut problems)?;
        Ok(Imported { records, warnings: problems.check()? })
    }

    /// Checks what was written after the write `before`, and enters its values into the index.
    fn check_imported(&mut self, before: i64, trust: bool, problems: &mut Problems) -> Result<()> {
        const NEXT: &str = "SELECT seq, pk, bucket, stack FROM record \
                            WHERE seq > ?1 AND commit_seq > ?2 AND bucket IS NOT NULL ORDER BY seq LIMIT 1";
        let mut last = i64::MIN;
        loop {
            let next = self
                .connection
                .prepare_cached(NEXT)?
                .query_row(params![last, before], |row| {
                    Ok((
                        row.get(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, String>(2)?,
                        row.get::<_, String>(3)?,
                    ))
                })
                .optional()?;
            let Some((seq, pk, bucket, stack)) = next else { break };
            last = seq;
            let mut stack: Map<String, Value> = map(&stack)?;
            if !self.has_rules(&stack) {
                continue;
            }
            let mut bucket = map(&bucket)?;
            let records = Place::Key(&Place::Request, "records");
            let place = Place::Key(&records, &pk);
            if let Err(error) = self.examine(&mut stack, &mut bucket, Purpose::Import, &place) {
                // What is wrong with definitions was told when they came by.
                let of_records = error
                    .items()
                    .iter()
                    .filter(|fault| fault.details.get("class") != Some(&uns::CLASS.into()));
                of_records.for_each(|fault| note(fault.clone(), trust, problems));
            }
            if self.is_indexed(&stack) {
                let mut faults = Vec::new();
                self.index_values(seq, &stack, &bucket, &mut faults)?;
                faults.into_iter().for_each(|fault| problems.refuse(place.locate(fault)));
            }
        }
        for (seq, fault) in self.pending_faults()? {
            let pk: String = self
                .connection
                .prepare_cached("SELECT pk FROM record WHERE seq = ?1")?
                .query_row([seq], |row| row.get(0))?;
            let pointer = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
            let pointer = format!("/records{}{pointer}", Step(&pk));
            note(fault.with("pointer", pointer), trust, problems);
        }
        Ok(())
    }
}

/// What `trust` lets pass is still said.
fn note(fault: ErrorItem, trust: bool, problems: &mut Problems) {
    if trust { problems.warnings.push(fault) } else { problems.refuse(fault) }
}

/// An import under way.
struct Import<'s> {
    store: &'s mut Store,
    /// The last write before it.
    before: i64,
    now: Timestamp,
    records: u64,
    /// Definitions that come with it.
    added: Vec<Definition>,
    /// Classes whose definitions it overwrites.
    removed: Vec<String>,
}

impl Sink for Import<'_> {
    fn record(&mut self, record: Incoming, problems: &mut Problems) -> Result<()> {
        let records = Place::Key(&Place::Request, "records");
        self.write(&record, &Place::Key(&records, &record.pk), problems)
    }

    /// A class that is defined already gets this definition, unless it is the one that it has.
    fn class(&mut self, name: &str, definition: Value, problems: &mut Problems) -> Result<()> {
        let classes = Place::Key(&Place::Request, "classes");
        let place = Place::Key(&classes, name);
        let mut faults = Vec::new();
        let read = schema::read_one(name, definition, place, &mut faults);
        let is_whole = faults.is_empty();
        faults.into_iter().for_each(|fault| problems.refuse(fault));
        let Some((definition, bucket)) = read.filter(|_| is_whole) else { return Ok(()) };
        let before = self.store.definition_record(&definition.name)?;
        if let Some((seq, _)) = &before
            && self.store.bucket_text(*seq)?.as_ref() == Some(&text(&bucket))
        {
            return Ok(());
        }
        let pk = before.map_or_else(|| self.store.pks.next(self.now), |(_, pk)| pk);
        let created_at = self.store.record_by_pk(&pk)?.map(|record| record.created_at);
        let stack = Stack::of_class(uns::CLASS.to_owned()).into_map(None);
        let record =
            Incoming { pk, bucket, stack, extras: Map::new(), created_at, updated_at: Some(self.now) };
        self.write(&record, &place, problems)
    }

    fn keep(&mut self, key: &str, value: &Value) -> Result<()> {
        const SQL: &str = "INSERT INTO worldlet_key (key, value) VALUES (?1, ?2) \
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.store.connection.prepare_cached(SQL)?.execute(params![key, value.to_string()])?;
        Ok(())
    }
}

/// A record that has the pk of one that comes in.
struct Found {
    seq: i64,
    /// Its last write.
    written: i64,
    /// Its bucket and stack, unless it was deleted.
    active: Option<(String, String)>,
    extras: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Found {
    /// Is it the very record that comes in?
    fn is(&self, record: &Incoming, created_at: Timestamp, updated_at: Timestamp) -> bool {
        (self.created_at, self.updated_at) == (created_at, updated_at)
            && self.active == Some((text(&record.bucket), text(&record.stack)))
            && self.extras == extras_text(&record.extras)
    }
}

impl Import<'_> {
    /// Writes a record that stands at `place`, and makes it what it is: a member of its classes, a definition.
    fn write(&mut self, record: &Incoming, place: &Place<'_>, problems: &mut Problems) -> Result<()> {
        let Some(seq) = self.put(record)? else {
            problems.refuse(place.fault("two records of the worldlet have this pk"));
            return Ok(());
        };
        self.records += 1;
        for class in stack::classes(&record.stack) {
            self.store.enter(class, seq)?;
        }
        if stack::classes(&record.stack).contains(&uns::CLASS) {
            self.define(seq, record, place, problems)?;
        }
        Ok(())
    }

    /// Writes a record, over one with the same pk if there is one; `None` if that came from this import.
    fn put(&mut self, record: &Incoming) -> Result<Option<i64>> {
        const FIND: &str =
            "SELECT seq, commit_seq, bucket, stack, extras, created_at, updated_at FROM record WHERE pk = ?1";
        const INSERT: &str = "INSERT INTO record (pk, bucket, stack, extras, created_at, updated_at, commit_seq) \
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        const OVERWRITE: &str = "UPDATE record SET bucket = ?2, stack = ?3, extras = ?4, created_at = ?5, \
                                 updated_at = ?6, commit_seq = ?7 WHERE pk = ?1";
        let found = self
            .store
            .connection
            .prepare_cached(FIND)?
            .query_row([&record.pk], |row| {
                let bucket: Option<String> = row.get(2)?;
                Ok(Found {
                    seq: row.get(0)?,
                    written: row.get(1)?,
                    active: bucket.zip(row.get(3)?),
                    extras: row.get(4)?,
                    created_at: Timestamp::from_millis(row.get(5)?),
                    updated_at: Timestamp::from_millis(row.get(6)?),
                })
            })
            .optional()?;
        let mut updated_at = record.updated_at.or(record.created_at).unwrap_or(self.now);
        let created_at = record.created_at.unwrap_or(updated_at);
        if let Some(found) = &found
            && !found.is(record, created_at, updated_at)
        {
            // Whoever read the record must be able to see that it is another.
            updated_at = updated_at.max(found.updated_at.after());
        }
        let commit = self.store.next_commit();
        let values = params![
            record.pk,
            text(&record.bucket),
            text(&record.stack),
            extras_text(&record.extras),
            created_at.as_millis(),
            updated_at.as_millis(),
            commit
        ];
        match found {
            None => {
                self.store.connection.prepare_cached(INSERT)?.execute(values)?;
                Ok(Some(self.store.connection.last_insert_rowid()))
            }
            Some(found) if found.written > self.before => Ok(None),
            Some(found) => {
                self.store.connection.prepare_cached(OVERWRITE)?.execute(values)?;
                if let Some((bucket, stack)) = &found.active {
                    self.withdraw(found.seq, &map(bucket)?, &map(stack)?)?;
                }
                Ok(Some(found.seq))
            }
        }
    }

    /// Takes back all that was entered of a record that is overwritten.
    fn withdraw(&mut self, seq: i64, bucket: &Map<String, Value>, stack: &Map<String, Value>) -> Result<()> {
        for class in stack::classes(stack) {
            self.store.leave(class, seq)?;
        }
        self.store.unindex_values(seq, stack, bucket, &self.store.catalog)?;
        if let Some(name) = defined_by(stack, bucket) {
            self.store.leave_name(seq, &name)?;
            self.removed.push(name);
        }
        Ok(())
    }

    fn define(
        &mut self,
        seq: i64,
        record: &Incoming,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Result<()> {
        let mut faults = Vec::new();
        let platters =
            record.stack.iter().filter(|(_, platter)| platter.get("class") == Some(&uns::CLASS.into()));
        let stack_place = Place::Key(place, "stack");
        for (nth, (key, platter)) in platters.enumerate() {
            let place = Place::Key(&stack_place, key);
            faults.extend(misplaced_definition(platter.get("bucket").is_some(), nth > 0, &place));
        }
        let definition = Definition::read(&record.bucket, Place::Key(place, "bucket"), &mut faults);
        faults.into_iter().for_each(|fault| problems.refuse(fault));
        let Some(definition) = definition else { return Ok(()) };
        match self.store.enter_name(seq, &definition.name) {
            Ok(()) => self.added.push(definition),
            Err(error) if error.is(ErrorId::DUPLICATE_CLASS) => {
                error.items().iter().for_each(|item| problems.refuse(place.locate(item.clone())));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Store {
    /// What was kept of the worldlets that were imported.
    pub(super) fn kept(&self, key: &str) -> Result<Option<Value>> {
        let mut statement =
            self.connection.prepare_cached("SELECT value FROM worldlet_key WHERE key = ?1")?;
        let text: Option<String> = statement.query_row([key], |row| row.get(0)).optional()?;
        text.map(|text| serde_json::from_str(&text).map_err(broken)).transpose()
    }
}

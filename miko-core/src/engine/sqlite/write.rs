//! Creating, updating and deleting records, inside the transaction that the caller has opened.

use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::engine::sqlite::broken;
use crate::engine::sqlite::store::Store;
use crate::error::{Error, ErrorId, Result};
use crate::json::Object;
use crate::query::{Create, Delete, StackChange, Update, stack};
use crate::record::PASS_THROUGH;
use crate::response::Results;
use crate::timestamp::Timestamp;

impl Store {
    pub(super) fn create(&mut self, create: &Create) -> Result<Results> {
        const SQL: &str = "INSERT INTO record (pk, bucket, stack, extras, created_at, updated_at, commit_seq) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)";
        let pk = Uuid::now_v7().to_string();
        let now = Timestamp::now();
        let commit = self.next_commit();
        self.connection.prepare_cached(SQL)?.execute(params![
            pk,
            text(&create.bucket),
            text(&create.stack),
            extras_text(&create.extras),
            now.as_millis(),
            commit
        ])?;
        let seq = self.connection.last_insert_rowid();
        for class in stack::classes(&create.stack) {
            self.enter(class, seq)?;
        }
        Ok(Results::Written { pk, updated_at: now })
    }

    pub(super) fn update(&mut self, update: Update) -> Result<Results> {
        const SQL: &str = "UPDATE record SET bucket = coalesce(?2, bucket), stack = ?3, extras = ?4, \
                           updated_at = ?5, commit_seq = ?6 WHERE seq = ?1";
        let Update { pk, bucket, stack, extras, if_updated_at } = update;
        let before = self.stored(&pk)?;
        if let Some(expected) = if_updated_at.filter(|expected| *expected != before.updated_at) {
            return Err(conflict(pk, expected, before.updated_at));
        }
        let stack = match stack {
            None => before.stack.clone(),
            Some(change) => self.restack(&before, change)?,
        };
        let extras = if extras.is_empty() {
            before.extras
        } else {
            extras_text(&merged(before.extras.as_deref(), extras)?)
        };
        let updated_at = before.updated_at.next();
        let commit = self.next_commit();
        self.connection.prepare_cached(SQL)?.execute(params![
            before.seq,
            bucket.as_ref().map(text),
            stack,
            extras,
            updated_at.as_millis(),
            commit
        ])?;
        Ok(Results::Written { pk, updated_at })
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<Results> {
        const SQL: &str = "UPDATE record SET bucket = NULL, stack = NULL, extras = NULL, \
                           updated_at = ?2, commit_seq = ?3 WHERE seq = ?1";
        let pk = delete.pk.clone();
        let before = match self.stored(&pk) {
            Err(error) if delete.if_exists && is_absent(&error) => {
                return Ok(Results::Deleted { pk, deleted: false });
            }
            stored => stored?,
        };
        for class in stack::classes(&map(&before.stack)?) {
            self.leave(class, before.seq)?;
        }
        let commit = self.next_commit();
        let deleted_at = before.updated_at.next().as_millis();
        self.connection.prepare_cached(SQL)?.execute(params![before.seq, deleted_at, commit])?;
        Ok(Results::Deleted { pk, deleted: true })
    }

    /// The new stack of a record, with its membership brought up to date.
    fn restack(&self, before: &Stored, change: StackChange) -> Result<String> {
        let mut stored = map(&before.stack)?;
        let old: Vec<String> = stack::classes(&stored).into_iter().map(str::to_owned).collect();
        let changed = match change {
            StackChange::Primary(class) => stack::replace_primary(stored, class),
            StackChange::Whole(stack) => stack.into_map(stack::take_shadow(&mut stored)),
        };
        let new = stack::classes(&changed);
        for class in old.iter().filter(|class| !new.contains(&class.as_str())) {
            self.leave(class, before.seq)?;
        }
        for class in new.iter().filter(|class| !old.iter().any(|old| old == *class)) {
            self.enter(class, before.seq)?;
        }
        Ok(text(&changed))
    }

    /// Makes a record a member of a class that it is not a member of.
    fn enter(&self, class: &str, seq: i64) -> Result<()> {
        const ENTER: &str = "INSERT INTO membership (class_id, seq) SELECT id, ?2 FROM class WHERE uns = ?1";
        let mut enter = self.connection.prepare_cached(ENTER)?;
        if enter.execute(params![class, seq])? == 0 {
            // Nobody has used the class before.
            self.connection.prepare_cached("INSERT INTO class (uns) VALUES (?1)")?.execute([class])?;
            enter.execute(params![class, seq])?;
        }
        Ok(())
    }

    fn leave(&self, class: &str, seq: i64) -> Result<()> {
        const LEAVE: &str =
            "DELETE FROM membership WHERE class_id = (SELECT id FROM class WHERE uns = ?1) AND seq = ?2";
        self.connection.prepare_cached(LEAVE)?.execute(params![class, seq])?;
        Ok(())
    }

    /// What a write has to know of the record it changes.
    fn stored(&self, pk: &str) -> Result<Stored> {
        const SQL: &str = "SELECT seq, stack, extras, updated_at FROM record WHERE pk = ?1";
        let row = self
            .connection
            .prepare_cached(SQL)?
            .query_row([pk], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        match row {
            None => Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk)),
            Some((_, None, _, _)) => {
                Err(Error::new(ErrorId::RECORD_DELETED, "the record was deleted").with("pk", pk))
            }
            Some((seq, Some(stack), extras, updated_at)) => {
                Ok(Stored { seq, stack, extras, updated_at: Timestamp::from_millis(updated_at) })
            }
        }
    }
}

/// The parts of a stored record that a write has to know.
struct Stored {
    seq: i64,
    stack: String,
    extras: Option<String>,
    updated_at: Timestamp,
}

fn is_absent(error: &Error) -> bool {
    [ErrorId::RECORD_NOT_FOUND, ErrorId::RECORD_DELETED].contains(error.id())
}

fn conflict(pk: String, expected: Timestamp, found: Timestamp) -> Error {
    Error::new(ErrorId::CONFLICT, "the record has changed since it was read")
        .with("pk", pk)
        .with("expected", expected.to_string())
        .with("found", found.to_string())
        .with("retryable", true)
}

fn text(map: &Map<String, Value>) -> String {
    Object::from(map).into_string()
}

fn extras_text(extras: &Map<String, Value>) -> Option<String> {
    (!extras.is_empty()).then(|| text(extras))
}

/// What the record carries, with `extras` in place of what it carries under the same keys.
fn merged(before: Option<&str>, mut extras: Map<String, Value>) -> Result<Map<String, Value>> {
    let mut before = before.map_or(Ok(Map::new()), map)?;
    let value = |key: &str| Some((key.to_owned(), extras.remove(key).or_else(|| before.remove(key))?));
    Ok(PASS_THROUGH.into_iter().filter_map(value).collect())
}

fn map(stored: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(stored).map_err(broken)
}

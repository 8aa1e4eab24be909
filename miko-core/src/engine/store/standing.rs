//! In memory, creates share a transaction that stays open.
//!
//! A transaction copies each page before it changes it, and its end may go through the whole page cache.
//! Creates in a row touch the same pages, so most of that is saved if they share one. A create that fails is
//! undone by hand: it has only added rows, and its own are known. Every other write ends the standing
//! transaction before it begins its own, so that what it rolls back is its own alone.
//!
//! Nobody can tell, since a database in memory has one connection. In a file a write is answered when it is
//! committed, so nothing stands there.

use serde_json::{Map, Value};

use crate::class::Purpose;
use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::pending::Pending;
use crate::engine::store::refusal::Refused;
use crate::engine::store::write::{new_stack, stack_text};
use crate::engine::tables::Tables;
use crate::error::Result;
use crate::memory;
use crate::query::CreateRequest;
use crate::response::Results;
use crate::stack;
use crate::timestamp::Timestamp;

/// How many creates may share a transaction of a small database. The copies of pages take memory: at worst,
/// with values in no order, some 4 KiB for each index and create.
const FEW: i64 = 4096;

/// The end of a transaction may go through all pages, so a larger database has larger ones: creates for one
/// record of so many. What is copied then is at most the two indexes whose values may come in no order, a
/// quarter of the pages.
const SHARE: i64 = 8;

/// The transaction that creates share.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// How many creates were made in it; 0 if it is not open.
    creates: i64,
    /// How many may be.
    most: i64,
}

impl<T: Tables> Store<T> {
    /// Whether this create may be made in the standing transaction. A definition may not: it changes more
    /// than its own rows. Neither may a create that could meet the limit of memory: SQLite may then roll back
    /// all that stands.
    pub(super) fn may_stand(&self, create: &CreateRequest) -> bool {
        self.standing.is_some()
            && self.together.is_none()
            && !create.stack.defines_a_class()
            && memory::is_below_half()
    }

    /// Creates a record in the standing transaction: all of it, or nothing if it fails or panics.
    pub(super) fn create_standing(&mut self, create: CreateRequest) -> Result<Results> {
        let CreateRequest { mut bucket, stack, extras } = create;
        let class = self.class_alone(&stack);
        let mut stack = new_stack(stack, class.as_deref());
        if self.has_rules(&stack, &extras) {
            self.examine(&mut stack, &mut bucket, &extras, Purpose::Create, &Place::Root)
                .map_err(|error| self.with_all_faults(error, &Refused::new_record(None, &stack, &bucket)))?;
        }
        self.begin_standing()?;
        self.moment = Timestamp::now();
        let mut rows = Rows { store: self, stack: &stack, bucket: &bucket, seq: None };
        let stack_text = stack_text(&stack, class.as_deref());
        let (seq, pk, now) = rows.store.insert_record(&bucket, stack_text, &extras)?;
        rows.seq = Some(seq);
        rows.store.enter_classes(seq, &stack)?;
        let refused = Refused::new_record(Some(seq), &stack, &bucket);
        let entered = rows.store.enter_values(seq, &stack, &bucket);
        entered.map_err(|error| rows.store.with_all_faults(error, &refused))?;
        rows.store.check_pending()?;
        rows.seq = None;
        Ok(Results::Written { pk, updated_at: now })
    }

    /// Commits what stands, if anything does.
    pub(super) fn end_standing(&mut self) -> Result<()> {
        if let Some(standing) = self.standing.as_mut().filter(|standing| standing.creates > 0) {
            standing.creates = 0;
            self.tables.commit().inspect_err(|_| self.lost())?;
        }
        Ok(())
    }

    fn begin_standing(&mut self) -> Result<()> {
        if self.standing.as_ref().is_some_and(|standing| standing.creates == standing.most) {
            self.end_standing()?;
        }
        if !self.tables.in_transaction() {
            self.tables.begin()?;
            let most = FEW.max(self.tables.last_inserted() / SHARE);
            self.standing.iter_mut().for_each(|standing| standing.most = most);
        }
        self.standing.iter_mut().for_each(|standing| standing.creates += 1);
        Ok(())
    }

    /// Takes out every row of a record that nobody has seen.
    fn take_out(&mut self, seq: i64, stack: &Map<String, Value>, bucket: &Map<String, Value>) -> Result<()> {
        for class in stack::classes(stack) {
            self.leave(class, seq)?;
        }
        self.unindex_values(seq, stack, bucket, &self.catalog.clone())?;
        self.tables.remove(seq)
    }

    /// Ends the process, as Rust does where memory is short: that alone can bring SQLite to this in a
    /// database in memory, and nobody may go on with creates missing that were answered.
    fn lost(&self) -> ! {
        eprintln!("mikobase: no memory to go on: records in memory are lost");
        std::process::abort()
    }
}

/// The rows of a record that is being created. They are taken out if this is dropped while it has their
/// number.
struct Rows<'s, T: Tables> {
    store: &'s mut Store<T>,
    stack: &'s Map<String, Value>,
    bucket: &'s Map<String, Value>,
    seq: Option<i64>,
}

impl<T: Tables> Drop for Rows<'_, T> {
    fn drop(&mut self) {
        let store = &mut *self.store;
        store.pending = Pending::default();
        let undone = self.seq.is_none_or(|seq| store.take_out(seq, self.stack, self.bucket).is_ok());
        // After some errors SQLite rolls back by itself.
        if !undone || !store.tables.in_transaction() {
            store.lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::sqlite::Sqlite;
    use crate::error::{Error, ErrorId};
    use crate::mode::Mode;
    use crate::query::{self, DeleteRequest};
    use crate::response::Response;

    fn create(store: &mut Store<Sqlite>, class: &str, bucket: Value) -> Result<Results> {
        store.run(query::parse(json!({"action": "create", "class": class, "bucket": bucket}))?.0)
    }

    /// Ships have a unique name, an indexed type and a home.
    fn fleet() -> Store<Sqlite> {
        let mut store = Store::on(Sqlite::in_memory(false).unwrap(), Mode::ReadWrite).unwrap();
        let ship = json!({"fields": {
            "name": {"class": "string", "unique": true},
            "type": {"class": "string", "index": true},
            "home": {"class": "puck.uno/reference"},
        }});
        store.write(|store| store.import_schema(json!({"classes": {"a.b/ship": ship}}))).unwrap();
        store
    }

    #[test]
    fn a_create_that_fails_late_leaves_nothing_and_those_before_it_stay() {
        let mut store = fleet();
        create(&mut store, "a.b/ship", json!({"name": "Defiant", "type": "escort"})).unwrap();
        let before = store.tables.counts();
        let late = [
            (json!({"name": "Defiant", "type": "escort"}), ErrorId::UNIQUE_VIOLATION),
            (json!({"name": "Voyager", "type": "escort", "home": "nowhere"}), ErrorId::REFERENCE_NOT_FOUND),
        ];
        for (bucket, expected) in late {
            let error = create(&mut store, "a.b/ship", bucket).unwrap_err();
            assert!(error.is(expected), "{error}");
            assert_eq!(store.tables.counts(), before);
        }
        create(&mut store, "a.b/ship", json!({"name": "Voyager"})).unwrap();
        assert!(store.tables.in_transaction(), "it stands");
    }

    #[test]
    fn a_write_that_is_rolled_back_takes_no_create_with_it() {
        let mut store = fleet();
        let written = create(&mut store, "a.b/ship", json!({"name": "Defiant"})).unwrap();
        let pk = Response::from(written).into_pk().unwrap();
        let before = store.tables.counts();
        let failed: Result<()> = store.write(|store| {
            store.delete(&DeleteRequest { pk, if_exists: false })?;
            Err(Error::new(ErrorId::INTERNAL, "no"))
        });
        assert!(failed.is_err());
        assert_eq!(store.tables.counts(), before);
    }

    #[test]
    fn a_panic_in_a_create_leaves_nothing() {
        let mut store = fleet();
        create(&mut store, "a.b/ship", json!({"name": "Defiant"})).unwrap();
        let before = store.tables.counts();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (bucket, stack) = (Map::new(), Map::new());
            let mut rows = Rows { store: &mut store, stack: &stack, bucket: &bucket, seq: None };
            rows.seq = Some(rows.store.insert_record(&bucket, "{}".to_owned(), &Map::new()).unwrap().0);
            panic!("in the middle of a create");
        }));
        assert!(panicked.is_err());
        assert_eq!(store.tables.counts(), before);
    }

    #[test]
    fn it_ends_after_so_many_creates() {
        let mut store = fleet();
        for number in 0..=FEW {
            create(&mut store, "a.b/ship", json!({"name": number.to_string()})).unwrap();
        }
        assert_eq!(store.standing.as_ref().unwrap().creates, 1);
    }
}

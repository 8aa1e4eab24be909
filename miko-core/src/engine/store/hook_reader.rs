//! The database as a hook reads it: inside the running write.
//!
//! Methods that are refused drop their JSON arguments without recursion (`drop_iteratively`), since the
//! arguments may nest deeply.

use std::sync::{Mutex, MutexGuard, PoisonError};

use miko_rpc::{Bytes, Error, ErrorId, Remote, Result, Stream};

use crate::bucket::Bucket;
use crate::change::{Change, ChangeOptions};
use crate::engine::store::Store;
use crate::files::FileInfo;
use crate::json;
use crate::mikobase::{
    Delta, Edit, Edited, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Transaction, Validation,
};
use crate::objects::{Import, Upload};
use crate::query::{self, Request};
use crate::record::{Record, Records};
use crate::response::{Answers, Response, check_batch_size, within_batch_size};
use crate::storage::Storage;
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::uns;
use crate::version::Version;
use crate::watch::ResultChange;

/// A read-only Mikobase on the store that a running write has locked.
pub(super) struct HookReader<'s, T: Storage>(
    /// The mutex makes the reader `Sync`. No call locks it twice, so a thread does not wait for itself.
    Mutex<&'s mut Store<T>>,
);

impl<'s, T: Storage> HookReader<'s, T> {
    pub(super) fn of(store: &'s mut Store<T>) -> Self {
        Self(Mutex::new(store))
    }

    fn store(&self) -> MutexGuard<'_, &'s mut Store<T>> {
        // A poisoned lock is used as it is: a read that panicked has changed nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a select.
    ///
    /// # Errors
    /// `self-call` for any other request; the faults of the request; the errors of the select.
    fn select(&self, query: Query) -> Result<Response> {
        // Checked before the request is parsed: a request that writes is refused even if it is invalid.
        if query::may_write(&query) {
            json::drop_iteratively(query);
            return Err(only_reads());
        }
        match query::parse(query)? {
            (Request::Select(select), warnings) => {
                Ok(Response { results: self.store().select(&select)?, warnings })
            }
            _ => Err(only_reads()),
        }
    }
}

impl<T: Storage> Mikobase for HookReader<'_, T> {
    fn q0(&self, mut query: Query) -> Result<Response> {
        match query::take_transaction(&mut query) {
            Ok(None) => self.select(query),
            // The request belongs to a transaction, which a hook cannot use, or its key `transaction` is
            // invalid. In the second case the error says that.
            transaction => {
                json::drop_iteratively(query);
                transaction.and(Err(only_reads()))
            }
        }
    }

    fn validate(&self, query: Query) -> Result<Validation> {
        Ok(query::validate(query))
    }

    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        self.store().record(pk)
    }

    fn by_class(&self, class: &str) -> Result<Records> {
        let select = query::SelectRequest::of_class(uns::parse(class)?);
        Response::from(self.store().select(&select)?).into_records()
    }

    fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
        check_batch_size(pks.len())?;
        self.store().records(pks)
    }

    fn create_many(&self, _: &str, _: Vec<Bucket>) -> Result<Vec<String>> {
        Err(only_reads())
    }

    fn create_one(&self, _: &str, _: Bucket) -> Result<String> {
        Err(only_reads())
    }

    fn update_one(&self, _: &str, _: Bucket) -> Result<Timestamp> {
        Err(only_reads())
    }

    fn edit(&self, _: &str, edits: Vec<Edit>) -> Result<Edited> {
        edits.into_iter().for_each(json::drop_iteratively);
        Err(only_reads())
    }

    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
        let queries = within_batch_size(queries)?;
        if !atomic {
            return Ok(queries.into_iter().map(|query| self.select(query)).collect::<Vec<_>>().into());
        }
        let answers = query::read_until_error(queries, |query| self.select(query));
        // An error fails the whole batch. So all answers of a batch that succeeds are `Ok`.
        let with_index = |(index, answer): (usize, Result<Response>)| {
            answer.map(Ok).map_err(|error| error.with_all("request", index))
        };
        Ok(answers.into_iter().enumerate().map(with_index).collect::<Result<Vec<_>>>()?.into())
    }

    fn history(&self, pk: &str) -> Result<Vec<Version>> {
        self.store().history(pk)
    }

    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
        json::drop_iteratively(schema);
        Err(only_reads())
    }

    fn export_schema(&self) -> Result<Schema> {
        self.store().export_schema()
    }

    fn merge(&self, delta: Delta) -> Result<Merged> {
        json::drop_iteratively(delta);
        Err(only_reads())
    }

    fn write_file(&self, _: &str) -> Result<Remote<dyn Upload>> {
        Err(only_reads())
    }

    fn read_file(&self, _: &str) -> Result<Stream<Bytes>> {
        Err(outlives_the_hook())
    }

    fn file_info(&self, pk: &str) -> Result<FileInfo> {
        self.store().file_info(pk)
    }

    fn delete_file(&self, _: &str) -> Result<()> {
        Err(only_reads())
    }

    fn collect_files(&self) -> Result<Vec<String>> {
        Err(only_reads())
    }

    fn select_stream(&self, query: Query) -> Result<Stream<Record>> {
        json::drop_iteratively(query);
        Err(outlives_the_hook())
    }

    fn changes(&self, _: Target, _: ChangeOptions) -> Result<Stream<Change>> {
        Err(outlives_the_hook())
    }

    fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>> {
        json::drop_iteratively(query);
        Err(outlives_the_hook())
    }

    fn export(&self) -> Result<Stream<Bytes>> {
        Err(outlives_the_hook())
    }

    fn import(&self, _: bool) -> Result<Remote<dyn Import>> {
        Err(only_reads())
    }

    fn properties(&self) -> Result<Properties> {
        self.store().properties()
    }

    fn begin(&self) -> Result<Remote<dyn Transaction>> {
        Err(only_reads())
    }
}

/// The error of a method or a request that writes, or belongs to a transaction.
fn only_reads() -> Error {
    let message = "a hook runs inside a write, and writes nothing else: amend the record, or refuse it";
    Error::new(ErrorId::SELF_CALL, message)
}

/// The error of a method that returns a stream.
fn outlives_the_hook() -> Error {
    let message = "a stream reads on after the write in which the hook runs: use a select in it";
    Error::new(ErrorId::SELF_CALL, message)
}

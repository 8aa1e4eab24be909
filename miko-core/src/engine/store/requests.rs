//! Running requests: one, or many of which all are done or none.

use miko_rpc::memory;
use miko_rpc::{Result, Warning};
use serde_json::{Map, Value};

use crate::engine::store::Store;
use crate::engine::store::pending::Pending;
use crate::engine::store::stored_json::map;
use crate::engine::store::transaction::Isolation;
use crate::json;
use crate::query::{Request, StackInput};
use crate::response::{Answers, Response, Results};
use crate::stack;
use crate::storage::Storage;
use crate::storage::row::Row;
use crate::uns;

impl<T: Storage> Store<T> {
    /// Runs a request for itself: it is done, or nothing was changed.
    pub(in crate::engine) fn run(&mut self, request: Request) -> Result<Results> {
        match request {
            Request::Select(select) => {
                self.transaction.before_select(&mut self.storage)?;
                self.select(&select)
            }
            write => self.write(self.isolation_of(&write), |store| store.run_inside(write)),
        }
    }

    /// Runs requests one after another, up to the first that fails: nothing was changed then.
    pub(in crate::engine) fn run_all(
        &mut self,
        requests: Vec<Result<(Request, Vec<Warning>)>>,
    ) -> Result<Answers> {
        let is_write = |request: &Request| !matches!(request, Request::Select(_));
        let parsed = || requests.iter().filter_map(|parsed| parsed.as_ref().ok()).map(|(request, _)| request);
        let writes = parsed().any(is_write);
        let isolation = self.isolation_of_all(parsed());
        let run_all = |store: &mut Self| {
            let answers = requests.into_iter().enumerate().map(|(index, parsed)| {
                store.pending.begin_request(index);
                let run = |(request, warnings)| {
                    let results = store.run_inside(request)?;
                    store.answer.charge(0)?;
                    Ok(Response { results, warnings })
                };
                parsed.and_then(run).map(Ok).map_err(|error| error.with_all("request", index))
            });
            answers.collect::<Result<Vec<_>>>().map(Answers::from)
        };
        if writes {
            return self.write(isolation, run_all);
        }
        self.transaction.before_select(&mut self.storage)?;
        let answers = run_all(self);
        self.pending = Pending::default();
        answers
    }

    /// How the write of a request may be combined with others.
    fn isolation_of(&self, request: &Request) -> Isolation {
        match request {
            // Where memory is short, SQLite may roll back all writes whose commit is deferred.
            Request::Create(create) if !create.stack.defines_a_class() && has_room(&create.bucket) => {
                Isolation::Deferrable
            }
            _ => self.isolation_of_all([request].into_iter()),
        }
    }

    /// As [`isolation_of`](Self::isolation_of), for a batch.
    fn isolation_of_all<'r>(&self, mut requests: impl Iterator<Item = &'r Request>) -> Isolation {
        if self.transaction.is_in_group() && requests.any(|request| self.may_define(request)) {
            Isolation::Separate
        } else {
            Isolation::Groupable
        }
    }

    /// Whether a request may change a class definition: then it may change the entries of all records.
    fn may_define(&self, request: &Request) -> bool {
        let defines = |stack: &StackInput| stack.defines_a_class();
        match request {
            Request::Select(_) => false,
            Request::Create(create) => defines(&create.stack),
            Request::Update(update) => {
                update.stack.as_ref().is_some_and(defines) || self.is_definition(&update.pk)
            }
            Request::Delete(delete) => self.is_definition(&delete.pk),
        }
    }

    /// Whether a record is a definition now. An error is reported by the request.
    fn is_definition(&self, pk: &str) -> bool {
        let Ok(Some((_, Row { state: Some(state), .. }))) = self.storage.find(pk) else { return false };
        map(&state.stack).is_ok_and(|stack| stack::classes(&stack).contains(&uns::CLASS))
    }

    /// Runs a request inside the transaction that is open. If it fails, that transaction has to be rolled
    /// back.
    pub(in crate::engine) fn run_inside(&mut self, request: Request) -> Result<Results> {
        match request {
            Request::Select(select) => self.select(&select),
            Request::Create(create) => self.create(create),
            Request::Update(update) => self.update(update),
            Request::Delete(delete) => self.delete(&delete),
        }
    }
}

/// Whether a create cannot meet the memory limit, however many values of the bucket are indexed.
fn has_room(bucket: &Map<String, Value>) -> bool {
    /// The share of the limit that a bucket may have as text.
    const SHARE: usize = 256;
    let Some(limit) = memory::current_limit() else { return true };
    memory::is_below_half() && json::is_text_within(bucket, limit / SHARE)
}

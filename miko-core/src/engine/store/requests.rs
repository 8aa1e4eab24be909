//! Runs requests: a single one, or an atomic batch, which takes effect as a whole or not at all. Also decides
//! how the write of a request may share its transaction and commit with other writes ([`CommitSharing`]).

use miko_rpc::{Result, Warning, memory};

use crate::engine::store::Store;
use crate::engine::store::pending::DeferredWork;
use crate::engine::store::transaction::CommitSharing;
use crate::json;
use crate::query::{Request, StackInput, WriteTarget};
use crate::response::{Answers, Response, Results};
use crate::stack;
use crate::storage::Storage;
use crate::storage::row::StoredRecord;
use crate::uns;

impl<T: Storage> Store<T> {
    /// Runs a single request. If it fails, nothing has changed.
    pub(in crate::engine) fn run(&mut self, request: Request) -> Result<Results> {
        match request {
            Request::Select(select) => {
                self.transaction.before_select(&mut self.storage);
                self.select(&select)
            }
            write => self.write(self.sharing_of_request(&write), |store| store.run_in_transaction(write)),
        }
    }

    /// Runs the requests of an atomic batch in order. The first request that fails ends the batch: nothing
    /// has changed then. A request that could not be parsed is given as its error, and counts as one that
    /// fails.
    pub(in crate::engine) fn run_all(
        &mut self,
        requests: Vec<Result<(Request, Vec<Warning>)>>,
    ) -> Result<Answers> {
        let parsed = || requests.iter().filter_map(|parsed| parsed.as_ref().ok()).map(|(request, _)| request);
        let writes = parsed().any(Request::writes);
        let sharing = self.undeferred_sharing_of(parsed());
        let may_free_values = parsed().any(Request::may_free_values);
        let run_all = |store: &mut Self| {
            // A record may wait for a taken unique value only if a request of the batch may free the value.
            store.deferred.allows_taken_values = may_free_values;
            let answers = store.run_each(requests, |store, (request, warnings)| {
                let results = store.run_in_transaction(request)?;
                // Charges the overhead of an answer.
                store.answer.charge(0)?;
                // An answer is a result. In an atomic batch it is never an error: an error is returned as the
                // outer result, which ends the batch.
                Ok(Ok(Response { results, warnings }))
            });
            answers.map(Answers::from)
        };
        if writes {
            return self.write(sharing, run_all);
        }
        self.transaction.before_select(&mut self.storage);
        let answers = run_all(self);
        // `run_each` has set the index of the request. The end of a write resets it, but this is no write.
        self.deferred = DeferredWork::default();
        answers
    }

    /// Runs the requests of a batch, or the creates of a call of `create_many`, in order. The first error
    /// ends the batch, and gets the index of its request. While a request runs, [`DeferredWork::request`] is
    /// its index.
    pub(super) fn run_each<R, A>(
        &mut self,
        requests: impl IntoIterator<Item = Result<R>>,
        mut run: impl FnMut(&mut Self, R) -> Result<A>,
    ) -> Result<Vec<A>> {
        let answers = requests.into_iter().enumerate().map(|(index, request)| {
            self.deferred.begin_request(index);
            request.and_then(|request| run(self, request)).map_err(|error| error.with_all("request", index))
        });
        answers.collect()
    }

    /// How the write of a single request may share a transaction with other writes.
    fn sharing_of_request(&self, request: &Request) -> CommitSharing {
        match request {
            // A create is deferred only if it cannot reach the memory limit: at the limit, SQLite may roll
            // back the transaction, which contains writes that were answered.
            Request::Create(create)
                if !create.stack.defines_a_class()
                    && stays_below_memory_limit(|max| json::is_text_within(&create.bucket, max)) =>
            {
                CommitSharing::Deferrable
            }
            // An update is never deferred with a memory limit, for the same reason: it may make a record of
            // any size. A write to all records of a select is never deferred: it may change a definition.
            Request::Update(_)
            | Request::Patch(_)
            | Request::Edit(_)
            | Request::Delete(_)
            | Request::Claim(_)
            | Request::Finish(_)
            | Request::Release(_)
                if self.may_defer_updates() && !self.may_change_definition(request) =>
            {
                CommitSharing::Deferrable
            }
            _ => self.undeferred_sharing_of([request].into_iter()),
        }
    }

    /// Whether the commit of a write that changes one stored record or its claim, such as an update, may be
    /// deferred. Deferring pays only with the record cache: the check whether the write changes a definition
    /// reads the record, and the write then finds it in the cache.
    fn may_defer_updates(&self) -> bool {
        self.storage.capabilities().may_defer_commit
            && memory::current_limit().is_none()
            && self.record_cache.is_enabled()
    }

    /// As [`sharing_of_request`](Self::sharing_of_request), for the create of a record that is no class
    /// definition. `text_length` is the length of its bucket in bytes.
    pub(super) fn sharing_of_create(&self, text_length: usize) -> CommitSharing {
        if stays_below_memory_limit(|max| text_length <= max) {
            return CommitSharing::Deferrable;
        }
        let may_change_definition = false;
        self.undeferred_sharing(|_| may_change_definition)
    }

    /// As [`sharing_of_request`](Self::sharing_of_request), for an update of the bucket of a record.
    pub(super) fn sharing_of_update(&self, pk: &str) -> CommitSharing {
        if self.may_defer_updates() && !self.is_definition(pk) {
            return CommitSharing::Deferrable;
        }
        self.undeferred_sharing(|store| store.is_definition(pk))
    }

    /// The sharing of a write of these requests, whose commit is not deferred, such as that of a batch.
    fn undeferred_sharing_of<'r>(&self, mut requests: impl Iterator<Item = &'r Request>) -> CommitSharing {
        self.undeferred_sharing(|store| requests.any(|request| store.may_change_definition(request)))
    }

    /// The sharing of a write whose commit is not deferred. In a group of calls, a write that may change a
    /// class definition is separate. Any other write is groupable: outside of a group, separate and groupable
    /// writes are treated alike.
    pub(super) fn undeferred_sharing(
        &self,
        may_change_definition: impl FnOnce(&Self) -> bool,
    ) -> CommitSharing {
        let is_separate = self.transaction.is_in_group() && may_change_definition(self);
        if is_separate { CommitSharing::Separate } else { CommitSharing::Groupable }
    }

    /// Whether a request may change a class definition. A request that does may change the index
    /// entries of any number of records, and so its write sets may be large.
    fn may_change_definition(&self, request: &Request) -> bool {
        let defines = |stack: &StackInput| stack.defines_a_class();
        match request {
            Request::Select(_) => false,
            Request::Create(create) => defines(&create.stack),
            Request::Update(update) => {
                update.stack.as_ref().is_some_and(defines) || self.is_definition(&update.pk)
            }
            Request::Patch(patch) => self.may_be_definition(&patch.target),
            Request::Edit(edit) => self.may_be_definition(&edit.target),
            Request::Upsert(upsert) => self.upserts_definition(upsert),
            Request::Delete(delete) => self.may_be_definition(&delete.target),
            Request::Finish(finish) => self.claim_is_of_definition(&finish.claim),
            Request::Claim(_) | Request::Release(_) => false,
        }
    }

    /// Whether the target of a write may be, or contain, a class definition.
    fn may_be_definition(&self, target: &WriteTarget) -> bool {
        match target {
            WriteTarget::One { pk, .. } => self.is_definition(pk),
            WriteTarget::Selected(_) => true,
        }
    }

    /// Whether the record with this pk is a class definition. `false` on an error: the request itself will
    /// then fail with the error.
    pub(super) fn is_definition(&self, pk: &str) -> bool {
        self.with_record(pk, |record| self.defines_a_class(record)).is_ok_and(|found| found == Some(true))
    }

    /// Whether a record is a class definition. `false` for a stack that cannot be read.
    pub(super) fn defines_a_class(&self, record: &StoredRecord) -> bool {
        let stack = self.parsed_stacks.parse(record.stack.as_str());
        stack.is_ok_and(|stack| stack::has_class(&stack, uns::CLASS))
    }

    /// Runs a request as a part of the running write. A select may also be run without a write. If the
    /// request fails, the caller must undo the write.
    pub(in crate::engine) fn run_in_transaction(&mut self, request: Request) -> Result<Results> {
        self.check_action(&request)?;
        match request {
            Request::Select(select) => self.select(&select),
            Request::Create(create) => self.create(create),
            Request::Update(update) => self.update(update),
            Request::Patch(patch) => self.patch(patch),
            Request::Edit(edit) => self.edit(edit),
            Request::Upsert(upsert) => self.upsert(upsert),
            Request::Delete(delete) => self.delete(delete),
            Request::Claim(claim) => self.claim_at_once(claim),
            Request::Finish(finish) => self.finish(finish),
            Request::Release(release) => self.release(release),
        }
    }
}

/// Whether creating a record certainly does not reach the memory limit, even if each value of the record is
/// indexed. `is_text_within` says whether the text of the bucket has at most a given number of bytes.
fn stays_below_memory_limit(is_text_within: impl FnOnce(usize) -> bool) -> bool {
    /// The text of the bucket may take at most the limit divided by this.
    const LIMIT_DIVISOR: usize = 256;
    let Some(limit) = memory::current_limit() else { return true };
    memory::is_below_half() && is_text_within(limit / LIMIT_DIVISOR)
}

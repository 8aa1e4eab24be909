//! A local engine: a store shared by the threads of one process.
//!
//! | subject | where |
//! | --- | --- |
//! | the store behind its lock; the views of it | [`shared_store`]; [`view`] |
//! | group commit | [`group`] |
//! | transactions | [`transaction`], [`transaction_owner`] |
//! | transactions that are begun by Q0 and named by ids | [`q0_transactions`] |
//! | claims | [`claims`], [`connection_claims`] |
//! | subscriptions; live queries | [`changes`]; [`watch`] |
//! | hooks | [`hooks`] |
//! | streams; uploads and imports | [`streams`]; [`objects`], [`spool`] |

mod changes;
mod claims;
mod connection_claims;
mod group;
mod hooks;
mod objects;
mod q0_transactions;
mod shared_store;
mod spool;
mod streams;
mod transaction;
mod transaction_owner;
mod view;
mod watch;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};

use miko_rpc::travel::bounded;
use miko_rpc::{Bytes, Error, ErrorId, GroupFailure, Remote, Result, Stream};

use crate::access::Access;
use crate::bucket::Bucket;
use crate::change::{Change, ChangeLimits, ChangeOptions};
use crate::commit::Commit;
use crate::engine::store::live_query::read_select;
use crate::engine::store::transaction::CommitSharing;
use crate::engine::store::{Store, export};
use crate::engine::{Engine, Explanation};
use crate::files::{FileInfo, MAX_PIECE_SIZE};
use crate::hook::Hook;
use crate::json;
use crate::mikobase::{
    Delta, Edit, Edited, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Transaction, Validation,
};
use crate::objects::{Import, Upload};
use crate::query::{self, FinishRequest, ReleaseRequest, Request};
use crate::record::{Record, Records};
use crate::response::{Answers, Response, Results, check_batch_size, within_batch_size};
use crate::storage::Storage;
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::transaction_limits::TransactionLimits;
use crate::uns;
use crate::version::Version;
use crate::watch::ResultChange;
use crate::worldlet::Imported;
use connection_claims::ConnectionClaims;
use objects::{FileUpload, WorldletImport};
use q0_transactions::Q0Transactions;
use shared_store::SharedStore;
use streams::{FilePieces, StoreStream};
use transaction_owner::TransactionOwner;
use view::{Committed, StoreGuard, View};

/// The largest piece of an export, in bytes.
const EXPORT_PIECE_SIZE: usize = 64 << 10;

/// A Mikobase in this process, on a storage backend: [`SqliteEngine`](crate::SqliteEngine) or
/// [`WorldletEngine`](crate::WorldletEngine).
///
/// The streams, uploads, imports and transactions that the engine has returned keep the database open, also
/// after the engine was dropped.
///
/// The parameter `V` is the view of its calls: the committed state, or the state inside a transaction.
#[derive(Debug)]
#[expect(private_bounds, reason = "storage backends are private to the crate")]
pub struct LocalEngine<T: Storage, V = Committed> {
    /// Shared with its streams, uploads, imports and transactions, which keep the database open.
    store: Arc<SharedStore<T>>,
    /// Whether several calls should share a commit, because each commit waits for a disk.
    prefers_group_commit: bool,
    /// The size limit of an answer in bytes.
    answer_limit: AtomicUsize,
    view: V,
    /// The transactions that callers outside of a server begin by Q0, and name by ids. On a server, each
    /// connection has such a set ([`Q0Transactions::of_caller`]).
    transactions: Q0Transactions,
    /// The claims of callers outside of a server. On a server, each connection has such a set
    /// ([`ConnectionClaims::of_caller`]).
    claims: ConnectionClaims<T>,
    /// Owns the transaction object of the view. Dropping the owner rolls back its open transaction. `None`
    /// in the committed view.
    _transaction: Option<TransactionOwner<T>>,
}

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage> LocalEngine<T> {
    pub(super) fn of(store: Store<T>) -> Self {
        let prefers_group_commit = store.storage.capabilities().has_slow_commit;
        Self {
            store: SharedStore::of(store),
            prefers_group_commit,
            answer_limit: usize::MAX.into(),
            view: Committed,
            transactions: Q0Transactions::default(),
            claims: ConnectionClaims::default(),
            _transaction: None,
        }
    }

    /// Makes the database strict: from now on a record whose class is not defined is refused with
    /// `class-not-found`.
    ///
    /// ```
    /// use miko_core::{ErrorId, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?.strict();
    /// let error = db.create("starfleet.com/oficer", &json!({})).unwrap_err();
    /// assert!(error.is(ErrorId::CLASS_NOT_FOUND));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    #[must_use]
    pub fn strict(self) -> Self {
        self.store().strict = true;
        self
    }

    /// Sets whether a `create` may choose the `pk` of its record. By default it may; otherwise it is refused
    /// with `invalid_request`.
    ///
    /// ```
    /// use miko_core::{Mikobase, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let create = json!({"action": "create", "pk": "kirk", "bucket": {}});
    /// assert!(SqliteEngine::in_memory()?.q0(create.clone()).is_ok());
    /// assert!(SqliteEngine::in_memory()?.client_pks(false).q0(create).is_err());
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    #[must_use]
    pub fn client_pks(self, allowed: bool) -> Self {
        self.store().client_pks = allowed;
        self
    }

    /// Sets the size of the record cache in bytes: the records that were read or changed last are read again
    /// without SQL. The default is 64 MiB; 0 keeps none. With a [memory limit](Engine::limit_memory) the size
    /// is at most a sixteenth of the limit. There is no record cache in mode `r`, nor in a worldlet engine,
    /// which has its records in memory.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?.record_cache_size(256 << 20);
    /// # db.create("starfleet.com/officer", &json!({"name": "Spock"}))?;
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    #[must_use]
    pub fn record_cache_size(self, bytes: usize) -> Self {
        self.store().set_record_cache_size(bytes);
        self
    }

    /// Sets the size of the columns in bytes. A column has the values at one path of the records of a class,
    /// or of all records. It is built when selects on that path have examined as many records as two scans of
    /// the database: further scans then read only the records that they find. The default is 64 MiB; 0 keeps
    /// none. With a [memory limit](Engine::limit_memory) the size is at most a sixteenth of the limit. There
    /// are no columns in mode `r`, nor in a worldlet engine.
    ///
    /// ```
    /// use miko_core::{Engine, Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?.columns_size(16 << 20);
    /// let class = "starfleet.com/officer";
    /// db.create(class, &json!({"rank": "Captain"}))?;
    /// let of_rank = json!({"action": "select", "class": class, "path": ["rank", "Captain"]});
    /// for _ in 0..2 {
    ///     db.q0(of_rank.clone())?;
    /// }
    /// assert_eq!(db.explain(of_rank)?.columns, [r#"["rank"]"#]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    #[must_use]
    pub fn columns_size(self, bytes: usize) -> Self {
        self.store().set_columns_size(bytes);
        self
    }

    /// Keeps the changes of all commits from now on in memory, until [`take_commits`](Self::take_commits)
    /// takes them. Nothing is kept before the first call of this method.
    ///
    /// # Panics
    /// In a hook or waker that this engine runs.
    pub fn observe_commits(&self) {
        self.store().observe_commits();
    }

    /// Takes the commits since the last call, in their order.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("starfleet.com/officer", &json!({"rank": "Commander"}))?;
    /// db.observe_commits();
    /// db.update(&pk, &json!({"rank": "Captain"}))?;
    /// let commits = db.take_commits();
    /// let [change] = &commits[0].changes[..] else { panic!("one record has changed") };
    /// assert_eq!(change.before.as_ref().unwrap().bucket.as_str(), r#"{"rank":"Commander"}"#);
    /// assert_eq!(change.after.as_ref().unwrap().bucket.as_str(), r#"{"rank":"Captain"}"#);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Panics
    /// In a hook or waker that this engine runs.
    #[must_use]
    pub fn take_commits(&self) -> Vec<Commit> {
        self.store().take_commits()
    }

    /// Sets the limits of transactions.
    #[must_use]
    pub fn transaction_limits(self, limits: TransactionLimits) -> Self {
        self.limit_transactions(limits);
        self
    }

    /// Locks the store for a method that returns no `Result`.
    ///
    /// # Panics
    /// If a hook or a waker of this store calls the method. The panic of a hook is a veto.
    pub(super) fn store(&self) -> MutexGuard<'_, Store<T>> {
        self.store.lock().unwrap_or_else(|refusal| panic!("{refusal}"))
    }
}

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// An engine on the same store, in the view of a transaction. `owner` owns the transaction object of this
    /// view.
    fn with_view<W: View>(&self, view: W, owner: Option<TransactionOwner<T>>) -> LocalEngine<T, W> {
        LocalEngine {
            store: Arc::clone(&self.store),
            prefers_group_commit: self.prefers_group_commit,
            answer_limit: self.answer_limit.load(Ordering::Relaxed).into(),
            view,
            transactions: Q0Transactions::default(),
            claims: self.claims.clone(),
            _transaction: owner,
        }
    }

    /// Locks the store to read, and begins an answer. Outside of a transaction, first hides the writes of an
    /// open transaction from storage.
    fn read(&self) -> Result<StoreGuard<'_, T>> {
        self.store.read(self.view).map(|store| self.begin_answer(store))
    }

    /// As [`read`](Self::read), for calls that read records only by their pks. The writes of an open
    /// transaction need not be hidden from such a call: it uses their pre-images.
    fn read_by_pk(&self) -> Result<StoreGuard<'_, T>> {
        self.store.read_by_pk(self.view).map(|store| self.begin_answer(store))
    }

    /// Waits for the turn to write, locks the store, and begins an answer.
    fn write(&self) -> Result<StoreGuard<'_, T>> {
        self.store.write(self.view).map(|store| self.begin_answer(store))
    }

    /// Begins an answer: nothing is charged to its size limit yet.
    fn begin_answer<'s>(&self, store: StoreGuard<'s, T>) -> StoreGuard<'s, T> {
        store.answer.begin(self.answer_limit.load(Ordering::Relaxed));
        store
    }

    /// Runs a single request.
    fn run(&self, request: Request) -> Result<Results> {
        match request {
            // In a transaction `Store::run` refuses a claim that would wait.
            Request::Claim(claim) if !claim.wait.is_zero() && self.view.transaction().is_none() => {
                self.claim_or_wait(claim)
            }
            Request::Claim(_) => {
                self.run_and_keep_claims(self.lock_for(&request)?, |store| store.run(request))
            }
            Request::Finish(FinishRequest { ref claim, .. })
            | Request::Release(ReleaseRequest { ref claim }) => {
                let claim_id = claim.clone();
                self.run_end_of_claim(request, &claim_id)
            }
            _ => self.lock_for(&request)?.run(request),
        }
    }

    /// Locks the store for a request.
    fn lock_for(&self, request: &Request) -> Result<StoreGuard<'_, T>> {
        if request.writes() { self.write() } else { self.read() }
    }

    /// The size of the pieces of a stream in bytes: `largest`, or less if the answer limit is low. Half of
    /// the limit is left for the rest of the frame.
    fn piece_size(&self, largest: usize) -> usize {
        largest.min(self.answer_limit.load(Ordering::Relaxed) / 2).max(1)
    }

    /// Runs requests in one transaction. If a request cannot be parsed, the batch fails and changes nothing.
    /// The requests before it are run nevertheless, so that the first error in order is reported.
    fn run_atomic_batch(&self, queries: Vec<Query>) -> Result<Answers> {
        let parsed = query::read_until_error(queries, query::parse);
        let writes = parsed.iter().flatten().any(|(request, _)| request.writes());
        let store = if writes { self.write()? } else { self.read()? };
        self.run_and_keep_claims(store, |store| store.run_all(parsed))
    }

    /// Runs requests independently: one that fails does not undo the others. If the answer exceeds its limit,
    /// or the process exceeds its memory limit, the whole call fails. The detail `run` of the error counts
    /// the requests that have run; the last one counts only if it has taken effect.
    fn run_independent_batch(&self, queries: Vec<Query>) -> Result<Answers> {
        let mut begun_claims = Vec::new();
        let answers = self.run_each(queries, &mut begun_claims);
        self.keep_claims(begun_claims, answers)
    }

    /// As [`run_independent_batch`](Self::run_independent_batch), but leaves the claims that the requests
    /// begin to the caller: neither adds them to those of the connection, nor ends them if the call fails.
    /// Adds their ids to `begun_claims`, also if the call fails.
    fn run_each(&self, queries: Vec<Query>, begun_claims: &mut Vec<String>) -> Result<Answers> {
        let mut remaining = self.answer_limit.load(Ordering::Relaxed);
        let mut answers = Vec::with_capacity(queries.len());
        // A server parks a call that has to wait for its turn to write, and later runs it again from its
        // first request. So the call must not wait once it has changed something. Outside of a transaction it
        // takes one turn for all its writes before its first request. While it has the turn, its requests
        // lock the store by `read`, which waits for no turn. `write` could queue behind a transaction that
        // waits for the end of this turn.
        //
        // Inside a transaction, the transaction has the turn. If the call may write, its requests lock the
        // store by `write`, which fails while a nested transaction is open.
        let may_write = queries.iter().any(query::may_write);
        let mut queries = queries.into_iter();
        // The queries that are not run may nest to any depth.
        let drop_queries =
            |rest: &mut std::vec::IntoIter<Query>| rest.by_ref().for_each(json::drop_iteratively);
        let turn = if may_write { self.store.wait_for_turn_to_write(self.view) } else { Ok(None) };
        let _turn = turn.inspect_err(|_| drop_queries(&mut queries))?;
        let writes_in_transaction = may_write && self.view.transaction().is_some();
        while let Some(query) = queries.next() {
            let parsed = query::parse(query);
            let locked =
                if writes_in_transaction { self.store.write(self.view) } else { self.store.read(self.view) };
            let mut store = locked.inspect_err(|_| drop_queries(&mut queries))?;
            store.answer.begin(remaining);
            let answer = parsed
                .and_then(|(request, warnings)| Ok(Response { results: store.run(request)?, warnings }));
            begun_claims.append(&mut store.take_begun_claims());
            let within_limit = match &answer {
                // The request has failed because its answer exceeds the limit.
                Err(error) if store.answer.is_exceeded() => Err(error.clone()),
                Err(error) => store.answer.charge_error(error),
                // The texts of the answer are charged already. This charges only its overhead.
                Ok(_) => store.answer.charge(0),
            };
            if let Err(limit_error) = within_limit {
                drop_queries(&mut queries);
                // The last request counts only if it has taken effect.
                return Err(limit_error.with("run", answers.len() + usize::from(answer.is_ok())));
            }
            remaining = store.answer.remaining();
            answers.push(answer);
        }
        Ok(answers.into())
    }
}

impl<T: Storage, V: View> Mikobase for LocalEngine<T, V> {
    fn q0(&self, mut query: Query) -> Result<Response> {
        match query::take_transaction(&mut query) {
            Ok(None) => {}
            Ok(Some(request)) => return self.transactions.of_caller().run(request, query, self),
            Err(faults) => {
                json::drop_iteratively(query);
                return Err(faults);
            }
        }
        let (request, warnings) = query::parse(query)?;
        Ok(Response { results: self.run(request)?, warnings })
    }

    fn validate(&self, query: Query) -> Result<Validation> {
        Ok(query::validate(query))
    }

    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        self.read_by_pk()?.record(pk)
    }

    fn by_class(&self, class: &str) -> Result<Records> {
        let class = uns::parse(class)?;
        self.read()?.by_class(class)
    }

    fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
        check_batch_size(pks.len())?;
        self.read_by_pk()?.records(pks)
    }

    fn create_many(&self, class: &str, buckets: Vec<Bucket>) -> Result<Vec<String>> {
        check_batch_size(buckets.len())?;
        self.write()?.create_many(class, buckets)
    }

    fn create_one(&self, class: &str, bucket: Bucket) -> Result<String> {
        if let Some(pk) = self.write()?.create_from_text(class, &bucket)? {
            return Ok(pk);
        }
        // The class or the bucket cannot be checked as text, and nothing was created. So the bucket is
        // parsed.
        self.q0(serde_json::json!({"action": "create", "class": class, "bucket": bucket.to_value()?}))?
            .into_pk()
    }

    fn update_one(&self, pk: &str, bucket: Bucket) -> Result<Timestamp> {
        self.write()?.update_one(pk, bucket)
    }

    fn edit(&self, pk: &str, edits: Vec<Edit>) -> Result<Edited> {
        match self.run(Request::Edit(query::parse_edits(pk, edits)?))? {
            Results::Edited { updated_at, values, .. } => Ok(Edited { updated_at, values }),
            _ => Err(Error::new(ErrorId::INTERNAL, "the results of an edit are those of another action")),
        }
    }

    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
        let queries = within_batch_size(queries)?;
        if atomic { self.run_atomic_batch(queries) } else { self.run_independent_batch(queries) }
    }

    fn history(&self, pk: &str) -> Result<Vec<Version>> {
        self.read()?.history(pk)
    }

    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
        let schema = check_depth(schema)?;
        self.write()?.write(CommitSharing::Separate, |store| store.import_schema(schema))
    }

    fn export_schema(&self) -> Result<Schema> {
        self.read()?.export_schema()
    }

    fn merge(&self, worldlet: Delta) -> Result<Merged> {
        let worldlet = check_depth(worldlet)?;
        self.refuse_in_transaction("a merge")?;
        let mut store = self.write()?;
        store.check_temporal()?;
        store.merge(&worldlet)
    }

    fn write_file(&self, mime: &str) -> Result<Remote<dyn Upload>> {
        self.refuse_in_transaction("an upload")?;
        Ok(Remote::local(Box::new(FileUpload::begin(&self.store, mime)?)))
    }

    fn read_file(&self, pk: &str) -> Result<Stream<Bytes>> {
        let info = self.read()?.file_info(pk)?;
        Ok(Stream::of_results(FilePieces::of(&self.store, info.pk, self.piece_size(MAX_PIECE_SIZE))))
    }

    fn file_info(&self, pk: &str) -> Result<FileInfo> {
        self.read()?.file_info(pk)
    }

    fn delete_file(&self, pk: &str) -> Result<()> {
        self.refuse_in_transaction("the deletion of a file")?;
        self.write()?.delete_file(pk)
    }

    fn collect_files(&self) -> Result<Vec<String>> {
        self.refuse_in_transaction("the deletion of files")?;
        self.write()?.collect_files()
    }

    fn select_stream(&self, query: Query) -> Result<Stream<Record>> {
        // An error before the query is parsed drops it by recursion, so its depth is limited first.
        let query = bounded(query);
        let records = self.read()?.open_select(query)?;
        Ok(Stream::of_results(StoreStream::of(&self.store, records)))
    }

    fn export(&self) -> Result<Stream<Bytes>> {
        let text = self.read()?.open_export(self.piece_size(EXPORT_PIECE_SIZE))?;
        let pieces = StoreStream::of(&self.store, text);
        Ok(Stream::of_results(pieces.map(|piece| piece.map(Bytes::from))))
    }

    fn import(&self, trust: bool) -> Result<Remote<dyn Import>> {
        self.refuse_in_transaction("an import")?;
        Ok(Remote::local(Box::new(WorldletImport::begin(&self.store, trust)?)))
    }

    fn properties(&self) -> Result<Properties> {
        self.read()?.properties()
    }

    fn changes(&self, target: Target, options: ChangeOptions) -> Result<Stream<Change>> {
        self.refuse_in_transaction("a subscription")?;
        self.open_changes(&target, options)
    }

    fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>> {
        // Parsed before anything else can fail: an error before would drop the query by recursion.
        let select = read_select(query)?;
        self.refuse_in_transaction("a live query")?;
        self.open_watch(select)
    }

    fn begin(&self) -> Result<Remote<dyn Transaction>> {
        self.begin_transaction()
    }
}

impl<T: Storage> Engine for LocalEngine<T> {
    fn write_worldlet(&self, writer: &mut dyn Write) -> Result<()> {
        export::write(&self.read()?.storage, writer)
    }

    fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported> {
        self.write()?.write(CommitSharing::Separate, |store| store.import_worldlet(reader, trust))
    }

    fn explain(&self, query: Query) -> Result<Explanation> {
        match query::parse(query)? {
            (Request::Select(select), _) => self.read()?.explain(&select),
            _ => Err(Error::new(ErrorId::INVALID_REQUEST, "only a `select` can be explained")),
        }
    }

    fn limit_answers(&self, bytes: usize) {
        self.answer_limit.store(bytes, Ordering::Relaxed);
    }

    fn limit_memory(&self, bytes: usize) -> Result<()> {
        self.store.lock()?.limit_memory(bytes)
    }

    fn add_hook(&self, hook: Hook) -> Result<()> {
        self.store.lock()?.hooks.add(hook);
        Ok(())
    }

    fn restrict(&self, access: Access) -> Result<()> {
        self.store.lock()?.restrict(access);
        Ok(())
    }

    fn limit_transactions(&self, limits: TransactionLimits) {
        self.store().set_transaction_limits(limits);
    }

    fn limit_changes(&self, limits: ChangeLimits) {
        self.store().set_change_limits(limits);
    }

    fn prefers_group_commit(&self) -> bool {
        self.prefers_group_commit
    }

    fn run_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        self.store.commit_as_group(call)
    }
}

/// Refuses a value that nests too deep, with `invalid_request`.
fn check_depth(value: serde_json::Value) -> Result<serde_json::Value> {
    if !json::too_deep(&value) {
        return Ok(value);
    }
    json::drop_iteratively(value);
    let message = format!("arrays and objects may nest {} deep", json::MAX_DEPTH);
    Err(Error::new(ErrorId::INVALID_REQUEST, message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::SqliteEngine;

    #[test]
    fn a_panic_under_the_lock_fails_only_one_call() {
        let db = SqliteEngine::in_memory().unwrap();
        let create = json!({"action": "create", "class": "foo.com/x", "bucket": {}});
        let panicked = std::thread::scope(|scope| {
            let write = || {
                let (request, _) = query::parse(create.clone()).unwrap();
                db.store().write(CommitSharing::Groupable, |store| -> Result<()> {
                    store.run_in_transaction(request)?;
                    panic!("in the middle of a write")
                })
            };
            scope.spawn(write).join()
        });
        assert!(panicked.is_err());
        db.q0(create).unwrap();
        assert_eq!(db.by_class("foo.com/x").unwrap().count(), 1);
    }
}

/// A Mikobase: a live object store.
///
/// Engines implement it, and so do proxies to a shared Mikobase, with the same answers. The attribute
/// generates the proxies. It also generates the code by which a server runs calls: those of proxies, and
/// those that name a method and have JSON arguments. So a new method has to be implemented by hand only in
/// the types of this crate that implement the trait: the engines, [`AsOf`](crate::AsOf), and the database
/// that a hook reads.
pub trait Mikobase: Send + Sync {
    /// Runs one Q0 request.
    ///
    /// # Errors
    /// Every fault of the request at once, or the reason why its action failed. Nothing is changed then.
    fn q0(&self, query: Query) -> Result<Response>;
    /// Checks one Q0 request without running it.
    ///
    /// # Errors
    /// Only if the check itself failed: the faults of the request are in the [`Validation`].
    fn validate(&self, query: Query) -> Result<Validation>;
    /// Returns the record with this pk, or `None` if it does not exist or was deleted.
    ///
    /// # Errors
    /// If the store could not be read; `request-too-large`, if the answer exceeds the frame limit of the
    /// server.
    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>>;
    /// Returns all records of the class and its subclasses, in order of creation.
    ///
    /// # Errors
    /// `invalid_request`, if `class` is not a UNS; `request-too-large`, if the answer exceeds the frame limit
    /// of the server.
    fn by_class(&self, class: &str) -> Result<Records>;
    /// Returns the records with these pks, in the same order: `None` for a record that does not exist or was
    /// deleted. Equals a call of [`record_by_pk`](Self::record_by_pk) for each pk, but all records show one
    /// state of the database.
    ///
    /// # Errors
    /// `request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) pks, or if the
    /// answer exceeds the frame limit of the server.
    fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>>;
    /// Creates a record of the class from each bucket, all or none. Returns their pks in the same order.
    /// [`create_all`](crate::MikobaseExt::create_all) does the same with your own types.
    ///
    /// # Errors
    /// As an atomic [`batch`](Self::batch) with a request per bucket: the error of the first bucket that is
    /// refused, with its index as detail `request`. Nothing is changed then.
    fn create_many(&self, class: &str, buckets: Vec<Bucket>) -> Result<Vec<String>>;
    /// Creates a record of the class, and returns its pk. It does what Q0's `create` does with a `class` and
    /// a `bucket`, and takes less time. [`create`](crate::MikobaseExt::create) does the same with your own
    /// types.
    ///
    /// # Errors
    /// The errors of Q0's `create`.
    fn create_one(&self, class: &str, bucket: Bucket) -> Result<String>;
    /// Replaces the bucket of a record, and returns its new `updated_at`. It does what Q0's `update` does
    /// with a `bucket`, and takes less time. [`update`](crate::MikobaseExt::update) does the same with your
    /// own types.
    ///
    /// # Errors
    /// The errors of Q0's `update`.
    fn update_one(&self, pk: &str, bucket: Bucket) -> Result<Timestamp>;
    /// Edits the bucket of a record: all edits, or none. Each is an object with a `path` and one operation,
    /// as in the action `edit` of Q0. [`hot`](crate::MikobaseExt::hot) makes single edits;
    /// [`Edits`](crate::q0::Edits) builds lists.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("a.b/queue", &json!({"jobs": ["x", "y"]}))?;
    /// let take = json!({"path": ["jobs"], "shift": true});
    /// let count = json!({"path": ["taken"], "increment": 1});
    /// assert_eq!(db.edit(&pk, vec![take, count])?.values, ["x".into(), json!(1)]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `record_not_found`, `record_deleted`; `conflict` for a `test` that fails; `edit-refused` for an edit
    /// that does not fit the bucket; every fault of the list, or of the edited record; `request-too-large`,
    /// if the values of the edits exceed the frame limit of the server, or the edits compare and move too
    /// many elements. Nothing is changed then.
    fn edit(&self, pk: &str, edits: Vec<Edit>) -> Result<Edited>;
    /// Runs many requests in one call: independently, or all or none if `atomic`.
    ///
    /// # Errors
    /// `request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests; none is
    /// run then. `request-too-large` also if the answers exceed the frame limit of the server: nothing is
    /// changed if `atomic`, otherwise the detail `run` counts the requests that have run.
    ///
    /// If `atomic`, the error of the first request that failed, with its index as detail `request`. Nothing
    /// is changed then.
    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers>;
    /// Returns all versions of a record in order of time, in a temporal database. The last version of a
    /// deleted record is a tombstone.
    ///
    /// # Errors
    /// `not-temporal`; `record_not_found`; `request-too-large`, if the answer exceeds the frame limit of the
    /// server.
    fn history(&self, pk: &str) -> Result<Vec<Version>>;
    /// Defines classes, all or none: missing ones are created, different ones updated, equal ones left
    /// unchanged. Other classes are not affected. Callers may import concurrently.
    ///
    /// # Errors
    /// Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
    /// defined; `unique-violation`, if stored records violate a new unique constraint; other errors of a
    /// write.
    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges>;
    /// Returns all class definitions in order of creation: `{"classes": {name: definition}}`.
    ///
    /// # Errors
    /// Only if the store could not be read, or `request-too-large`, if the answer exceeds the frame limit of
    /// the server.
    fn export_schema(&self) -> Result<Schema>;
    /// Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
    /// equal content is skipped. If one exists with other content, nothing is merged, and that version is
    /// listed as rejected, with the reason. The content of versions is not validated, except that of class
    /// definitions: it was valid where it was written.
    ///
    /// # Errors
    /// `not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer; other errors of a write.
    fn merge(&self, worldlet: Delta) -> Result<Merged>;
    /// Begins a file of a media type such as `image/png`, whose content follows in pieces. The file does not
    /// exist until it is finished. [`put_file`](crate::MikobaseExt::put_file) performs all steps.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, also if too many uploads and imports are open.
    fn write_file(&self, mime: &str) -> Result<Remote<dyn Upload>>;
    /// The content of a file, in pieces of at most [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).
    /// [`file`](crate::MikobaseExt::file) reads it and checks its SHA-256.
    ///
    /// # Errors
    /// `file-not-found`. The stream ends with this error if the file is deleted while it is read.
    fn read_file(&self, pk: &str) -> Result<Stream<Bytes>>;
    /// Returns the metadata of a file.
    ///
    /// # Errors
    /// `file-not-found`.
    fn file_info(&self, pk: &str) -> Result<FileInfo>;
    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it;
    /// `action-not-supported` in an append-only database; other errors of a write.
    fn delete_file(&self, pk: &str) -> Result<()>;
    /// Deletes each complete file that no record and no version names: none has the pk of the file as a
    /// string value, at any depth of its bucket, stack or extras. Returns the pks of the deleted files.
    ///
    /// # Errors
    /// The errors of a write, such as `read-only-connection`; `action-not-supported` in an append-only
    /// database.
    fn collect_files(&self) -> Result<Vec<String>>;
    /// The records that a select finds, in any number. They show the state at the time of this call: later
    /// writes have no effect. [`iter`](crate::MikobaseExt::iter) also accepts a
    /// [`Select`](crate::q0::Select).
    ///
    /// While the stream is open, the server holds the order of the records, and the old content of records
    /// that are overwritten.
    ///
    /// # Errors
    /// Every fault of the select at once; `invalid_request` for a select with `history`; `storage-full`, if
    /// too many streams are open. The stream ends with `stream-expired`, if too much is overwritten while it
    /// is open.
    fn select_stream(&self, query: Query) -> Result<Stream<Record>>;
    /// The whole state at the time of this call, as the text of a worldlet, in pieces of at most 64 KiB.
    /// Later writes have no effect. [`export_worldlet`](crate::MikobaseExt::export_worldlet) writes it.
    ///
    /// # Errors
    /// `storage-full`, if too many streams are open. The stream ends with `stream-expired`, if too much is
    /// overwritten or a file is deleted while it is open.
    fn export(&self) -> Result<Stream<Bytes>>;
    /// Begins an import, whose text follows in pieces. With `trust`, violations of the rules of classes
    /// become warnings. [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, if too many uploads and imports are open; `not-writable`, if
    /// the server cannot keep the text in a temporary file.
    fn import(&self, trust: bool) -> Result<Remote<dyn Import>>;
    /// Returns the properties of this database.
    ///
    /// # Errors
    /// Only if the store could not be read.
    fn properties(&self) -> Result<Properties>;
    /// The changes of records from now on, in the order of the commits. The changes of a transaction are
    /// delivered together after its commit; changes that are rolled back are not delivered. The caller's own
    /// changes are delivered, too. [`listen`](crate::MikobaseExt::listen) and
    /// [`after_save`](crate::MikobaseExt::after_save) do the same without options.
    ///
    /// A reader that is too slow gets the error `lagged` in place of the oldest changes, with their number,
    /// and the stream continues. A transaction that exceeds the queue of a reader is replaced by one such
    /// error, whose number may count changes that do not match the target. A stream that resumes ends with
    /// `changes-expired`, if the server discards missed changes before they are read.
    ///
    /// # Errors
    /// Every fault of the target; `request-too-large`, if the target is too large to be tested for each
    /// change; `changes-expired`, if the server does not have all changes since
    /// [`after`](ChangeOptions::after); `invalid_request` in a transaction, and for `after` together with
    /// [`snapshot`](ChangeOptions::snapshot); `read-only-connection`; `storage-full`, if too many
    /// subscriptions or streams are open. With a snapshot the stream ends with `stream-expired`, if too much
    /// is overwritten while the snapshot is read.
    fn changes(&self, target: Target, options: ChangeOptions) -> Result<Stream<Change>>;
    /// The result of a select, and its changes from now on. [`watch`](crate::MikobaseExt::watch) keeps the
    /// result up to date with them.
    ///
    /// The stream begins with the records of the result in their order (`present`), and `synced`. After that,
    /// each commit that changes the result adds a step: the changes that turn the result before the commit
    /// into the result after it. The last change of a step has `last` set.
    ///
    /// Steps are computed when they are read, so a slow reader delays no write and no other reader. If the
    /// server does not have the single commits any more, one step has the changes of several commits.
    ///
    /// # Errors
    /// Every fault of the select at once; `request-too-large`, if the select is too large to be tested for
    /// each change; `invalid_request` for a select with `history` or `cutoff`, and in a transaction;
    /// `read-only-connection`; `storage-full`, if too many subscriptions or streams are open, or the result
    /// is too large. The stream ends with `storage-full` if the result has become too large, with
    /// `stream-expired` if too much is overwritten while the first records are read, and with `self-call` if
    /// a hook of the database reads the stream.
    fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>>;
    /// Begins a transaction. On a transaction, begins a nested one: from the first call of the nested
    /// transaction until its end, writes through the outer one are refused. A transaction waits for its turn
    /// to write at its first call. [`transaction`](crate::MikobaseExt::transaction) runs a block in a
    /// transaction.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, if there are too many transactions. On a proxy, such as that
    /// of a worker, `begin` does not return these errors: the transaction begins with its first call, which
    /// returns them.
    fn begin(&self) -> Result<Remote<dyn Transaction>>;
}
const _: () = {
    {
        fn result_of_q0<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_q0::<Result<Response>>;
        fn argument_query_of_q0<T: crate::rpc::Wire>() {}
        let _ = argument_query_of_q0::<Query>;
    }
    {
        fn result_of_validate<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_validate::<Result<Validation>>;
        fn argument_query_of_validate<T: crate::rpc::Wire>() {}
        let _ = argument_query_of_validate::<Query>;
    }
    {
        fn result_of_record_by_pk<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_record_by_pk::<Result<Option<Record>>>;
        fn argument_pk_of_record_by_pk<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_record_by_pk::<::std::string::String>;
    }
    {
        fn result_of_by_class<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_by_class::<Result<Records>>;
        fn argument_class_of_by_class<T: crate::rpc::Wire>() {}
        let _ = argument_class_of_by_class::<::std::string::String>;
    }
    {
        fn result_of_records_by_pks<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_records_by_pks::<Result<Vec<Option<Record>>>>;
        fn argument_pks_of_records_by_pks<T: crate::rpc::Wire>() {}
        let _ = argument_pks_of_records_by_pks::<Vec<String>>;
    }
    {
        fn result_of_create_many<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_create_many::<Result<Vec<String>>>;
        fn argument_class_of_create_many<T: crate::rpc::Wire>() {}
        let _ = argument_class_of_create_many::<::std::string::String>;
        fn argument_buckets_of_create_many<T: crate::rpc::Wire>() {}
        let _ = argument_buckets_of_create_many::<Vec<Bucket>>;
    }
    {
        fn result_of_create_one<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_create_one::<Result<String>>;
        fn argument_class_of_create_one<T: crate::rpc::Wire>() {}
        let _ = argument_class_of_create_one::<::std::string::String>;
        fn argument_bucket_of_create_one<T: crate::rpc::Wire>() {}
        let _ = argument_bucket_of_create_one::<Bucket>;
    }
    {
        fn result_of_update_one<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_update_one::<Result<Timestamp>>;
        fn argument_pk_of_update_one<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_update_one::<::std::string::String>;
        fn argument_bucket_of_update_one<T: crate::rpc::Wire>() {}
        let _ = argument_bucket_of_update_one::<Bucket>;
    }
    {
        fn result_of_edit<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_edit::<Result<Edited>>;
        fn argument_pk_of_edit<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_edit::<::std::string::String>;
        fn argument_edits_of_edit<T: crate::rpc::Wire>() {}
        let _ = argument_edits_of_edit::<Vec<Edit>>;
    }
    {
        fn result_of_batch<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_batch::<Result<Answers>>;
        fn argument_queries_of_batch<T: crate::rpc::Wire>() {}
        let _ = argument_queries_of_batch::<Vec<Query>>;
        fn argument_atomic_of_batch<T: crate::rpc::Wire>() {}
        let _ = argument_atomic_of_batch::<bool>;
    }
    {
        fn result_of_history<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_history::<Result<Vec<Version>>>;
        fn argument_pk_of_history<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_history::<::std::string::String>;
    }
    {
        fn result_of_import_schema<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_import_schema::<Result<SchemaChanges>>;
        fn argument_schema_of_import_schema<T: crate::rpc::Wire>() {}
        let _ = argument_schema_of_import_schema::<Schema>;
    }
    {
        fn result_of_export_schema<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_export_schema::<Result<Schema>>;
    }
    {
        fn result_of_merge<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_merge::<Result<Merged>>;
        fn argument_worldlet_of_merge<T: crate::rpc::Wire>() {}
        let _ = argument_worldlet_of_merge::<Delta>;
    }
    {
        fn result_of_write_file<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_write_file::<Result<Remote<dyn Upload>>>;
        fn argument_mime_of_write_file<T: crate::rpc::Wire>() {}
        let _ = argument_mime_of_write_file::<::std::string::String>;
    }
    {
        fn result_of_read_file<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_read_file::<Result<Stream<Bytes>>>;
        fn argument_pk_of_read_file<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_read_file::<::std::string::String>;
    }
    {
        fn result_of_file_info<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_file_info::<Result<FileInfo>>;
        fn argument_pk_of_file_info<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_file_info::<::std::string::String>;
    }
    {
        fn result_of_delete_file<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_delete_file::<Result<()>>;
        fn argument_pk_of_delete_file<T: crate::rpc::Wire>() {}
        let _ = argument_pk_of_delete_file::<::std::string::String>;
    }
    {
        fn result_of_collect_files<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_collect_files::<Result<Vec<String>>>;
    }
    {
        fn result_of_select_stream<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_select_stream::<Result<Stream<Record>>>;
        fn argument_query_of_select_stream<T: crate::rpc::Wire>() {}
        let _ = argument_query_of_select_stream::<Query>;
    }
    {
        fn result_of_export<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_export::<Result<Stream<Bytes>>>;
    }
    {
        fn result_of_import<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_import::<Result<Remote<dyn Import>>>;
        fn argument_trust_of_import<T: crate::rpc::Wire>() {}
        let _ = argument_trust_of_import::<bool>;
    }
    {
        fn result_of_properties<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_properties::<Result<Properties>>;
    }
    {
        fn result_of_changes<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_changes::<Result<Stream<Change>>>;
        fn argument_target_of_changes<T: crate::rpc::Wire>() {}
        let _ = argument_target_of_changes::<Target>;
        fn argument_options_of_changes<T: crate::rpc::Wire>() {}
        let _ = argument_options_of_changes::<ChangeOptions>;
    }
    {
        fn result_of_watch_select<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_watch_select::<Result<Stream<ResultChange>>>;
        fn argument_query_of_watch_select<T: crate::rpc::Wire>() {}
        let _ = argument_query_of_watch_select::<Query>;
    }
    {
        fn result_of_begin<R: crate::rpc::Fallible>()
        where
            R::Value: crate::rpc::Wire,
            R::Error: crate::rpc::Wire,
        {}
        let _ = result_of_begin::<Result<Remote<dyn Transaction>>>;
    }
    #[automatically_derived]
    impl<__I: crate::rpc::Interface + Mikobase + ?::core::marker::Sized> Mikobase
    for crate::rpc::Client<__I> {
        fn q0(&self, query: Query) -> Result<Response> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                query: Query,
            ) -> Result<Response> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[0usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            __call(crate::rpc::untyped(self), query)
        }
        fn validate(&self, query: Query) -> Result<Validation> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                query: Query,
            ) -> Result<Validation> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[1usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            __call(crate::rpc::untyped(self), query)
        }
        fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
            ) -> Result<Option<Record>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[2usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            __call(crate::rpc::untyped(self), pk)
        }
        fn by_class(&self, class: &str) -> Result<Records> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                class: &str,
            ) -> Result<Records> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[3usize],
                    (crate::rpc::bounded_ref(class), ()),
                )
            }
            __call(crate::rpc::untyped(self), class)
        }
        fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pks: Vec<String>,
            ) -> Result<Vec<Option<Record>>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[4usize],
                    (&crate::rpc::bounded(pks), ()),
                )
            }
            __call(crate::rpc::untyped(self), pks)
        }
        fn create_many(&self, class: &str, buckets: Vec<Bucket>) -> Result<Vec<String>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                class: &str,
                buckets: Vec<Bucket>,
            ) -> Result<Vec<String>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[5usize],
                    (crate::rpc::bounded_ref(class), (&crate::rpc::bounded(buckets), ())),
                )
            }
            __call(crate::rpc::untyped(self), class, buckets)
        }
        fn create_one(&self, class: &str, bucket: Bucket) -> Result<String> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                class: &str,
                bucket: Bucket,
            ) -> Result<String> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[6usize],
                    (crate::rpc::bounded_ref(class), (&crate::rpc::bounded(bucket), ())),
                )
            }
            __call(crate::rpc::untyped(self), class, bucket)
        }
        fn update_one(&self, pk: &str, bucket: Bucket) -> Result<Timestamp> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
                bucket: Bucket,
            ) -> Result<Timestamp> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[7usize],
                    (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(bucket), ())),
                )
            }
            __call(crate::rpc::untyped(self), pk, bucket)
        }
        fn edit(&self, pk: &str, edits: Vec<Edit>) -> Result<Edited> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
                edits: Vec<Edit>,
            ) -> Result<Edited> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[8usize],
                    (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(edits), ())),
                )
            }
            __call(crate::rpc::untyped(self), pk, edits)
        }
        fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                queries: Vec<Query>,
                atomic: bool,
            ) -> Result<Answers> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[9usize],
                    (&crate::rpc::bounded(queries), (&crate::rpc::bounded(atomic), ())),
                )
            }
            __call(crate::rpc::untyped(self), queries, atomic)
        }
        fn history(&self, pk: &str) -> Result<Vec<Version>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
            ) -> Result<Vec<Version>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[10usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            __call(crate::rpc::untyped(self), pk)
        }
        fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                schema: Schema,
            ) -> Result<SchemaChanges> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[11usize],
                    (&crate::rpc::bounded(schema), ()),
                )
            }
            __call(crate::rpc::untyped(self), schema)
        }
        fn export_schema(&self) -> Result<Schema> {
            fn __call(__client: &crate::rpc::UntypedClient) -> Result<Schema> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[12usize],
                    (),
                )
            }
            __call(crate::rpc::untyped(self))
        }
        fn merge(&self, worldlet: Delta) -> Result<Merged> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                worldlet: Delta,
            ) -> Result<Merged> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[13usize],
                    (&crate::rpc::bounded(worldlet), ()),
                )
            }
            __call(crate::rpc::untyped(self), worldlet)
        }
        fn write_file(&self, mime: &str) -> Result<Remote<dyn Upload>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                mime: &str,
            ) -> Result<Remote<dyn Upload>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[14usize],
                    (crate::rpc::bounded_ref(mime), ()),
                )
            }
            __call(crate::rpc::untyped(self), mime)
        }
        fn read_file(&self, pk: &str) -> Result<Stream<Bytes>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
            ) -> Result<Stream<Bytes>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[15usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            __call(crate::rpc::untyped(self), pk)
        }
        fn file_info(&self, pk: &str) -> Result<FileInfo> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                pk: &str,
            ) -> Result<FileInfo> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[16usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            __call(crate::rpc::untyped(self), pk)
        }
        fn delete_file(&self, pk: &str) -> Result<()> {
            fn __call(__client: &crate::rpc::UntypedClient, pk: &str) -> Result<()> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[17usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            __call(crate::rpc::untyped(self), pk)
        }
        fn collect_files(&self) -> Result<Vec<String>> {
            fn __call(__client: &crate::rpc::UntypedClient) -> Result<Vec<String>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[18usize],
                    (),
                )
            }
            __call(crate::rpc::untyped(self))
        }
        fn select_stream(&self, query: Query) -> Result<Stream<Record>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                query: Query,
            ) -> Result<Stream<Record>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[19usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            __call(crate::rpc::untyped(self), query)
        }
        fn export(&self) -> Result<Stream<Bytes>> {
            fn __call(__client: &crate::rpc::UntypedClient) -> Result<Stream<Bytes>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[20usize],
                    (),
                )
            }
            __call(crate::rpc::untyped(self))
        }
        fn import(&self, trust: bool) -> Result<Remote<dyn Import>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                trust: bool,
            ) -> Result<Remote<dyn Import>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[21usize],
                    (&crate::rpc::bounded(trust), ()),
                )
            }
            __call(crate::rpc::untyped(self), trust)
        }
        fn properties(&self) -> Result<Properties> {
            fn __call(__client: &crate::rpc::UntypedClient) -> Result<Properties> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[22usize],
                    (),
                )
            }
            __call(crate::rpc::untyped(self))
        }
        fn changes(
            &self,
            target: Target,
            options: ChangeOptions,
        ) -> Result<Stream<Change>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                target: Target,
                options: ChangeOptions,
            ) -> Result<Stream<Change>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[23usize],
                    (&crate::rpc::bounded(target), (&crate::rpc::bounded(options), ())),
                )
            }
            __call(crate::rpc::untyped(self), target, options)
        }
        fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
                query: Query,
            ) -> Result<Stream<ResultChange>> {
                crate::rpc::call(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[24usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            __call(crate::rpc::untyped(self), query)
        }
        fn begin(&self) -> Result<Remote<dyn Transaction>> {
            fn __call(
                __client: &crate::rpc::UntypedClient,
            ) -> Result<Remote<dyn Transaction>> {
                crate::rpc::call_lazily(
                    __client,
                    &mikobase_rpc::MIKOBASE_SURFACE.methods[25usize],
                    (),
                )
            }
            __call(crate::rpc::untyped(self))
        }
    }
    #[automatically_derived]
    impl<__I> Mikobase for crate::rpc::Remote<__I>
    where
        __I: crate::rpc::Interface + Mikobase + ::core::marker::Send
            + ::core::marker::Sync + ?::core::marker::Sized,
    {
        fn q0(&self, query: Query) -> Result<Response> {
            Mikobase::q0(&**self, query)
        }
        fn validate(&self, query: Query) -> Result<Validation> {
            Mikobase::validate(&**self, query)
        }
        fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
            Mikobase::record_by_pk(&**self, pk)
        }
        fn by_class(&self, class: &str) -> Result<Records> {
            Mikobase::by_class(&**self, class)
        }
        fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
            Mikobase::records_by_pks(&**self, pks)
        }
        fn create_many(&self, class: &str, buckets: Vec<Bucket>) -> Result<Vec<String>> {
            Mikobase::create_many(&**self, class, buckets)
        }
        fn create_one(&self, class: &str, bucket: Bucket) -> Result<String> {
            Mikobase::create_one(&**self, class, bucket)
        }
        fn update_one(&self, pk: &str, bucket: Bucket) -> Result<Timestamp> {
            Mikobase::update_one(&**self, pk, bucket)
        }
        fn edit(&self, pk: &str, edits: Vec<Edit>) -> Result<Edited> {
            Mikobase::edit(&**self, pk, edits)
        }
        fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
            Mikobase::batch(&**self, queries, atomic)
        }
        fn history(&self, pk: &str) -> Result<Vec<Version>> {
            Mikobase::history(&**self, pk)
        }
        fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
            Mikobase::import_schema(&**self, schema)
        }
        fn export_schema(&self) -> Result<Schema> {
            Mikobase::export_schema(&**self)
        }
        fn merge(&self, worldlet: Delta) -> Result<Merged> {
            Mikobase::merge(&**self, worldlet)
        }
        fn write_file(&self, mime: &str) -> Result<Remote<dyn Upload>> {
            Mikobase::write_file(&**self, mime)
        }
        fn read_file(&self, pk: &str) -> Result<Stream<Bytes>> {
            Mikobase::read_file(&**self, pk)
        }
        fn file_info(&self, pk: &str) -> Result<FileInfo> {
            Mikobase::file_info(&**self, pk)
        }
        fn delete_file(&self, pk: &str) -> Result<()> {
            Mikobase::delete_file(&**self, pk)
        }
        fn collect_files(&self) -> Result<Vec<String>> {
            Mikobase::collect_files(&**self)
        }
        fn select_stream(&self, query: Query) -> Result<Stream<Record>> {
            Mikobase::select_stream(&**self, query)
        }
        fn export(&self) -> Result<Stream<Bytes>> {
            Mikobase::export(&**self)
        }
        fn import(&self, trust: bool) -> Result<Remote<dyn Import>> {
            Mikobase::import(&**self, trust)
        }
        fn properties(&self) -> Result<Properties> {
            Mikobase::properties(&**self)
        }
        fn changes(
            &self,
            target: Target,
            options: ChangeOptions,
        ) -> Result<Stream<Change>> {
            Mikobase::changes(&**self, target, options)
        }
        fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>> {
            Mikobase::watch_select(&**self, query)
        }
        fn begin(&self) -> Result<Remote<dyn Transaction>> {
            Mikobase::begin(&**self)
        }
    }
    #[automatically_derived]
    impl crate::rpc::Interface for dyn Mikobase {
        const NAMES: &'static crate::rpc::MethodNames = &crate::rpc::MethodNames {
            interface: ::core::concat!(::core::module_path!(), "::", "Mikobase"),
            own: &[
                "q0",
                "validate",
                "record_by_pk",
                "by_class",
                "records_by_pks",
                "create_many",
                "create_one",
                "update_one",
                "edit",
                "batch",
                "history",
                "import_schema",
                "export_schema",
                "merge",
                "write_file",
                "read_file",
                "file_info",
                "delete_file",
                "collect_files",
                "select_stream",
                "export",
                "import",
                "properties",
                "changes",
                "watch_select",
                "begin",
            ],
            supertraits: &[],
        };
        #[cfg(feature = "schema")]
        fn own_surface() -> &'static crate::rpc::Surface {
            static __SURFACE: ::std::sync::LazyLock<crate::rpc::Surface> = ::std::sync::LazyLock::new(||
            {
                mikobase_rpc::MIKOBASE_SURFACE
                    .described(
                        crate::rpc::schemas! {
                            "q0" -> Result < Response > { "query" : Query, } "validate"
                            -> Result < Validation > { "query" : Query, } "record_by_pk"
                            -> Result < Option < Record > > { "pk" :
                            ::std::string::String, } "by_class" -> Result < Records > {
                            "class" : ::std::string::String, } "records_by_pks" -> Result
                            < Vec < Option < Record > > > { "pks" : Vec < String >, }
                            "create_many" -> Result < Vec < String > > { "class" :
                            ::std::string::String, "buckets" : Vec < Bucket >, }
                            "create_one" -> Result < String > { "class" :
                            ::std::string::String, "bucket" : Bucket, } "update_one" ->
                            Result < Timestamp > { "pk" : ::std::string::String, "bucket"
                            : Bucket, } "edit" -> Result < Edited > { "pk" :
                            ::std::string::String, "edits" : Vec < Edit >, } "batch" ->
                            Result < Answers > { "queries" : Vec < Query >, "atomic" :
                            bool, } "history" -> Result < Vec < Version > > { "pk" :
                            ::std::string::String, } "import_schema" -> Result <
                            SchemaChanges > { "schema" : Schema, } "export_schema" ->
                            Result < Schema > {} "merge" -> Result < Merged > {
                            "worldlet" : Delta, } "write_file" -> Result < Remote < dyn
                            Upload > > { "mime" : ::std::string::String, } "read_file" ->
                            Result < Stream < Bytes > > { "pk" : ::std::string::String, }
                            "file_info" -> Result < FileInfo > { "pk" :
                            ::std::string::String, } "delete_file" -> Result < () > {
                            "pk" : ::std::string::String, } "collect_files" -> Result <
                            Vec < String > > {} "select_stream" -> Result < Stream <
                            Record > > { "query" : Query, } "export" -> Result < Stream <
                            Bytes > > {} "import" -> Result < Remote < dyn Import > > {
                            "trust" : bool, } "properties" -> Result < Properties > {}
                            "changes" -> Result < Stream < Change > > { "target" :
                            Target, "options" : ChangeOptions, } "watch_select" -> Result
                            < Stream < ResultChange > > { "query" : Query, } "begin" ->
                            Result < Remote < dyn Transaction > > {}
                        },
                    )
            });
            &__SURFACE
        }
        #[cfg(not(feature = "schema"))]
        fn own_surface() -> &'static crate::rpc::Surface {
            mikobase_rpc::MIKOBASE_SURFACE
        }
        fn surface() -> &'static crate::rpc::Surface {
            static __SURFACE: ::std::sync::LazyLock<crate::rpc::Surface> = ::std::sync::LazyLock::new(
                crate::rpc::ObjectInterface::join::<dyn Mikobase>,
            );
            &__SURFACE
        }
        fn objects() -> ::std::vec::Vec<crate::rpc::ObjectInterface> {
            let mut objects = ::std::vec![
                crate ::rpc::ObjectInterface::of:: < dyn Upload > (), crate
                ::rpc::ObjectInterface::of:: < dyn Import > (), crate
                ::rpc::ObjectInterface::of:: < dyn Transaction > ()
            ];
            objects
        }
        fn serve(
            &self,
            call: crate::rpc::Call<'_>,
        ) -> crate::rpc::Result<crate::rpc::Served> {
            match call.method() {
                "q0" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[0usize],
                        |(query, ()): (Query, ())| Mikobase::q0(self, query),
                    )
                }
                "validate" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[1usize],
                        |(query, ()): (Query, ())| Mikobase::validate(self, query),
                    )
                }
                "record_by_pk" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[2usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::record_by_pk(
                            self,
                            &pk,
                        ),
                    )
                }
                "by_class" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[3usize],
                        |(class, ()): (::std::string::String, ())| Mikobase::by_class(
                            self,
                            &class,
                        ),
                    )
                }
                "records_by_pks" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[4usize],
                        |(pks, ()): (Vec<String>, ())| Mikobase::records_by_pks(
                            self,
                            pks,
                        ),
                    )
                }
                "create_many" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[5usize],
                        |
                            (
                                class,
                                (buckets, ()),
                            ): (::std::string::String, (Vec<Bucket>, ()))|
                        Mikobase::create_many(self, &class, buckets),
                    )
                }
                "create_one" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[6usize],
                        |(class, (bucket, ())): (::std::string::String, (Bucket, ()))| Mikobase::create_one(
                            self,
                            &class,
                            bucket,
                        ),
                    )
                }
                "update_one" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[7usize],
                        |(pk, (bucket, ())): (::std::string::String, (Bucket, ()))| Mikobase::update_one(
                            self,
                            &pk,
                            bucket,
                        ),
                    )
                }
                "edit" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[8usize],
                        |(pk, (edits, ())): (::std::string::String, (Vec<Edit>, ()))| Mikobase::edit(
                            self,
                            &pk,
                            edits,
                        ),
                    )
                }
                "batch" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[9usize],
                        |(queries, (atomic, ())): (Vec<Query>, (bool, ()))| Mikobase::batch(
                            self,
                            queries,
                            atomic,
                        ),
                    )
                }
                "history" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[10usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::history(
                            self,
                            &pk,
                        ),
                    )
                }
                "import_schema" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[11usize],
                        |(schema, ()): (Schema, ())| Mikobase::import_schema(
                            self,
                            schema,
                        ),
                    )
                }
                "export_schema" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[12usize],
                        |(): ()| Mikobase::export_schema(self),
                    )
                }
                "merge" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[13usize],
                        |(worldlet, ()): (Delta, ())| Mikobase::merge(self, worldlet),
                    )
                }
                "write_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[14usize],
                        |(mime, ()): (::std::string::String, ())| Mikobase::write_file(
                            self,
                            &mime,
                        ),
                    )
                }
                "read_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[15usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::read_file(
                            self,
                            &pk,
                        ),
                    )
                }
                "file_info" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[16usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::file_info(
                            self,
                            &pk,
                        ),
                    )
                }
                "delete_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[17usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::delete_file(
                            self,
                            &pk,
                        ),
                    )
                }
                "collect_files" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[18usize],
                        |(): ()| Mikobase::collect_files(self),
                    )
                }
                "select_stream" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[19usize],
                        |(query, ()): (Query, ())| Mikobase::select_stream(self, query),
                    )
                }
                "export" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[20usize],
                        |(): ()| Mikobase::export(self),
                    )
                }
                "import" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[21usize],
                        |(trust, ()): (bool, ())| Mikobase::import(self, trust),
                    )
                }
                "properties" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[22usize],
                        |(): ()| Mikobase::properties(self),
                    )
                }
                "changes" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[23usize],
                        |(target, (options, ())): (Target, (ChangeOptions, ()))| Mikobase::changes(
                            self,
                            target,
                            options,
                        ),
                    )
                }
                "watch_select" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[24usize],
                        |(query, ()): (Query, ())| Mikobase::watch_select(self, query),
                    )
                }
                "begin" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[25usize],
                        |(): ()| Mikobase::begin(self),
                    )
                }
                _ => call.unknown(<dyn Mikobase as crate::rpc::Interface>::own_surface()),
            }
        }
        fn of_client(
            client: &crate::rpc::Client<dyn Mikobase>,
        ) -> &(dyn Mikobase + 'static) {
            client
        }
    }
    const _: ::core::option::Option<
        (&mikobase_rpc::MikobaseClient, &mikobase_rpc::MikobaseAsyncClient),
    > = ::core::option::Option::None;
};
///The generated proxies, server and surface of [`Mikobase`].
pub mod mikobase_rpc {
    ///The surface of [`Mikobase`](super::Mikobase).
    pub const MIKOBASE_SURFACE: &crate::rpc::Surface = &crate::rpc::Surface {
        interface: ::std::borrow::Cow::Borrowed("Mikobase"),
        version: ::std::borrow::Cow::Borrowed(::core::env!("CARGO_PKG_VERSION")),
        methods: ::std::borrow::Cow::Borrowed(
            &[
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("q0"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("query"),
                                ty: ::std::borrow::Cow::Borrowed("Query"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Response>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Runs one Q0 request.\n\n# Errors\nEvery fault of the request at once, or the reason why its action failed. Nothing is changed then.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("validate"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("query"),
                                ty: ::std::borrow::Cow::Borrowed("Query"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Validation>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Checks one Q0 request without running it.\n\n# Errors\nOnly if the check itself failed: the faults of the request are in the [`Validation`].",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("record_by_pk"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Option<Record>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns the record with this pk, or `None` if it does not exist or was deleted.\n\n# Errors\nIf the store could not be read; `request-too-large`, if the answer exceeds the frame limit of the\nserver.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("by_class"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("class"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Records>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns all records of the class and its subclasses, in order of creation.\n\n# Errors\n`invalid_request`, if `class` is not a UNS; `request-too-large`, if the answer exceeds the frame limit\nof the server.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("records_by_pks"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pks"),
                                ty: ::std::borrow::Cow::Borrowed("Vec<String>"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Vec<Option<Record>>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns the records with these pks, in the same order: `None` for a record that does not exist or was\ndeleted. Equals a call of [`record_by_pk`](Self::record_by_pk) for each pk, but all records show one\nstate of the database.\n\n# Errors\n`request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) pks, or if the\nanswer exceeds the frame limit of the server.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("create_many"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("class"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("buckets"),
                                ty: ::std::borrow::Cow::Borrowed("Vec<Bucket>"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Vec<String>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Creates a record of the class from each bucket, all or none. Returns their pks in the same order.\n[`create_all`](crate::MikobaseExt::create_all) does the same with your own types.\n\n# Errors\nAs an atomic [`batch`](Self::batch) with a request per bucket: the error of the first bucket that is\nrefused, with its index as detail `request`. Nothing is changed then.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("create_one"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("class"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("bucket"),
                                ty: ::std::borrow::Cow::Borrowed("Bucket"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<String>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Creates a record of the class, and returns its pk. It does what Q0's `create` does with a `class` and\na `bucket`, and takes less time. [`create`](crate::MikobaseExt::create) does the same with your own\ntypes.\n\n# Errors\nThe errors of Q0's `create`.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("update_one"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("bucket"),
                                ty: ::std::borrow::Cow::Borrowed("Bucket"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Timestamp>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Replaces the bucket of a record, and returns its new `updated_at`. It does what Q0's `update` does\nwith a `bucket`, and takes less time. [`update`](crate::MikobaseExt::update) does the same with your\nown types.\n\n# Errors\nThe errors of Q0's `update`.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("edit"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("edits"),
                                ty: ::std::borrow::Cow::Borrowed("Vec<Edit>"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Edited>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Edits the bucket of a record: all edits, or none. Each is an object with a `path` and one operation,\nas in the action `edit` of Q0. [`hot`](crate::MikobaseExt::hot) makes single edits;\n[`Edits`](crate::q0::Edits) builds lists.\n\n```\nuse miko_core::{Mikobase, MikobaseExt, SqliteEngine};\nuse serde_json::json;\n\nlet db = SqliteEngine::in_memory()?;\nlet pk = db.create(\"a.b/queue\", &json!({\"jobs\": [\"x\", \"y\"]}))?;\nlet take = json!({\"path\": [\"jobs\"], \"shift\": true});\nlet count = json!({\"path\": [\"taken\"], \"increment\": 1});\nassert_eq!(db.edit(&pk, vec![take, count])?.values, [\"x\".into(), json!(1)]);\n# Ok::<(), miko_core::Error>(())\n```\n\n# Errors\n`record_not_found`, `record_deleted`; `conflict` for a `test` that fails; `edit-refused` for an edit\nthat does not fit the bucket; every fault of the list, or of the edited record; `request-too-large`,\nif the values of the edits exceed the frame limit of the server, or the edits compare and move too\nmany elements. Nothing is changed then.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("batch"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("queries"),
                                ty: ::std::borrow::Cow::Borrowed("Vec<Query>"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("atomic"),
                                ty: ::std::borrow::Cow::Borrowed("bool"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Answers>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Runs many requests in one call: independently, or all or none if `atomic`.\n\n# Errors\n`request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests; none is\nrun then. `request-too-large` also if the answers exceed the frame limit of the server: nothing is\nchanged if `atomic`, otherwise the detail `run` counts the requests that have run.\n\nIf `atomic`, the error of the first request that failed, with its index as detail `request`. Nothing\nis changed then.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("history"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Vec<Version>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns all versions of a record in order of time, in a temporal database. The last version of a\ndeleted record is a tombstone.\n\n# Errors\n`not-temporal`; `record_not_found`; `request-too-large`, if the answer exceeds the frame limit of the\nserver.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("import_schema"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("schema"),
                                ty: ::std::borrow::Cow::Borrowed("Schema"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<SchemaChanges>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Defines classes, all or none: missing ones are created, different ones updated, equal ones left\nunchanged. Other classes are not affected. Callers may import concurrently.\n\n# Errors\nEvery fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not\ndefined; `unique-violation`, if stored records violate a new unique constraint; other errors of a\nwrite.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("export_schema"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed("Result<Schema>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns all class definitions in order of creation: `{\"classes\": {name: definition}}`.\n\n# Errors\nOnly if the store could not be read, or `request-too-large`, if the answer exceeds the frame limit of\nthe server.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("merge"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("worldlet"),
                                ty: ::std::borrow::Cow::Borrowed("Delta"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Merged>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Adds the versions of another database's worldlet (`history`), all or none. A version that exists with\nequal content is skipped. If one exists with other content, nothing is merged, and that version is\nlisted as rejected, with the reason. The content of versions is not validated, except that of class\ndefinitions: it was valid where it was written.\n\n# Errors\n`not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer; other errors of a write.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("write_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("mime"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Remote<dyn Upload>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Begins a file of a media type such as `image/png`, whose content follows in pieces. The file does not\nexist until it is finished. [`put_file`](crate::MikobaseExt::put_file) performs all steps.\n\n# Errors\n`read-only-connection`; `storage-full`, also if too many uploads and imports are open.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("read_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Stream<Bytes>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The content of a file, in pieces of at most [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).\n[`file`](crate::MikobaseExt::file) reads it and checks its SHA-256.\n\n# Errors\n`file-not-found`. The stream ends with this error if the file is deleted while it is read.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("file_info"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<FileInfo>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns the metadata of a file.\n\n# Errors\n`file-not-found`.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("delete_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Deletes a file.\n\n# Errors\n`file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it;\n`action-not-supported` in an append-only database; other errors of a write.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("collect_files"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed("Result<Vec<String>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Deletes each complete file that no record and no version names: none has the pk of the file as a\nstring value, at any depth of its bucket, stack or extras. Returns the pks of the deleted files.\n\n# Errors\nThe errors of a write, such as `read-only-connection`; `action-not-supported` in an append-only\ndatabase.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("select_stream"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("query"),
                                ty: ::std::borrow::Cow::Borrowed("Query"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Stream<Record>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The records that a select finds, in any number. They show the state at the time of this call: later\nwrites have no effect. [`iter`](crate::MikobaseExt::iter) also accepts a\n[`Select`](crate::q0::Select).\n\nWhile the stream is open, the server holds the order of the records, and the old content of records\nthat are overwritten.\n\n# Errors\nEvery fault of the select at once; `invalid_request` for a select with `history`; `storage-full`, if\ntoo many streams are open. The stream ends with `stream-expired`, if too much is overwritten while it\nis open.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("export"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed("Result<Stream<Bytes>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The whole state at the time of this call, as the text of a worldlet, in pieces of at most 64 KiB.\nLater writes have no effect. [`export_worldlet`](crate::MikobaseExt::export_worldlet) writes it.\n\n# Errors\n`storage-full`, if too many streams are open. The stream ends with `stream-expired`, if too much is\noverwritten or a file is deleted while it is open.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("import"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("trust"),
                                ty: ::std::borrow::Cow::Borrowed("bool"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Remote<dyn Import>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Begins an import, whose text follows in pieces. With `trust`, violations of the rules of classes\nbecome warnings. [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.\n\n# Errors\n`read-only-connection`; `storage-full`, if too many uploads and imports are open; `not-writable`, if\nthe server cannot keep the text in a temporary file.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("properties"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed("Result<Properties>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns the properties of this database.\n\n# Errors\nOnly if the store could not be read.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("changes"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("target"),
                                ty: ::std::borrow::Cow::Borrowed("Target"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("options"),
                                ty: ::std::borrow::Cow::Borrowed("ChangeOptions"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Stream<Change>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The changes of records from now on, in the order of the commits. The changes of a transaction are\ndelivered together after its commit; changes that are rolled back are not delivered. The caller's own\nchanges are delivered, too. [`listen`](crate::MikobaseExt::listen) and\n[`after_save`](crate::MikobaseExt::after_save) do the same without options.\n\nA reader that is too slow gets the error `lagged` in place of the oldest changes, with their number,\nand the stream continues. A transaction that exceeds the queue of a reader is replaced by one such\nerror, whose number may count changes that do not match the target. A stream that resumes ends with\n`changes-expired`, if the server discards missed changes before they are read.\n\n# Errors\nEvery fault of the target; `request-too-large`, if the target is too large to be tested for each\nchange; `changes-expired`, if the server does not have all changes since\n[`after`](ChangeOptions::after); `invalid_request` in a transaction, and for `after` together with\n[`snapshot`](ChangeOptions::snapshot); `read-only-connection`; `storage-full`, if too many\nsubscriptions or streams are open. With a snapshot the stream ends with `stream-expired`, if too much\nis overwritten while the snapshot is read.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("watch_select"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("query"),
                                ty: ::std::borrow::Cow::Borrowed("Query"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed(
                        "Result<Stream<ResultChange>>",
                    ),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The result of a select, and its changes from now on. [`watch`](crate::MikobaseExt::watch) keeps the\nresult up to date with them.\n\nThe stream begins with the records of the result in their order (`present`), and `synced`. After that,\neach commit that changes the result adds a step: the changes that turn the result before the commit\ninto the result after it. The last change of a step has `last` set.\n\nSteps are computed when they are read, so a slow reader delays no write and no other reader. If the\nserver does not have the single commits any more, one step has the changes of several commits.\n\n# Errors\nEvery fault of the select at once; `request-too-large`, if the select is too large to be tested for\neach change; `invalid_request` for a select with `history` or `cutoff`, and in a transaction;\n`read-only-connection`; `storage-full`, if too many subscriptions or streams are open, or the result\nis too large. The stream ends with `storage-full` if the result has become too large, with\n`stream-expired` if too much is overwritten while the first records are read, and with `self-call` if\na hook of the database reads the stream.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("begin"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed(
                        "Result<Remote<dyn Transaction>>",
                    ),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Begins a transaction. On a transaction, begins a nested one: from the first call of the nested\ntransaction until its end, writes through the outer one are refused. A transaction waits for its turn\nto write at its first call. [`transaction`](crate::MikobaseExt::transaction) runs a block in a\ntransaction.\n\n# Errors\n`read-only-connection`; `storage-full`, if there are too many transactions. On a proxy, such as that\nof a worker, `begin` does not return these errors: the transaction begins with its first call, which\nreturns them.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
            ],
        ),
        errors: ::std::borrow::Cow::Borrowed(crate::rpc::ERROR_MEANINGS),
        schemas: ::core::option::Option::None,
        objects: ::std::borrow::Cow::Borrowed(&[]),
    };
    const _: &[u8] = ::core::include_bytes!(
        ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/",
        "../miko-core/schema/mikobase.surface.json")
    );
    const _: ::core::option::Option<&str> = ::core::option_env!("MIKOBASE_RECORD");
    #[cfg(all(test, feature = "schema"))]
    #[::core::prelude::v1::test]
    fn types_are_as_recorded() {
        crate::rpc::assert_types_as_recorded(
            <dyn super::Mikobase as crate::rpc::Interface>::surface(),
            ::core::concat!(
                ::core::env!("CARGO_MANIFEST_DIR"), "/",
                "../miko-core/schema/mikobase.surface.json"
            ),
        );
    }
    ///A proxy that implements [`Mikobase`](super::Mikobase) by sending each call to a server.
    pub type MikobaseClient = crate::rpc::Client<dyn super::Mikobase>;
    crate::rpc::tarpc_server! {
        #[doc =
        "Serves any [`Mikobase`](super::Mikobase) on a tarpc channel, one call at a time."]
        pub type MikobaseServer = dyn super::Mikobase;
    }
    ///A proxy for callers with a runtime. [`MikobaseAsync`] has its methods. Its clones share one connection.
    pub type MikobaseAsyncClient = crate::rpc::AsyncClient<dyn super::Mikobase>;
    pub use self::asynchronous::MikobaseAsync;
    mod asynchronous {
        use super::super::*;
        ///The async methods of [`Mikobase`](super::super::Mikobase). The futures that they return borrow nothing.
        pub trait MikobaseAsync {
            /**Runs one Q0 request.

# Errors
Every fault of the request at once, or the reason why its action failed. Nothing is changed then.*/
            fn q0(&self, query: Query) -> crate::rpc::PendingCall<Result<Response>>;
            /**Checks one Q0 request without running it.

# Errors
Only if the check itself failed: the faults of the request are in the [`Validation`].*/
            fn validate(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Validation>>;
            /**Returns the record with this pk, or `None` if it does not exist or was deleted.

# Errors
If the store could not be read; `request-too-large`, if the answer exceeds the frame limit of the
server.*/
            fn record_by_pk(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Option<Record>>>;
            /**Returns all records of the class and its subclasses, in order of creation.

# Errors
`invalid_request`, if `class` is not a UNS; `request-too-large`, if the answer exceeds the frame limit
of the server.*/
            fn by_class(&self, class: &str) -> crate::rpc::PendingCall<Result<Records>>;
            /**Returns the records with these pks, in the same order: `None` for a record that does not exist or was
deleted. Equals a call of [`record_by_pk`](Self::record_by_pk) for each pk, but all records show one
state of the database.

# Errors
`request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) pks, or if the
answer exceeds the frame limit of the server.*/
            fn records_by_pks(
                &self,
                pks: Vec<String>,
            ) -> crate::rpc::PendingCall<Result<Vec<Option<Record>>>>;
            /**Creates a record of the class from each bucket, all or none. Returns their pks in the same order.
[`create_all`](crate::MikobaseExt::create_all) does the same with your own types.

# Errors
As an atomic [`batch`](Self::batch) with a request per bucket: the error of the first bucket that is
refused, with its index as detail `request`. Nothing is changed then.*/
            fn create_many(
                &self,
                class: &str,
                buckets: Vec<Bucket>,
            ) -> crate::rpc::PendingCall<Result<Vec<String>>>;
            /**Creates a record of the class, and returns its pk. It does what Q0's `create` does with a `class` and
a `bucket`, and takes less time. [`create`](crate::MikobaseExt::create) does the same with your own
types.

# Errors
The errors of Q0's `create`.*/
            fn create_one(
                &self,
                class: &str,
                bucket: Bucket,
            ) -> crate::rpc::PendingCall<Result<String>>;
            /**Replaces the bucket of a record, and returns its new `updated_at`. It does what Q0's `update` does
with a `bucket`, and takes less time. [`update`](crate::MikobaseExt::update) does the same with your
own types.

# Errors
The errors of Q0's `update`.*/
            fn update_one(
                &self,
                pk: &str,
                bucket: Bucket,
            ) -> crate::rpc::PendingCall<Result<Timestamp>>;
            /**Edits the bucket of a record: all edits, or none. Each is an object with a `path` and one operation,
as in the action `edit` of Q0. [`hot`](crate::MikobaseExt::hot) makes single edits;
[`Edits`](crate::q0::Edits) builds lists.

```
use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
use serde_json::json;

let db = SqliteEngine::in_memory()?;
let pk = db.create("a.b/queue", &json!({"jobs": ["x", "y"]}))?;
let take = json!({"path": ["jobs"], "shift": true});
let count = json!({"path": ["taken"], "increment": 1});
assert_eq!(db.edit(&pk, vec![take, count])?.values, ["x".into(), json!(1)]);
# Ok::<(), miko_core::Error>(())
```

# Errors
`record_not_found`, `record_deleted`; `conflict` for a `test` that fails; `edit-refused` for an edit
that does not fit the bucket; every fault of the list, or of the edited record; `request-too-large`,
if the values of the edits exceed the frame limit of the server, or the edits compare and move too
many elements. Nothing is changed then.*/
            fn edit(
                &self,
                pk: &str,
                edits: Vec<Edit>,
            ) -> crate::rpc::PendingCall<Result<Edited>>;
            /**Runs many requests in one call: independently, or all or none if `atomic`.

# Errors
`request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests; none is
run then. `request-too-large` also if the answers exceed the frame limit of the server: nothing is
changed if `atomic`, otherwise the detail `run` counts the requests that have run.

If `atomic`, the error of the first request that failed, with its index as detail `request`. Nothing
is changed then.*/
            fn batch(
                &self,
                queries: Vec<Query>,
                atomic: bool,
            ) -> crate::rpc::PendingCall<Result<Answers>>;
            /**Returns all versions of a record in order of time, in a temporal database. The last version of a
deleted record is a tombstone.

# Errors
`not-temporal`; `record_not_found`; `request-too-large`, if the answer exceeds the frame limit of the
server.*/
            fn history(&self, pk: &str) -> crate::rpc::PendingCall<Result<Vec<Version>>>;
            /**Defines classes, all or none: missing ones are created, different ones updated, equal ones left
unchanged. Other classes are not affected. Callers may import concurrently.

# Errors
Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
defined; `unique-violation`, if stored records violate a new unique constraint; other errors of a
write.*/
            fn import_schema(
                &self,
                schema: Schema,
            ) -> crate::rpc::PendingCall<Result<SchemaChanges>>;
            /**Returns all class definitions in order of creation: `{"classes": {name: definition}}`.

# Errors
Only if the store could not be read, or `request-too-large`, if the answer exceeds the frame limit of
the server.*/
            fn export_schema(&self) -> crate::rpc::PendingCall<Result<Schema>>;
            /**Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
equal content is skipped. If one exists with other content, nothing is merged, and that version is
listed as rejected, with the reason. The content of versions is not validated, except that of class
definitions: it was valid where it was written.

# Errors
`not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer; other errors of a write.*/
            fn merge(&self, worldlet: Delta) -> crate::rpc::PendingCall<Result<Merged>>;
            /**Begins a file of a media type such as `image/png`, whose content follows in pieces. The file does not
exist until it is finished. [`put_file`](crate::MikobaseExt::put_file) performs all steps.

# Errors
`read-only-connection`; `storage-full`, also if too many uploads and imports are open.*/
            fn write_file(
                &self,
                mime: &str,
            ) -> crate::rpc::PendingCall<Result<Remote<dyn Upload>>>;
            /**The content of a file, in pieces of at most [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).
[`file`](crate::MikobaseExt::file) reads it and checks its SHA-256.

# Errors
`file-not-found`. The stream ends with this error if the file is deleted while it is read.*/
            fn read_file(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Stream<Bytes>>>;
            /**Returns the metadata of a file.

# Errors
`file-not-found`.*/
            fn file_info(&self, pk: &str) -> crate::rpc::PendingCall<Result<FileInfo>>;
            /**Deletes a file.

# Errors
`file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it;
`action-not-supported` in an append-only database; other errors of a write.*/
            fn delete_file(&self, pk: &str) -> crate::rpc::PendingCall<Result<()>>;
            /**Deletes each complete file that no record and no version names: none has the pk of the file as a
string value, at any depth of its bucket, stack or extras. Returns the pks of the deleted files.

# Errors
The errors of a write, such as `read-only-connection`; `action-not-supported` in an append-only
database.*/
            fn collect_files(&self) -> crate::rpc::PendingCall<Result<Vec<String>>>;
            /**The records that a select finds, in any number. They show the state at the time of this call: later
writes have no effect. [`iter`](crate::MikobaseExt::iter) also accepts a
[`Select`](crate::q0::Select).

While the stream is open, the server holds the order of the records, and the old content of records
that are overwritten.

# Errors
Every fault of the select at once; `invalid_request` for a select with `history`; `storage-full`, if
too many streams are open. The stream ends with `stream-expired`, if too much is overwritten while it
is open.*/
            fn select_stream(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Stream<Record>>>;
            /**The whole state at the time of this call, as the text of a worldlet, in pieces of at most 64 KiB.
Later writes have no effect. [`export_worldlet`](crate::MikobaseExt::export_worldlet) writes it.

# Errors
`storage-full`, if too many streams are open. The stream ends with `stream-expired`, if too much is
overwritten or a file is deleted while it is open.*/
            fn export(&self) -> crate::rpc::PendingCall<Result<Stream<Bytes>>>;
            /**Begins an import, whose text follows in pieces. With `trust`, violations of the rules of classes
become warnings. [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.

# Errors
`read-only-connection`; `storage-full`, if too many uploads and imports are open; `not-writable`, if
the server cannot keep the text in a temporary file.*/
            fn import(
                &self,
                trust: bool,
            ) -> crate::rpc::PendingCall<Result<Remote<dyn Import>>>;
            /**Returns the properties of this database.

# Errors
Only if the store could not be read.*/
            fn properties(&self) -> crate::rpc::PendingCall<Result<Properties>>;
            /**The changes of records from now on, in the order of the commits. The changes of a transaction are
delivered together after its commit; changes that are rolled back are not delivered. The caller's own
changes are delivered, too. [`listen`](crate::MikobaseExt::listen) and
[`after_save`](crate::MikobaseExt::after_save) do the same without options.

A reader that is too slow gets the error `lagged` in place of the oldest changes, with their number,
and the stream continues. A transaction that exceeds the queue of a reader is replaced by one such
error, whose number may count changes that do not match the target. A stream that resumes ends with
`changes-expired`, if the server discards missed changes before they are read.

# Errors
Every fault of the target; `request-too-large`, if the target is too large to be tested for each
change; `changes-expired`, if the server does not have all changes since
[`after`](ChangeOptions::after); `invalid_request` in a transaction, and for `after` together with
[`snapshot`](ChangeOptions::snapshot); `read-only-connection`; `storage-full`, if too many
subscriptions or streams are open. With a snapshot the stream ends with `stream-expired`, if too much
is overwritten while the snapshot is read.*/
            fn changes(
                &self,
                target: Target,
                options: ChangeOptions,
            ) -> crate::rpc::PendingCall<Result<Stream<Change>>>;
            /**The result of a select, and its changes from now on. [`watch`](crate::MikobaseExt::watch) keeps the
result up to date with them.

The stream begins with the records of the result in their order (`present`), and `synced`. After that,
each commit that changes the result adds a step: the changes that turn the result before the commit
into the result after it. The last change of a step has `last` set.

Steps are computed when they are read, so a slow reader delays no write and no other reader. If the
server does not have the single commits any more, one step has the changes of several commits.

# Errors
Every fault of the select at once; `request-too-large`, if the select is too large to be tested for
each change; `invalid_request` for a select with `history` or `cutoff`, and in a transaction;
`read-only-connection`; `storage-full`, if too many subscriptions or streams are open, or the result
is too large. The stream ends with `storage-full` if the result has become too large, with
`stream-expired` if too much is overwritten while the first records are read, and with `self-call` if
a hook of the database reads the stream.*/
            fn watch_select(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Stream<ResultChange>>>;
            /**Begins a transaction. On a transaction, begins a nested one: from the first call of the nested
transaction until its end, writes through the outer one are refused. A transaction waits for its turn
to write at its first call. [`transaction`](crate::MikobaseExt::transaction) runs a block in a
transaction.

# Errors
`read-only-connection`; `storage-full`, if there are too many transactions. On a proxy, such as that
of a worker, `begin` does not return these errors: the transaction begins with its first call, which
returns them.*/
            fn begin(&self) -> crate::rpc::PendingCall<Result<Remote<dyn Transaction>>>;
        }
        #[automatically_derived]
        impl<
            __I: crate::rpc::Interface + super::super::Mikobase + ?::core::marker::Sized,
        > MikobaseAsync for crate::rpc::AsyncClient<__I> {
            fn q0(&self, query: Query) -> crate::rpc::PendingCall<Result<Response>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[0usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            fn validate(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Validation>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[1usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            fn record_by_pk(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Option<Record>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[2usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn by_class(&self, class: &str) -> crate::rpc::PendingCall<Result<Records>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[3usize],
                    (crate::rpc::bounded_ref(class), ()),
                )
            }
            fn records_by_pks(
                &self,
                pks: Vec<String>,
            ) -> crate::rpc::PendingCall<Result<Vec<Option<Record>>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[4usize],
                    (&crate::rpc::bounded(pks), ()),
                )
            }
            fn create_many(
                &self,
                class: &str,
                buckets: Vec<Bucket>,
            ) -> crate::rpc::PendingCall<Result<Vec<String>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[5usize],
                    (crate::rpc::bounded_ref(class), (&crate::rpc::bounded(buckets), ())),
                )
            }
            fn create_one(
                &self,
                class: &str,
                bucket: Bucket,
            ) -> crate::rpc::PendingCall<Result<String>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[6usize],
                    (crate::rpc::bounded_ref(class), (&crate::rpc::bounded(bucket), ())),
                )
            }
            fn update_one(
                &self,
                pk: &str,
                bucket: Bucket,
            ) -> crate::rpc::PendingCall<Result<Timestamp>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[7usize],
                    (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(bucket), ())),
                )
            }
            fn edit(
                &self,
                pk: &str,
                edits: Vec<Edit>,
            ) -> crate::rpc::PendingCall<Result<Edited>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[8usize],
                    (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(edits), ())),
                )
            }
            fn batch(
                &self,
                queries: Vec<Query>,
                atomic: bool,
            ) -> crate::rpc::PendingCall<Result<Answers>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[9usize],
                    (&crate::rpc::bounded(queries), (&crate::rpc::bounded(atomic), ())),
                )
            }
            fn history(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Vec<Version>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[10usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn import_schema(
                &self,
                schema: Schema,
            ) -> crate::rpc::PendingCall<Result<SchemaChanges>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[11usize],
                    (&crate::rpc::bounded(schema), ()),
                )
            }
            fn export_schema(&self) -> crate::rpc::PendingCall<Result<Schema>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[12usize],
                    (),
                )
            }
            fn merge(&self, worldlet: Delta) -> crate::rpc::PendingCall<Result<Merged>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[13usize],
                    (&crate::rpc::bounded(worldlet), ()),
                )
            }
            fn write_file(
                &self,
                mime: &str,
            ) -> crate::rpc::PendingCall<Result<Remote<dyn Upload>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[14usize],
                    (crate::rpc::bounded_ref(mime), ()),
                )
            }
            fn read_file(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Stream<Bytes>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[15usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn file_info(&self, pk: &str) -> crate::rpc::PendingCall<Result<FileInfo>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[16usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn delete_file(&self, pk: &str) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[17usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn collect_files(&self) -> crate::rpc::PendingCall<Result<Vec<String>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[18usize],
                    (),
                )
            }
            fn select_stream(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Stream<Record>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[19usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            fn export(&self) -> crate::rpc::PendingCall<Result<Stream<Bytes>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[20usize],
                    (),
                )
            }
            fn import(
                &self,
                trust: bool,
            ) -> crate::rpc::PendingCall<Result<Remote<dyn Import>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[21usize],
                    (&crate::rpc::bounded(trust), ()),
                )
            }
            fn properties(&self) -> crate::rpc::PendingCall<Result<Properties>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[22usize],
                    (),
                )
            }
            fn changes(
                &self,
                target: Target,
                options: ChangeOptions,
            ) -> crate::rpc::PendingCall<Result<Stream<Change>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[23usize],
                    (&crate::rpc::bounded(target), (&crate::rpc::bounded(options), ())),
                )
            }
            fn watch_select(
                &self,
                query: Query,
            ) -> crate::rpc::PendingCall<Result<Stream<ResultChange>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[24usize],
                    (&crate::rpc::bounded(query), ()),
                )
            }
            fn begin(&self) -> crate::rpc::PendingCall<Result<Remote<dyn Transaction>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[25usize],
                    (),
                )
            }
        }
    }
}

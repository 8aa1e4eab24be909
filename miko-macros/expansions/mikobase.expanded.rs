/// A Mikobase: a live object store.
///
/// An engine and a proxy to a shared one both implement it and give the same answers. The attribute generates
/// the service, the proxy and the JSON dispatch from these signatures, so a new method only has to be
/// implemented by the engines.
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
    /// Only if the store could not be read.
    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>>;
    /// Returns all records of the class and its subclasses, in order of creation.
    ///
    /// # Errors
    /// `invalid_request`, if `class` is not a UNS.
    fn by_class(&self, class: &str) -> Result<Records>;
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
    /// `not-temporal`; `record_not_found`.
    fn history(&self, pk: &str) -> Result<Vec<Version>>;
    /// Defines classes, all or none: missing ones are created, different ones updated, equal ones left
    /// unchanged. Other classes are not affected. Callers may import concurrently.
    ///
    /// # Errors
    /// Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
    /// defined; `unique-violation`, if stored records violate a new unique constraint.
    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges>;
    /// Returns all class definitions in order of creation: `{"classes": {name: definition}}`.
    ///
    /// # Errors
    /// Only if the store could not be read.
    fn export_schema(&self) -> Result<Schema>;
    /// Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
    /// equal content is skipped. If one exists with other content, nothing is merged, and that version is
    /// listed as rejected, with the reason. The content of versions is not validated: it was valid where it
    /// was written.
    ///
    /// # Errors
    /// `not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.
    fn merge(&self, worldlet: Delta) -> Result<Merged>;
    /// Begins a file of a media type such as `image/png` and returns its future pk. The file does not exist
    /// until its chunks were written and it was ended. [`put_file`](crate::MikobaseExt::put_file) performs
    /// all these steps.
    ///
    /// # Errors
    /// Only if the store could not be written.
    fn begin_file(&self, mime: &str) -> Result<String>;
    /// Writes the next chunk of a file that was begun, counted from 0. The last chunk may be repeated.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written; `invalid_request`, if the chunk is out of order,
    /// empty or larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).
    fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()>;
    /// Ends a file that was begun: from now on it exists and never changes. Returns the pk of the file with
    /// this content, which differs from `file` if a file with the same content existed before.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written.
    fn end_file(&self, file: &str) -> Result<String>;
    /// Discards a file that was begun but not ended.
    ///
    /// # Errors
    /// Only if the store could not be written.
    fn cancel_file(&self, file: &str) -> Result<()>;
    /// Returns the metadata of a file.
    ///
    /// # Errors
    /// `file-not-found`.
    fn file_info(&self, pk: &str) -> Result<FileInfo>;
    /// Returns a piece of a file and the position of the next one. [`file`](crate::MikobaseExt::file) reads
    /// all of them.
    ///
    /// # Errors
    /// `file-not-found`; `invalid_request`, if the position is outside the file.
    fn file_piece(&self, pk: &str, at: Position) -> Result<Piece>;
    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it.
    fn delete_file(&self, pk: &str) -> Result<()>;
    /// Deletes the files whose pk occurs in no record and in no version. Returns their pks.
    ///
    /// # Errors
    /// Only if the store could not be read or written.
    fn collect_files(&self) -> Result<Vec<String>>;
    /// Opens a stream of the current state and returns its name. [`iter`](crate::MikobaseExt::iter) and
    /// [`export_worldlet`](crate::MikobaseExt::export_worldlet) open, read and close a stream.
    ///
    /// # Errors
    /// Every fault of the select at once.
    fn open_stream(&self, source: Source) -> Result<String>;
    /// Returns the next chunk of a stream, counted from 0. The last chunk may be requested again.
    ///
    /// # Errors
    /// `stream-expired`, if the stream no longer exists; `invalid_request`, if the chunk is out of order.
    fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk>;
    /// Closes a stream, if it is open.
    ///
    /// # Errors
    /// None of its own.
    fn close_stream(&self, stream: &str) -> Result<()>;
    /// Begins an import, whose text follows in pieces, and returns its name.
    /// [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.
    ///
    /// # Errors
    /// Only if the text cannot be stored.
    fn begin_import(&self) -> Result<String>;
    /// Sends the next piece of the worldlet, counted from 0. The last piece may be repeated.
    ///
    /// # Errors
    /// `stream-expired`, if the import no longer exists; `invalid_request`, if the piece is out of order or
    /// larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE); `storage-full`.
    fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()>;
    /// Imports the worldlet that was sent, all or none. With `trust`, validation faults become warnings.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if the import no longer
    /// exists.
    fn end_import(&self, import: &str, trust: bool) -> Result<Imported>;
    /// Discards the text of an import.
    ///
    /// # Errors
    /// None of its own.
    fn cancel_import(&self, import: &str) -> Result<()>;
    /// Returns the properties of this database.
    ///
    /// # Errors
    /// Only if the store could not be read.
    fn properties(&self) -> Result<Properties>;
}
#[cfg(feature = "rpc")]
///The generated proxies, server and dispatch of [`Mikobase`].
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    deprecated,
    private_interfaces,
    unreachable_patterns,
    unreachable_pub,
    unused_imports,
)]
pub mod mikobase_rpc {
    use super::*;
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
            fn result_of_begin_file<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_begin_file::<Result<String>>;
            fn argument_mime_of_begin_file<T: crate::rpc::Wire>() {}
            let _ = argument_mime_of_begin_file::<::std::string::String>;
        }
        {
            fn result_of_put_chunk<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_put_chunk::<Result<()>>;
            fn argument_file_of_put_chunk<T: crate::rpc::Wire>() {}
            let _ = argument_file_of_put_chunk::<::std::string::String>;
            fn argument_index_of_put_chunk<T: crate::rpc::Wire>() {}
            let _ = argument_index_of_put_chunk::<u64>;
            fn argument_data_of_put_chunk<T: crate::rpc::Wire>() {}
            let _ = argument_data_of_put_chunk::<Bytes>;
        }
        {
            fn result_of_end_file<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_end_file::<Result<String>>;
            fn argument_file_of_end_file<T: crate::rpc::Wire>() {}
            let _ = argument_file_of_end_file::<::std::string::String>;
        }
        {
            fn result_of_cancel_file<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_cancel_file::<Result<()>>;
            fn argument_file_of_cancel_file<T: crate::rpc::Wire>() {}
            let _ = argument_file_of_cancel_file::<::std::string::String>;
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
            fn result_of_file_piece<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_file_piece::<Result<Piece>>;
            fn argument_pk_of_file_piece<T: crate::rpc::Wire>() {}
            let _ = argument_pk_of_file_piece::<::std::string::String>;
            fn argument_at_of_file_piece<T: crate::rpc::Wire>() {}
            let _ = argument_at_of_file_piece::<Position>;
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
            fn result_of_open_stream<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_open_stream::<Result<String>>;
            fn argument_source_of_open_stream<T: crate::rpc::Wire>() {}
            let _ = argument_source_of_open_stream::<Source>;
        }
        {
            fn result_of_next_chunk<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_next_chunk::<Result<Chunk>>;
            fn argument_stream_of_next_chunk<T: crate::rpc::Wire>() {}
            let _ = argument_stream_of_next_chunk::<::std::string::String>;
            fn argument_index_of_next_chunk<T: crate::rpc::Wire>() {}
            let _ = argument_index_of_next_chunk::<u64>;
        }
        {
            fn result_of_close_stream<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_close_stream::<Result<()>>;
            fn argument_stream_of_close_stream<T: crate::rpc::Wire>() {}
            let _ = argument_stream_of_close_stream::<::std::string::String>;
        }
        {
            fn result_of_begin_import<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_begin_import::<Result<String>>;
        }
        {
            fn result_of_put_import<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_put_import::<Result<()>>;
            fn argument_import_of_put_import<T: crate::rpc::Wire>() {}
            let _ = argument_import_of_put_import::<::std::string::String>;
            fn argument_index_of_put_import<T: crate::rpc::Wire>() {}
            let _ = argument_index_of_put_import::<u64>;
            fn argument_text_of_put_import<T: crate::rpc::Wire>() {}
            let _ = argument_text_of_put_import::<Bytes>;
        }
        {
            fn result_of_end_import<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_end_import::<Result<Imported>>;
            fn argument_import_of_end_import<T: crate::rpc::Wire>() {}
            let _ = argument_import_of_end_import::<::std::string::String>;
            fn argument_trust_of_end_import<T: crate::rpc::Wire>() {}
            let _ = argument_trust_of_end_import::<bool>;
        }
        {
            fn result_of_cancel_import<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_cancel_import::<Result<()>>;
            fn argument_import_of_cancel_import<T: crate::rpc::Wire>() {}
            let _ = argument_import_of_cancel_import::<::std::string::String>;
        }
        {
            fn result_of_properties<R: crate::rpc::Fallible>()
            where
                R::Value: crate::rpc::Wire,
                R::Error: crate::rpc::Wire,
            {}
            let _ = result_of_properties::<Result<Properties>>;
        }
    };
    ///One call of [`Mikobase`].
    #[derive(crate::rpc::serde::Serialize, crate::rpc::serde::Deserialize)]
    #[serde(crate = "crate::rpc::serde")]
    pub enum MikobaseRequest {
        ///A call of `q0`.
        #[serde(rename = "q0")]
        Q0 {
            ///The argument `query`.
            #[serde(with = "crate::rpc::travel::argument")]
            query: Query,
        },
        ///A call of `validate`.
        #[serde(rename = "validate")]
        Validate {
            ///The argument `query`.
            #[serde(with = "crate::rpc::travel::argument")]
            query: Query,
        },
        ///A call of `record_by_pk`.
        #[serde(rename = "record_by_pk")]
        RecordByPk {
            ///The argument `pk`.
            #[serde(with = "crate::rpc::travel::argument")]
            pk: ::std::string::String,
        },
        ///A call of `by_class`.
        #[serde(rename = "by_class")]
        ByClass {
            ///The argument `class`.
            #[serde(with = "crate::rpc::travel::argument")]
            class: ::std::string::String,
        },
        ///A call of `batch`.
        #[serde(rename = "batch")]
        Batch {
            ///The argument `queries`.
            #[serde(with = "crate::rpc::travel::argument")]
            queries: Vec<Query>,
            ///The argument `atomic`.
            #[serde(with = "crate::rpc::travel::argument")]
            atomic: bool,
        },
        ///A call of `history`.
        #[serde(rename = "history")]
        History {
            ///The argument `pk`.
            #[serde(with = "crate::rpc::travel::argument")]
            pk: ::std::string::String,
        },
        ///A call of `import_schema`.
        #[serde(rename = "import_schema")]
        ImportSchema {
            ///The argument `schema`.
            #[serde(with = "crate::rpc::travel::argument")]
            schema: Schema,
        },
        ///A call of `export_schema`.
        #[serde(rename = "export_schema")]
        ExportSchema {},
        ///A call of `merge`.
        #[serde(rename = "merge")]
        Merge {
            ///The argument `worldlet`.
            #[serde(with = "crate::rpc::travel::argument")]
            worldlet: Delta,
        },
        ///A call of `begin_file`.
        #[serde(rename = "begin_file")]
        BeginFile {
            ///The argument `mime`.
            #[serde(with = "crate::rpc::travel::argument")]
            mime: ::std::string::String,
        },
        ///A call of `put_chunk`.
        #[serde(rename = "put_chunk")]
        PutChunk {
            ///The argument `file`.
            #[serde(with = "crate::rpc::travel::argument")]
            file: ::std::string::String,
            ///The argument `index`.
            #[serde(with = "crate::rpc::travel::argument")]
            index: u64,
            ///The argument `data`.
            #[serde(with = "crate::rpc::travel::argument")]
            data: Bytes,
        },
        ///A call of `end_file`.
        #[serde(rename = "end_file")]
        EndFile {
            ///The argument `file`.
            #[serde(with = "crate::rpc::travel::argument")]
            file: ::std::string::String,
        },
        ///A call of `cancel_file`.
        #[serde(rename = "cancel_file")]
        CancelFile {
            ///The argument `file`.
            #[serde(with = "crate::rpc::travel::argument")]
            file: ::std::string::String,
        },
        ///A call of `file_info`.
        #[serde(rename = "file_info")]
        FileInfo {
            ///The argument `pk`.
            #[serde(with = "crate::rpc::travel::argument")]
            pk: ::std::string::String,
        },
        ///A call of `file_piece`.
        #[serde(rename = "file_piece")]
        FilePiece {
            ///The argument `pk`.
            #[serde(with = "crate::rpc::travel::argument")]
            pk: ::std::string::String,
            ///The argument `at`.
            #[serde(with = "crate::rpc::travel::argument")]
            at: Position,
        },
        ///A call of `delete_file`.
        #[serde(rename = "delete_file")]
        DeleteFile {
            ///The argument `pk`.
            #[serde(with = "crate::rpc::travel::argument")]
            pk: ::std::string::String,
        },
        ///A call of `collect_files`.
        #[serde(rename = "collect_files")]
        CollectFiles {},
        ///A call of `open_stream`.
        #[serde(rename = "open_stream")]
        OpenStream {
            ///The argument `source`.
            #[serde(with = "crate::rpc::travel::argument")]
            source: Source,
        },
        ///A call of `next_chunk`.
        #[serde(rename = "next_chunk")]
        NextChunk {
            ///The argument `stream`.
            #[serde(with = "crate::rpc::travel::argument")]
            stream: ::std::string::String,
            ///The argument `index`.
            #[serde(with = "crate::rpc::travel::argument")]
            index: u64,
        },
        ///A call of `close_stream`.
        #[serde(rename = "close_stream")]
        CloseStream {
            ///The argument `stream`.
            #[serde(with = "crate::rpc::travel::argument")]
            stream: ::std::string::String,
        },
        ///A call of `begin_import`.
        #[serde(rename = "begin_import")]
        BeginImport {},
        ///A call of `put_import`.
        #[serde(rename = "put_import")]
        PutImport {
            ///The argument `import`.
            #[serde(with = "crate::rpc::travel::argument")]
            import: ::std::string::String,
            ///The argument `index`.
            #[serde(with = "crate::rpc::travel::argument")]
            index: u64,
            ///The argument `text`.
            #[serde(with = "crate::rpc::travel::argument")]
            text: Bytes,
        },
        ///A call of `end_import`.
        #[serde(rename = "end_import")]
        EndImport {
            ///The argument `import`.
            #[serde(with = "crate::rpc::travel::argument")]
            import: ::std::string::String,
            ///The argument `trust`.
            #[serde(with = "crate::rpc::travel::argument")]
            trust: bool,
        },
        ///A call of `cancel_import`.
        #[serde(rename = "cancel_import")]
        CancelImport {
            ///The argument `import`.
            #[serde(with = "crate::rpc::travel::argument")]
            import: ::std::string::String,
        },
        ///A call of `properties`.
        #[serde(rename = "properties")]
        Properties {},
    }
    impl crate::rpc::tarpc::RequestName for MikobaseRequest {
        fn name(&self) -> &str {
            match self {
                MikobaseRequest::Q0 { .. } => "q0",
                MikobaseRequest::Validate { .. } => "validate",
                MikobaseRequest::RecordByPk { .. } => "record_by_pk",
                MikobaseRequest::ByClass { .. } => "by_class",
                MikobaseRequest::Batch { .. } => "batch",
                MikobaseRequest::History { .. } => "history",
                MikobaseRequest::ImportSchema { .. } => "import_schema",
                MikobaseRequest::ExportSchema { .. } => "export_schema",
                MikobaseRequest::Merge { .. } => "merge",
                MikobaseRequest::BeginFile { .. } => "begin_file",
                MikobaseRequest::PutChunk { .. } => "put_chunk",
                MikobaseRequest::EndFile { .. } => "end_file",
                MikobaseRequest::CancelFile { .. } => "cancel_file",
                MikobaseRequest::FileInfo { .. } => "file_info",
                MikobaseRequest::FilePiece { .. } => "file_piece",
                MikobaseRequest::DeleteFile { .. } => "delete_file",
                MikobaseRequest::CollectFiles { .. } => "collect_files",
                MikobaseRequest::OpenStream { .. } => "open_stream",
                MikobaseRequest::NextChunk { .. } => "next_chunk",
                MikobaseRequest::CloseStream { .. } => "close_stream",
                MikobaseRequest::BeginImport { .. } => "begin_import",
                MikobaseRequest::PutImport { .. } => "put_import",
                MikobaseRequest::EndImport { .. } => "end_import",
                MikobaseRequest::CancelImport { .. } => "cancel_import",
                MikobaseRequest::Properties { .. } => "properties",
            }
        }
    }
    ///The result of one call of [`Mikobase`].
    #[derive(crate::rpc::serde::Serialize, crate::rpc::serde::Deserialize)]
    #[serde(crate = "crate::rpc::serde")]
    pub enum MikobaseResponse {
        ///The result of `q0`.
        #[serde(rename = "q0")]
        Q0(#[serde(with = "crate::rpc::travel::result")] Result<Response>),
        ///The result of `validate`.
        #[serde(rename = "validate")]
        Validate(#[serde(with = "crate::rpc::travel::result")] Result<Validation>),
        ///The result of `record_by_pk`.
        #[serde(rename = "record_by_pk")]
        RecordByPk(#[serde(with = "crate::rpc::travel::result")] Result<Option<Record>>),
        ///The result of `by_class`.
        #[serde(rename = "by_class")]
        ByClass(#[serde(with = "crate::rpc::travel::result")] Result<Records>),
        ///The result of `batch`.
        #[serde(rename = "batch")]
        Batch(#[serde(with = "crate::rpc::travel::result")] Result<Answers>),
        ///The result of `history`.
        #[serde(rename = "history")]
        History(#[serde(with = "crate::rpc::travel::result")] Result<Vec<Version>>),
        ///The result of `import_schema`.
        #[serde(rename = "import_schema")]
        ImportSchema(
            #[serde(with = "crate::rpc::travel::result")]
            Result<SchemaChanges>,
        ),
        ///The result of `export_schema`.
        #[serde(rename = "export_schema")]
        ExportSchema(#[serde(with = "crate::rpc::travel::result")] Result<Schema>),
        ///The result of `merge`.
        #[serde(rename = "merge")]
        Merge(#[serde(with = "crate::rpc::travel::result")] Result<Merged>),
        ///The result of `begin_file`.
        #[serde(rename = "begin_file")]
        BeginFile(#[serde(with = "crate::rpc::travel::result")] Result<String>),
        ///The result of `put_chunk`.
        #[serde(rename = "put_chunk")]
        PutChunk(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `end_file`.
        #[serde(rename = "end_file")]
        EndFile(#[serde(with = "crate::rpc::travel::result")] Result<String>),
        ///The result of `cancel_file`.
        #[serde(rename = "cancel_file")]
        CancelFile(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `file_info`.
        #[serde(rename = "file_info")]
        FileInfo(#[serde(with = "crate::rpc::travel::result")] Result<FileInfo>),
        ///The result of `file_piece`.
        #[serde(rename = "file_piece")]
        FilePiece(#[serde(with = "crate::rpc::travel::result")] Result<Piece>),
        ///The result of `delete_file`.
        #[serde(rename = "delete_file")]
        DeleteFile(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `collect_files`.
        #[serde(rename = "collect_files")]
        CollectFiles(#[serde(with = "crate::rpc::travel::result")] Result<Vec<String>>),
        ///The result of `open_stream`.
        #[serde(rename = "open_stream")]
        OpenStream(#[serde(with = "crate::rpc::travel::result")] Result<String>),
        ///The result of `next_chunk`.
        #[serde(rename = "next_chunk")]
        NextChunk(#[serde(with = "crate::rpc::travel::result")] Result<Chunk>),
        ///The result of `close_stream`.
        #[serde(rename = "close_stream")]
        CloseStream(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `begin_import`.
        #[serde(rename = "begin_import")]
        BeginImport(#[serde(with = "crate::rpc::travel::result")] Result<String>),
        ///The result of `put_import`.
        #[serde(rename = "put_import")]
        PutImport(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `end_import`.
        #[serde(rename = "end_import")]
        EndImport(#[serde(with = "crate::rpc::travel::result")] Result<Imported>),
        ///The result of `cancel_import`.
        #[serde(rename = "cancel_import")]
        CancelImport(#[serde(with = "crate::rpc::travel::result")] Result<()>),
        ///The result of `properties`.
        #[serde(rename = "properties")]
        Properties(#[serde(with = "crate::rpc::travel::result")] Result<Properties>),
    }
    ///The surface of [`Mikobase`].
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
                        "Returns the record with this pk, or `None` if it does not exist or was deleted.\n\n# Errors\nOnly if the store could not be read.",
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
                        "Returns all records of the class and its subclasses, in order of creation.\n\n# Errors\n`invalid_request`, if `class` is not a UNS.",
                    ),
                    read: ::core::option::Option::Some(true),
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
                        "Returns all versions of a record in order of time, in a temporal database. The last version of a\ndeleted record is a tombstone.\n\n# Errors\n`not-temporal`; `record_not_found`.",
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
                        "Defines classes, all or none: missing ones are created, different ones updated, equal ones left\nunchanged. Other classes are not affected. Callers may import concurrently.\n\n# Errors\nEvery fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not\ndefined; `unique-violation`, if stored records violate a new unique constraint.",
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
                        "Returns all class definitions in order of creation: `{\"classes\": {name: definition}}`.\n\n# Errors\nOnly if the store could not be read.",
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
                        "Adds the versions of another database's worldlet (`history`), all or none. A version that exists with\nequal content is skipped. If one exists with other content, nothing is merged, and that version is\nlisted as rejected, with the reason. The content of versions is not validated: it was valid where it\nwas written.\n\n# Errors\n`not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("begin_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("mime"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<String>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Begins a file of a media type such as `image/png` and returns its future pk. The file does not exist\nuntil its chunks were written and it was ended. [`put_file`](crate::MikobaseExt::put_file) performs\nall these steps.\n\n# Errors\nOnly if the store could not be written.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("put_chunk"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("file"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("index"),
                                ty: ::std::borrow::Cow::Borrowed("u64"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("data"),
                                ty: ::std::borrow::Cow::Borrowed("Bytes"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Writes the next chunk of a file that was begun, counted from 0. The last chunk may be repeated.\n\n# Errors\n`file-not-found`, if no such file is being written; `invalid_request`, if the chunk is out of order,\nempty or larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("end_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("file"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<String>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Ends a file that was begun: from now on it exists and never changes. Returns the pk of the file with\nthis content, which differs from `file` if a file with the same content existed before.\n\n# Errors\n`file-not-found`, if no such file is being written.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("cancel_file"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("file"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Discards a file that was begun but not ended.\n\n# Errors\nOnly if the store could not be written.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
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
                    name: ::std::borrow::Cow::Borrowed("file_piece"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("pk"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("at"),
                                ty: ::std::borrow::Cow::Borrowed("Position"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Piece>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns a piece of a file and the position of the next one. [`file`](crate::MikobaseExt::file) reads\nall of them.\n\n# Errors\n`file-not-found`; `invalid_request`, if the position is outside the file.",
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
                        "Deletes a file.\n\n# Errors\n`file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it.",
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
                        "Deletes the files whose pk occurs in no record and in no version. Returns their pks.\n\n# Errors\nOnly if the store could not be read or written.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("open_stream"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("source"),
                                ty: ::std::borrow::Cow::Borrowed("Source"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<String>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Opens a stream of the current state and returns its name. [`iter`](crate::MikobaseExt::iter) and\n[`export_worldlet`](crate::MikobaseExt::export_worldlet) open, read and close a stream.\n\n# Errors\nEvery fault of the select at once.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("next_chunk"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("stream"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("index"),
                                ty: ::std::borrow::Cow::Borrowed("u64"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Chunk>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Returns the next chunk of a stream, counted from 0. The last chunk may be requested again.\n\n# Errors\n`stream-expired`, if the stream no longer exists; `invalid_request`, if the chunk is out of order.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("close_stream"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("stream"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Closes a stream, if it is open.\n\n# Errors\nNone of its own.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("begin_import"),
                    params: ::std::borrow::Cow::Borrowed(&[]),
                    returns: ::std::borrow::Cow::Borrowed("Result<String>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Begins an import, whose text follows in pieces, and returns its name.\n[`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.\n\n# Errors\nOnly if the text cannot be stored.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("put_import"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("import"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("index"),
                                ty: ::std::borrow::Cow::Borrowed("u64"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("text"),
                                ty: ::std::borrow::Cow::Borrowed("Bytes"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Sends the next piece of the worldlet, counted from 0. The last piece may be repeated.\n\n# Errors\n`stream-expired`, if the import no longer exists; `invalid_request`, if the piece is out of order or\nlarger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE); `storage-full`.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
                    deadline_ms: ::core::option::Option::None,
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("end_import"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("import"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("trust"),
                                ty: ::std::borrow::Cow::Borrowed("bool"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Imported>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Imports the worldlet that was sent, all or none. With `trust`, validation faults become warnings.\n\n# Errors\n`invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if the import no longer\nexists.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::Some(86400000u64),
                },
                crate::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("cancel_import"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            crate::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("import"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<()>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Discards the text of an import.\n\n# Errors\nNone of its own.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: true,
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
            ],
        ),
    };
    const _: &[u8] = ::core::include_bytes!(
        ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/",
        "../miko-core/schema/mikobase.surface.json")
    );
    const _: ::core::option::Option<&str> = ::core::option_env!("MIKOBASE_RECORD");
    ///A proxy that implements [`Mikobase`] by sending each call to a server.
    pub struct MikobaseClient {
        transport: ::std::boxed::Box<dyn crate::rpc::Transport<dyn Mikobase>>,
    }
    impl crate::rpc::Proxy for MikobaseClient {
        type Interface = dyn Mikobase;
        fn new(
            transport: ::std::boxed::Box<dyn crate::rpc::Transport<dyn Mikobase>>,
        ) -> Self {
            Self { transport }
        }
        fn as_interface(&self) -> &(dyn Mikobase + 'static) {
            self
        }
    }
    impl ::core::fmt::Debug for MikobaseClient {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_struct(::core::stringify!(MikobaseClient)).finish_non_exhaustive()
        }
    }
    impl Mikobase for MikobaseClient {
        fn q0(&self, query: Query) -> Result<Response> {
            let request = MikobaseRequest::Q0 {
                query: crate::rpc::travel::argument::bounded(query),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[0usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::Q0(returned)) => returned,
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("q0"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn validate(&self, query: Query) -> Result<Validation> {
            let request = MikobaseRequest::Validate {
                query: crate::rpc::travel::argument::bounded(query),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[1usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::Validate(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("validate"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
            let request = MikobaseRequest::RecordByPk {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[2usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::RecordByPk(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("record_by_pk"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn by_class(&self, class: &str) -> Result<Records> {
            let request = MikobaseRequest::ByClass {
                class: ::std::borrow::ToOwned::to_owned(class),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[3usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::ByClass(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("by_class"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
            let request = MikobaseRequest::Batch {
                queries: crate::rpc::travel::argument::bounded(queries),
                atomic: crate::rpc::travel::argument::bounded(atomic),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[4usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::Batch(returned)) => returned,
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("batch"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn history(&self, pk: &str) -> Result<Vec<Version>> {
            let request = MikobaseRequest::History {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[5usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::History(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("history"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
            let request = MikobaseRequest::ImportSchema {
                schema: crate::rpc::travel::argument::bounded(schema),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[6usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::ImportSchema(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("import_schema"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn export_schema(&self) -> Result<Schema> {
            let request = MikobaseRequest::ExportSchema {};
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[7usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::ExportSchema(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("export_schema"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn merge(&self, worldlet: Delta) -> Result<Merged> {
            let request = MikobaseRequest::Merge {
                worldlet: crate::rpc::travel::argument::bounded(worldlet),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[8usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::Merge(returned)) => returned,
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("merge"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn begin_file(&self, mime: &str) -> Result<String> {
            let request = MikobaseRequest::BeginFile {
                mime: ::std::borrow::ToOwned::to_owned(mime),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[9usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::BeginFile(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("begin_file"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()> {
            let request = MikobaseRequest::PutChunk {
                file: ::std::borrow::ToOwned::to_owned(file),
                index: crate::rpc::travel::argument::bounded(index),
                data: crate::rpc::travel::argument::bounded(data),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[10usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::PutChunk(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("put_chunk"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn end_file(&self, file: &str) -> Result<String> {
            let request = MikobaseRequest::EndFile {
                file: ::std::borrow::ToOwned::to_owned(file),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[11usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::EndFile(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("end_file"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn cancel_file(&self, file: &str) -> Result<()> {
            let request = MikobaseRequest::CancelFile {
                file: ::std::borrow::ToOwned::to_owned(file),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[12usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::CancelFile(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("cancel_file"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn file_info(&self, pk: &str) -> Result<FileInfo> {
            let request = MikobaseRequest::FileInfo {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[13usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::FileInfo(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(crate::rpc::wrong_response("file_info"))
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn file_piece(&self, pk: &str, at: Position) -> Result<Piece> {
            let request = MikobaseRequest::FilePiece {
                pk: ::std::borrow::ToOwned::to_owned(pk),
                at: crate::rpc::travel::argument::bounded(at),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[14usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::FilePiece(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("file_piece"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn delete_file(&self, pk: &str) -> Result<()> {
            let request = MikobaseRequest::DeleteFile {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[15usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::DeleteFile(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("delete_file"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn collect_files(&self) -> Result<Vec<String>> {
            let request = MikobaseRequest::CollectFiles {};
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[16usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::CollectFiles(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("collect_files"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn open_stream(&self, source: Source) -> Result<String> {
            let request = MikobaseRequest::OpenStream {
                source: crate::rpc::travel::argument::bounded(source),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[17usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::OpenStream(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("open_stream"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk> {
            let request = MikobaseRequest::NextChunk {
                stream: ::std::borrow::ToOwned::to_owned(stream),
                index: crate::rpc::travel::argument::bounded(index),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[18usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::NextChunk(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("next_chunk"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn close_stream(&self, stream: &str) -> Result<()> {
            let request = MikobaseRequest::CloseStream {
                stream: ::std::borrow::ToOwned::to_owned(stream),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[19usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::CloseStream(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("close_stream"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn begin_import(&self) -> Result<String> {
            let request = MikobaseRequest::BeginImport {};
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[20usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::BeginImport(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("begin_import"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()> {
            let request = MikobaseRequest::PutImport {
                import: ::std::borrow::ToOwned::to_owned(import),
                index: crate::rpc::travel::argument::bounded(index),
                text: crate::rpc::travel::argument::bounded(text),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[21usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::PutImport(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("put_import"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn end_import(&self, import: &str, trust: bool) -> Result<Imported> {
            let request = MikobaseRequest::EndImport {
                import: ::std::borrow::ToOwned::to_owned(import),
                trust: crate::rpc::travel::argument::bounded(trust),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[22usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::EndImport(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("end_import"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn cancel_import(&self, import: &str) -> Result<()> {
            let request = MikobaseRequest::CancelImport {
                import: ::std::borrow::ToOwned::to_owned(import),
            };
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[23usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::CancelImport(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("cancel_import"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
        fn properties(&self) -> Result<Properties> {
            let request = MikobaseRequest::Properties {};
            let result = crate::rpc::Transport::call(
                &*self.transport,
                &MIKOBASE_SURFACE.methods[24usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(MikobaseResponse::Properties(returned)) => {
                    returned
                }
                ::core::result::Result::Ok(_) => {
                    crate::rpc::Fallible::failed(
                        crate::rpc::wrong_response("properties"),
                    )
                }
                ::core::result::Result::Err(error) => crate::rpc::Fallible::failed(error),
            }
        }
    }
    ///A proxy for callers with a runtime: the methods of [`Mikobase`], async. Its clones share one connection, and what its methods return borrows nothing.
    #[derive(::core::clone::Clone)]
    pub struct MikobaseAsyncClient {
        transport: ::std::sync::Arc<dyn crate::rpc::AsyncTransport<dyn Mikobase>>,
    }
    impl crate::rpc::AsyncProxy for MikobaseAsyncClient {
        type Interface = dyn Mikobase;
        fn new(
            transport: ::std::sync::Arc<dyn crate::rpc::AsyncTransport<dyn Mikobase>>,
        ) -> Self {
            Self { transport }
        }
    }
    impl ::core::fmt::Debug for MikobaseAsyncClient {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_struct(::core::stringify!(MikobaseAsyncClient))
                .finish_non_exhaustive()
        }
    }
    impl MikobaseAsyncClient {
        /**Runs one Q0 request.

# Errors
Every fault of the request at once, or the reason why its action failed. Nothing is changed then.*/
        pub fn q0(
            &self,
            query: Query,
        ) -> impl ::core::future::Future<
            Output = Result<Response>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::Q0 {
                query: crate::rpc::travel::argument::bounded(query),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[0usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::Q0(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(crate::rpc::wrong_response("q0"))
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Checks one Q0 request without running it.

# Errors
Only if the check itself failed: the faults of the request are in the [`Validation`].*/
        pub fn validate(
            &self,
            query: Query,
        ) -> impl ::core::future::Future<
            Output = Result<Validation>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::Validate {
                query: crate::rpc::travel::argument::bounded(query),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[1usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::Validate(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("validate"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns the record with this pk, or `None` if it does not exist or was deleted.

# Errors
Only if the store could not be read.*/
        pub fn record_by_pk(
            &self,
            pk: &str,
        ) -> impl ::core::future::Future<
            Output = Result<Option<Record>>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::RecordByPk {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[2usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::RecordByPk(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("record_by_pk"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns all records of the class and its subclasses, in order of creation.

# Errors
`invalid_request`, if `class` is not a UNS.*/
        pub fn by_class(
            &self,
            class: &str,
        ) -> impl ::core::future::Future<
            Output = Result<Records>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::ByClass {
                class: ::std::borrow::ToOwned::to_owned(class),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[3usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::ByClass(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("by_class"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Runs many requests in one call: independently, or all or none if `atomic`.

# Errors
`request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests; none is
run then. `request-too-large` also if the answers exceed the frame limit of the server: nothing is
changed if `atomic`, otherwise the detail `run` counts the requests that have run.

If `atomic`, the error of the first request that failed, with its index as detail `request`. Nothing
is changed then.*/
        pub fn batch(
            &self,
            queries: Vec<Query>,
            atomic: bool,
        ) -> impl ::core::future::Future<
            Output = Result<Answers>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::Batch {
                queries: crate::rpc::travel::argument::bounded(queries),
                atomic: crate::rpc::travel::argument::bounded(atomic),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[4usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::Batch(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(crate::rpc::wrong_response("batch"))
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns all versions of a record in order of time, in a temporal database. The last version of a
deleted record is a tombstone.

# Errors
`not-temporal`; `record_not_found`.*/
        pub fn history(
            &self,
            pk: &str,
        ) -> impl ::core::future::Future<
            Output = Result<Vec<Version>>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::History {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[5usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::History(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("history"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Defines classes, all or none: missing ones are created, different ones updated, equal ones left
unchanged. Other classes are not affected. Callers may import concurrently.

# Errors
Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
defined; `unique-violation`, if stored records violate a new unique constraint.*/
        pub fn import_schema(
            &self,
            schema: Schema,
        ) -> impl ::core::future::Future<
            Output = Result<SchemaChanges>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::ImportSchema {
                schema: crate::rpc::travel::argument::bounded(schema),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[6usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::ImportSchema(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("import_schema"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns all class definitions in order of creation: `{"classes": {name: definition}}`.

# Errors
Only if the store could not be read.*/
        pub fn export_schema(
            &self,
        ) -> impl ::core::future::Future<
            Output = Result<Schema>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::ExportSchema {};
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[7usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::ExportSchema(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("export_schema"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
equal content is skipped. If one exists with other content, nothing is merged, and that version is
listed as rejected, with the reason. The content of versions is not validated: it was valid where it
was written.

# Errors
`not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.*/
        pub fn merge(
            &self,
            worldlet: Delta,
        ) -> impl ::core::future::Future<
            Output = Result<Merged>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::Merge {
                worldlet: crate::rpc::travel::argument::bounded(worldlet),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[8usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::Merge(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(crate::rpc::wrong_response("merge"))
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Begins a file of a media type such as `image/png` and returns its future pk. The file does not exist
until its chunks were written and it was ended. [`put_file`](crate::MikobaseExt::put_file) performs
all these steps.

# Errors
Only if the store could not be written.*/
        pub fn begin_file(
            &self,
            mime: &str,
        ) -> impl ::core::future::Future<
            Output = Result<String>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::BeginFile {
                mime: ::std::borrow::ToOwned::to_owned(mime),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[9usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::BeginFile(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("begin_file"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Writes the next chunk of a file that was begun, counted from 0. The last chunk may be repeated.

# Errors
`file-not-found`, if no such file is being written; `invalid_request`, if the chunk is out of order,
empty or larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).*/
        pub fn put_chunk(
            &self,
            file: &str,
            index: u64,
            data: Bytes,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::PutChunk {
                file: ::std::borrow::ToOwned::to_owned(file),
                index: crate::rpc::travel::argument::bounded(index),
                data: crate::rpc::travel::argument::bounded(data),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[10usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::PutChunk(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("put_chunk"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Ends a file that was begun: from now on it exists and never changes. Returns the pk of the file with
this content, which differs from `file` if a file with the same content existed before.

# Errors
`file-not-found`, if no such file is being written.*/
        pub fn end_file(
            &self,
            file: &str,
        ) -> impl ::core::future::Future<
            Output = Result<String>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::EndFile {
                file: ::std::borrow::ToOwned::to_owned(file),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[11usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::EndFile(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("end_file"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Discards a file that was begun but not ended.

# Errors
Only if the store could not be written.*/
        pub fn cancel_file(
            &self,
            file: &str,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::CancelFile {
                file: ::std::borrow::ToOwned::to_owned(file),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[12usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::CancelFile(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("cancel_file"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns the metadata of a file.

# Errors
`file-not-found`.*/
        pub fn file_info(
            &self,
            pk: &str,
        ) -> impl ::core::future::Future<
            Output = Result<FileInfo>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::FileInfo {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[13usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::FileInfo(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("file_info"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns a piece of a file and the position of the next one. [`file`](crate::MikobaseExt::file) reads
all of them.

# Errors
`file-not-found`; `invalid_request`, if the position is outside the file.*/
        pub fn file_piece(
            &self,
            pk: &str,
            at: Position,
        ) -> impl ::core::future::Future<
            Output = Result<Piece>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::FilePiece {
                pk: ::std::borrow::ToOwned::to_owned(pk),
                at: crate::rpc::travel::argument::bounded(at),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[14usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::FilePiece(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("file_piece"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Deletes a file.

# Errors
`file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it.*/
        pub fn delete_file(
            &self,
            pk: &str,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::DeleteFile {
                pk: ::std::borrow::ToOwned::to_owned(pk),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[15usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::DeleteFile(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("delete_file"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Deletes the files whose pk occurs in no record and in no version. Returns their pks.

# Errors
Only if the store could not be read or written.*/
        pub fn collect_files(
            &self,
        ) -> impl ::core::future::Future<
            Output = Result<Vec<String>>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::CollectFiles {};
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[16usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::CollectFiles(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("collect_files"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Opens a stream of the current state and returns its name. [`iter`](crate::MikobaseExt::iter) and
[`export_worldlet`](crate::MikobaseExt::export_worldlet) open, read and close a stream.

# Errors
Every fault of the select at once.*/
        pub fn open_stream(
            &self,
            source: Source,
        ) -> impl ::core::future::Future<
            Output = Result<String>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::OpenStream {
                source: crate::rpc::travel::argument::bounded(source),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[17usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::OpenStream(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("open_stream"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns the next chunk of a stream, counted from 0. The last chunk may be requested again.

# Errors
`stream-expired`, if the stream no longer exists; `invalid_request`, if the chunk is out of order.*/
        pub fn next_chunk(
            &self,
            stream: &str,
            index: u64,
        ) -> impl ::core::future::Future<
            Output = Result<Chunk>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::NextChunk {
                stream: ::std::borrow::ToOwned::to_owned(stream),
                index: crate::rpc::travel::argument::bounded(index),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[18usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::NextChunk(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("next_chunk"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Closes a stream, if it is open.

# Errors
None of its own.*/
        pub fn close_stream(
            &self,
            stream: &str,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::CloseStream {
                stream: ::std::borrow::ToOwned::to_owned(stream),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[19usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::CloseStream(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("close_stream"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Begins an import, whose text follows in pieces, and returns its name.
[`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.

# Errors
Only if the text cannot be stored.*/
        pub fn begin_import(
            &self,
        ) -> impl ::core::future::Future<
            Output = Result<String>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::BeginImport {};
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[20usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::BeginImport(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("begin_import"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Sends the next piece of the worldlet, counted from 0. The last piece may be repeated.

# Errors
`stream-expired`, if the import no longer exists; `invalid_request`, if the piece is out of order or
larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE); `storage-full`.*/
        pub fn put_import(
            &self,
            import: &str,
            index: u64,
            text: Bytes,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::PutImport {
                import: ::std::borrow::ToOwned::to_owned(import),
                index: crate::rpc::travel::argument::bounded(index),
                text: crate::rpc::travel::argument::bounded(text),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[21usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::PutImport(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("put_import"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Imports the worldlet that was sent, all or none. With `trust`, validation faults become warnings.

# Errors
`invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if the import no longer
exists.*/
        pub fn end_import(
            &self,
            import: &str,
            trust: bool,
        ) -> impl ::core::future::Future<
            Output = Result<Imported>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::EndImport {
                import: ::std::borrow::ToOwned::to_owned(import),
                trust: crate::rpc::travel::argument::bounded(trust),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[22usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(MikobaseResponse::EndImport(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("end_import"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Discards the text of an import.

# Errors
None of its own.*/
        pub fn cancel_import(
            &self,
            import: &str,
        ) -> impl ::core::future::Future<
            Output = Result<()>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::CancelImport {
                import: ::std::borrow::ToOwned::to_owned(import),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[23usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::CancelImport(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("cancel_import"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        /**Returns the properties of this database.

# Errors
Only if the store could not be read.*/
        pub fn properties(
            &self,
        ) -> impl ::core::future::Future<
            Output = Result<Properties>,
        > + ::core::marker::Send + use<> {
            let request = MikobaseRequest::Properties {};
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = crate::rpc::AsyncTransport::call(
                        &*transport,
                        &MIKOBASE_SURFACE.methods[24usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(
                        MikobaseResponse::Properties(returned),
                    ) => returned,
                    ::core::result::Result::Ok(_) => {
                        crate::rpc::Fallible::failed(
                            crate::rpc::wrong_response("properties"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        crate::rpc::Fallible::failed(error)
                    }
                }
            }
        }
    }
    impl crate::rpc::Interface for dyn Mikobase {
        type Request = MikobaseRequest;
        type Response = MikobaseResponse;
        type Client = MikobaseClient;
        type AsyncClient = MikobaseAsyncClient;
        fn surface() -> &'static crate::rpc::Surface {
            MIKOBASE_SURFACE
        }
        fn serve(&self, request: MikobaseRequest) -> MikobaseResponse {
            match request {
                MikobaseRequest::Q0 { query } => {
                    MikobaseResponse::Q0(
                        crate::rpc::guard("q0", || Mikobase::q0(self, query)),
                    )
                }
                MikobaseRequest::Validate { query } => {
                    MikobaseResponse::Validate(
                        crate::rpc::guard("validate", || Mikobase::validate(self, query)),
                    )
                }
                MikobaseRequest::RecordByPk { pk } => {
                    MikobaseResponse::RecordByPk(
                        crate::rpc::guard(
                            "record_by_pk",
                            || Mikobase::record_by_pk(self, &pk),
                        ),
                    )
                }
                MikobaseRequest::ByClass { class } => {
                    MikobaseResponse::ByClass(
                        crate::rpc::guard(
                            "by_class",
                            || Mikobase::by_class(self, &class),
                        ),
                    )
                }
                MikobaseRequest::Batch { queries, atomic } => {
                    MikobaseResponse::Batch(
                        crate::rpc::guard(
                            "batch",
                            || Mikobase::batch(self, queries, atomic),
                        ),
                    )
                }
                MikobaseRequest::History { pk } => {
                    MikobaseResponse::History(
                        crate::rpc::guard("history", || Mikobase::history(self, &pk)),
                    )
                }
                MikobaseRequest::ImportSchema { schema } => {
                    MikobaseResponse::ImportSchema(
                        crate::rpc::guard(
                            "import_schema",
                            || Mikobase::import_schema(self, schema),
                        ),
                    )
                }
                MikobaseRequest::ExportSchema {} => {
                    MikobaseResponse::ExportSchema(
                        crate::rpc::guard(
                            "export_schema",
                            || Mikobase::export_schema(self),
                        ),
                    )
                }
                MikobaseRequest::Merge { worldlet } => {
                    MikobaseResponse::Merge(
                        crate::rpc::guard("merge", || Mikobase::merge(self, worldlet)),
                    )
                }
                MikobaseRequest::BeginFile { mime } => {
                    MikobaseResponse::BeginFile(
                        crate::rpc::guard(
                            "begin_file",
                            || Mikobase::begin_file(self, &mime),
                        ),
                    )
                }
                MikobaseRequest::PutChunk { file, index, data } => {
                    MikobaseResponse::PutChunk(
                        crate::rpc::guard(
                            "put_chunk",
                            || Mikobase::put_chunk(self, &file, index, data),
                        ),
                    )
                }
                MikobaseRequest::EndFile { file } => {
                    MikobaseResponse::EndFile(
                        crate::rpc::guard("end_file", || Mikobase::end_file(self, &file)),
                    )
                }
                MikobaseRequest::CancelFile { file } => {
                    MikobaseResponse::CancelFile(
                        crate::rpc::guard(
                            "cancel_file",
                            || Mikobase::cancel_file(self, &file),
                        ),
                    )
                }
                MikobaseRequest::FileInfo { pk } => {
                    MikobaseResponse::FileInfo(
                        crate::rpc::guard("file_info", || Mikobase::file_info(self, &pk)),
                    )
                }
                MikobaseRequest::FilePiece { pk, at } => {
                    MikobaseResponse::FilePiece(
                        crate::rpc::guard(
                            "file_piece",
                            || Mikobase::file_piece(self, &pk, at),
                        ),
                    )
                }
                MikobaseRequest::DeleteFile { pk } => {
                    MikobaseResponse::DeleteFile(
                        crate::rpc::guard(
                            "delete_file",
                            || Mikobase::delete_file(self, &pk),
                        ),
                    )
                }
                MikobaseRequest::CollectFiles {} => {
                    MikobaseResponse::CollectFiles(
                        crate::rpc::guard(
                            "collect_files",
                            || Mikobase::collect_files(self),
                        ),
                    )
                }
                MikobaseRequest::OpenStream { source } => {
                    MikobaseResponse::OpenStream(
                        crate::rpc::guard(
                            "open_stream",
                            || Mikobase::open_stream(self, source),
                        ),
                    )
                }
                MikobaseRequest::NextChunk { stream, index } => {
                    MikobaseResponse::NextChunk(
                        crate::rpc::guard(
                            "next_chunk",
                            || Mikobase::next_chunk(self, &stream, index),
                        ),
                    )
                }
                MikobaseRequest::CloseStream { stream } => {
                    MikobaseResponse::CloseStream(
                        crate::rpc::guard(
                            "close_stream",
                            || Mikobase::close_stream(self, &stream),
                        ),
                    )
                }
                MikobaseRequest::BeginImport {} => {
                    MikobaseResponse::BeginImport(
                        crate::rpc::guard(
                            "begin_import",
                            || Mikobase::begin_import(self),
                        ),
                    )
                }
                MikobaseRequest::PutImport { import, index, text } => {
                    MikobaseResponse::PutImport(
                        crate::rpc::guard(
                            "put_import",
                            || Mikobase::put_import(self, &import, index, text),
                        ),
                    )
                }
                MikobaseRequest::EndImport { import, trust } => {
                    MikobaseResponse::EndImport(
                        crate::rpc::guard(
                            "end_import",
                            || Mikobase::end_import(self, &import, trust),
                        ),
                    )
                }
                MikobaseRequest::CancelImport { import } => {
                    MikobaseResponse::CancelImport(
                        crate::rpc::guard(
                            "cancel_import",
                            || Mikobase::cancel_import(self, &import),
                        ),
                    )
                }
                MikobaseRequest::Properties {} => {
                    MikobaseResponse::Properties(
                        crate::rpc::guard("properties", || Mikobase::properties(self)),
                    )
                }
            }
        }
        fn dispatch(
            &self,
            method: &str,
            params: crate::rpc::serde_json::Value,
        ) -> ::core::result::Result<
            ::std::boxed::Box<crate::rpc::serde_json::value::RawValue>,
            crate::rpc::DispatchError,
        > {
            match method {
                "q0" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[0usize],
                        params,
                    );
                    let query = params.take::<Query>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(query),) = (query,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("q0", || Mikobase::q0(self, query)),
                    )
                }
                "validate" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[1usize],
                        params,
                    );
                    let query = params.take::<Query>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(query),) = (query,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("validate", || Mikobase::validate(self, query)),
                    )
                }
                "record_by_pk" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[2usize],
                        params,
                    );
                    let pk = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(pk),) = (pk,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "record_by_pk",
                            || Mikobase::record_by_pk(self, &pk),
                        ),
                    )
                }
                "by_class" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[3usize],
                        params,
                    );
                    let class = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(class),) = (class,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "by_class",
                            || Mikobase::by_class(self, &class),
                        ),
                    )
                }
                "batch" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[4usize],
                        params,
                    );
                    let queries = params.take::<Vec<Query>>(0usize);
                    let atomic = params.take::<bool>(1usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(queries),
                        ::core::option::Option::Some(atomic),
                    ) = (queries, atomic) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "batch",
                            || Mikobase::batch(self, queries, atomic),
                        ),
                    )
                }
                "history" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[5usize],
                        params,
                    );
                    let pk = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(pk),) = (pk,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("history", || Mikobase::history(self, &pk)),
                    )
                }
                "import_schema" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[6usize],
                        params,
                    );
                    let schema = params.take::<Schema>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(schema),) = (schema,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "import_schema",
                            || Mikobase::import_schema(self, schema),
                        ),
                    )
                }
                "export_schema" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[7usize],
                        params,
                    );
                    params.finish()?;
                    crate::rpc::render(
                        crate::rpc::guard(
                            "export_schema",
                            || Mikobase::export_schema(self),
                        ),
                    )
                }
                "merge" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[8usize],
                        params,
                    );
                    let worldlet = params.take::<Delta>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(worldlet),) = (worldlet,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("merge", || Mikobase::merge(self, worldlet)),
                    )
                }
                "begin_file" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[9usize],
                        params,
                    );
                    let mime = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(mime),) = (mime,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "begin_file",
                            || Mikobase::begin_file(self, &mime),
                        ),
                    )
                }
                "put_chunk" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[10usize],
                        params,
                    );
                    let file = params.take::<::std::string::String>(0usize);
                    let index = params.take::<u64>(1usize);
                    let data = params.take::<Bytes>(2usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(file),
                        ::core::option::Option::Some(index),
                        ::core::option::Option::Some(data),
                    ) = (file, index, data) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "put_chunk",
                            || Mikobase::put_chunk(self, &file, index, data),
                        ),
                    )
                }
                "end_file" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[11usize],
                        params,
                    );
                    let file = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(file),) = (file,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("end_file", || Mikobase::end_file(self, &file)),
                    )
                }
                "cancel_file" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[12usize],
                        params,
                    );
                    let file = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(file),) = (file,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "cancel_file",
                            || Mikobase::cancel_file(self, &file),
                        ),
                    )
                }
                "file_info" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[13usize],
                        params,
                    );
                    let pk = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(pk),) = (pk,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard("file_info", || Mikobase::file_info(self, &pk)),
                    )
                }
                "file_piece" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[14usize],
                        params,
                    );
                    let pk = params.take::<::std::string::String>(0usize);
                    let at = params.take::<Position>(1usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(pk),
                        ::core::option::Option::Some(at),
                    ) = (pk, at) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "file_piece",
                            || Mikobase::file_piece(self, &pk, at),
                        ),
                    )
                }
                "delete_file" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[15usize],
                        params,
                    );
                    let pk = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(pk),) = (pk,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "delete_file",
                            || Mikobase::delete_file(self, &pk),
                        ),
                    )
                }
                "collect_files" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[16usize],
                        params,
                    );
                    params.finish()?;
                    crate::rpc::render(
                        crate::rpc::guard(
                            "collect_files",
                            || Mikobase::collect_files(self),
                        ),
                    )
                }
                "open_stream" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[17usize],
                        params,
                    );
                    let source = params.take::<Source>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(source),) = (source,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "open_stream",
                            || Mikobase::open_stream(self, source),
                        ),
                    )
                }
                "next_chunk" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[18usize],
                        params,
                    );
                    let stream = params.take::<::std::string::String>(0usize);
                    let index = params.take::<u64>(1usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(stream),
                        ::core::option::Option::Some(index),
                    ) = (stream, index) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "next_chunk",
                            || Mikobase::next_chunk(self, &stream, index),
                        ),
                    )
                }
                "close_stream" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[19usize],
                        params,
                    );
                    let stream = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(stream),) = (stream,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "close_stream",
                            || Mikobase::close_stream(self, &stream),
                        ),
                    )
                }
                "begin_import" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[20usize],
                        params,
                    );
                    params.finish()?;
                    crate::rpc::render(
                        crate::rpc::guard(
                            "begin_import",
                            || Mikobase::begin_import(self),
                        ),
                    )
                }
                "put_import" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[21usize],
                        params,
                    );
                    let import = params.take::<::std::string::String>(0usize);
                    let index = params.take::<u64>(1usize);
                    let text = params.take::<Bytes>(2usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(import),
                        ::core::option::Option::Some(index),
                        ::core::option::Option::Some(text),
                    ) = (import, index, text) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "put_import",
                            || Mikobase::put_import(self, &import, index, text),
                        ),
                    )
                }
                "end_import" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[22usize],
                        params,
                    );
                    let import = params.take::<::std::string::String>(0usize);
                    let trust = params.take::<bool>(1usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(import),
                        ::core::option::Option::Some(trust),
                    ) = (import, trust) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "end_import",
                            || Mikobase::end_import(self, &import, trust),
                        ),
                    )
                }
                "cancel_import" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[23usize],
                        params,
                    );
                    let import = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(import),) = (import,) else {
                        return ::core::result::Result::Err(
                            crate::rpc::unknown_method(MIKOBASE_SURFACE, method),
                        );
                    };
                    crate::rpc::render(
                        crate::rpc::guard(
                            "cancel_import",
                            || Mikobase::cancel_import(self, &import),
                        ),
                    )
                }
                "properties" => {
                    let mut params = crate::rpc::Params::new(
                        &MIKOBASE_SURFACE.methods[24usize],
                        params,
                    );
                    params.finish()?;
                    crate::rpc::render(
                        crate::rpc::guard("properties", || Mikobase::properties(self)),
                    )
                }
                unknown => {
                    ::core::result::Result::Err(
                        crate::rpc::unknown_method(MIKOBASE_SURFACE, unknown),
                    )
                }
            }
        }
    }
    ///Serves any [`Mikobase`] on a tarpc channel, one call at a time.
    pub type MikobaseServer = crate::rpc::TarpcServer<dyn Mikobase>;
}

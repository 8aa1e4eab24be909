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
    #[automatically_derived]
    impl<__I: crate::rpc::Interface + Mikobase + ?::core::marker::Sized> Mikobase
    for crate::rpc::Client<__I> {
        fn q0(&self, query: Query) -> Result<Response> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[0usize],
                (&crate::rpc::bounded(query), ()),
            )
        }
        fn validate(&self, query: Query) -> Result<Validation> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[1usize],
                (&crate::rpc::bounded(query), ()),
            )
        }
        fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[2usize],
                (crate::rpc::bounded_ref(pk), ()),
            )
        }
        fn by_class(&self, class: &str) -> Result<Records> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[3usize],
                (crate::rpc::bounded_ref(class), ()),
            )
        }
        fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[4usize],
                (&crate::rpc::bounded(queries), (&crate::rpc::bounded(atomic), ())),
            )
        }
        fn history(&self, pk: &str) -> Result<Vec<Version>> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[5usize],
                (crate::rpc::bounded_ref(pk), ()),
            )
        }
        fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[6usize],
                (&crate::rpc::bounded(schema), ()),
            )
        }
        fn export_schema(&self) -> Result<Schema> {
            crate::rpc::call(self, &mikobase_rpc::MIKOBASE_SURFACE.methods[7usize], ())
        }
        fn merge(&self, worldlet: Delta) -> Result<Merged> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[8usize],
                (&crate::rpc::bounded(worldlet), ()),
            )
        }
        fn begin_file(&self, mime: &str) -> Result<String> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[9usize],
                (crate::rpc::bounded_ref(mime), ()),
            )
        }
        fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[10usize],
                (
                    crate::rpc::bounded_ref(file),
                    (&crate::rpc::bounded(index), (&crate::rpc::bounded(data), ())),
                ),
            )
        }
        fn end_file(&self, file: &str) -> Result<String> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[11usize],
                (crate::rpc::bounded_ref(file), ()),
            )
        }
        fn cancel_file(&self, file: &str) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[12usize],
                (crate::rpc::bounded_ref(file), ()),
            )
        }
        fn file_info(&self, pk: &str) -> Result<FileInfo> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[13usize],
                (crate::rpc::bounded_ref(pk), ()),
            )
        }
        fn file_piece(&self, pk: &str, at: Position) -> Result<Piece> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[14usize],
                (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(at), ())),
            )
        }
        fn delete_file(&self, pk: &str) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[15usize],
                (crate::rpc::bounded_ref(pk), ()),
            )
        }
        fn collect_files(&self) -> Result<Vec<String>> {
            crate::rpc::call(self, &mikobase_rpc::MIKOBASE_SURFACE.methods[16usize], ())
        }
        fn open_stream(&self, source: Source) -> Result<String> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[17usize],
                (&crate::rpc::bounded(source), ()),
            )
        }
        fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[18usize],
                (crate::rpc::bounded_ref(stream), (&crate::rpc::bounded(index), ())),
            )
        }
        fn close_stream(&self, stream: &str) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[19usize],
                (crate::rpc::bounded_ref(stream), ()),
            )
        }
        fn begin_import(&self) -> Result<String> {
            crate::rpc::call(self, &mikobase_rpc::MIKOBASE_SURFACE.methods[20usize], ())
        }
        fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[21usize],
                (
                    crate::rpc::bounded_ref(import),
                    (&crate::rpc::bounded(index), (&crate::rpc::bounded(text), ())),
                ),
            )
        }
        fn end_import(&self, import: &str, trust: bool) -> Result<Imported> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[22usize],
                (crate::rpc::bounded_ref(import), (&crate::rpc::bounded(trust), ())),
            )
        }
        fn cancel_import(&self, import: &str) -> Result<()> {
            crate::rpc::call(
                self,
                &mikobase_rpc::MIKOBASE_SURFACE.methods[23usize],
                (crate::rpc::bounded_ref(import), ()),
            )
        }
        fn properties(&self) -> Result<Properties> {
            crate::rpc::call(self, &mikobase_rpc::MIKOBASE_SURFACE.methods[24usize], ())
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
        fn begin_file(&self, mime: &str) -> Result<String> {
            Mikobase::begin_file(&**self, mime)
        }
        fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()> {
            Mikobase::put_chunk(&**self, file, index, data)
        }
        fn end_file(&self, file: &str) -> Result<String> {
            Mikobase::end_file(&**self, file)
        }
        fn cancel_file(&self, file: &str) -> Result<()> {
            Mikobase::cancel_file(&**self, file)
        }
        fn file_info(&self, pk: &str) -> Result<FileInfo> {
            Mikobase::file_info(&**self, pk)
        }
        fn file_piece(&self, pk: &str, at: Position) -> Result<Piece> {
            Mikobase::file_piece(&**self, pk, at)
        }
        fn delete_file(&self, pk: &str) -> Result<()> {
            Mikobase::delete_file(&**self, pk)
        }
        fn collect_files(&self) -> Result<Vec<String>> {
            Mikobase::collect_files(&**self)
        }
        fn open_stream(&self, source: Source) -> Result<String> {
            Mikobase::open_stream(&**self, source)
        }
        fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk> {
            Mikobase::next_chunk(&**self, stream, index)
        }
        fn close_stream(&self, stream: &str) -> Result<()> {
            Mikobase::close_stream(&**self, stream)
        }
        fn begin_import(&self) -> Result<String> {
            Mikobase::begin_import(&**self)
        }
        fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()> {
            Mikobase::put_import(&**self, import, index, text)
        }
        fn end_import(&self, import: &str, trust: bool) -> Result<Imported> {
            Mikobase::end_import(&**self, import, trust)
        }
        fn cancel_import(&self, import: &str) -> Result<()> {
            Mikobase::cancel_import(&**self, import)
        }
        fn properties(&self) -> Result<Properties> {
            Mikobase::properties(&**self)
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
                "batch",
                "history",
                "import_schema",
                "export_schema",
                "merge",
                "begin_file",
                "put_chunk",
                "end_file",
                "cancel_file",
                "file_info",
                "file_piece",
                "delete_file",
                "collect_files",
                "open_stream",
                "next_chunk",
                "close_stream",
                "begin_import",
                "put_import",
                "end_import",
                "cancel_import",
                "properties",
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
                            "class" : ::std::string::String, } "batch" -> Result <
                            Answers > { "queries" : Vec < Query >, "atomic" : bool, }
                            "history" -> Result < Vec < Version > > { "pk" :
                            ::std::string::String, } "import_schema" -> Result <
                            SchemaChanges > { "schema" : Schema, } "export_schema" ->
                            Result < Schema > {} "merge" -> Result < Merged > {
                            "worldlet" : Delta, } "begin_file" -> Result < String > {
                            "mime" : ::std::string::String, } "put_chunk" -> Result < ()
                            > { "file" : ::std::string::String, "index" : u64, "data" :
                            Bytes, } "end_file" -> Result < String > { "file" :
                            ::std::string::String, } "cancel_file" -> Result < () > {
                            "file" : ::std::string::String, } "file_info" -> Result <
                            FileInfo > { "pk" : ::std::string::String, } "file_piece" ->
                            Result < Piece > { "pk" : ::std::string::String, "at" :
                            Position, } "delete_file" -> Result < () > { "pk" :
                            ::std::string::String, } "collect_files" -> Result < Vec <
                            String > > {} "open_stream" -> Result < String > { "source" :
                            Source, } "next_chunk" -> Result < Chunk > { "stream" :
                            ::std::string::String, "index" : u64, } "close_stream" ->
                            Result < () > { "stream" : ::std::string::String, }
                            "begin_import" -> Result < String > {} "put_import" -> Result
                            < () > { "import" : ::std::string::String, "index" : u64,
                            "text" : Bytes, } "end_import" -> Result < Imported > {
                            "import" : ::std::string::String, "trust" : bool, }
                            "cancel_import" -> Result < () > { "import" :
                            ::std::string::String, } "properties" -> Result < Properties
                            > {}
                        },
                    )
            });
            &__SURFACE
        }
        #[cfg(not(feature = "schema"))]
        fn own_surface() -> &'static crate::rpc::Surface {
            mikobase_rpc::MIKOBASE_SURFACE
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
                "batch" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[4usize],
                        |(queries, (atomic, ())): (Vec<Query>, (bool, ()))| Mikobase::batch(
                            self,
                            queries,
                            atomic,
                        ),
                    )
                }
                "history" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[5usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::history(
                            self,
                            &pk,
                        ),
                    )
                }
                "import_schema" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[6usize],
                        |(schema, ()): (Schema, ())| Mikobase::import_schema(
                            self,
                            schema,
                        ),
                    )
                }
                "export_schema" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[7usize],
                        |(): ()| Mikobase::export_schema(self),
                    )
                }
                "merge" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[8usize],
                        |(worldlet, ()): (Delta, ())| Mikobase::merge(self, worldlet),
                    )
                }
                "begin_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[9usize],
                        |(mime, ()): (::std::string::String, ())| Mikobase::begin_file(
                            self,
                            &mime,
                        ),
                    )
                }
                "put_chunk" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[10usize],
                        |
                            (
                                file,
                                (index, (data, ())),
                            ): (::std::string::String, (u64, (Bytes, ())))|
                        Mikobase::put_chunk(self, &file, index, data),
                    )
                }
                "end_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[11usize],
                        |(file, ()): (::std::string::String, ())| Mikobase::end_file(
                            self,
                            &file,
                        ),
                    )
                }
                "cancel_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[12usize],
                        |(file, ()): (::std::string::String, ())| Mikobase::cancel_file(
                            self,
                            &file,
                        ),
                    )
                }
                "file_info" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[13usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::file_info(
                            self,
                            &pk,
                        ),
                    )
                }
                "file_piece" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[14usize],
                        |(pk, (at, ())): (::std::string::String, (Position, ()))| Mikobase::file_piece(
                            self,
                            &pk,
                            at,
                        ),
                    )
                }
                "delete_file" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[15usize],
                        |(pk, ()): (::std::string::String, ())| Mikobase::delete_file(
                            self,
                            &pk,
                        ),
                    )
                }
                "collect_files" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[16usize],
                        |(): ()| Mikobase::collect_files(self),
                    )
                }
                "open_stream" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[17usize],
                        |(source, ()): (Source, ())| Mikobase::open_stream(self, source),
                    )
                }
                "next_chunk" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[18usize],
                        |(stream, (index, ())): (::std::string::String, (u64, ()))| Mikobase::next_chunk(
                            self,
                            &stream,
                            index,
                        ),
                    )
                }
                "close_stream" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[19usize],
                        |(stream, ()): (::std::string::String, ())| Mikobase::close_stream(
                            self,
                            &stream,
                        ),
                    )
                }
                "begin_import" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[20usize],
                        |(): ()| Mikobase::begin_import(self),
                    )
                }
                "put_import" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[21usize],
                        |
                            (
                                import,
                                (index, (text, ())),
                            ): (::std::string::String, (u64, (Bytes, ())))|
                        Mikobase::put_import(self, &import, index, text),
                    )
                }
                "end_import" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[22usize],
                        |(import, (trust, ())): (::std::string::String, (bool, ()))| Mikobase::end_import(
                            self,
                            &import,
                            trust,
                        ),
                    )
                }
                "cancel_import" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[23usize],
                        |(import, ()): (::std::string::String, ())| Mikobase::cancel_import(
                            self,
                            &import,
                        ),
                    )
                }
                "properties" => {
                    call.run(
                        &mikobase_rpc::MIKOBASE_SURFACE.methods[24usize],
                        |(): ()| Mikobase::properties(self),
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
#[cfg(feature = "rpc")]
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
Only if the store could not be read.*/
            fn record_by_pk(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Option<Record>>>;
            /**Returns all records of the class and its subclasses, in order of creation.

# Errors
`invalid_request`, if `class` is not a UNS.*/
            fn by_class(&self, class: &str) -> crate::rpc::PendingCall<Result<Records>>;
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
`not-temporal`; `record_not_found`.*/
            fn history(&self, pk: &str) -> crate::rpc::PendingCall<Result<Vec<Version>>>;
            /**Defines classes, all or none: missing ones are created, different ones updated, equal ones left
unchanged. Other classes are not affected. Callers may import concurrently.

# Errors
Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
defined; `unique-violation`, if stored records violate a new unique constraint.*/
            fn import_schema(
                &self,
                schema: Schema,
            ) -> crate::rpc::PendingCall<Result<SchemaChanges>>;
            /**Returns all class definitions in order of creation: `{"classes": {name: definition}}`.

# Errors
Only if the store could not be read.*/
            fn export_schema(&self) -> crate::rpc::PendingCall<Result<Schema>>;
            /**Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
equal content is skipped. If one exists with other content, nothing is merged, and that version is
listed as rejected, with the reason. The content of versions is not validated: it was valid where it
was written.

# Errors
`not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.*/
            fn merge(&self, worldlet: Delta) -> crate::rpc::PendingCall<Result<Merged>>;
            /**Begins a file of a media type such as `image/png` and returns its future pk. The file does not exist
until its chunks were written and it was ended. [`put_file`](crate::MikobaseExt::put_file) performs
all these steps.

# Errors
Only if the store could not be written.*/
            fn begin_file(&self, mime: &str) -> crate::rpc::PendingCall<Result<String>>;
            /**Writes the next chunk of a file that was begun, counted from 0. The last chunk may be repeated.

# Errors
`file-not-found`, if no such file is being written; `invalid_request`, if the chunk is out of order,
empty or larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).*/
            fn put_chunk(
                &self,
                file: &str,
                index: u64,
                data: Bytes,
            ) -> crate::rpc::PendingCall<Result<()>>;
            /**Ends a file that was begun: from now on it exists and never changes. Returns the pk of the file with
this content, which differs from `file` if a file with the same content existed before.

# Errors
`file-not-found`, if no such file is being written.*/
            fn end_file(&self, file: &str) -> crate::rpc::PendingCall<Result<String>>;
            /**Discards a file that was begun but not ended.

# Errors
Only if the store could not be written.*/
            fn cancel_file(&self, file: &str) -> crate::rpc::PendingCall<Result<()>>;
            /**Returns the metadata of a file.

# Errors
`file-not-found`.*/
            fn file_info(&self, pk: &str) -> crate::rpc::PendingCall<Result<FileInfo>>;
            /**Returns a piece of a file and the position of the next one. [`file`](crate::MikobaseExt::file) reads
all of them.

# Errors
`file-not-found`; `invalid_request`, if the position is outside the file.*/
            fn file_piece(
                &self,
                pk: &str,
                at: Position,
            ) -> crate::rpc::PendingCall<Result<Piece>>;
            /**Deletes a file.

# Errors
`file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it.*/
            fn delete_file(&self, pk: &str) -> crate::rpc::PendingCall<Result<()>>;
            /**Deletes the files whose pk occurs in no record and in no version. Returns their pks.

# Errors
Only if the store could not be read or written.*/
            fn collect_files(&self) -> crate::rpc::PendingCall<Result<Vec<String>>>;
            /**Opens a stream of the current state and returns its name. [`iter`](crate::MikobaseExt::iter) and
[`export_worldlet`](crate::MikobaseExt::export_worldlet) open, read and close a stream.

# Errors
Every fault of the select at once.*/
            fn open_stream(
                &self,
                source: Source,
            ) -> crate::rpc::PendingCall<Result<String>>;
            /**Returns the next chunk of a stream, counted from 0. The last chunk may be requested again.

# Errors
`stream-expired`, if the stream no longer exists; `invalid_request`, if the chunk is out of order.*/
            fn next_chunk(
                &self,
                stream: &str,
                index: u64,
            ) -> crate::rpc::PendingCall<Result<Chunk>>;
            /**Closes a stream, if it is open.

# Errors
None of its own.*/
            fn close_stream(&self, stream: &str) -> crate::rpc::PendingCall<Result<()>>;
            /**Begins an import, whose text follows in pieces, and returns its name.
[`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.

# Errors
Only if the text cannot be stored.*/
            fn begin_import(&self) -> crate::rpc::PendingCall<Result<String>>;
            /**Sends the next piece of the worldlet, counted from 0. The last piece may be repeated.

# Errors
`stream-expired`, if the import no longer exists; `invalid_request`, if the piece is out of order or
larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE); `storage-full`.*/
            fn put_import(
                &self,
                import: &str,
                index: u64,
                text: Bytes,
            ) -> crate::rpc::PendingCall<Result<()>>;
            /**Imports the worldlet that was sent, all or none. With `trust`, validation faults become warnings.

# Errors
`invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if the import no longer
exists.*/
            fn end_import(
                &self,
                import: &str,
                trust: bool,
            ) -> crate::rpc::PendingCall<Result<Imported>>;
            /**Discards the text of an import.

# Errors
None of its own.*/
            fn cancel_import(&self, import: &str) -> crate::rpc::PendingCall<Result<()>>;
            /**Returns the properties of this database.

# Errors
Only if the store could not be read.*/
            fn properties(&self) -> crate::rpc::PendingCall<Result<Properties>>;
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
            fn batch(
                &self,
                queries: Vec<Query>,
                atomic: bool,
            ) -> crate::rpc::PendingCall<Result<Answers>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[4usize],
                    (&crate::rpc::bounded(queries), (&crate::rpc::bounded(atomic), ())),
                )
            }
            fn history(
                &self,
                pk: &str,
            ) -> crate::rpc::PendingCall<Result<Vec<Version>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[5usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn import_schema(
                &self,
                schema: Schema,
            ) -> crate::rpc::PendingCall<Result<SchemaChanges>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[6usize],
                    (&crate::rpc::bounded(schema), ()),
                )
            }
            fn export_schema(&self) -> crate::rpc::PendingCall<Result<Schema>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[7usize],
                    (),
                )
            }
            fn merge(&self, worldlet: Delta) -> crate::rpc::PendingCall<Result<Merged>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[8usize],
                    (&crate::rpc::bounded(worldlet), ()),
                )
            }
            fn begin_file(&self, mime: &str) -> crate::rpc::PendingCall<Result<String>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[9usize],
                    (crate::rpc::bounded_ref(mime), ()),
                )
            }
            fn put_chunk(
                &self,
                file: &str,
                index: u64,
                data: Bytes,
            ) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[10usize],
                    (
                        crate::rpc::bounded_ref(file),
                        (&crate::rpc::bounded(index), (&crate::rpc::bounded(data), ())),
                    ),
                )
            }
            fn end_file(&self, file: &str) -> crate::rpc::PendingCall<Result<String>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[11usize],
                    (crate::rpc::bounded_ref(file), ()),
                )
            }
            fn cancel_file(&self, file: &str) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[12usize],
                    (crate::rpc::bounded_ref(file), ()),
                )
            }
            fn file_info(&self, pk: &str) -> crate::rpc::PendingCall<Result<FileInfo>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[13usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn file_piece(
                &self,
                pk: &str,
                at: Position,
            ) -> crate::rpc::PendingCall<Result<Piece>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[14usize],
                    (crate::rpc::bounded_ref(pk), (&crate::rpc::bounded(at), ())),
                )
            }
            fn delete_file(&self, pk: &str) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[15usize],
                    (crate::rpc::bounded_ref(pk), ()),
                )
            }
            fn collect_files(&self) -> crate::rpc::PendingCall<Result<Vec<String>>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[16usize],
                    (),
                )
            }
            fn open_stream(
                &self,
                source: Source,
            ) -> crate::rpc::PendingCall<Result<String>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[17usize],
                    (&crate::rpc::bounded(source), ()),
                )
            }
            fn next_chunk(
                &self,
                stream: &str,
                index: u64,
            ) -> crate::rpc::PendingCall<Result<Chunk>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[18usize],
                    (crate::rpc::bounded_ref(stream), (&crate::rpc::bounded(index), ())),
                )
            }
            fn close_stream(&self, stream: &str) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[19usize],
                    (crate::rpc::bounded_ref(stream), ()),
                )
            }
            fn begin_import(&self) -> crate::rpc::PendingCall<Result<String>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[20usize],
                    (),
                )
            }
            fn put_import(
                &self,
                import: &str,
                index: u64,
                text: Bytes,
            ) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[21usize],
                    (
                        crate::rpc::bounded_ref(import),
                        (&crate::rpc::bounded(index), (&crate::rpc::bounded(text), ())),
                    ),
                )
            }
            fn end_import(
                &self,
                import: &str,
                trust: bool,
            ) -> crate::rpc::PendingCall<Result<Imported>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[22usize],
                    (crate::rpc::bounded_ref(import), (&crate::rpc::bounded(trust), ())),
                )
            }
            fn cancel_import(
                &self,
                import: &str,
            ) -> crate::rpc::PendingCall<Result<()>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[23usize],
                    (crate::rpc::bounded_ref(import), ()),
                )
            }
            fn properties(&self) -> crate::rpc::PendingCall<Result<Properties>> {
                crate::rpc::call_async(
                    self,
                    &super::MIKOBASE_SURFACE.methods[24usize],
                    (),
                )
            }
        }
    }
}

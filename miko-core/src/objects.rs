//! Uploads and imports: objects that a Mikobase returns. They end with the connection of their caller.

use miko_macros::mikobase_interface;
use miko_rpc::{Bytes, Result};

use crate::worldlet::Imported;

/// A file that is being written. Dropping it before it is finished discards it.
///
/// ```
/// use miko_core::{Mikobase, MikobaseExt, SqliteEngine, Upload};
///
/// let db = SqliteEngine::in_memory()?;
/// let upload = db.write_file("text/plain")?;
/// upload.put(b"make ".to_vec().into())?;
/// upload.put(b"it so".to_vec().into())?;
/// let pk = upload.finish()?;
/// assert_eq!(db.file_info(&pk)?.size, 10);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[mikobase_interface(crate = crate, schema(feature = "schema"))]
pub trait Upload: Send + Sync {
    /// Appends a piece. A call that fails appends nothing.
    ///
    /// # Errors
    /// `invalid_request`, if the piece is larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE) or the file
    /// was finished; `storage-full`; `not-writable`, if the server cannot keep the piece in a temporary file.
    fn put(&self, data: Bytes) -> Result<()>;

    /// Finishes the file: from now on it exists and never changes. Returns its pk, or the pk of an existing
    /// file with the same content. Further calls return the same pk.
    ///
    /// # Errors
    /// `lock-timeout`, if the turn to write does not come in time; `storage-full`, if the disk is full or too
    /// many calls wait for their turn; another error, if the store cannot be written. The call may be
    /// repeated.
    #[interface(deadline = "24h")]
    fn finish(&self) -> Result<String>;
}

/// An import whose text is being sent. Dropping it before it is finished discards the text.
///
/// ```
/// use miko_core::{Import, Mikobase, SqliteEngine};
///
/// let db = SqliteEngine::in_memory()?;
/// let trust = false;
/// let import = db.import(trust)?;
/// import.put(br#"{"records": {"spock": {"class": "#.to_vec().into())?;
/// import.put(br#""starfleet.com/officer", "bucket": {}}}}"#.to_vec().into())?;
/// assert_eq!(import.finish()?.records, 1);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[mikobase_interface(crate = crate, schema(feature = "schema"))]
pub trait Import: Send + Sync {
    /// Appends a piece of the worldlet. A call that fails appends nothing.
    ///
    /// # Errors
    /// `invalid_request`, if the import was finished; `storage-full`; `not-writable`, if the server cannot
    /// keep the text in a temporary file.
    fn put(&self, text: Bytes) -> Result<()>;

    /// Imports the worldlet, all or none. The import ends with this call, even if the worldlet is refused. It
    /// stays open only if the call did not get its turn to write.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; `save-rejected` by a hook;
    /// `storage-full`, if the memory or the disk is full; `invalid_request`, if the import was finished
    /// before. If the turn to write does not come in time (`lock-timeout`), or too many calls wait for their
    /// turn (`storage-full`), the call may be repeated.
    #[interface(deadline = "24h")]
    fn finish(&self) -> Result<Imported>;
}

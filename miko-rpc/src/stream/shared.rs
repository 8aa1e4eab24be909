//! Items that several feeds get.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::Error;

/// An item for any number of feeds, with its sequence number. It is encoded once, however many readers
/// elsewhere get it. Clones are the same item.
///
/// ```
/// use miko_rpc::{Overflow, Shared, Stream};
///
/// let (sink, mut stream) = Stream::feed(10, Overflow::DropOldest);
/// let item = Shared::new(7, "tick".to_owned());
/// assert!(sink.send_group(vec![item.clone()], 1));
/// assert_eq!(stream.recv().unwrap()?, "tick");
/// assert_eq!(stream.last_seq(), 7);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub struct Shared<T>(pub(super) Arc<SharedItem<T>>);

pub(super) struct SharedItem<T> {
    seq: u64,
    value: Mutex<T>,
    clone: fn(&T) -> T,
    /// The item as MessagePack, once a reader elsewhere has needed it.
    encoded: OnceLock<Result<Box<[u8]>, Error>>,
}

impl<T> Shared<T> {
    /// An item with its sequence number, as [`Stream::last_seq`](crate::Stream::last_seq) will tell it.
    pub fn new(seq: u64, value: T) -> Self
    where
        T: Clone,
    {
        let (value, encoded) = (Mutex::new(value), OnceLock::new());
        Self(Arc::new(SharedItem { seq, value, clone: T::clone, encoded }))
    }

    /// Its sequence number.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seq", &self.seq()).finish_non_exhaustive()
    }
}

impl<T> SharedItem<T> {
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The item as MessagePack, which `encode` makes of it for the first reader.
    pub(super) fn encoded(&self, encode: impl FnOnce(&T) -> Result<Vec<u8>, Error>) -> Result<&[u8], Error> {
        let encoded = self.encoded.get_or_init(|| encode(&self.lock()).map(Vec::into_boxed_slice));
        encoded.as_deref().map_err(Clone::clone)
    }

    /// The value: the last reader takes it, the others clone it.
    pub(super) fn into_value(item: Arc<Self>) -> T {
        match Arc::try_unwrap(item) {
            Ok(item) => item.value.into_inner().unwrap_or_else(PoisonError::into_inner),
            Err(item) => (item.clone)(&item.lock()),
        }
    }

    /// Gives the value to `read`.
    pub(super) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A clone or an encoding that panics does not change the value.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A vector that grows up to a maximum length.

use std::io::{self, Write};

/// Appends bytes to a vector up to a maximum length. The first write beyond it fails, which stops a
/// serializer.
///
/// It owns the vector while it writes, which is one indirection less for each value.
pub(crate) struct BoundedVec {
    out: Vec<u8>,
    /// The largest length of `out`.
    end: usize,
    /// The number of bytes that can be appended without another check: they are within `end`, and `out` has
    /// the capacity.
    room: usize,
    /// Whether a write was refused, or `out` was longer than `end` before the first write.
    is_full: bool,
}

impl BoundedVec {
    /// Appends to `out`, which grows at most to the length `end`.
    pub(crate) fn new(out: Vec<u8>, end: usize) -> Self {
        Self { is_full: out.len() > end, out, end, room: 0 }
    }

    /// Whether a write was refused, or the vector was too long before the first one.
    #[cfg(feature = "interface")]
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// The number of bytes that were written, with those that the vector had before.
    #[cfg(feature = "interface")]
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Appends two slices.
    #[cfg(feature = "interface")]
    #[inline]
    pub(crate) fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        // Slices are at most half as long as the largest `usize`.
        let count = first.len() + second.len();
        if count > self.room {
            self.make_room(count)?;
        }
        // SAFETY: The bytes of both slices are within `room`.
        unsafe {
            self.append(first);
            self.append(second);
        }
        Ok(())
    }

    /// Inserts bytes at an index, which is at most the length.
    #[cfg(feature = "interface")]
    pub(crate) fn insert(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.room {
            self.make_room(bytes.len())?;
        }
        self.out.splice(index..index, bytes.iter().copied());
        self.room -= bytes.len();
        Ok(())
    }

    /// Appends bytes without checking the room for them.
    ///
    /// # Safety
    /// `bytes.len()` is at most `room`.
    #[inline]
    unsafe fn append(&mut self, bytes: &[u8]) {
        let length = self.out.len();
        // SAFETY: `room` is at most the capacity of `out` beyond its length, and `bytes.len()` is at most
        // `room`: so the bytes after the length are allocated, and the new length is within the capacity.
        // They are initialized by the copy. `bytes` is borrowed, and `out` borrowed mutably: they do not
        // overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.out.as_mut_ptr().add(length), bytes.len());
            self.out.set_len(length + bytes.len());
        }
        self.room -= bytes.len();
    }

    /// Takes the vector, as far as it was written.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.room = 0;
        std::mem::take(&mut self.out)
    }

    /// How many bytes can still be appended.
    pub(crate) fn left(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// Refuses bytes for which there is no room.
    pub(crate) fn refuse(&mut self) -> io::Error {
        self.is_full = true;
        io::ErrorKind::FileTooLarge.into()
    }

    /// Reserves room for `count` bytes, or refuses them.
    #[cold]
    fn make_room(&mut self, count: usize) -> io::Result<()> {
        let left = self.left();
        if count > left {
            return Err(self.refuse());
        }
        self.out.reserve(count);
        self.room = left.min(self.out.capacity() - self.out.len());
        Ok(())
    }
}

impl Write for BoundedVec {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // A serializer calls this for each value. The default, which loops over `write`, takes more instructions.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.room {
            self.make_room(bytes.len())?;
        }
        // SAFETY: `make_room` has made enough, if it was missing.
        unsafe { self.append(bytes) };
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Memory that a process shares with the processes it forks.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A type that may be placed in shared memory.
///
/// # Safety
/// All fields must be atomic integers. Zeros are then a valid value, and so is whatever another process can
/// write.
pub(crate) unsafe trait Shareable: Sync {}

/// A value in memory that this process shares with all processes it forks from now on. It is initialized with
/// zeros.
pub(crate) struct SharedMemory<T: Shareable>(NonNull<T>);

// SAFETY: only shared references to the `T` are handed out, `T` is `Sync`, and its memory is mapped until
// this value is dropped.
unsafe impl<T: Shareable> Send for SharedMemory<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for SharedMemory<T> {}

impl<T: Shareable> SharedMemory<T> {
    const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).expect("a Shareable type has fields");

    /// Maps the memory.
    ///
    /// # Errors
    /// If the memory cannot be mapped.
    pub(crate) fn new() -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so the mapping overlaps no memory of this process.
        let memory = unsafe { mmap_anonymous(None, Self::SIZE, access, MapFlags::MAP_SHARED)? };
        Ok(Self(memory.cast()))
    }
}

impl<T: Shareable> Deref for SharedMemory<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the memory was mapped for a `T` and is page-aligned. All its contents are valid by the
        // contract of `Shareable`, and it stays mapped for the lifetime of `self`.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Shareable> Drop for SharedMemory<T> {
    fn drop(&mut self) {
        // SAFETY: `new` mapped the memory with this size, and every reference to it borrows `self`.
        let _ = unsafe { munmap(self.0.cast(), Self::SIZE.get()) };
    }
}

//! Memory that a process has in common with those it forks.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// What may be in such memory.
///
/// # Safety
/// All fields are atomic integers. So zeros are a valid value, and so is everything that another process can write.
pub(crate) unsafe trait Shareable: Sync {}

/// A value in memory that this process and all that it forks from now on have in common. It begins with zeros.
pub(crate) struct SharedMemory<T: Shareable>(NonNull<T>);

// SAFETY: it gives nothing but shared references to a `T`, which is `Sync`, and which is there until this is dropped.
unsafe impl<T: Shareable> Send for SharedMemory<T> {}
// SAFETY: as above.
unsafe impl<T: Shareable> Sync for SharedMemory<T> {}

impl<T: Shareable> SharedMemory<T> {
    const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).expect("it has fields");

    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new() -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place, so this is no other memory of ours.
        let memory = unsafe { mmap_anonymous(None, Self::SIZE, access, MapFlags::MAP_SHARED)? };
        Ok(Self(memory.cast()))
    }
}

impl<T: Shareable> Deref for SharedMemory<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it was mapped for a `T`, at the beginning of a page, every content is a valid one by the contract of
        // `Shareable`, and it is mapped as long as this lives.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Shareable> Drop for SharedMemory<T> {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and what refers to it borrows this.
        let _ = unsafe { munmap(self.0.cast(), Self::SIZE.get()) };
    }
}

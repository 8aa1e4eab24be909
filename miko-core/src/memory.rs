//! How much memory this process may take, and giving memory back.
//!
//! Code whose allocations depend on a caller's input reports them with [`grow`]. Each `STEP` of reported bytes
//! costs one look at the resident memory of the process; below that a report is an addition. Without a limit
//! ([`limit`]) nothing is refused.
//!
//! A limit has levels, so that a full store cannot starve the calls that would empty it: stored data may take
//! five eighths of it, frames that arrive seven eighths, calls all of it.
//!
//! Memory is measured where the system tells it: on Linux. Pages of files, such as the code of the process, do not
//! count.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorId, Result};

/// The smallest limit: a server takes some megabytes for itself.
pub const MIN_LIMIT: usize = 16 << 20;

/// So many bytes may be reported before the memory of the process is looked at.
const STEP: usize = 1 << 20;

/// Freed memory is given back to the system when the process has grown by so many bytes since it was last done.
const TRIM_AT: usize = 16 << 20;

/// The text by which an error of a deserializer is recognized as [`Error`] `storage-full`.
const REASON: &str = "there is no memory for this within the memory limit of the server";

/// The text by which an error of a deserializer is recognized as a read that would exceed [`read_within`].
const TOO_MUCH: &str = "its values take too much memory";

/// How many bytes the values of a request may take in memory, for each byte that a request may have. They are counted
/// generously: with room for vectors to grow.
///
/// A value takes dozens of times the bytes in which it was sent: a null in an array has one byte.
pub const MAX_EXPANSION: usize = 12;

/// The limit in bytes, beyond [`BASE`]; 0 if there is none.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

/// The resident memory of the process when the limit was set: a forked process begins with that of its parent.
static BASE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The bytes that were reported since the memory of the process was last looked at.
    static REPORTED: Cell<usize> = const { Cell::new(0) };
    /// How many bytes values that are read may still take.
    static READABLE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// The bytes of stored data that were reported since then.
    static STORED: Cell<usize> = const { Cell::new(0) };
    /// Whether a [`STEP`] was reported since [`give_back`].
    static HAS_GROWN: Cell<bool> = const { Cell::new(false) };
    /// The resident memory after freed memory was last given back.
    static AFTER_TRIM: Cell<usize> = const { Cell::new(0) };
}

/// Limits the memory that this process takes from now on, beyond what it has.
///
/// # Errors
/// `invalid_request` below [`MIN_LIMIT`]; `internal` where the memory of a process cannot be measured.
pub fn limit(bytes: usize) -> Result<()> {
    if bytes < MIN_LIMIT {
        let message = format!("a memory limit has at least {MIN_LIMIT} bytes");
        return Err(Error::new(ErrorId::INVALID_REQUEST, message)
            .with("found", bytes)
            .with("allowed", MIN_LIMIT));
    }
    let resident = system::resident().map_err(|fault| {
        let message = format!("a memory limit needs the resident memory of the process: {fault}");
        Error::new(ErrorId::INTERNAL, message)
    })?;
    BASE.store(resident, Ordering::Relaxed);
    LIMIT.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Reports that the call under way has allocated so many bytes, or is about to.
///
/// # Errors
/// `storage-full`, if the process has reached its limit.
#[inline]
pub fn grow(bytes: usize) -> Result<()> {
    if report(bytes) < STEP { Ok(()) } else { take_stock() }
}

/// As [`grow`], with an error of serde's, which [`reason_of`] recognizes.
///
/// # Errors
/// As [`grow`]; beyond the bytes of [`read_within`].
#[inline]
pub(crate) fn grow_while_reading<E: serde::de::Error>(bytes: usize) -> Result<(), E> {
    let reported = report(bytes);
    if reported < STEP { Ok(()) } else { take_stock_while_reading(reported).map_err(E::custom) }
}

/// Adds to the bytes reported since the memory was last measured, and returns their sum.
#[inline]
fn report(bytes: usize) -> usize {
    let reported = REPORTED.get().saturating_add(bytes);
    REPORTED.set(reported);
    reported
}

/// Reads with `read`, whose values may take so many bytes; they are counted in steps of 1 MiB.
///
/// ```
/// use miko_core::{ErrorId, json, memory};
///
/// let text = format!("[0{}]", ", 0".repeat(1_000_000));
/// let error = memory::read_within(10 << 20, || json::parse(&text)).unwrap_err();
/// assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
/// assert!(memory::read_within(200 << 20, || json::parse(&text)).is_ok());
/// ```
pub fn read_within<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            READABLE.set(self.0);
        }
    }
    let _restore = Restore(READABLE.replace(bytes));
    read()
}

/// Why values were not read, if that was for lack of memory: what the text of a deserializer's error says.
pub fn reason_of(text: &str) -> Option<Error> {
    if text.contains(REASON) {
        return Some(full());
    }
    text.contains(TOO_MUCH).then(|| {
        let message = format!("{TOO_MUCH}: send less in one request");
        Error::new(ErrorId::REQUEST_TOO_LARGE, message)
    })
}

/// Reports that so many bytes of data are about to be stored in the memory of this process.
///
/// # Errors
/// `storage-full`, if the data have reached their share of the limit.
pub(crate) fn store(bytes: usize) -> Result<()> {
    let stored = STORED.get().saturating_add(bytes);
    STORED.set(stored);
    // It is looked at more often than for calls: what is stored stays.
    if stored < STEP / 16 {
        return Ok(());
    }
    check(data_share)?;
    STORED.set(0);
    Ok(())
}

/// Reports that so many bytes of a frame have arrived that is not complete.
///
/// # Errors
/// `storage-full`, if there is no room for frames.
pub fn receive(bytes: usize) -> Result<()> {
    grow(bytes)?;
    check(|limit| limit / 8 * 7)
}

/// Whether less than half of the limit is taken: what is stored next cannot meet it.
pub(crate) fn is_ample() -> bool {
    is_within(|limit| limit / 2)
}

/// The part of a limit that stored data may take.
pub(crate) fn data_share(limit: usize) -> usize {
    limit / 8 * 5
}

/// The error of a call for which there is no memory.
pub fn full() -> Error {
    let message =
        format!("{REASON}: delete what is not needed, ask for less at once, or raise `memory_limit`");
    Error::new(ErrorId::STORAGE_FULL, message).with("memory_limit", LIMIT.load(Ordering::Relaxed))
}

/// Gives freed memory back to the system, if calls since the last time have taken much.
pub fn give_back() {
    if !HAS_GROWN.replace(false) {
        return;
    }
    let Ok(resident) = system::resident() else { return };
    if resident > AFTER_TRIM.get().saturating_add(TRIM_AT) {
        trim();
    }
}

#[cold]
fn take_stock() -> Result<()> {
    HAS_GROWN.set(true);
    check(|limit| limit)?;
    // After a refusal it is looked at with each report.
    REPORTED.set(0);
    Ok(())
}

#[cold]
fn take_stock_while_reading(reported: usize) -> Result<(), &'static str> {
    let Some(left) = READABLE.get().checked_sub(reported) else {
        REPORTED.set(0);
        return Err(TOO_MUCH);
    };
    READABLE.set(left);
    take_stock().map_err(|_| REASON)
}

/// Checks that the process is within a part of its limit, after giving back what is free if need be.
fn check(part: impl Fn(usize) -> usize) -> Result<()> {
    if is_within(&part) {
        return Ok(());
    }
    trim();
    if is_within(part) { Ok(()) } else { Err(full()) }
}

fn is_within(part: impl Fn(usize) -> usize) -> bool {
    let limit = LIMIT.load(Ordering::Relaxed);
    if limit == 0 {
        return true;
    }
    // It could be measured when the limit was set.
    let resident = system::resident().unwrap_or(0);
    resident <= BASE.load(Ordering::Relaxed).saturating_add(part(limit))
}

fn trim() {
    system::trim();
    AFTER_TRIM.set(system::resident().unwrap_or(0));
}

#[cfg(target_os = "linux")]
mod system {
    use std::{fs, io};

    /// The resident memory of this process in bytes, without that of files: its code, for the most part.
    pub(super) fn resident() -> io::Result<usize> {
        let statm = fs::read_to_string("/proc/self/statm")?;
        let mut counts = statm.split(' ').map(|pages| pages.parse::<usize>());
        match (counts.nth(1), counts.next()) {
            (Some(Ok(resident)), Some(Ok(of_files))) => Ok(resident.saturating_sub(of_files) * page_size()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn page_size() -> usize {
        // SAFETY: the call reads a constant of the system.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    }

    /// Returns free pages of the heap to the system.
    pub(super) fn trim() {
        #[cfg(target_env = "gnu")]
        // SAFETY: the call takes the locks of the allocator and changes free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) fn resident() -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn trim() {}
}

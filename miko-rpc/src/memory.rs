//! The memory limit of this process, and returning freed memory to the system.
//!
//! Code whose allocations depend on a caller's input reports them with [`charge`]. With a limit ([`limit`]),
//! the resident memory of the process is measured once per 1 MiB that calls report, once per 64 KiB reported
//! as stored, and at each report of an incoming frame. Any other report is one addition.
//!
//! The memory of the process is compared with three thresholds, so that a full store still accepts the calls
//! that would empty it: above five eighths of the limit nothing is stored, above seven eighths no large frame
//! is accepted, and above the limit a call fails.
//!
//! Memory can be measured on Linux only. File-backed pages, such as the code of the process, do not count.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, ErrorId, Result};

/// The smallest limit in bytes: a server needs some megabytes for itself.
pub const MIN_LIMIT: usize = 16 << 20;

/// The number of reported bytes after which the memory of the process is measured.
const CHECK_INTERVAL: usize = 1 << 20;

/// The growth in bytes since the last trim after which freed memory is returned to the system.
const TRIM_THRESHOLD: usize = 16 << 20;

/// The text by which [`take_limit_error`] recognizes an error of a deserializer as `storage-full`.
const LIMIT_REACHED: &str = "there is no memory for this within the memory limit of the server";

/// The text by which [`take_limit_error`] recognizes an error of a deserializer as a read beyond
/// [`read_within`].
const EXPANSION_EXCEEDED: &str = "its values take too much memory";

/// How many bytes the values of a request may take in memory for each byte of the frame limit. The estimate
/// includes spare capacity of vectors.
///
/// A value can take dozens of times its encoded size: a null in an array has one byte on the wire.
pub const MAX_EXPANSION: usize = 12;

/// Frames of more bytes than this are accounted for.
pub const LARGE_FRAME: usize = 64 << 10;

/// The limit in bytes, beyond [`BASELINE`]; 0 if there is none.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

/// The resident memory of the process when the limit was set. A forked process starts with that of its
/// parent.
static BASELINE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The bytes reported since the memory of the process was last measured.
    static CHARGED: Cell<usize> = const { Cell::new(0) };
    /// The bytes that deserialized values may still take within [`read_within`].
    static READ_BUDGET: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Whether a read was refused since [`take_limit_error`] was last called. The text of an error alone
    /// proves nothing: an error of serde can quote input that has the same words.
    static READ_REFUSED: Cell<bool> = const { Cell::new(false) };
    /// The bytes of stored data reported since the memory of the process was last measured.
    static STORED: Cell<usize> = const { Cell::new(0) };
    /// Whether a [`CHECK_INTERVAL`] was reported since [`trim_if_grown`].
    static HAS_GROWN: Cell<bool> = const { Cell::new(false) };
    /// The resident memory after the last trim.
    static AFTER_TRIM: Cell<usize> = const { Cell::new(0) };
}

/// Limits the memory that this process takes in addition to its current memory.
///
/// # Errors
/// `invalid_request` below [`MIN_LIMIT`]; `internal` where the memory of a process cannot be measured.
pub fn limit(bytes: usize) -> Result<()> {
    if bytes < MIN_LIMIT {
        let message = format!("a memory limit must be at least {MIN_LIMIT} bytes");
        return Err(Error::new(ErrorId::INVALID_REQUEST, message)
            .with("found", bytes)
            .with("allowed", MIN_LIMIT));
    }
    let resident = system::resident().map_err(|fault| {
        let message = format!("a memory limit needs the resident memory of the process: {fault}");
        Error::new(ErrorId::INTERNAL, message)
    })?;
    BASELINE.store(resident, Ordering::Relaxed);
    LIMIT.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Reports an allocation of the running call, before or after it is made.
///
/// # Errors
/// `storage-full`, if the process has reached its limit.
#[inline]
pub fn charge(bytes: usize) -> Result<()> {
    if report(bytes) < CHECK_INTERVAL { Ok(()) } else { check_limit() }
}

/// As [`charge`], with an error of serde that [`take_limit_error`] recognizes.
///
/// # Errors
/// `storage-full` as text, as [`charge`]; or a text that the bytes of [`read_within`] are used up.
#[inline]
pub fn charge_deserialized<E: serde::de::Error>(bytes: usize) -> Result<(), E> {
    let reported = report(bytes);
    if reported < CHECK_INTERVAL { Ok(()) } else { check_while_reading(reported).map_err(E::custom) }
}

/// Adds to the bytes reported since the memory was last measured, and returns their sum.
#[inline]
fn report(bytes: usize) -> usize {
    let reported = CHARGED.get().saturating_add(bytes);
    CHARGED.set(reported);
    reported
}

/// Runs `read` with a limit of `bytes` for the values that it deserializes, counted in steps of 1 MiB.
///
/// ```
/// use miko_rpc::{ErrorId, json, memory};
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
            READ_BUDGET.set(self.0);
        }
    }
    let _restore = Restore(READ_BUDGET.replace(bytes));
    read()
}

/// Runs `read`, which decodes `size` bytes of a peer, within the memory that the values of a frame of
/// `frame_size` bytes may take. That of [`LARGE_FRAME`] bytes or fewer is not counted: a few MiB at most.
pub fn read_frame<T>(size: usize, frame_size: usize, read: impl FnOnce() -> T) -> T {
    if size <= LARGE_FRAME { read() } else { read_within(frame_size.saturating_mul(MAX_EXPANSION), read) }
}

/// Converts the text of a deserializer's error to the error of this module that caused it; `None` if it has
/// another cause.
pub fn take_limit_error(text: &str) -> Option<Error> {
    if !READ_REFUSED.replace(false) {
        return None;
    }
    if text.contains(LIMIT_REACHED) {
        return Some(limit_error());
    }
    text.contains(EXPANSION_EXCEEDED).then(|| {
        let message = format!("{EXPANSION_EXCEEDED}: send less in one request");
        Error::new(ErrorId::REQUEST_TOO_LARGE, message)
    })
}

/// Reports that data are about to be stored in the memory of this process.
///
/// # Errors
/// `storage-full`, if the process exceeds the threshold for storing.
pub fn charge_stored(bytes: usize) -> Result<()> {
    let stored = STORED.get().saturating_add(bytes);
    STORED.set(stored);
    // Measured more often than for calls, since stored data are not freed when the call ends.
    if stored < CHECK_INTERVAL / 16 {
        return Ok(());
    }
    check(store_threshold)?;
    STORED.set(0);
    Ok(())
}

/// Reports bytes of an incomplete frame that have arrived.
///
/// # Errors
/// `storage-full`, if there is no room for frames.
pub fn charge_incoming(bytes: usize) -> Result<()> {
    charge(bytes)?;
    check(|limit| limit / 8 * 7)
}

/// The limit in bytes, if there is one.
pub fn current_limit() -> Option<usize> {
    Some(LIMIT.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
}

/// Whether at most half of the limit is used, so that a small write cannot reach it.
pub fn is_below_half() -> bool {
    is_within(|limit| limit / 2)
}

/// The memory of the process above which nothing is stored.
pub fn store_threshold(limit: usize) -> usize {
    limit / 8 * 5
}

/// The error of a call that would exceed the memory limit.
pub fn limit_error() -> Error {
    let message =
        format!("{LIMIT_REACHED}: delete what is not needed, ask for less at once, or raise `memory_limit`");
    Error::new(ErrorId::STORAGE_FULL, message).with("memory_limit", LIMIT.load(Ordering::Relaxed))
}

/// Returns freed memory to the system, if the process has grown by 16 MiB since the last time.
pub fn trim_if_grown() {
    if !HAS_GROWN.replace(false) {
        return;
    }
    let Ok(resident) = system::resident() else { return };
    if resident > AFTER_TRIM.get().saturating_add(TRIM_THRESHOLD) {
        trim();
    }
}

#[cold]
fn check_limit() -> Result<()> {
    HAS_GROWN.set(true);
    check(|limit| limit)?;
    // Not reset after a refusal: each further report then measures the memory.
    CHARGED.set(0);
    Ok(())
}

#[cold]
fn check_while_reading(reported: usize) -> Result<(), &'static str> {
    check_read(reported).inspect_err(|_| READ_REFUSED.set(true))
}

fn check_read(reported: usize) -> Result<(), &'static str> {
    let Some(left) = READ_BUDGET.get().checked_sub(reported) else {
        CHARGED.set(0);
        return Err(EXPANSION_EXCEEDED);
    };
    READ_BUDGET.set(left);
    check_limit().map_err(|_| LIMIT_REACHED)
}

/// Checks that the process is within a part of its limit. If it is not, trims the heap and measures again.
fn check(part: impl Fn(usize) -> usize) -> Result<()> {
    if is_within(&part) {
        return Ok(());
    }
    trim();
    if is_within(part) { Ok(()) } else { Err(limit_error()) }
}

fn is_within(part: impl Fn(usize) -> usize) -> bool {
    let limit = LIMIT.load(Ordering::Relaxed);
    if limit == 0 {
        return true;
    }
    // The measurement succeeded when the limit was set; a failure here must not refuse calls.
    let resident = system::resident().unwrap_or(0);
    resident <= BASELINE.load(Ordering::Relaxed).saturating_add(part(limit))
}

fn trim() {
    system::trim();
    AFTER_TRIM.set(system::resident().unwrap_or(0));
}

#[cfg(target_os = "linux")]
mod system {
    use std::{fs, io};

    /// The resident memory of this process in bytes, without file-backed pages.
    pub(super) fn resident() -> io::Result<usize> {
        let statm = fs::read_to_string("/proc/self/statm")?;
        let mut counts = statm.split(' ').map(|pages| pages.parse::<usize>());
        match (counts.nth(1), counts.next()) {
            (Some(Ok(resident)), Some(Ok(shared))) => Ok(resident.saturating_sub(shared) * page_size()),
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

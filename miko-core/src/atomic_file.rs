//! Atomic replacement of files: after a crash the file has the old content or the new one.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Result};
use tempfile::{Builder, NamedTempFile};
use tracing::{info, warn};

/// Writes a temporary file beside `path` with `write`, flushes it to the disk and renames it to `path`. If
/// `path` is a symbolic link, its target is replaced; if the target is missing, the link itself. A pipe or a
/// device at `path` is written to directly. Temporary files that killed writers of `path` have left are
/// removed.
///
/// # Errors
/// The errors of `write`; `storage-full` or `not-writable` with the path, if the file system fails. The file
/// is then unchanged; a pipe or a device may have got a part of the content. `internal`, if the file was
/// replaced, but the folder cannot be flushed to the disk: a crash of the machine may bring the old file
/// back.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_special {
        return write_through(path, write);
    }
    let path = resolve_links(path);
    remove_unfinished(&path);
    let replaced = replace(&path, write)?;
    // The lock has protected the file while it was temporary. Closing the file would not always release the
    // lock, because a forked process may have a copy of the descriptor.
    let _ = replaced.file.unlock();
    replaced.sync().map_err(|fault| not_durable(&path, fault))
}

/// Checks that [`write()`] can write a file at `path`, before there is something to write. No file is
/// changed. A pipe or a device at `path` is not checked.
///
/// # Errors
/// `not-writable` or `storage-full` with the path, if it is a folder, or if no file can be created beside it.
pub fn check(path: &Path) -> Result<()> {
    let write_error = |fault: io::Error| write_error(path, fault);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(write_error(ErrorKind::IsADirectory.into())),
        // A pipe or a device is not opened for this check: opening a pipe without a reader would wait for
        // one.
        Ok(metadata) if !metadata.is_file() => Ok(()),
        _ => create_unfinished(&resolve_links(path)).map(drop).map_err(write_error),
    }
}

/// As [`write()`], and adds a final newline, as in a text file.
///
/// # Errors
/// As [`write()`].
pub fn write_text(path: &Path, content: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    write(path, |file| {
        content(file)?;
        file.write_all(b"\n").map_err(|fault| write_error(path, fault))
    })
}

/// Writes to a pipe or a device, which cannot be replaced. A folder fails here, since it cannot be opened for
/// writing.
fn write_through(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let write_error = |fault: io::Error| write_error(path, fault);
    let file = File::options().write(true).open(path).map_err(write_error)?;
    let mut writer = BufWriter::new(&file);
    write(&mut writer)?;
    writer.flush().map_err(write_error)
}

/// Resolves a symbolic link, so that its target is replaced, and the link stays. A link to a missing file is
/// not resolved: the link itself is replaced.
fn resolve_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A file that has replaced another one. The old file may come back in a crash of the machine before
/// [`sync`](Self::sync).
pub(crate) struct Replaced {
    /// The new file. It is locked, unless the file system has no locks.
    pub(crate) file: File,
    /// The metadata of the new file, read before the rename: [`replace`] must not fail after the rename. The
    /// rename changes the `ctime` of the file, so the `ctime` of this metadata is outdated.
    pub(crate) metadata: Metadata,
    /// The folder of the file, for [`sync`](Self::sync).
    folder: File,
}

impl Replaced {
    /// Flushes the rename to the disk. A file system that cannot flush folders returns `EINVAL` or `ENOTSUP`,
    /// and has no other way to make a rename durable: these errors are ignored.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match sync_folder(&self.folder) {
            Err(fault) if matches!(fault.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

fn sync_folder(folder: &File) -> io::Result<()> {
    #[cfg(test)]
    if let Some(fault) = tests::next_fault() {
        return Err(fault);
    }
    folder.sync_all()
}

/// As [`write()`], for a path that is not a pipe, a device or a symbolic link. The new file gets the
/// permissions of the replaced one, and stays locked. The caller flushes the rename to the disk, and removes
/// the temporary files of killed writers.
///
/// # Errors
/// The errors of `write`; `storage-full` or `not-writable` with the path, if the file system fails. The file
/// is then unchanged.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>,
) -> Result<Replaced> {
    let write_error = |fault: io::Error| write_error(path, fault);
    let folder_path = folder_of(path);
    // Opened before the rename, since an error must leave the file unchanged.
    let folder = File::open(folder_path).map_err(write_error)?;
    let unfinished = create_unfinished(path).map_err(write_error)?;
    if let Ok(old) = fs::metadata(path) {
        unfinished.as_file().set_permissions(old.permissions()).map_err(write_error)?;
    }
    let mut writer = BufWriter::new(unfinished.as_file());
    write(&mut writer)?;
    writer.flush().map_err(write_error)?;
    drop(writer);
    unfinished.as_file().sync_all().map_err(write_error)?;
    let metadata = unfinished.as_file().metadata().map_err(write_error)?;
    let file = unfinished.persist(path).map_err(|fault| write_error(fault.error))?;
    Ok(Replaced { file, metadata, folder })
}

/// Creates a temporary file for `path` and locks it, so that [`remove_unfinished`] does not remove it.
fn create_unfinished(path: &Path) -> io::Result<NamedTempFile> {
    loop {
        let unfinished = Builder::new()
            .prefix(&unfinished_prefix(path))
            // The permissions of a new file, restricted by the umask of the process.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder_of(path))?;
        match unfinished.as_file().try_lock() {
            // Another process found the file in `remove_unfinished` before this process locked it. The other
            // process has already removed the file, in the first case; in the second, it holds the lock in
            // order to remove the file.
            Ok(()) if !is_named(&unfinished)? => continue,
            Err(TryLockError::WouldBlock) => continue,
            // The file is locked; or the file system has no locks, and `remove_unfinished`, which removes
            // only files that it can lock, removes none.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(unfinished),
        }
    }
}

/// Whether the path of the file still leads to this file.
fn is_named(file: &NamedTempFile) -> io::Result<bool> {
    let opened = file.as_file().metadata()?;
    Ok(fs::metadata(file.path())
        .is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())))
}

/// Removes temporary files that killed writers of `path` have left. The files of running writers are locked,
/// and stay.
pub(crate) fn remove_unfinished(path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        // Only regular files are opened: opening a pipe would wait for its writer.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        // The lock is held until the file is removed. So a writer that has just created the file cannot lock
        // it while it still exists, and creates another one.
        let abandoned = File::open(entry.path()).ok().filter(|file| file.try_lock().is_ok());
        if abandoned.is_some() {
            let file = entry.path();
            match fs::remove_file(&file) {
                Ok(()) => info!(file = %file.display(), "removed a temporary file of a killed writer"),
                Err(fault) if fault.kind() == ErrorKind::NotFound => {}
                // A leftover file is harmless.
                Err(fault) => {
                    warn!(file = %file.display(), %fault, "cannot remove a temporary file of a killed writer")
                }
            }
        }
    }
}

/// The folder that holds `path`: `.` for the name of a file alone.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The prefix of the names of temporary files for `path`.
fn unfinished_prefix(path: &Path) -> String {
    format!(".{}.unfinished-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// The error of a file that cannot be written.
pub(crate) fn write_error(path: &Path, fault: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&fault), "the file cannot be written", fault)
        .with("path", path.display().to_string())
}

/// The error of a file that was replaced, but whose folder cannot be synced.
pub(crate) fn not_durable(path: &Path, fault: io::Error) -> Error {
    let message = "the file was replaced, but a crash of the machine may bring the old one back: its folder \
                   cannot be flushed to the disk";
    Error::caused_by(ErrorId::INTERNAL, message, fault).with("path", path.display().to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// Makes the error of a sync of a folder that is to fail.
    type Fault = Box<dyn FnOnce() -> io::Error>;

    thread_local! {
        static FAULTS: RefCell<VecDeque<Fault>> = const { RefCell::new(VecDeque::new()) };
    }

    /// Lets the next syncs of folders in this thread fail, each with one of these faults.
    pub(crate) fn fail_next_syncs(faults: &[ErrorKind]) {
        FAULTS.set(faults.iter().map(|&kind| -> Fault { Box::new(move || kind.into()) }).collect());
    }

    /// Lets the next sync of a folder in this thread fail with a fault, after `meanwhile` has run.
    pub(crate) fn fail_next_sync_after(meanwhile: impl FnOnce() + 'static, fault: ErrorKind) {
        let fault = move || {
            meanwhile();
            fault.into()
        };
        FAULTS.set([Box::new(fault) as Fault].into());
    }

    pub(super) fn next_fault() -> Option<io::Error> {
        FAULTS.with_borrow_mut(VecDeque::pop_front).map(|fault| fault())
    }

    #[test]
    fn a_temporary_file_is_removed_once_its_writer_is_gone_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        fs::write(folder.path().join(".out.json.unfinished-1"), "left by a killed writer").unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(".out.json.unfinished-2")).unwrap();
        write(&path, |file| {
            assert!(!names().contains(&".out.json.unfinished-1".to_owned()));
            remove_unfinished(&path);
            file.write_all(b"whole").map_err(|fault| write_error(&path, fault))
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        let mut left = names();
        left.sort();
        assert_eq!(left, [".out.json.unfinished-2", "out.json"]);
        assert!(File::open(&path).unwrap().try_lock().is_ok(), "the new file is free");
    }

    #[test]
    fn a_file_whose_folder_cannot_be_synced_is_reported_as_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        for (fault, id) in [
            (None, None),
            (Some(ErrorKind::InvalidInput), None),
            (Some(ErrorKind::Unsupported), None),
            (Some(ErrorKind::Other), Some(ErrorId::INTERNAL)),
            (Some(ErrorKind::StorageFull), Some(ErrorId::INTERNAL)),
        ] {
            fs::write(&path, "before").unwrap();
            fail_next_syncs(fault.as_slice());
            let written =
                write(&path, |file| file.write_all(b"after").map_err(|fault| write_error(&path, fault)));
            assert_eq!(written.as_ref().err().map(|error| error.id().clone()), id, "{fault:?}: {written:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "after", "{fault:?}");
        }
    }
}

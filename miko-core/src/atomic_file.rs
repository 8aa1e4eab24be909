//! Atomic replacement of files: after a crash the file has the old content or the new one.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Result};
use tempfile::Builder;
use tracing::info;

/// Writes a temporary file beside `path` with `write`, flushes it to the disk and renames it to `path`. A
/// pipe or a device at `path` is written to directly.
///
/// # Errors
/// The errors of `write`; `storage-full` or `not-writable` with the path, if the file system fails.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_special { write_through(path, write) } else { replace(&resolve_links(path), write).map(drop) }
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

/// Writes to a pipe or a device, which cannot be replaced.
fn write_through(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let write_error = |fault: io::Error| write_error(path, fault);
    let file = File::options().write(true).open(path).map_err(write_error)?;
    let mut writer = BufWriter::new(&file);
    write(&mut writer)?;
    writer.flush().map_err(write_error)
}

/// Resolves a symbolic link: its target is replaced, and the link stays. A link to a missing file is itself
/// replaced.
fn resolve_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// As [`write()`], for a path without symbolic links; returns the new file. It gets the permissions of the
/// replaced one.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<File> {
    let write_error = |fault: io::Error| write_error(path, fault);
    let folder = folder_of(path);
    let unfinished = Builder::new()
        .prefix(&unfinished_prefix(path))
        // The permissions of a new file, restricted by the umask of the process.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(write_error)?;
    if let Ok(replaced) = fs::metadata(path) {
        unfinished.as_file().set_permissions(replaced.permissions()).map_err(write_error)?;
    }
    let mut writer = BufWriter::new(unfinished.as_file());
    write(&mut writer)?;
    writer.flush().map_err(write_error)?;
    drop(writer);
    unfinished.as_file().sync_all().map_err(write_error)?;
    let file = unfinished.persist(path).map_err(|fault| write_error(fault.error))?;
    // The rename is durable once the folder is synced.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write_error)?;
    Ok(file)
}

/// Removes temporary files that killed writers of `path` have left. No writer may be active.
pub(crate) fn remove_unfinished(path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            info!(file = %entry.path().display(), "removed a temporary file of a killed writer");
            // A leftover file is harmless, so a failure to remove it is ignored.
            let _ = fs::remove_file(entry.path());
        }
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The prefix of the names of temporary files for `path`.
fn unfinished_prefix(path: &Path) -> String {
    format!(".{}.unfinished-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn write_error(path: &Path, fault: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&fault), "the file cannot be written", fault)
        .with("path", path.display().to_string())
}

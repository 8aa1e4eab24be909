//! Writing a file so that under its name there is the old content or the new, whatever happens.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::error::{Error, ErrorId, Result};

/// Has `write` write beside the file at `path`, makes sure that it is on the disk, and gives it its name. A pipe or a
/// device at `path` is written to directly.
///
/// # Errors
/// What `write` fails with; `storage-full` or `not-writable` with the path, if the file system does.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_special { write_through(path, write) } else { replace(&resolved(path), write).map(drop) }
}

/// As [`write()`], and ends the file with a newline, as a text file does.
///
/// # Errors
/// As [`write()`].
pub fn write_text(path: &Path, content: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    write(path, |file| {
        content(file)?;
        file.write_all(b"\n").map_err(|fault| failed(path, &fault))
    })
}

/// Writes to a pipe or a device, which has no content that could be replaced.
fn write_through(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let failed = |fault: &io::Error| failed(path, fault);
    let file = File::options().write(true).open(path).map_err(|fault| failed(&fault))?;
    let mut writer = BufWriter::new(&file);
    write(&mut writer)?;
    writer.flush().map_err(|fault| failed(&fault))
}

/// The file that a symbolic link names: it is replaced, and the link stays.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The same; gives the file. It has the permissions of the one that it replaces.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<File> {
    let failed = |fault: &io::Error| failed(path, fault);
    let folder = folder_of(path);
    let unfinished = Builder::new()
        .prefix(&unfinished_prefix(path))
        // As any new file: the process's mask takes away what others are not to do.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|fault| failed(&fault))?;
    if let Ok(replaced) = fs::metadata(path) {
        unfinished.as_file().set_permissions(replaced.permissions()).map_err(|fault| failed(&fault))?;
    }
    let mut writer = BufWriter::new(unfinished.as_file());
    write(&mut writer)?;
    writer.flush().map_err(|fault| failed(&fault))?;
    drop(writer);
    unfinished.as_file().sync_all().map_err(|fault| failed(&fault))?;
    let file = unfinished.persist(path).map_err(|fault| failed(&fault.error))?;
    // The name is on the disk when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|fault| failed(&fault))?;
    Ok(file)
}

/// Removes what writers of `path` have left that were killed. Nobody may be writing it now.
pub(crate) fn remove_unfinished(path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // It is in nobody's way: whoever wants it gone can remove it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How the names of files begin that are being written in the place of `path`.
fn unfinished_prefix(path: &Path) -> String {
    format!(".{}.unfinished-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn failed(path: &Path, fault: &io::Error) -> Error {
    let message = format!("the file cannot be written: {fault}");
    Error::new(ErrorId::of_failed_write(fault), message).with("path", path.display().to_string())
}

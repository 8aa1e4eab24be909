//! Writing a file so that under its name there is the old content or the new, whatever happens.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use miko_core::{Error, ErrorId, Result};
use tempfile::NamedTempFile;

/// Has `write` write beside the file at `path`, makes sure that it is on the disk, and gives it its name.
///
/// # Errors
/// What `write` fails with; `storage-full` or `internal` with the path, if the file system does.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = NamedTempFile::new_in(folder).map_err(|fault| failed(path, &fault))?;
    let mut writer = BufWriter::new(unfinished.as_file());
    write(&mut writer)?;
    writer.flush().map_err(|fault| failed(path, &fault))?;
    drop(writer);
    unfinished.as_file().sync_all().map_err(|fault| failed(path, &fault))?;
    unfinished.persist(path).map_err(|fault| failed(path, &fault.error))?;
    Ok(())
}

fn failed(path: &Path, fault: &io::Error) -> Error {
    let id = match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorId::STORAGE_FULL,
        _ => ErrorId::INTERNAL,
    };
    Error::new(id, format!("the file cannot be written: {fault}")).with("path", path.display().to_string())
}

//! The file of a worldlet: locking it, and replacing it at each commit.
//!
//! A save writes a new file beside the old one and renames it over the old one, so the path always leads to
//! one of the two. The lock (`flock`) belongs to a file, not to its path: the new file is locked before it is
//! renamed. A process that has opened and locked a file must therefore check that the path still leads to
//! that file.
//!
//! The rename may succeed, and flushing it to the disk may fail. A save that has failed must have changed
//! nothing, so the old content is then put back.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, ErrorKind, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Result};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::atomic_file::{self, not_durable, write_error};
use crate::mode::Mode;
use crate::storage::opening::{backend_in_use, cannot_create, cannot_open, invalid_backend};

/// A worldlet file that this process has locked.
#[derive(Debug)]
pub(super) struct WorldletFile {
    /// The path with symbolic links resolved: a save replaces the file, not a link to it.
    path: PathBuf,
    /// The metadata at the time when this process last read or wrote the file.
    stamp: FileStamp,
    /// The digest of the content at that time.
    digest: Digest,
    /// The descriptor that holds the lock.
    locked: File,
}

impl Drop for WorldletFile {
    fn drop(&mut self) {
        // Closing the file would not release the lock while a forked process that has not yet called `exec`
        // still holds the descriptor.
        let _ = self.locked.unlock();
    }
}

/// The metadata by which a change of the file by another program is detected.
///
/// The change time (`ctime`), unlike the modification time, cannot be set by a program. It also changes
/// without a write, as by `chmod` or a hard link; in that case the content decides.
#[derive(Debug, PartialEq, Clone, Copy)]
struct FileStamp {
    /// Device and inode.
    inode: (u64, u64),
    size: u64,
    /// The modification time: seconds and nanoseconds.
    modified: (i64, i64),
    /// The change time: seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileStamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether inode and size agree, so that at most the times differ.
    fn has_same_identity(&self, other: &Self) -> bool {
        (self.inode, self.size) == (other.inode, other.size)
    }
}

/// The SHA-256 of the content of a file.
type Digest = [u8; 32];

/// Computes the digest of the file at `path`.
fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut writer = HashingWriter { writer: io::sink(), hasher: Sha256::new() };
    io::copy(&mut File::open(path)?, &mut writer)?;
    Ok(writer.hasher.finalize().into())
}

/// Computes the SHA-256 of the bytes written through it.
struct HashingWriter<W> {
    writer: W,
    hasher: Sha256,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn refuse_irregular(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(invalid_backend(path, "this is not a regular file")) }
}

/// A buffered reader of the content of a file.
type ContentReader = BufReader<File>;

impl WorldletFile {
    /// Opens a file. Returns the locked file in mode `rw`, and a reader of the content unless the file is
    /// empty.
    ///
    /// # Errors
    /// `backend-in-use` in mode `rw`, if the file is locked; `invalid-backend`, if it cannot be opened or is
    /// not a regular file, and in mode `r` if it is empty.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<(Option<Self>, Option<ContentReader>)> {
        match mode {
            Mode::Read => {
                // Opening a pipe might never end.
                let opened = fs::metadata(path).map_err(|error| cannot_open(path, error))?;
                refuse_irregular(path, &opened)?;
                let file = File::open(path).map_err(|error| cannot_open(path, error))?;
                if file.metadata().map_err(|error| cannot_open(path, error))?.len() == 0 {
                    return Err(invalid_backend(path, "the file is empty: there is nothing to read"));
                }
                Ok((None, Some(buffered(file))))
            }
            Mode::ReadWrite => {
                let worldlet_file = Self::open_and_lock(path)?;
                // Writers that were killed during a save have left temporary files.
                atomic_file::remove_unfinished(&worldlet_file.path);
                let file = File::open(&worldlet_file.path).map_err(|error| cannot_open(path, error))?;
                let is_empty = worldlet_file.stamp.size == 0;
                Ok((Some(worldlet_file), (!is_empty).then(|| buffered(file))))
            }
        }
    }

    /// Opens and locks the file at `path`, and creates it if it is missing.
    fn open_and_lock(path: &Path) -> Result<Self> {
        loop {
            // Creating a file needs access to write. Nothing is written through this descriptor.
            let file = File::options()
                .read(true)
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| cannot_create(path, error))?;
            lock(&file, path)?;
            let resolved = fs::canonicalize(path).map_err(|error| cannot_open(path, error))?;
            let opened = file.metadata().map_err(|error| cannot_open(path, error))?;
            // Reading a pipe might never end, and a save would replace a device by a file.
            refuse_irregular(path, &opened)?;
            match fs::metadata(&resolved) {
                Ok(at_path) if (at_path.dev(), at_path.ino()) == (opened.dev(), opened.ino()) => {
                    let digest = digest_of(&resolved).map_err(|error| cannot_open(path, error))?;
                    return Ok(Self { path: resolved, stamp: FileStamp::of(&opened), digest, locked: file });
                }
                // Another process replaced or removed the file between opening and locking it: retry.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(cannot_open(path, error)),
            }
        }
    }

    /// Replaces the content of the file by the bytes that `write` writes.
    ///
    /// # Errors
    /// `conflict`, if another program has changed or removed the file since this process last read or wrote
    /// it; errors of `write` and of the file system. After these errors the content is the old one, or that
    /// of the other program. `internal`, if the new content cannot be flushed to the disk, and the old one
    /// cannot be put back. The file then has the new content until the next save, unless another program has
    /// changed it meanwhile.
    pub(super) fn save(&mut self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let (old, synced) = self.replace(write)?;
        let Err(sync_error) = synced else { return Ok(()) };
        let path = self.path.clone();
        let restored =
            self.replace(|file| copy_content(&old, file).map_err(|error| write_error(&path, error)));
        // Whether the restored file is flushed to the disk does not matter: the save returns an error in
        // either case, and after a crash of the machine the file has one content or the other.
        match restored {
            Ok(_) => Err(write_error(&path, sync_error)),
            Err(error) => {
                warn!(path = %path.display(), %error, "the old content of the file cannot be put back");
                Err(not_durable(&path, sync_error))
            }
        }
    }

    /// Replaces the file by a new one with the bytes that `write` writes. Returns the old file, and whether
    /// the rename was flushed to the disk.
    ///
    /// # Errors
    /// `conflict`, as in [`save`](Self::save); errors of `write` and of the file system. Nothing was replaced
    /// then.
    fn replace(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<(File, io::Result<()>)> {
        let change = match self.is_unchanged() {
            Ok(true) => None,
            Ok(false) => Some("changed"),
            Err(error) if error.kind() == ErrorKind::NotFound => Some("removed"),
            Err(error) => return Err(write_error(&self.path, error)),
        };
        if let Some(change) = change {
            let message = format!(
                "another program has {change} the file since it was opened, so it is not overwritten: \
                 open it again"
            );
            return Err(Error::new(ErrorId::CONFLICT, message)
                .with("path", self.path.display().to_string())
                .with("retryable", false));
        }
        let mut new_digest = Digest::default();
        let replaced = atomic_file::replace(&self.path, |file| {
            let mut writer = HashingWriter { writer: file, hasher: Sha256::new() };
            write(&mut writer)?;
            new_digest = writer.hasher.finalize().into();
            Ok(())
        })?;
        // The path leads to the new file now, so no error may return before `self` describes the new file.
        // The stamp has the metadata from before the rename, so that the next save notices any later change
        // by another program. Only the `ctime` is read now, since the rename has changed it. If it cannot be
        // read, the next save compares the digests.
        self.stamp = FileStamp::of(&replaced.metadata);
        if let Ok(renamed) = replaced.file.metadata() {
            self.stamp.changed = FileStamp::of(&renamed).changed;
        }
        self.digest = new_digest;
        let synced = replaced.sync();
        Ok((std::mem::replace(&mut self.locked, replaced.file), synced))
    }

    /// Whether no other program has changed the content since this process last read or wrote it. If only
    /// times differ, the content is compared.
    ///
    /// # Errors
    /// The errors of the file system: `NotFound`, if the file was removed.
    fn is_unchanged(&self) -> io::Result<bool> {
        let current = FileStamp::of(&fs::metadata(&self.path)?);
        if current == self.stamp {
            return Ok(true);
        }
        Ok(current.has_same_identity(&self.stamp) && digest_of(&self.path)? == self.digest)
    }
}

/// Copies the whole content of an open file, also if the path leads to another file by now.
fn copy_content(mut file: &File, writer: &mut dyn Write) -> io::Result<()> {
    file.rewind()?;
    io::copy(&mut file, writer).map(drop)
}

fn buffered(file: File) -> ContentReader {
    // The JSON parser reads single bytes, so they come from a large buffer.
    BufReader::with_capacity(1 << 16, file)
}

fn lock(file: &File, path: &Path) -> Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => backend_in_use(path),
        TryLockError::Error(error) => cannot_open(path, error),
    })
}

#[cfg(test)]
mod tests {
    use ErrorKind::{InvalidInput, Other, StorageFull, Unsupported};
    use serde_json::json;

    use super::*;
    use crate::atomic_file::tests::{fail_next_sync_after, fail_next_syncs};
    use crate::engine::Engine;
    use crate::{MikobaseExt, WorldletEngine};

    /// The faults of the next syncs of the folder, and the error that a create then returns.
    const FAULTS: &[(&[ErrorKind], Option<ErrorId>)] = &[
        (&[], None),
        // A file system that cannot sync folders.
        (&[InvalidInput], None),
        (&[Unsupported], None),
        (&[Other], Some(ErrorId::NOT_WRITABLE)),
        (&[StorageFull], Some(ErrorId::STORAGE_FULL)),
        // Neither the new content is flushed nor the old one that is put back.
        (&[Other, Other], Some(ErrorId::NOT_WRITABLE)),
        (&[Other, InvalidInput], Some(ErrorId::NOT_WRITABLE)),
    ];

    #[test]
    fn a_save_whose_rename_cannot_be_flushed_leaves_the_file_with_its_old_content_and_its_lock() {
        for (faults, expected) in FAULTS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("crew.json");
            let db = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
            db.create("a.b/c", &json!({"n": 1})).unwrap();
            let before = fs::read_to_string(&path).unwrap();

            fail_next_syncs(faults);
            let created = db.create("a.b/c", &json!({"n": 2}));
            fail_next_syncs(&[]);
            let error = created.as_ref().err();
            assert_eq!(error.map(|error| error.id().clone()), *expected, "{faults:?}: {created:?}");
            assert!(error.is_none_or(|error| error.items()[0].details["path"] == path.to_str().unwrap()));
            let content = fs::read_to_string(&path).unwrap();
            assert_eq!(content == before, created.is_err(), "{faults:?}");
            let mut records = Vec::new();
            db.write_worldlet(&mut records).unwrap();
            assert_eq!(content.as_bytes(), records, "{faults:?}: the file has what the engine has");

            let second_writer = WorldletEngine::open(&path, Mode::ReadWrite).unwrap_err();
            assert!(second_writer.is(ErrorId::BACKEND_IN_USE), "{faults:?}: {second_writer}");
            db.create("a.b/c", &json!({"n": 3})).unwrap();
            let count = db.count(json!({})).unwrap();
            drop(db);
            let db = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
            assert_eq!(db.count(json!({})).unwrap(), count, "{faults:?}");
            let files = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(files, 1, "{faults:?}: no temporary file is left");
        }
    }

    #[test]
    fn only_a_file_that_is_not_found_counts_as_removed() {
        let folder = tempfile::tempdir().unwrap();
        let [inside, aside] = ["inside", "aside"].map(|name| folder.path().join(name));
        fs::create_dir(&inside).unwrap();
        let path = fs::canonicalize(&inside).unwrap().join("crew.json");
        let db = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
        let create = || db.create("a.b/c", &json!({}));
        create().unwrap();
        fs::rename(&inside, &aside).unwrap();
        let removed = create().unwrap_err();
        assert!(removed.is(ErrorId::CONFLICT) && removed.to_string().contains("removed"), "{removed}");
        // The path leads through a file.
        fs::write(&inside, "").unwrap();
        let error = create().unwrap_err();
        assert!(error.is(ErrorId::NOT_WRITABLE), "{error}");
        assert_eq!(error.items()[0].details["path"], path.to_str().unwrap());
        fs::remove_file(&inside).unwrap();
        fs::rename(&aside, &inside).unwrap();
        create().unwrap();
    }

    #[test]
    fn a_change_by_another_program_while_a_save_is_flushed_is_not_overwritten() {
        // A save that fails, after which the old content would be put back, and one that succeeds.
        for (fault, expected) in [(Other, Some(ErrorId::INTERNAL)), (InvalidInput, None)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("crew.json");
            let db = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
            let overwritten = path.clone();
            fail_next_sync_after(move || fs::write(overwritten, "{}").unwrap(), fault);
            let created = db.create("a.b/c", &json!({}));
            assert_eq!(created.as_ref().err().map(|error| error.id().clone()), expected, "{created:?}");
            assert_eq!(db.count(json!({})).unwrap(), usize::from(created.is_ok()));
            // A save that is refused does not make the next one overwrite the file.
            for _ in 0..2 {
                assert!(db.create("a.b/c", &json!({})).unwrap_err().is(ErrorId::CONFLICT));
                assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
            }
        }
    }
}

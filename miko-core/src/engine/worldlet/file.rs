//! The file of a worldlet: who maintains it, and what becomes of it when something was committed.
//!
//! A save writes a new file beside the old one and gives it its name, so that there is always one of the two. The lock
//! (`flock`) is on the file that bears the name: the new one is locked before it gets it. So whoever has opened the file and
//! got its lock looks once more whether it still bears the name.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::atomic_file;
use crate::engine::opening::{in_use, invalid, not_made, unusable};
use crate::error::{Error, ErrorId, Result};
use crate::mode::Mode;

/// A file that this process maintains.
#[derive(Debug)]
pub(super) struct WorldletFile {
    /// Where it is, symbolic links resolved: a save replaces the file and no link to it.
    path: PathBuf,
    /// What it looked like when we read or wrote it last.
    stamp: FileStamp,
    /// The digest of its content then.
    digest: Digest,
    locked: File,
}

impl Drop for WorldletFile {
    fn drop(&mut self) {
        // Closing it is not enough while a process that was forked meanwhile has it open as well, until that runs its program.
        let _ = self.locked.unlock();
    }
}

/// What tells a file from one that another program has changed.
///
/// The time of the last change (`ctime`) cannot be set by a program, unlike that of the last modification. It also
/// changes when nothing is written, as by `chmod` or a hard link; then the content decides.
#[derive(Debug, PartialEq, Clone, Copy)]
struct FileStamp {
    /// Device and inode.
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
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

    /// Whether only the times tell them apart.
    fn has_same_identity(&self, other: &Self) -> bool {
        (self.inode, self.size) == (other.inode, other.size)
    }
}

/// The SHA-256 of what a file holds.
type Digest = [u8; 32];

/// The digest of the file at `path`.
fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut hasher = Hashing { writer: io::sink(), hasher: Sha256::new() };
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.hasher.finalize().into())
}

/// Hashes what it writes.
struct Hashing<W> {
    writer: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// What a file holds, to be read.
type Content = BufReader<File>;

impl WorldletFile {
    /// Opens a file and gives what it holds, unless that is nothing. To read only, it is not kept.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<(Option<Self>, Option<Content>)> {
        match mode {
            Mode::Read => {
                let file = File::open(path).map_err(|fault| unusable(path, &fault))?;
                if file.metadata().map_err(|fault| unusable(path, &fault))?.len() == 0 {
                    return Err(invalid(path, "the file is empty: there is nothing to read"));
                }
                Ok((None, Some(content(file))))
            }
            Mode::ReadWrite => {
                let locked = Self::locked(path)?;
                atomic_file::remove_unfinished(&locked.path);
                let file = File::open(&locked.path).map_err(|fault| unusable(path, &fault))?;
                let is_empty = locked.stamp.size == 0;
                Ok((Some(locked), (!is_empty).then(|| content(file))))
            }
        }
    }

    /// Locks the file that bears the name, which is made if there is none.
    fn locked(path: &Path) -> Result<Self> {
        loop {
            let file = File::options()
                .read(true)
                .append(true)
                .create(true)
                .open(path)
                .map_err(|fault| not_made(path, &fault))?;
            lock(&file, path)?;
            let resolved = fs::canonicalize(path).map_err(|fault| unusable(path, &fault))?;
            let ours = file.metadata().map_err(|fault| unusable(path, &fault))?;
            match fs::metadata(&resolved) {
                Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                    let digest = digest_of(&resolved).map_err(|fault| unusable(path, &fault))?;
                    return Ok(Self { path: resolved, stamp: FileStamp::of(&ours), digest, locked: file });
                }
                // Somebody has saved it between our opening and locking it.
                Ok(_) => {}
                Err(fault) if fault.kind() == ErrorKind::NotFound => {}
                Err(fault) => return Err(unusable(path, &fault)),
            }
        }
    }

    /// Puts what `write` writes in the place of the file.
    ///
    /// # Errors
    /// `conflict`, if somebody else has changed it since; what `write` and the file system fail with. The file is then as it
    /// was.
    pub(super) fn save(&mut self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let found = fs::metadata(&self.path).map(|metadata| FileStamp::of(&metadata)).ok();
        if !found.is_some_and(|found| self.is_unchanged(&found)) {
            let what = if found.is_some() { "changed" } else { "removed" };
            let message = format!(
                "somebody else has {what} the file since it was opened, so nothing is written to it: open it again"
            );
            return Err(Error::new(ErrorId::CONFLICT, message)
                .with("path", self.path.display().to_string())
                .with("retryable", false));
        }
        let path = &self.path;
        let mut digest = self.digest;
        let file = atomic_file::replace(path, |file| {
            lock(file.get_ref(), path)?;
            let mut writer = Hashing { writer: file, hasher: Sha256::new() };
            write(&mut writer)?;
            digest = writer.hasher.finalize().into();
            Ok(())
        })?;
        self.digest = digest;
        self.stamp = FileStamp::of(&file.metadata().map_err(|fault| unusable(path, &fault))?);
        self.locked = file;
        Ok(())
    }

    fn is_unchanged(&self, found: &FileStamp) -> bool {
        *found == self.stamp
            || found.has_same_identity(&self.stamp)
                && digest_of(&self.path).is_ok_and(|digest| digest == self.digest)
    }
}

fn content(file: File) -> Content {
    // The parser takes byte by byte.
    BufReader::with_capacity(1 << 16, file)
}

fn lock(file: &File, path: &Path) -> Result<()> {
    file.try_lock().map_err(|fault| match fault {
        TryLockError::WouldBlock => in_use(path),
        TryLockError::Error(fault) => unusable(path, &fault),
    })
}

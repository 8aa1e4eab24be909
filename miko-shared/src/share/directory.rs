//! The private directory of a share, and the removal of those whose owner was killed.
//!
//! Its owner holds a lock on the file `lock` in it, and so do the processes forked from it. The kernel releases the lock when
//! the last of them has died, however it died: a directory whose lock can be taken belongs to nobody. To be never seen without
//! its lock, a directory is made under another name and renamed when it is locked.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use miko_core::{Error, ErrorId, Result};
use nix::unistd::Uid;

const PREFIX: &str = "mikobase-";
const SOCKET: &str = "socket";
const LOCK: &str = "lock";

/// What a Unix socket's address has room for, with its final zero.
const PATH_LIMIT: usize = 108;

/// A directory of mode 0700, locked by this process and its children.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

impl Directory {
    /// Makes a directory with an unguessable name, after removing those that nobody owns any more.
    pub(super) fn create() -> Result<Self> {
        let base = base();
        remove_stale(&base);
        Self::create_in(&base).map_err(|fault| cannot_make(&base, &fault))
    }

    /// Makes the directory at `path` again, after it was removed with the share it was made for.
    pub(super) fn create_again(path: &Path) -> Result<Self> {
        Self::create_at(path.to_owned()).map_err(|fault| cannot_make(path, &fault))
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::from)?;
        let name = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self::create_at(base.join(format!("{PREFIX}{name}")))
    }

    fn create_at(path: PathBuf) -> io::Result<Self> {
        if path.join(SOCKET).as_os_str().len() >= PATH_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "its path would be longer than a Unix socket may have: set TMPDIR to a shorter one",
            ));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}"));
        DirBuilder::new().mode(0o700).create(&unfinished)?;
        let lock = File::create_new(unfinished.join(LOCK))?;
        lock.lock()?;
        fs::rename(&unfinished, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where the socket is, or will be.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// All that may be in it, and the directory itself, in the order of removal.
    pub(super) fn contents(&self) -> ([PathBuf; 2], PathBuf) {
        ([self.socket(), self.path.join(LOCK)], self.path.clone())
    }

    pub(super) fn remove(&self) {
        // If it is gone already, somebody has done our work.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn cannot_make(path: &Path, fault: &io::Error) -> Error {
    Error::new(ErrorId::INTERNAL, format!("no directory can be made for the socket: {fault}"))
        .with("path", path.display().to_string())
}

/// Where sockets of a user belong.
fn base() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(runtime) if runtime.is_dir() => runtime,
        _ => std::env::temp_dir(),
    }
}

/// Removes what killed processes of this user left in `base`. It is a courtesy: where it fails, nothing else does.
fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && is_stale(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_stale(path: &Path) -> bool {
    let Ok(directory) = fs::symlink_metadata(path) else { return false };
    if !directory.is_dir() || directory.uid() != Uid::effective().as_raw() {
        return false;
    }
    File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_directories_without_an_owner_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let owned = Directory::create_in(base.path()).unwrap();
        let abandoned = Directory::create_in(base.path()).unwrap();
        let abandoned_path = abandoned.path.clone();
        drop(abandoned);
        let foreign = base.path().join("mikobase-notes");
        fs::create_dir(&foreign).unwrap();

        remove_stale(base.path());

        assert!(owned.path.exists(), "its owner lives");
        assert!(!abandoned_path.exists(), "its owner is gone");
        assert!(foreign.exists(), "it has no lock, so it is none of ours");
    }

    #[test]
    fn a_directory_is_private() {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::create_in(base.path()).unwrap();
        assert_eq!(fs::metadata(&directory.path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

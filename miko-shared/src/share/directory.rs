//! The private directory of a share, and the removal of directories whose owner was killed.
//!
//! The process that creates a directory is its owner. The owner and all processes that it forks hold a lock
//! on the file `lock` in the directory. The kernel releases the lock when the last of these processes has
//! ended. A directory whose lock can be acquired is stale.
//!
//! # The races
//!
//! - *A directory is removed as stale before it is locked*: it is created under a temporary name and renamed
//!   once locked. A directory with a temporary name may be removed as stale, too. So after locking, the owner
//!   checks that the lock file is still at its path. If it is not, the owner retries under another name.
//! - *A directory is created while a stale directory of the same name is removed*: names are never reused.
//!   A process that removes a stale directory holds the lock of the directory, and has first checked that the
//!   locked file is still the one at its path. A directory without a lock file is removed only if it is
//!   empty. If its owner was just about to create the file, the owner retries under another name.
//! - *A process dies while it creates or removes a directory*: the directory is then unlocked or empty. In
//!   both cases it is removed as stale.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Result};
use nix::unistd::Uid;
use tracing::{info, warn};

/// The prefix of the names of locked directories.
const PREFIX: &str = "mikobase-";

/// The prefix of the temporary names of directories that are not locked yet.
const UNFINISHED_PREFIX: &str = ".mikobase-";

const SOCKET: &str = "socket";
/// The socket of the second protocol of a share ([`Uds::second_protocol`](crate::Uds::second_protocol)). It
/// has the name of the first socket and an extension, as in [`Uds::second_path`](crate::Uds::second_path).
const SECOND_SOCKET: &str = "socket.http";
const LOCK: &str = "lock";

/// The number of random bytes in the name of a directory.
const NAME_BYTES: usize = 8;

/// How often creating a directory is tried at most. An attempt fails if another process removes the directory
/// before it is locked.
const MAX_ATTEMPTS: usize = 100;

/// The size of the longest path of a Unix socket, in bytes, including the final zero.
const PATH_LIMIT: usize = 108;

/// The directory of a share, with mode 0700. This process and the processes that it forks have locked it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Kept open to hold the lock.
    _lock: File,
}

impl Directory {
    /// Removes stale directories, and creates a new directory with an unguessable name.
    ///
    /// # Errors
    /// `internal`, if no directory can be created in any of the [`bases`].
    pub(super) fn create() -> Result<Self> {
        let mut failed = None;
        for base in bases() {
            remove_stale(&base);
            match Self::create_in(&base) {
                Ok(directory) => return Ok(directory),
                Err(fault) => failed = Some(cannot_create(&base, fault)),
            }
        }
        Err(failed
            .unwrap_or_else(|| Error::new(ErrorId::INTERNAL, "there is no directory for temporary files")))
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(directory) = Self::try_create_in(base)? {
                return Ok(directory);
            }
        }
        Err(io::Error::other("it was removed each time before it could be locked"))
    }

    /// Creates a directory in `base`. Returns `None` if another process removed it before it was locked.
    fn try_create_in(base: &Path) -> io::Result<Option<Self>> {
        let mut random = [0; NAME_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::from)?;
        let name = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let path = base.join(format!("{PREFIX}{name}"));
        if path.join(SECOND_SOCKET).as_os_str().len() >= PATH_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "its path would be longer than a Unix socket may have: set TMPDIR to a shorter one",
            ));
        }
        let unfinished = base.join(format!("{UNFINISHED_PREFIX}{name}"));
        DirBuilder::new().mode(0o700).create(&unfinished)?;
        let locked = lock_in(&unfinished).and_then(|lock| {
            let Some(lock) = lock else { return Ok(None) };
            fs::rename(&unfinished, &path)?;
            Ok(Some(lock))
        });
        match locked {
            Ok(Some(lock)) => Ok(Some(Self { path, _lock: lock })),
            Ok(None) => Ok(None),
            Err(fault) => {
                remove(&unfinished);
                Err(fault)
            }
        }
    }

    /// The path of the socket of the share. The socket need not exist yet.
    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// The path of the socket of the second protocol. The socket exists only if there is such a protocol.
    pub(super) fn second_socket(&self) -> PathBuf {
        self.path.join(SECOND_SOCKET)
    }

    /// The paths of the files that may be in the directory, and the path of the directory itself.
    pub(super) fn contents(&self) -> ([PathBuf; 3], PathBuf) {
        ([self.socket(), self.second_socket(), self.path.join(LOCK)], self.path.clone())
    }

    /// Removes the directory and its files.
    pub(super) fn remove(&self) {
        remove(&self.path);
    }
}

/// Creates and locks the file `lock` in a new directory. Returns `None` if another process has removed the
/// file or the directory before the lock was held.
fn lock_in(directory: &Path) -> io::Result<Option<File>> {
    let path = directory.join(LOCK);
    let lock = match File::create_new(&path) {
        Ok(lock) => lock,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    lock.lock()?;
    Ok(is_at(&lock, &path).then_some(lock))
}

/// Whether the file that is open as `file` is the file at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(of_file), Ok(of_path)) => identity(of_file) == identity(of_path),
        _ => false,
    }
}

/// Removes the files of a share from a directory, and then the directory. A directory that contains other
/// files stays. Returns whether the directory is gone. Logs the first error. A missing file or directory is
/// no error.
fn remove(directory: &Path) -> bool {
    let files = [SOCKET, SECOND_SOCKET, LOCK].map(|name| fs::remove_file(directory.join(name)));
    let removed = files.into_iter().chain([fs::remove_dir(directory)]);
    let mut faults = removed.filter_map(Result::err).filter(|fault| fault.kind() != io::ErrorKind::NotFound);
    let fault = faults.next();
    if let Some(fault) = &fault {
        warn!(directory = %directory.display(), %fault, "cannot remove the directory of a share");
    }
    fault.is_none()
}

fn cannot_create(path: &Path, fault: io::Error) -> Error {
    Error::caused_by(ErrorId::INTERNAL, "no directory can be made for the socket", fault)
        .with("path", path.display().to_string())
}

/// The directories in which the directory of a share may be created, in order of preference. All are
/// absolute, so that a worker that changes its working directory still finds the socket.
fn bases() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // The XDG specification requires that a relative path is ignored.
    let runtime = runtime.filter(|path| path.is_absolute() && path.is_dir());
    // An empty TMPDIR counts as unset.
    let temporary = Some(std::env::temp_dir()).filter(|path| !path.as_os_str().is_empty());
    let temporary = std::path::absolute(temporary.unwrap_or_else(|| PathBuf::from("/tmp"))).ok();
    runtime.into_iter().chain(temporary).collect()
}

/// Removes the stale directories of this user in `base`. Failures are ignored.
fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_share_name) {
            remove_if_stale(&entry.path());
        }
    }
}

/// Whether a file has the name of a directory of a share, locked or not.
fn is_share_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(UNFINISHED_PREFIX));
    random.is_some_and(|random| {
        random.len() == 2 * NAME_BYTES && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Removes a directory with the name of a share, if it belongs to this user and is not locked.
fn remove_if_stale(directory: &Path) {
    let Ok(metadata) = fs::symlink_metadata(directory) else { return };
    if !metadata.is_dir() || metadata.uid() != Uid::effective().as_raw() {
        return;
    }
    let path = directory.join(LOCK);
    match File::open(&path) {
        // `lock` is dropped, and so released, only after the directory was removed.
        Ok(lock) if lock.try_lock().is_ok() && is_at(&lock, &path) => {
            if remove(directory) {
                info!(directory = %directory.display(), "removed the directory of a killed share");
            }
        }
        // The directory has an owner, or another process has just removed it.
        Ok(_) => {}
        // There is no lock file: the owner died before it created the file or after it removed the file. A
        // directory with other files stays, since `remove_dir` removes only an empty one.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => drop(fs::remove_dir(directory)),
        Err(_) => {}
    }
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

        assert!(owned.path.exists(), "its lock is held");
        assert!(!abandoned_path.exists(), "its lock was released");
        assert!(foreign.exists(), "its name is not one of a share");
    }

    #[test]
    fn remains_of_a_process_that_died_halfway_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let with_lock_file = base.path().join(".mikobase-0123456789abcdef");
        let without_lock_file = base.path().join(".mikobase-0123456789abcdee");
        let half_removed = base.path().join("mikobase-0123456789abcded");
        let with_notes = base.path().join("mikobase-0123456789abcdec");
        for path in [&with_lock_file, &without_lock_file, &half_removed, &with_notes] {
            fs::create_dir(path).unwrap();
        }
        File::create(with_lock_file.join(LOCK)).unwrap();
        File::create(with_notes.join("notes")).unwrap();

        remove_stale(base.path());

        for path in [with_lock_file, without_lock_file, half_removed] {
            assert!(!path.exists(), "{} is stale", path.display());
        }
        assert!(with_notes.exists(), "the file is not one of a share");
    }

    #[test]
    fn a_removal_that_fails_is_noticed() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("mikobase-0123456789abcdef");
        for (files, is_removed) in [(&[LOCK, SOCKET][..], true), (&[], true), (&[LOCK, "notes"], false)] {
            fs::create_dir(&directory).unwrap();
            files.iter().for_each(|name| drop(File::create(directory.join(name)).unwrap()));
            assert_eq!(remove(&directory), is_removed, "{files:?}");
            assert_eq!(directory.exists(), !is_removed, "{files:?}");
        }
        fs::remove_file(directory.join("notes")).unwrap();
        assert!([true; 2].map(|_| remove(&directory)) == [true; 2], "what does not exist is no fault");
    }

    #[test]
    fn a_lock_file_is_compared_with_the_file_at_its_path() {
        let base = tempfile::tempdir().unwrap();
        let owned = Directory::create_in(base.path()).unwrap();
        let old = File::create(base.path().join("old")).unwrap();
        assert!(!is_at(&old, &owned.path.join(LOCK)));
        assert!(is_at(&owned._lock, &owned.path.join(LOCK)));
    }

    #[test]
    fn creating_and_removing_directories_concurrently_is_safe() {
        let base = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        remove_stale(base.path());
                        let directory = Directory::create_in(base.path()).unwrap();
                        remove_stale(base.path());
                        assert!(directory.path.join(LOCK).exists());
                        directory.remove();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_is_private() {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::create_in(base.path()).unwrap();
        assert_eq!(fs::metadata(&directory.path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

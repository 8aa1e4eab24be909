//! The name file of a server that has a database file open. The name file is beside the database, and has the
//! path of the server's socket and a token for the server.
//!
//! A server that is killed leaves its name file, which is then stale. A stale name file does no harm: clients
//! read a name file only while the database is locked, and any other server refuses the token in it.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use miko_rpc::{Error, ErrorId, Proxy, Result};
use nix::fcntl::OFlag;
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::client::Connect;
use crate::token::Token;

/// The suffix that makes the path of the name file from the path of the database.
const SUFFIX: &str = "-server";

/// The most bytes that are read from a name file.
const MAX_SIZE: u64 = 8 << 10;

/// The address of the server that has a database file open, as read from its name file.
///
/// ```
/// use miko_shared::ServerName;
///
/// assert!(ServerName::of("no-such.db".as_ref()).is_none());
/// ```
#[derive(Debug)]
pub struct ServerName {
    socket: PathBuf,
    token: Token,
}

/// The content of a name file, as JSON.
#[derive(Serialize, Deserialize)]
struct Content {
    socket: PathBuf,
    token: String,
}

impl ServerName {
    /// Reads the name file of this database. `None` if there is no valid name file, if it belongs to another
    /// user, or if other users have any permission on it.
    pub fn of(database: &Path) -> Option<Self> {
        let (metadata, text) = read(&name_file_path(database).ok()?)?;
        if metadata.uid() != Uid::effective().as_raw() || metadata.mode() & 0o077 != 0 {
            return None;
        }
        let Content { socket, token } = serde_json::from_slice(&text).ok()?;
        Some(Self { socket, token: token.parse().ok()? })
    }

    /// Connects to the server. Fails at once if no server listens on the socket.
    ///
    /// # Errors
    /// The errors of [`Connect::connect`]. After `server-gone` or `unauthorized` the name file counts as
    /// stale.
    pub fn connect<P: Proxy>(&self) -> Result<P> {
        // While no server listens, `Connect::connect` retries. The server of a stale name file never listens
        // again, so one connect without a retry comes first.
        self.connect_socket().map_err(|fault| {
            Error::caused_by(ErrorId::SERVER_GONE, "no server can be reached", fault)
                .with("path", self.socket.display().to_string())
        })?;
        P::connect(&self.socket, &self.token)
    }

    /// Whether a server listens on the socket. It may be another server than the one that wrote the name
    /// file.
    pub(crate) fn has_listener(&self) -> bool {
        self.connect_socket().is_ok()
    }

    /// Whether the name file has this socket, under any of its paths.
    pub(crate) fn is_at(&self, socket: &Path) -> bool {
        let file = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        file(socket).is_some_and(|own| file(&self.socket) == Some(own))
    }

    fn connect_socket(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.socket)
    }
}

/// A name file that this server has written. Dropping this value removes the file, unless another server has
/// replaced it. The value must be dropped before the lock of the database is released: the next server may
/// write its own name file as soon as it has the lock.
pub(crate) struct NameFile {
    path: PathBuf,
    /// The content that was written.
    text: Vec<u8>,
}

impl NameFile {
    /// Writes the name file of the server on `socket`, and replaces any other name file of the database. The
    /// caller has the lock of the database.
    pub(crate) fn write(database: &Path, socket: &Path, token: &Token) -> io::Result<Self> {
        let path = name_file_path(database)?;
        let content = Content { socket: std::path::absolute(socket)?, token: token.to_hex() };
        let text = serde_json::to_vec(&content)?;
        let mut unfinished = path.clone().into_os_string();
        // Several servers that only read can hold the lock at once, so each first writes to its own path.
        unfinished.push(format!(".{}.new", std::process::id()));
        // An earlier process with the same id may have left a file at this path, if it was killed before its
        // rename.
        let _ = fs::remove_file(&unfinished);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
        opened
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&unfinished, &path))
            .inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
        Ok(Self { path, text })
    }
}

impl Drop for NameFile {
    fn drop(&mut self) {
        // A file with another content is that of another server. Two servers that only read can have the
        // database open at once.
        if read(&self.path).is_some_and(|(_, text)| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the name file that a killed server has left; leaves anything that is no readable regular file. The
/// caller has the lock of the database.
pub(crate) fn remove_stale(database: &Path) {
    // The content is not used. `read` is called because it fails for what no server has written, such as a
    // FIFO, which stays.
    if let Ok(path) = name_file_path(database)
        && read(&path).is_some()
    {
        let _ = fs::remove_file(path);
    }
}

/// Reads the metadata and the first [`MAX_SIZE`] bytes of a name file. `None` if the file is missing, cannot
/// be read, or is no regular file. A symbolic link is refused, and so is a FIFO: reading it could block.
fn read(path: &Path) -> Option<(Metadata, Vec<u8>)> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    let mut text = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut text).ok()?;
    Some((metadata, text))
}

/// The path of the name file of a database. Symbolic links in the path of the database are resolved, so all
/// links to a database lead to the same name file.
fn name_file_path(database: &Path) -> io::Result<PathBuf> {
    let mut path = fs::canonicalize(database)?.into_os_string();
    path.push(SUFFIX);
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn database(folder: &Path) -> PathBuf {
        let database = folder.join("crew.db");
        fs::write(&database, "").unwrap();
        database
    }

    #[test]
    fn a_server_name_is_found_by_each_path_of_the_database_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let link = folder.path().join("link.db");
        symlink(&database, &link).unwrap();
        let token = Token::random().unwrap();
        let written = NameFile::write(&link, Path::new("/run/crew"), &token).unwrap();
        for path in [&database, &link] {
            let name = ServerName::of(path).unwrap();
            assert!(name.socket == Path::new("/run/crew") && name.token.matches(&token));
        }
        assert_eq!(fs::metadata(folder.path().join("crew.db-server")).unwrap().mode() & 0o777, 0o600);
        drop(written);
        assert!(ServerName::of(&database).is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn dropping_a_server_name_keeps_that_of_a_later_server() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let write = || NameFile::write(&database, Path::new("s"), &Token::random().unwrap()).unwrap();
        let (first, _second) = (write(), write());
        drop(first);
        assert!(ServerName::of(&database).is_some());
    }

    #[test]
    fn a_fifo_in_place_of_the_file_is_no_server_name() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let path = folder.path().join("crew.db-server");
        let written = NameFile::write(&database, Path::new("s"), &Token::random().unwrap()).unwrap();
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(ServerName::of(&database).is_none());
        remove_stale(&database);
        drop(written);
        assert!(path.exists());
        let _next = NameFile::write(&database, Path::new("s"), &Token::random().unwrap()).unwrap();
        assert!(ServerName::of(&database).is_some());
        remove_stale(&database);
        assert!(ServerName::of(&database).is_none());
    }

    #[test]
    fn a_file_that_other_users_could_have_written_is_no_server_name() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        let path = folder.path().join("crew.db-server");
        let _written = NameFile::write(&database, Path::new("s"), &Token::random().unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(ServerName::of(&database).is_none());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(ServerName::of(&database).is_some());
        let moved = folder.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        assert!(ServerName::of(&database).is_none());
        fs::remove_file(&path).unwrap();
        for text in ["", "{", r#"{"socket": "s"}"#, r#"{"socket": "s", "token": "x"}"#] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(ServerName::of(&database).is_none(), "{text}");
        }
    }
}

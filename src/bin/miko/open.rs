//! Opens the Mikobase of a command: an engine in this process, or a running server.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use mikobase::backend::Backend;
use mikobase::{Connect, Engine, Error, ErrorId, Mikobase, MikobaseClient, backend, json};
use serde_json::Value;

use crate::exit::Failure;

pub(crate) const TOKEN: &str = "MIKOBASE_TOKEN";

/// The address of a running server.
#[derive(clap::Args)]
pub(crate) struct ServerAddress {
    /// The socket of a running server. Its token is taken from MIKOBASE_TOKEN, never from the command line.
    #[arg(long, value_name = "PATH", env = "MIKOBASE_SOCKET")]
    socket: Option<PathBuf>,
}

impl ServerAddress {
    /// Opens `backend`, or connects to the server if there is none.
    pub(crate) fn open(
        &self,
        backend: Option<&str>,
        if_missing: IfMissing,
    ) -> Result<Box<dyn Mikobase>, Failure> {
        if let Some(url) = backend {
            return Ok(engine(url, if_missing)?);
        }
        let socket = self.socket.as_ref().ok_or_else(not_named)?;
        let token = env::var(TOKEN).map_err(|_| {
            Failure::Usage(format!("a server asks for its token: set {TOKEN} in the environment"))
        })?;
        let token = token.trim().parse().map_err(Failure::Open)?;
        let client = MikobaseClient::connect(socket, &token).map_err(Failure::Open)?;
        Ok(Box::new(client))
    }

    /// Refuses arguments that name neither a backend nor a server, before anything is read.
    pub(crate) fn check_named(&self, backend: Option<&str>) -> Result<(), Failure> {
        if backend.is_none() && self.socket.is_none() { Err(not_named()) } else { Ok(()) }
    }
}

fn not_named() -> Failure {
    let message = "name a backend, such as mikobase.uno/sqlite/memory, \
                   or a running server by --socket or MIKOBASE_SOCKET";
    Failure::Usage(message.to_owned())
}

/// The option to create a missing database file.
#[derive(clap::Args)]
pub(crate) struct Create {
    /// Create the database file if it is missing, also for a request that only reads.
    #[arg(long)]
    create: bool,
}

impl Create {
    /// The policy for a missing file.
    pub(crate) fn if_missing(&self) -> IfMissing {
        if self.create { IfMissing::Create } else { IfMissing::Refuse }
    }
}

/// The policy for a missing database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    /// Create it.
    Create,
    /// Fail: a command that only reads creates nothing.
    Refuse,
}

/// Whether `word` names a backend, so that it cannot be a pk, a class or a method.
pub(crate) fn is_backend(word: &str) -> bool {
    word.parse::<Backend>().is_ok()
}

/// Whether `url` names a file that is missing or empty, and so has no database.
pub(crate) fn is_missing(url: &str) -> bool {
    let backend: Option<Backend> = url.parse().ok();
    let path = backend.as_ref().and_then(Backend::path);
    path.is_some_and(|path| path.metadata().map_or(true, |metadata| metadata.len() == 0))
}

/// Opens an engine in this process.
pub(crate) fn engine(url: &str, if_missing: IfMissing) -> Result<Box<dyn Engine>, Failure> {
    let opened = match if_missing {
        IfMissing::Create => backend::open(url),
        IfMissing::Refuse => url.parse().and_then(|backend: Backend| backend.open_existing()),
    };
    opened.map_err(Failure::Open)
}

/// Opens the source of a conversion. If it is missing, the error is that of a missing backend.
pub(crate) fn source(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|fault| match fault.kind() {
        ErrorKind::NotFound => {
            let error = Error::new(ErrorId::INVALID_BACKEND, "there is no such file");
            Failure::Open(error.with("path", path.display().to_string()))
        }
        _ => Failure::file(path)(fault),
    })
}

/// Opens a file to read; `-` is standard input. Returns its length in bytes too, if it is known.
pub(crate) fn reader(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(Failure::file(path))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), length))
}

/// Whether a file can be opened to read; `-` always can.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") { Ok(()) } else { File::open(path).map(drop).map_err(Failure::file(path)) }
}

/// Reads a file that holds JSON; `-` is standard input.
pub(crate) fn read_json(path: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    reader(path)?.0.read_to_string(&mut text).map_err(Failure::file(path))?;
    Ok(json::parse(&text).map_err(|error| error.with_all("path", path.display().to_string()))?)
}

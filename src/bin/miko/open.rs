//! Opens the Mikobase of a command: an engine in this process, or a running server.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use mikobase::backend::{Backend, Mode};
use mikobase::{
    Connect, Engine, Error, ErrorId, Imported, Mikobase, MikobaseClient, MikobaseExt, ServerName, Token,
    backend, json,
};
use serde_json::Value;

use crate::exit::Failure;

pub(crate) const TOKEN: &str = "MIKOBASE_TOKEN";
const SOCKET: &str = "MIKOBASE_SOCKET";

/// The address of a running server.
#[derive(clap::Args)]
pub(crate) struct ServerAddress {
    /// The socket of a running server. Its token is taken from MIKOBASE_TOKEN, never from the command line.
    /// A server that has a database file open is found by the name of the file, too. [env: MIKOBASE_SOCKET=]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl ServerAddress {
    /// Opens `backend`, or connects to the server if there is none.
    pub(crate) fn open(&self, backend: Option<&str>, purpose: Purpose) -> Result<Box<dyn Mikobase>, Failure> {
        Ok(self.open_engine(backend, purpose)?.into_mikobase())
    }

    /// As [`open`](Self::open). Tells an engine from a server. A backend and `--socket` together are refused:
    /// one of them would be ignored.
    pub(crate) fn open_engine(&self, backend: Option<&str>, purpose: Purpose) -> Result<Opened, Failure> {
        let Some(url) = backend else { return Ok(Opened::Server(self.connect()?)) };
        if self.is_given() {
            let message = format!("--socket names a running server, and `{url}` a backend: name one of them");
            return Err(Failure::Usage(message));
        }
        match engine(url, purpose) {
            Ok(engine) => Ok(Opened::Engine(engine)),
            Err(Failure::Open(in_use)) if in_use.is(ErrorId::BACKEND_IN_USE) => {
                server_of(url, in_use).map(Opened::Server).map_err(Failure::Open)
            }
            Err(failure) => Err(failure),
        }
    }

    fn connect(&self) -> Result<MikobaseClient, Failure> {
        let socket = self.socket().ok_or_else(not_named)?;
        let token = token()?.ok_or_else(|| {
            Failure::Usage(format!("a server asks for its token: set {TOKEN} in the environment"))
        })?;
        MikobaseClient::connect(socket, &token).map_err(Failure::Open)
    }

    /// Refuses arguments that name neither a backend nor a server, before anything is read.
    pub(crate) fn check_named(&self, backend: Option<&str>) -> Result<(), Failure> {
        if backend.is_none() && self.socket().is_none() { Err(not_named()) } else { Ok(()) }
    }

    /// Whether `--socket` was given: then no argument is a backend.
    pub(crate) fn is_given(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether the environment names a server, and no option does.
    pub(crate) fn is_named_by_environment(&self) -> bool {
        self.socket.is_none() && self.socket().is_some()
    }

    fn socket(&self) -> Option<PathBuf> {
        self.socket.clone().or_else(|| env::var_os(SOCKET).map(PathBuf::from))
    }
}

/// The token in the environment.
pub(crate) fn token() -> Result<Option<Token>, Failure> {
    let Some(text) = env::var_os(TOKEN) else { return Ok(None) };
    let token = text.to_string_lossy().trim().parse();
    token.map(Some).map_err(|error: Error| Failure::Open(error.with("variable", TOKEN)))
}

/// What a command works on.
pub(crate) enum Opened {
    /// An engine in this process.
    Engine(Box<dyn Engine>),
    /// A running server.
    Server(MikobaseClient),
}

impl Opened {
    fn into_mikobase(self) -> Box<dyn Mikobase> {
        match self {
            Self::Engine(engine) => engine,
            Self::Server(client) => Box::new(client),
        }
    }

    pub(crate) fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported, Error> {
        match self {
            Self::Engine(engine) => engine.read_worldlet(reader, trust),
            Self::Server(client) => client.import_worldlet(reader, trust),
        }
    }

    pub(crate) fn write_worldlet(&self, writer: &mut dyn Write) -> Result<(), Error> {
        match self {
            Self::Engine(engine) => engine.write_worldlet(writer),
            Self::Server(client) => client.export_worldlet(writer),
        }
    }
}

/// Connects to the server that has the file of a backend open. `in_use` is the error if none says so.
fn server_of(url: &str, in_use: Error) -> Result<MikobaseClient, Error> {
    let backend: Backend = url.parse()?;
    let Some(name) = backend.path().and_then(ServerName::of) else { return Err(in_use) };
    let is_stale = |error: &Error| error.is(ErrorId::SERVER_GONE) || error.is(ErrorId::UNAUTHORIZED);
    name.connect().map_err(|error| if is_stale(&error) { in_use } else { error })
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
    /// The purpose of a command that may write.
    pub(crate) fn purpose(&self) -> Purpose {
        if self.create { Purpose::Create } else { Purpose::Write }
    }
}

/// What a command opens a database for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read. A missing file is an error. Other commands may read it at the same time.
    Read,
    /// To read and write. A missing file is an error.
    Write,
    /// As [`Write`](Self::Write). A missing file is created.
    Create,
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
pub(crate) fn engine(url: &str, purpose: Purpose) -> Result<Box<dyn Engine>, Failure> {
    let opened = match purpose {
        Purpose::Create => backend::open(url),
        Purpose::Write => url.parse().and_then(|backend: Backend| backend.open_existing()),
        Purpose::Read => url.parse().and_then(|backend: Backend| open_to_read(&backend)),
    };
    opened.map_err(Failure::Open)
}

/// Opens an engine as a reader, or as a writer where no reader can: an engine in memory, a file that an older
/// version has written, or one in a folder where SQLite has to create files.
fn open_to_read(backend: &Backend) -> Result<Box<dyn Engine>, Error> {
    backend.open(Mode::Read).or_else(|refused| {
        if refused.is(ErrorId::BACKEND_IN_USE) { Err(refused) } else { backend.open_existing() }
    })
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

/// Whether a file can be opened to read; `-` always can. A pipe is not opened: its writer would notice that
/// it is closed again.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(());
    }
    let found = path.metadata().map_err(Failure::file(path))?;
    if found.is_file() { File::open(path).map(drop).map_err(Failure::file(path)) } else { Ok(()) }
}

/// Reads a file that holds text; `-` is standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    reader(path)?.0.read_to_string(&mut text).map_err(Failure::file(path))?;
    Ok(text)
}

/// Reads a file that holds JSON; `-` is standard input.
pub(crate) fn read_json(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path)?;
    Ok(json::parse(&text).map_err(|error| error.with_all("path", path.display().to_string()))?)
}

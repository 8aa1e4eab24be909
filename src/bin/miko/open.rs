//! Which Mikobase a command is about: an engine of its own, or a running server.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mikobase::{Connect, Engine, Mikobase, MikobaseClient, backend, json};
use serde_json::Value;

use crate::exit::Failure;

const TOKEN: &str = "MIKOBASE_TOKEN";

/// Where to find a running server.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// The socket of a running server. Its token is taken from MIKOBASE_TOKEN, never from the command line.
    #[arg(long, value_name = "PATH", env = "MIKOBASE_SOCKET")]
    socket: Option<PathBuf>,
}

impl Server {
    /// Opens `backend`, or connects to the server if none is named.
    pub(crate) fn open(&self, backend: Option<&str>) -> Result<Box<dyn Mikobase>, Failure> {
        if let Some(url) = backend {
            return Ok(engine(url)?);
        }
        let Some(socket) = &self.socket else {
            return Err(Failure::Usage(
                "name a backend, such as mikobase.uno/sqlite/memory, or a running server by --socket or MIKOBASE_SOCKET"
                    .to_owned(),
            ));
        };
        let token = env::var(TOKEN).map_err(|_| {
            Failure::Usage(format!("a server asks for its token: set {TOKEN} in the environment"))
        })?;
        let token = token.trim().parse().map_err(Failure::Unreachable)?;
        let client = MikobaseClient::connect(socket, &token).map_err(Failure::Unreachable)?;
        Ok(Box::new(client))
    }
}

/// Opens an engine in this process.
pub(crate) fn engine(url: &str) -> Result<Box<dyn Engine>, Failure> {
    backend::open(url).map_err(Failure::Unreachable)
}

/// Opens a file to read; `-` is standard input. Also its length, where that is known.
pub(crate) fn reader(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(Failure::file(path))?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), length))
}

/// Reads a file that holds JSON; `-` is standard input.
pub(crate) fn read_json(path: &Path) -> Result<Value, Failure> {
    let mut text = String::new();
    reader(path)?.0.read_to_string(&mut text).map_err(Failure::file(path))?;
    Ok(json::parse(&text).map_err(|error| error.with_all("path", path.display().to_string()))?)
}

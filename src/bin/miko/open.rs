//! Which Mikobase a command is about: an engine of its own, or a running server.

use std::env;
use std::path::PathBuf;

use mikobase::{Connect, Mikobase, MikobaseClient, backend};

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
            let engine = backend::open(url).map_err(Failure::Unreachable)?;
            return Ok(engine);
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

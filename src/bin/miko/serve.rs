//! `miko serve`: serves a Mikobase to other programs.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use miko_core::atomic_file;
use mikobase::backend::{Backend, Mode};
use mikobase::{Access, Auth, Engine, Error, ErrorId, Http, ProtocolSocket, StandaloneServer, Token};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use serde_json::{Map, Value, json};

use crate::activation::{self, Passed};
use crate::exit::{Exit, Failure, print_stderr};
use crate::open::{self, TOKEN};
use crate::tls;

/// The backend that is served if none is named.
const IN_MEMORY: &str = "mikobase.uno/sqlite/memory";

/// How long a server waits for the lock of the folder of its sockets.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(1);

/// How long it waits before it tries again.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// The arguments of `miko serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("listens").args(["socket", "tcp", "listen_fds"]).required(true))]
pub(crate) struct Args {
    /// The backend to serve, a URL or a path; by default one in memory.
    backend: Option<String>,
    /// Speak the wire of Mikobase on the socket PATH, and HTTP on PATH.http.
    #[arg(long, value_name = "PATH", conflicts_with = "tcp")]
    socket: Option<PathBuf>,
    /// Speak HTTP on this address, such as 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR", requires = "auth")]
    tcp: Option<SocketAddr>,
    /// Take the sockets that systemd has opened. One by TCP, and one whose path ends in .http or whose
    /// FileDescriptorName is `http`, is for HTTP; another one for the wire.
    #[arg(long, conflicts_with_all = ["socket", "tcp"])]
    listen_fds: bool,
    /// A name of this server, beside `localhost` and the address; requests by TCP name one of them.
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    host: Vec<String>,
    /// Let web pages of this origin, such as `https://app.example.com`, send requests by TCP and read the
    /// answers.
    #[arg(long, value_name = "ORIGIN", conflicts_with = "socket")]
    allow_origin: Vec<String>,
    #[command(flatten)]
    tls: tls::TlsArgs,
    /// Who may send requests over HTTP; by default `peer`.
    #[arg(long)]
    auth: Option<AuthKind>,
    /// Allow `--auth open` on an address that other machines reach.
    #[arg(long)]
    open_to_network: bool,
    /// Refuse all writes.
    #[arg(long, conflicts_with = "append_only")]
    read_only: bool,
    /// Take creates, imports of new pks and merges, and refuse all other writes.
    #[arg(long)]
    append_only: bool,
    /// Stop at the end of standard input, too.
    #[arg(long)]
    until_eof: bool,
    /// Write a line of JSON to this descriptor when the sockets are ready, and close it.
    #[arg(long, value_name = "N")]
    ready_fd: Option<RawFd>,
    /// Write the final worldlet to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a request over HTTP needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthKind {
    /// To come from a process of the same user; on a Unix socket only.
    Peer,
    /// To carry the token.
    Token,
    /// Nothing.
    Open,
}

const EXAMPLES: &str = r#"Examples:
  export MIKOBASE_TOKEN=$(openssl rand -hex 32)
  miko serve crew.db --socket /run/user/1000/crew
  miko serve crew.db --tcp 127.0.0.1:8080 --auth token
  miko serve crew.db --tcp 0.0.0.0:8443 --auth token --host ship.example \
      --tls-cert server.pem --tls-key server.key

The token is taken from MIKOBASE_TOKEN, never from the command line: 64 hexadecimal digits. The
wire always needs it; HTTP needs it with `--auth token`. The server stops at SIGTERM and Ctrl-C.
With --tls-cert, SIGHUP reads the certificate again. The program has TLS if it was built with it:
cargo install --path . --features tls."#;

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    // Before any other descriptor is opened.
    let passed = if args.listen_fds { activation::take()? } else { Vec::new() };
    let ready = args.ready_fd.map(|descriptor| ready_file(descriptor, &passed)).transpose()?;
    let server = StandaloneServer::new()?.stop_at_end_of_input(args.until_eof);
    let token = open::token()?;
    check_auth(args, token.as_ref())?;
    let certificate = tls::Certificate::read(&args.tls)?;
    // Relative to the folder in which the command was started.
    let out = args.out.as_ref().map(std::path::absolute).transpose()?;
    out.as_deref().map_or(Ok(()), atomic_file::check)?;
    // Before the file, which is created if it is missing.
    let mut sockets = Sockets::default();
    let passed = match (&args.socket, args.tcp) {
        (Some(path), _) => {
            let http = with_suffix(path);
            vec![Passed::Wire(sockets.bind(path)?), Passed::Http(sockets.bind(&http)?)]
        }
        (None, Some(address)) => {
            vec![Passed::Tcp(TcpListener::bind(address).map_err(|fault| cannot_listen(address, fault))?)]
        }
        (None, None) => passed,
    };
    let (server, addresses) = listen(server, passed, args, token.as_ref(), &certificate)?;
    let server = certificate.reload_at_hangup(server);
    let (engine, backend, mode) = open(args)?;
    let announce = |unnamed: Option<Error>| {
        print_stderr(format_args!("miko: serving {addresses}"));
        if let Some(error) = unnamed {
            print_stderr(format_args!("miko: other commands do not find this server by its file: {error}"));
        }
        let failed = |what: &str, fault| Error::caused_by(ErrorId::INTERNAL, what, fault);
        activation::notify_ready().map_err(|fault| failed("NOTIFY_SOCKET cannot be told", fault))?;
        match ready {
            Some(mut ready) => {
                writeln!(ready, "{addresses}").map_err(|fault| failed("no one waits at --ready-fd", fault))
            }
            None => Ok(()),
        }
    };
    let database = backend.path().map(|path| (path, mode));
    server.run_mikobase(engine, database, out.as_deref(), announce)?;
    drop(sockets);
    Ok(Exit::Success)
}

/// Lets the server speak on its sockets. Returns their addresses, too.
fn listen(
    mut server: StandaloneServer,
    listeners: Vec<Passed>,
    args: &Args,
    token: Option<&Token>,
    certificate: &tls::Certificate,
) -> Result<(StandaloneServer, Value), Failure> {
    let mut addresses = Map::new();
    let path_of = |listener: &UnixListener| -> Result<Value, Failure> {
        let address = listener.local_addr()?;
        Ok(address.as_pathname().map_or(Value::Null, |path| json!(path.to_string_lossy())))
    };
    for listener in listeners {
        let (key, address) = match listener {
            Passed::Wire(wire) => {
                let address = path_of(&wire)?;
                server = server.socket(wire, token.cloned().ok_or_else(no_token)?);
                ("socket", address)
            }
            Passed::Http(listener) => {
                let address = path_of(&listener)?;
                let http = Http::new(auth(args, token, None)?);
                server = server.protocol(ProtocolSocket::unix(listener, Rc::new(http)));
                ("http", address)
            }
            Passed::Tcp(listener) => {
                let address = listener.local_addr()?;
                let http = Http::new(auth(args, token, Some(address))?).host(host_of(address));
                let http = args.host.iter().fold(http, Http::host);
                let http =
                    args.allow_origin.iter().try_fold(http, |http, origin| http.allow_origin(origin))?;
                let http = certificate.secure(http);
                server = server.protocol(ProtocolSocket::tcp(listener, Rc::new(http)));
                ("tcp", json!(address))
            }
        };
        if addresses.insert(key.to_owned(), address).is_some() {
            return Err(Failure::Usage(format!("systemd has passed two sockets of the kind `{key}`")));
        }
    }
    if certificate.is_named() && !addresses.contains_key("tcp") {
        let message = "--tls-cert: TLS is spoken by TCP, and systemd has passed no such socket";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok((server, Value::Object(addresses)))
}

/// Checks what can be checked before anything is opened.
fn check_auth(args: &Args, token: Option<&Token>) -> Result<(), Failure> {
    auth(args, token, args.tcp)?;
    if args.socket.is_some() && token.is_none() { Err(no_token()) } else { Ok(()) }
}

/// The engine, of which backend it is, and how that is open.
fn open(args: &Args) -> Result<(Box<dyn Engine>, Backend, Mode), Failure> {
    let url = args.backend.as_deref().unwrap_or(IN_MEMORY);
    let mode = if args.read_only { Mode::Read } else { Mode::ReadWrite };
    let backend: Backend = url.parse().map_err(Failure::Open)?;
    let engine = backend.open(mode).map_err(Failure::Open)?;
    if args.append_only {
        engine.restrict(Access::AppendOnly)?;
    }
    Ok((engine, backend, mode))
}

fn no_token() -> Failure {
    Failure::Usage(format!("set {TOKEN} in the environment: 64 hexadecimal digits"))
}

/// Who may send requests. What an address does not allow is refused.
fn auth(args: &Args, token: Option<&Token>, tcp: Option<SocketAddr>) -> Result<Auth, Failure> {
    match (args.auth.unwrap_or(AuthKind::Peer), tcp) {
        (AuthKind::Token, _) => Ok(Auth::Token(token.cloned().ok_or_else(no_token)?)),
        (AuthKind::Peer, Some(_)) => {
            let message = "by TCP the user of a client is unknown: choose --auth token or --auth open";
            Err(Failure::Usage(message.to_owned()))
        }
        (AuthKind::Open, Some(address)) if !address.ip().is_loopback() && !args.open_to_network => {
            let message = "other machines reach this address: --auth open needs --open-to-network";
            Err(Failure::Usage(message.to_owned()))
        }
        (AuthKind::Peer, None) => Ok(Auth::Peer),
        (AuthKind::Open, _) => Ok(Auth::Open),
    }
}

/// The descriptor at which the caller waits. It is none of those that were `passed` to listen on.
fn ready_file(descriptor: RawFd, passed: &[Passed]) -> Result<File, Failure> {
    if passed.iter().any(|socket| socket.as_raw_fd() == descriptor) {
        return Err(Failure::Usage(format!("--ready-fd: descriptor {descriptor} is one of LISTEN_FDS")));
    }
    if descriptor <= 2 || fs::metadata(format!("/proc/self/fd/{descriptor}")).is_err() {
        return Err(Failure::Usage(format!("--ready-fd {descriptor} is not an open descriptor above 2")));
    }
    // SAFETY: it is open, and neither a standard one nor one of those that `passed` owns. The caller of the
    // command has opened it for this purpose: nothing else in this process has opened a descriptor before.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(owned.into())
}

/// The sockets of the server, which are removed at its end.
#[derive(Default)]
struct Sockets(Vec<Socket>);

/// A socket that this server has bound. Another server may have replaced it since.
struct Socket {
    path: PathBuf,
    identity: (u64, u64),
}

impl Sockets {
    /// Binds a socket for this user alone. A socket that a killed server has left is replaced.
    fn bind(&mut self, path: &Path) -> Result<UnixListener, Failure> {
        // Another server would replace the same socket, after this one has bound its own.
        let _lock = lock_folder(path);
        if let Ok(found) = fs::symlink_metadata(path) {
            // A connect to such a file is refused, too.
            if !found.file_type().is_socket() {
                return Err(Failure::file(path)(io::Error::other("it is there, and is no socket")));
            }
            if !is_listened_to(path) {
                fs::remove_file(path).map_err(Failure::file(path))?;
            }
        }
        let listener = UnixListener::bind(path).map_err(Failure::file(path))?;
        let identity = identity_of(path).map_err(Failure::file(path))?;
        self.0.push(Socket { path: path.to_owned(), identity });
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Failure::file(path))?;
        Ok(listener)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in &self.0 {
            let _lock = lock_folder(&socket.path);
            if identity_of(&socket.path).is_ok_and(|found| found == socket.identity) {
                let _ = fs::remove_file(&socket.path);
            }
        }
    }
}

/// Keeps other servers from replacing or removing sockets in the folder of `path`. `None` if the file system
/// has no locks, or another program keeps the folder locked: a server has it for a moment only.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(atomic_file::folder_of(path)).ok()?;
    let until = Instant::now() + MAX_LOCK_WAIT;
    loop {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_RETRY),
            Err(_) => return None,
        }
    }
}

/// Whether a process listens on the socket at `path`. One whose queue is full does.
fn is_listened_to(path: &Path) -> bool {
    let connect = || {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
    };
    connect() != Err(Errno::ECONNREFUSED)
}

/// The device and the inode of a file. Those of a symbolic link are its own.
fn identity_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".http");
    name.into()
}

/// The name of the address in the header `Host`.
fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn cannot_listen(address: SocketAddr, fault: io::Error) -> Failure {
    let error = Error::caused_by(ErrorId::INTERNAL, "the address cannot be bound", fault);
    Failure::Open(error.with("address", address.to_string()))
}

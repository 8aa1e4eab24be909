//! Sockets that systemd has opened, and the notice that the server is ready.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};

use crate::exit::Failure;

/// The first descriptor that systemd passes on.
const FIRST: RawFd = 3;

/// The most that are taken.
const MAX: RawFd = 64;

/// A listening socket that was passed on.
pub(crate) enum Passed {
    /// For the wire.
    Wire(UnixListener),
    /// For HTTP: the name of the descriptor is `http`, or the path ends in `.http`.
    Http(UnixListener),
    /// For HTTP by TCP.
    Tcp(TcpListener),
}

impl AsRawFd for Passed {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Wire(listener) | Self::Http(listener) => listener.as_raw_fd(),
            Self::Tcp(listener) => listener.as_raw_fd(),
        }
    }
}

/// The sockets that this process was started with, as `LISTEN_FDS` says. The standard descriptors are none.
///
/// It must be called once, before the process opens other descriptors.
pub(crate) fn take() -> Result<Vec<Passed>, Failure> {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    if variable("LISTEN_PID") != std::process::id().to_string() {
        let message = "systemd has passed no sockets to this process: LISTEN_PID is another one, or missing";
        return Err(Failure::Usage(message.to_owned()));
    }
    let count = variable("LISTEN_FDS").parse().ok().filter(|count| (1..=MAX).contains(count));
    let count: RawFd = count.ok_or_else(|| {
        Failure::Usage(format!("LISTEN_FDS is `{}`, and not a number up to {MAX}", variable("LISTEN_FDS")))
    })?;
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    (FIRST..FIRST + count)
        .map(|descriptor| {
            let name = names.next().unwrap_or_default();
            listener(descriptor, name).map_err(|fault| {
                Failure::Usage(format!(
                    "descriptor {descriptor} of LISTEN_FDS is no listening socket: {fault}"
                ))
            })
        })
        .collect()
}

fn listener(descriptor: RawFd, name: &str) -> io::Result<Passed> {
    // One that is not open has no flags.
    if fcntl_flags(descriptor).is_err() {
        return Err(io::Error::other("it is not open"));
    }
    // SAFETY: it is open. The starter of the process has opened it for this purpose, as LISTEN_PID says, and
    // `take` is called once: nothing else in this process owns it.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl(&owned, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    if getsockopt(&owned, sockopt::SockType)? != SockType::Stream || !getsockopt(&owned, sockopt::AcceptConn)?
    {
        return Err(io::Error::other("it does not accept streams"));
    }
    let address: SockaddrStorage = getsockname(owned.as_raw_fd())?;
    match address.family() {
        Some(AddressFamily::Unix) => {
            let listener = UnixListener::from(owned);
            let path = listener.local_addr()?;
            let is_http =
                path.as_pathname().is_some_and(|path| path.as_os_str().as_bytes().ends_with(b".http"));
            Ok(if is_http || name == "http" { Passed::Http(listener) } else { Passed::Wire(listener) })
        }
        Some(AddressFamily::Inet | AddressFamily::Inet6) => Ok(Passed::Tcp(TcpListener::from(owned))),
        _ => Err(io::Error::other("its family is none that is served")),
    }
}

fn fcntl_flags(descriptor: RawFd) -> io::Result<()> {
    std::fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).map(drop)
}

/// Tells systemd that the server is ready, if that has asked to be told (`Type=notify`).
pub(crate) fn notify_ready() -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}

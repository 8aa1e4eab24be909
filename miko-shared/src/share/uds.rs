//! `Uds`: the socket path and the options of a share.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use miko_rpc::{Client, Error, ErrorId, Interface, Result, Served};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::info;

use super::BoxError;
use super::child_status::SigchldGuard;
use super::directory::Directory;
use super::fork::fork_child;
use super::interface_options::InterfaceOptions;
use super::preconditions;
use super::report::{Report, ShareError, WorkerReport};
use super::running::{OnExit, Share, UdsLease};
use super::server_process::{self, ServerSetup};
use super::supervisor::{Interrupt, Supervisor, WorkerBody, WorkerOptions};
use super::worker_process::{self, Worker, WorkerConnection};
use crate::client::Address;
use crate::descriptors::DescriptorLimit;
use crate::limits::Limits;
use crate::polling::{self, SharedStatus};
use crate::server::{Activity, Around, CallInfo, Next, Protocol, Service};
use crate::token::Token;

/// The default of [`Uds::capture_limit`], in bytes.
const CAPTURE_LIMIT: usize = 1 << 20;

/// With a memory limit, the frame size is at most the limit divided by this: decoding a frame takes a
/// multiple of its size.
const FRAME_SIZE_DIVISOR: usize = 8;

/// A Unix domain socket for one share at a time: its path, its secret and the options of the share.
///
/// Creating a `Uds` binds no socket and starts no process. The `Uds` belongs to the process that created it:
/// in a forked process, starting a share fails as `server-used-in-fork`.
pub struct Uds {
    owner: Pid,
    /// The path of the socket of the running share; between shares, the path of the last share's socket;
    /// before the first share, the path that its socket will have.
    path: RefCell<PathBuf>,
    token: Token,
    /// Whether a share runs on the `Uds`. The [`UdsLease`] of the share resets it.
    in_use: Rc<Cell<bool>>,
    /// The directory for the socket of the first share, until that share takes it.
    directory: RefCell<Option<Directory>>,
    allow_threads: bool,
    polling: bool,
    limits: Limits,
    pub(crate) memory_limit: Option<usize>,
    max_concurrent: usize,
    restarts: usize,
    capture_output: bool,
    capture_limit: usize,
    worker_timeout: Option<Duration>,
    grace_period: Duration,
    on_exit: Option<OnExit>,
    around: Option<Rc<Around>>,
    second_protocol: Option<Rc<dyn Protocol>>,
    workers_use_second_protocol: bool,
    #[cfg_attr(not(feature = "mikobase"), allow(dead_code, reason = "shares of a Mikobase use it"))]
    pub(crate) interface_options: InterfaceOptions,
}

impl Uds {
    /// Creates a private directory for the socket, and a token. Removes stale directories of killed processes
    /// of this user.
    ///
    /// # Errors
    /// `internal`, if no directory can be created in `XDG_RUNTIME_DIR` or the directory for temporary files,
    /// or if there is no randomness for a token.
    pub fn new() -> Result<Self> {
        let directory = Directory::create()?;
        Ok(Self {
            owner: getpid(),
            path: RefCell::new(directory.socket()),
            token: Token::random()?,
            in_use: Rc::default(),
            directory: RefCell::new(Some(directory)),
            allow_threads: false,
            polling: true,
            limits: Limits::default(),
            memory_limit: None,
            max_concurrent: usize::MAX,
            restarts: 0,
            capture_output: false,
            capture_limit: CAPTURE_LIMIT,
            worker_timeout: None,
            grace_period: Duration::from_secs(2),
            on_exit: None,
            around: None,
            second_protocol: None,
            workers_use_second_protocol: false,
            interface_options: InterfaceOptions::default(),
        })
    }

    /// The path of the socket. The socket exists while a share runs. Each share after the first gets a new
    /// path.
    pub fn path(&self) -> PathBuf {
        self.path.borrow().clone()
    }

    /// The path of the socket of the second protocol: [`path`](Self::path) followed by `.http`. The socket
    /// exists while a share with a [second protocol](Self::second_protocol) runs.
    pub fn second_path(&self) -> PathBuf {
        self.path().with_extension("http")
    }

    /// The secret that authorizes a process to connect.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Limits the number of live workers; 0 counts as 1. Each further worker starts when another has ended.
    /// No limit by default.
    #[must_use]
    pub fn max_concurrent(mut self, workers: usize) -> Self {
        self.max_concurrent = workers.max(1);
        self
    }

    /// Starts a worker again at once, with the same index, if it was killed, panicked, failed with an error,
    /// or exited with a code other than 0. At most `max` such restarts happen in the whole share, 0 by
    /// default, and none during an early shutdown, as after Ctrl-C. Each run of a worker has its own report.
    ///
    /// ```no_run
    /// use miko_shared::Uds;
    ///
    /// # fn work(db: &miko_core::mikobase_rpc::MikobaseClient, run: usize) {}
    /// let report = Uds::new()?.restart(5).mikobase(20, |db, worker| {
    ///     work(db, worker.run());
    ///     Ok(())
    /// })?;
    /// let runs = report.workers().len();
    /// eprintln!("{} restarts", runs - report.last_runs().count());
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    #[must_use]
    pub fn restart(mut self, max: usize) -> Self {
        self.restarts = max;
        self
    }

    /// Whether standard output and standard error of the workers are captured in their reports. By default
    /// workers inherit the outputs of the parent.
    #[must_use]
    pub fn capture_output(mut self, capture: bool) -> Self {
        self.capture_output = capture;
        self
    }

    /// The number of bytes that [`capture_output`](Self::capture_output) keeps of each output of a worker:
    /// one half from the beginning, the other half from the end. The report counts the bytes dropped in
    /// between. 1 MiB by default.
    #[must_use]
    pub fn capture_limit(mut self, bytes: usize) -> Self {
        self.capture_limit = bytes;
        self
    }

    /// Ends a worker that runs longer than `timeout`: first with SIGTERM, after the grace period with
    /// SIGKILL. No limit by default.
    #[must_use]
    pub fn worker_timeout(mut self, timeout: Duration) -> Self {
        self.worker_timeout = Some(timeout);
        self
    }

    /// The time between SIGTERM and SIGKILL to a process that has to end. Also the time between the beginning
    /// of an early shutdown, as after Ctrl-C, and SIGTERM to the workers; how far a call may exceed its
    /// deadline before the server is killed; and how long the server may take to exit after it has delivered
    /// the final state. Two seconds by default.
    #[must_use]
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace_period = grace;
        self
    }

    /// Calls `f` in the parent for each worker that was reaped, while [`Share::wait`] or [`Share::join`]
    /// runs. The report that `f` gets does not contain the value that the closure of the worker returned. A
    /// second `f` replaces the first.
    #[must_use]
    pub fn on_exit(mut self, f: impl FnMut(&WorkerReport<()>) + 'static) -> Self {
        self.on_exit = Some(Rc::new(RefCell::new(f)));
        self
    }

    /// Runs `hook` in the server around each call: for metrics, spans and access rules. The hook gets the
    /// method, the process that calls and the deadline. It either runs the call and gets its outcome, or
    /// refuses the call with an error, which the caller gets as the error of the method. A call of an unknown
    /// method is refused without the hook. If a call waits at a gate, or its answer comes later, its outcome
    /// is [`Served::Pending`], and the hook does not run again for the call. This hook is not one of the
    /// hooks of a database, which run before a record is saved.
    ///
    /// The hook runs in the server process, as the implementation does, and no two calls run at the same
    /// time. It may call a proxy of another server. If it panics, the call fails. With group commit the hook
    /// runs before the commit: if the commit fails, the calls fail although the hook has seen them succeed. A
    /// second hook replaces the first.
    ///
    /// Two examples: `calls_per_worker.rs` counts calls by method and worker, and `read_only_workers.rs`
    /// refuses calls of methods that write.
    ///
    /// ```
    /// use miko_shared::Uds;
    ///
    /// let uds = Uds::new()?.around(|call, next| {
    ///     let started = std::time::Instant::now();
    ///     let served = next.run();
    ///     eprintln!("{} took {:?}: {served:?}", call.method.name, started.elapsed());
    ///     served
    /// });
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    #[must_use]
    pub fn around(mut self, hook: impl Fn(&CallInfo<'_>, Next<'_>) -> Result<Served> + 'static) -> Self {
        self.around = Some(Rc::new(hook));
        self
    }

    /// Serves another protocol, the second protocol of the share, on a second socket in the directory of the
    /// first. `None`, the default, opens no second socket. `miko-http` sets HTTP by this option.
    #[must_use]
    pub fn second_protocol(mut self, protocol: Option<Rc<dyn Protocol>>) -> Self {
        self.second_protocol = protocol;
        self
    }

    /// Whether the proxies of the workers use the second protocol. By default they use the server's own wire
    /// protocol on the first socket, as the proxy of the parent always does. `miko-http` uses this option.
    ///
    /// If it is set, a share without a second protocol fails as `invalid_request`.
    #[must_use]
    pub fn workers_use_second_protocol(mut self, use_it: bool) -> Self {
        self.workers_use_second_protocol = use_it;
        self
    }

    /// Whether a [second protocol](Self::second_protocol) is set.
    pub fn has_second_protocol(&self) -> bool {
        self.second_protocol.is_some()
    }

    /// Allows shares in a process with several threads. The thread that starts a share must outlive it: when
    /// that thread ends, the kernel signals the processes that it has forked, as if the parent had died.
    ///
    /// # Safety
    /// A fork copies the calling thread only. Whenever this share forks, no other thread may hold a lock or
    /// be in the middle of a change of memory that the server or a worker will use. The locks of the
    /// allocator and of standard output and standard error are exempt.
    #[must_use]
    pub unsafe fn allow_threads(mut self, allow: bool) -> Self {
        self.allow_threads = allow;
        self
    }

    /// Whether a call may spin before it blocks for the reply: at most 200 µs with one worker, longer with
    /// more workers, up to 5 ms. Also whether the server may poll for the next call before it blocks. The
    /// default is `true`: calls return sooner, at the cost of CPU time that would otherwise be idle. Set
    /// `false` where CPU time is billed.
    #[must_use]
    pub fn polling(mut self, polling: bool) -> Self {
        self.polling = polling;
        self
    }

    /// The limits of the server and of the proxies.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Limits the memory that the server process allocates beyond the memory inherited from its parent, in
    /// bytes. With less than 16 MiB, a share fails as `invalid_request`. No limit by default.
    ///
    /// Records, files and indexes in memory may take five eighths of the limit: a write beyond that is
    /// refused with `storage-full` and changes nothing, and deletes free memory again. Any other call that
    /// would exceed the limit fails with `storage-full`, too, and the server keeps running. A frame may take
    /// at most an eighth of the limit, even if [`Limits::frame_size`] is larger.
    ///
    /// Memory is measured each time a call has allocated another mebibyte, so a call may exceed the limit by
    /// a few mebibytes before it fails.
    ///
    /// ```
    /// use miko_shared::Uds;
    ///
    /// let uds = Uds::new()?.memory_limit(512 << 20);
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Shares an implementation of any interface with `n` forked workers and waits until all processes have
    /// ended.
    ///
    /// `open` runs in the server process and returns the implementation; `work` runs in each worker, with a
    /// proxy to it.
    ///
    /// # Errors
    /// If the share could not be set up, and the errors of [`Share::join`], such as `interrupted` and
    /// `server-gone`. Failures of workers are in the report.
    pub fn share<I, R>(
        &self,
        n: usize,
        open: impl FnOnce() -> Result<Box<I>>,
        work: impl Fn(&Client<I>, &Worker) -> Result<R, BoxError>,
    ) -> Result<Report<R>, ShareError<R>>
    where
        I: Interface + ?Sized,
        R: Serialize + DeserializeOwned,
    {
        // From here to the end of the share, Ctrl-C ends the share instead of this process.
        let _interrupt = Interrupt::listen()?;
        self.spawn_share::<I, R>(n, open, work)?.join()
    }

    /// As [`share`](Self::share), but returns as soon as the first workers are started, up to
    /// [`max_concurrent`](Self::max_concurrent).
    ///
    /// # Errors
    /// If the share could not be set up. If a worker cannot be started, [`Share::wait`] and [`Share::join`]
    /// return the error.
    pub fn spawn_share<'b, I, R>(
        &self,
        n: usize,
        open: impl FnOnce() -> Result<Box<I>>,
        work: impl Fn(&Client<I>, &Worker) -> Result<R, BoxError> + 'b,
    ) -> Result<Share<'b, I, R>>
    where
        I: Interface + ?Sized,
        R: Serialize + DeserializeOwned,
    {
        self.launch(n, open, |_| (), work)
    }

    /// Sets up a share of any [`Service`]: directory, socket, server process, workers. `open` runs in the
    /// server process, `work` in each worker. `read_state` converts the bytes of the final state.
    ///
    /// # Errors
    /// If the share could not be set up.
    pub(crate) fn launch<'b, I, R, S, T>(
        &self,
        n: usize,
        open: impl FnOnce() -> Result<S>,
        read_state: fn(Vec<u8>) -> T,
        work: impl Fn(&Client<I>, &Worker) -> Result<R, BoxError> + 'b,
    ) -> Result<Share<'b, I, R, T>>
    where
        I: Interface + ?Sized,
        R: Serialize + DeserializeOwned,
        S: Service<I> + 'static,
    {
        let protocol = self.protocol_of_workers()?;
        let lease = self.acquire()?;
        let interrupt = Interrupt::listen()?;
        let shared_status = self.shared_status(n);
        let mut supervisor = self.start_server::<I, S>(n, shared_status.clone(), &lease.directory, open)?;
        let address = Address {
            path: self.path(),
            token: self.token.clone(),
            limits: self.effective_limits(),
            shared_status,
            worker: None,
        };
        let connection =
            WorkerConnection { address: address.clone(), protocol, second_path: self.second_path() };
        let body: Box<WorkerBody<'b>> = Box::new(move |worker, result_pipe| {
            worker_process::run::<I, R>(worker, &connection, result_pipe, &work)
        });
        supervisor.wait_until_ready(&interrupt)?;
        info!(path = %address.path.display(), workers = n, "share started");
        supervisor.start_workers(&*body);
        Ok(Share {
            supervisor,
            body,
            ended: Vec::new(),
            on_exit: self.on_exit.clone(),
            address,
            db: OnceCell::new(),
            read_state,
            returns: PhantomData,
            _lease: lease,
        })
    }

    /// The protocol of the second socket, if the workers speak it.
    ///
    /// # Errors
    /// `invalid_request`, if the workers are to speak it and there is none.
    fn protocol_of_workers(&self) -> Result<Option<Rc<dyn Protocol>>> {
        if self.workers_use_second_protocol && self.second_protocol.is_none() {
            let message = "the workers were to speak the second protocol, and there is none: set a second \
                           protocol, or do not call `workers_use_second_protocol`";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message));
        }
        Ok(self.second_protocol.clone().filter(|_| self.workers_use_second_protocol))
    }

    /// The limits, with the frame size reduced so that frames fit into the memory of the server.
    pub(crate) fn effective_limits(&self) -> Limits {
        let mut limits = self.limits.clone();
        if let Some(bytes) = self.memory_limit {
            limits.frame_size = limits.frame_size.min(bytes / FRAME_SIZE_DIVISOR);
        }
        limits
    }

    /// The shared status for `n` workers; `None` if polling is disabled, there is one CPU only, or the memory
    /// of the status cannot be mapped. Neither the server nor the workers poll then.
    fn shared_status(&self, n: usize) -> Option<Arc<SharedStatus>> {
        let cpus = polling::cpus();
        if !self.polling || cpus < 2 {
            return None;
        }
        SharedStatus::new(n.min(self.max_concurrent), cpus).ok().map(Arc::new)
    }

    /// Checks that a share may start. Acquires the `Uds` and a directory for the share.
    ///
    /// # Errors
    /// `server-used-in-fork`, `uds-in-use`, the errors of [`preconditions::check`], and those of
    /// [`Directory::create`].
    fn acquire(&self) -> Result<UdsLease> {
        if getpid() != self.owner {
            return Err(Error::new(
                ErrorId::SERVER_USED_IN_FORK,
                "this `Uds` belongs to the process that made it: make one of your own here",
            )
            .with("owner", self.owner.as_raw()));
        }
        // The check is repeated before each fork. It is made here as well, where an error leaves nothing to
        // undo.
        let _ = preconditions::check(self.allow_threads)?;
        if self.in_use.replace(true) {
            return Err(Error::new(
                ErrorId::UDS_IN_USE,
                "this `Uds` hosts a share already: join or drop that one first, or make a second `Uds`",
            )
            .with("path", self.path().display().to_string()));
        }
        let directory = match self.directory.take() {
            Some(directory) => Ok(directory),
            None => Directory::create(),
        };
        let directory = directory.inspect_err(|_| self.in_use.set(false))?;
        self.path.replace(directory.socket());
        Ok(UdsLease {
            directory,
            in_use: Rc::clone(&self.in_use),
            owner: self.owner,
            _child_status: SigchldGuard::install(),
        })
    }

    /// Binds the sockets, so that no worker can connect too early, and forks the server process. The closure
    /// of the child owns the listening sockets, and the parent drops the closure after the fork. If the
    /// parent kept its copies of the sockets, connects would hang after the death of the server.
    fn start_server<I, S>(
        &self,
        n: usize,
        shared_status: Option<Arc<SharedStatus>>,
        directory: &Directory,
        open: impl FnOnce() -> Result<S>,
    ) -> Result<Supervisor>
    where
        I: Interface + ?Sized,
        S: Service<I> + 'static,
    {
        // For each worker the parent has a pidfd, and the read end of the pipe for the result. If output is
        // captured, the parent also has the read ends of the pipes for stdout and stderr.
        let descriptors_per_worker = if self.capture_output { 4 } else { 2 };
        let descriptors = DescriptorLimit::for_workers(n.min(self.max_concurrent), descriptors_per_worker)?;
        // The fingerprint is computed and cached before the fork, so that all processes inherit it.
        I::surface().fingerprint();
        let activity = Arc::new(Activity::new(I::surface(), self.limits.call_deadline)?);
        let listener = bind(&self.path())?;
        let second_protocol = match &self.second_protocol {
            Some(protocol) => Some((bind(&directory.second_socket())?, Rc::clone(protocol))),
            None => None,
        };
        let (parent_end, control) = UnixStream::pair().map_err(cannot_bind(&self.path()))?;
        // In the child, the closure takes the parent's end out of this variable, and drops it. In the parent
        // the closure does not run, and the value stays.
        let mut inherited_end = Some(parent_end);
        let options = WorkerOptions {
            count: n,
            max_concurrent: self.max_concurrent,
            restarts: self.restarts,
            capture_limit: self.capture_output.then_some(self.capture_limit),
            allow_threads: self.allow_threads,
            worker_timeout: self.worker_timeout,
            grace_period: self.grace_period,
        };
        let (token, limits, memory_limit) = (self.token.clone(), self.effective_limits(), self.memory_limit);
        let (server_activity, around) = (Arc::clone(&activity), self.around.clone());
        let permit = preconditions::check(self.allow_threads)?;
        // When the parent dies, the handler of SIGTERM removes the directory.
        let when_orphaned = Signal::SIGTERM;
        let pid = fork_child(
            permit,
            when_orphaned,
            || server_process::install_signal_handlers(directory),
            || {
                // If the server kept a copy of the parent's end, it could not detect the end of the parent.
                drop(inherited_end.take());
                let setup = ServerSetup {
                    directory,
                    listener,
                    control,
                    token,
                    limits,
                    memory_limit,
                    shared_status,
                    activity: server_activity,
                    around,
                    second_protocol,
                };
                server_process::run::<I, S>(setup, open)
            },
        )?;
        let parent_end = inherited_end
            .ok_or_else(|| Error::new(ErrorId::INTERNAL, "the parent lost its end of a socket"))?;
        Supervisor::adopt(pid, parent_end, activity, options, descriptors)
    }
}

/// Binds a socket to which only this user may connect.
fn bind(path: &Path) -> Result<UnixListener> {
    let listener = UnixListener::bind(path).map_err(cannot_bind(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(cannot_bind(path))?;
    Ok(listener)
}

fn cannot_bind(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |fault| {
        Error::caused_by(ErrorId::INTERNAL, "the socket cannot be made", fault).with("path", path.clone())
    }
}

impl Drop for Uds {
    fn drop(&mut self) {
        if getpid() == self.owner
            && let Some(directory) = self.directory.take()
        {
            directory.remove();
        }
    }
}

impl std::fmt::Debug for Uds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uds").field("path", &self.path()).finish_non_exhaustive()
    }
}

//! Servers of the tests, and the certificates that they show.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use mikobase::prelude::*;
use mikobase::{HttpMikobase, HttpServer, Result, Token};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::Value;

/// A file of `certificates/`, which `make.sh` there has made.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/certificates").join(name)
}

/// A running `miko serve`, by TCP.
pub struct Server {
    process: Child,
    stderr: BufReader<ChildStderr>,
    /// What it printed when it listened.
    pub first_line: String,
    pub port: u16,
    pub token: Token,
}

impl Server {
    /// Starts it with the certificate `NAME.pem` and its key.
    pub fn start(name: &str) -> Self {
        Self::start_with(&certificate(&format!("{name}.pem")), &certificate(&format!("{name}.key")))
    }

    pub fn start_with(certificate: &Path, key: &Path) -> Self {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        Self::start_by(&["--tls-cert".to_owned(), path(certificate), "--tls-key".to_owned(), path(key)])
    }

    /// Starts it with these options, and waits until it listens.
    pub fn start_by(options: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
        command.args(["serve", "--tcp", "127.0.0.1:0", "--auth", "token", "--host", "ship.example"]);
        command.args(options);
        Self::of_command(command, &Token::random().unwrap())
    }

    /// Starts it by this command, and waits until it listens.
    pub fn of_command(mut command: Command, token: &Token) -> Self {
        command.env("MIKOBASE_TOKEN", token.to_hex()).stderr(Stdio::piped());
        // `nohup`, by which the tests may run, has the signal ignored, and a server respects that.
        //
        // SAFETY: `signal` is async-signal-safe, and the default action runs no code.
        unsafe { command.pre_exec(|| Ok(signal(Signal::SIGHUP, SigHandler::SigDfl).map(drop)?)) };
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self { process, stderr, first_line: String::new(), port: 0, token: token.clone() };
        server.first_line = server.line();
        let addresses = server.first_line.strip_prefix("miko: serving ").unwrap_or_default();
        let addresses: Value = serde_json::from_str(addresses).unwrap();
        let (_, port) = addresses["tcp"].as_str().unwrap().rsplit_once(':').unwrap();
        server.port = port.parse().unwrap();
        server
    }

    /// The next line that it prints for people.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    /// How a client reaches it by `https`, under this name, if it trusts the authority `CA.pem`.
    pub fn at(&self, host: &str, ca: &str) -> HttpServer {
        let server = HttpServer::at(&format!("https://{host}:{}", self.port)).unwrap();
        server.ca_file(certificate(&format!("{ca}.pem"))).unwrap().token(&self.token)
    }

    /// A proxy of a client that trusts the authority `CA.pem`.
    pub fn connect(&self, ca: &str) -> Result<HttpMikobase> {
        HttpMikobase::connect_http(&self.at("localhost", ca))
    }

    /// Ends it by SIGTERM.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing, after `stop`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder with the certificate of `NAME`, to be changed.
pub fn folder_with(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path(), name);
    folder
}

/// Puts the certificate of `NAME` into the folder, as `server.pem` and `server.key`.
pub fn renew(folder: &Path, name: &str) {
    for kind in ["pem", "key"] {
        fs::copy(certificate(&format!("{name}.{kind}")), folder.join(format!("server.{kind}"))).unwrap();
    }
}

/// How long a test waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a program is installed, without which a test says so and does nothing.
pub fn is_installed(program: &str) -> bool {
    let is_there = Command::new(program).arg("--help").output().is_ok();
    if !is_there {
        eprintln!("{program} is not installed: what needs it is not tested");
    }
    is_there
}

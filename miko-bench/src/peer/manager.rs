//! Python's `multiprocessing.Manager().dict()`.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use miko_shared::BoxError;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::dies_with_parent;
use crate::workload::Workload;

pub(crate) const PEER: Peer = Peer {
    name: "manager",
    terms: "A dict of dicts in Python's `multiprocessing.Manager`, with Python workers. It validates nothing \
            and has no constraints.",
    workloads: &[Workload::Empty, Workload::Read, Workload::Create, Workload::CreateBatch],
    start,
};

const PROGRAM: &str = include_str!("../../peers/manager.py");

fn start(Size { workers, records }: Size) -> Result<Option<Running>, BoxError> {
    let installed = Command::new("python3").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let crew = Crew::hosted(workers, |orders| {
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM]).arg(records.to_string());
        for socket in &orders {
            fcntl(socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
            command.arg(socket.as_raw_fd().to_string());
        }
        Err(dies_with_parent(&mut command).exec().into())
    })?;
    Ok(Some(Running::alone(crew)))
}

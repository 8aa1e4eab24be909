//! A share with the records of the sample, hosted by a process of its own.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::{Error, Mikobase};
use miko_shared::{BoxError, Returning, Uds};
use serde_json::json;
use tempfile::TempDir;

use super::super::{Running, Size};
use crate::crew::{Crew, OrderSockets};
use crate::sample::{self, ACCOUNT, Choice, ITEM};
use crate::worker::serve_orders;
use crate::workload::{ACCOUNTS, Client};

/// The number of records that one call creates before the first round.
const PER_CALL: usize = 1000;

/// Configures the share of a peer, given a directory on a disk.
pub(super) type Configure = fn(Uds, &Path) -> miko_core::Result<Uds>;

/// Makes the client of a worker.
pub(super) type Connect = for<'d> fn(Seat<'d>) -> Result<Box<dyn Client + 'd>, BoxError>;

/// What a worker of a share has.
pub(super) struct Seat<'d> {
    pub(super) db: &'d MikobaseClient,
    pub(super) pks: Pks,
    /// Whether this is the first worker, which has transactions open beside the reads of all.
    pub(super) is_first: bool,
    pub(super) uds: &'d Uds,
}

/// Starts a share and its workers.
pub(super) fn start(size: Size, configure: Configure, connect: Connect) -> Result<Option<Running>, BoxError> {
    let crew = Crew::hosted(size.workers, |orders| host(configure, connect, size, &orders))?;
    Ok(Some(Running::alone(crew)))
}

/// Runs the share, in the host process of the crew. The directory is in /var/tmp, since /tmp may be in
/// memory.
fn host(
    configure: Configure,
    connect: Connect,
    Size { workers, records }: Size,
    orders: &OrderSockets,
) -> Result<(), BoxError> {
    let directory = TempDir::new_in("/var/tmp")?;
    let pks = directory.path().join("pks");
    let written = pks.clone();
    let uds = configure(Uds::new()?, directory.path())?
        .schema(sample::schema())
        .returning(Returning::Nothing)
        .setup(move |server| preload(server.db(), records, &written));
    let report = uds.mikobase(workers, |db, worker| {
        let seat = Seat { db, pks: Pks::read(&pks)?, is_first: worker.index() == 0, uds: &uds };
        let mut client = connect(seat)?;
        let mut choice = Choice::new(worker.index(), workers, records);
        serve_orders(orders[worker.index()].try_clone()?, &mut *client, &mut choice)
    });
    report.map_err(Error::from)?.into_returned()?;
    Ok(())
}

/// Creates the records and the accounts. Writes the pks of the records to a file, a line each.
fn preload(db: &dyn Mikobase, records: usize, pks: &Path) -> Result<(), BoxError> {
    let mut pks = BufWriter::new(File::create(pks)?);
    for first in (0..records).step_by(PER_CALL) {
        let serials = first..records.min(first + PER_CALL);
        for pk in db.create_many(ITEM, serials.map(|serial| sample::bucket(serial).into()).collect())? {
            writeln!(pks, "{pk}")?;
        }
    }
    pks.flush()?;
    let account = |number| {
        json!({"action": "create", "class": ACCOUNT, "pk": sample::account_key(number),
               "bucket": {"balance": 0}})
    };
    for answer in db.batch((0..ACCOUNTS).map(account).collect(), true)? {
        answer?;
    }
    Ok(())
}

/// The pks of the records that exist before the first round, by their serials. They have the same length.
pub(super) struct Pks {
    lines: String,
    /// The length of a line.
    length: usize,
}

impl Pks {
    fn read(path: &Path) -> Result<Self, BoxError> {
        Self::of(fs::read_to_string(path)?)
    }

    fn of(lines: String) -> Result<Self, BoxError> {
        let length = lines.find('\n').ok_or("there are no pks")? + 1;
        if lines.split_inclusive('\n').any(|line| line.len() != length) {
            return Err("the pks have different lengths".into());
        }
        Ok(Self { lines, length })
    }

    /// The pk of a record.
    pub(super) fn get(&self, record: usize) -> Result<&str, BoxError> {
        let start = record * self.length;
        Ok(self.lines.get(start..start + self.length - 1).ok_or("there is no such record")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pk_is_found_by_its_number() {
        let pks = Pks::of("one\ntwo\nsix\n".to_owned()).unwrap();
        assert_eq!([0, 2].map(|record| pks.get(record).unwrap()), ["one", "six"]);
        assert!(pks.get(3).is_err());
        assert!(Pks::of("one\nthree\n".to_owned()).is_err() && Pks::of(String::new()).is_err());
    }
}

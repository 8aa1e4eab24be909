//! Mikobase: a share as a user starts it.

mod http;
mod share;

use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::q0::Edits;
use miko_core::{
    Change, Error, ErrorId, Mikobase, MikobaseExt, Records, Remote, Stream, Target, Transaction, backend,
};
use miko_macros::mikobase_interface;
use miko_shared::{BoxError, Uds};
use serde_json::{Value, json};

pub(super) use self::http::PEER as HTTP;
use self::share::{Pks, Seat};
use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::sample::{self, ACCOUNT, Choice, ITEM, MADE};
use crate::worker::serve_orders;
use crate::workload::{Client, DELIVERY_TIMEOUT, FOUND, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "mikobase",
    terms: "A share of the memory engine. Creates are validated against a class with a unique and an indexed \
            field; a read returns the record with its class stack and timestamps, and the bucket as text \
            that is not parsed.",
    workloads: &[
        Workload::Read,
        Workload::Create,
        Workload::ReadBatch,
        Workload::QueryBatch,
        Workload::CreateBatch,
        Workload::Find,
        Workload::Scan,
        Workload::ColdScan,
        Workload::Increment,
        Workload::Transfer,
        Workload::HotTransfer,
        Workload::Claim,
        Workload::ReadBeside,
        Workload::Deliver,
    ],
    start,
};

pub(crate) const BLOCKING: Peer = Peer {
    name: "mikobase-blocking",
    terms: "The same without polling: a client or server that waits blocks at once.",
    workloads: &[Workload::Read, Workload::Create, Workload::Increment, Workload::Deliver],
    start: start_blocking,
};

pub(crate) const FILE: Peer = Peer {
    name: "mikobase-file",
    terms: "A share of the file engine, in /var/tmp: a create is answered when it is on the disk. All other \
            peers lose their data in a power failure.",
    workloads: &[Workload::Read, Workload::Create, Workload::CreateBatch],
    start: start_on_file,
};

pub(crate) const EMPTY: Peer = Peer {
    name: "mikobase-empty",
    terms: "Our client and server, with an interface whose one method does nothing.",
    workloads: &[Workload::Empty],
    start: start_empty,
};

/// An interface whose one method does nothing.
#[mikobase_interface(crate = miko_core)]
pub(crate) trait Ping {
    /// Does nothing.
    fn ping(&self) -> miko_core::Result<()>;
}

/// The implementation of [`Ping`].
pub(crate) struct NoOp;

impl Ping for NoOp {
    fn ping(&self) -> miko_core::Result<()> {
        Ok(())
    }
}

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    share::start(size, |uds, _| Ok(uds), connect)
}

fn start_blocking(size: Size) -> Result<Option<Running>, BoxError> {
    share::start(size, |uds, _| Ok(uds.polling(false)), connect)
}

fn start_on_file(size: Size) -> Result<Option<Running>, BoxError> {
    let in_file =
        |uds: Uds, directory: &Path| uds.backend(&directory.join("records.db").display().to_string());
    share::start(size, in_file, connect)
}

fn connect(seat: Seat<'_>) -> Result<Box<dyn Client + '_>, BoxError> {
    let Seat { db, pks, is_first, .. } = seat;
    let delivered = sample::account_key(DELIVERED);
    Ok(Box::new(SharedStore { db, pks, is_first, open: None, changes: None, delivered }))
}

struct SharedStore<'d> {
    db: &'d MikobaseClient,
    pks: Pks,
    /// Whether this is the first worker, which has transactions open beside the reads of all.
    is_first: bool,
    /// The open transaction, and the reads that it is still to be beside.
    open: Option<(Remote<dyn Transaction>, usize)>,
    /// The changes to which it has subscribed.
    changes: Option<Stream<Change>>,
    /// The pk of the account whose changes are delivered.
    delivered: String,
}

/// The account whose changes are delivered.
const DELIVERED: usize = 2;

/// The text of a change as subscribers get it, in JSON.
pub(super) fn delivered_change() -> Result<String, BoxError> {
    let db = backend::open("mikobase.uno/sqlite/memory")?;
    db.import_schema(sample::schema())?;
    let pk = sample::account_key(DELIVERED);
    db.q0(json!({"action": "create", "class": ACCOUNT, "pk": pk, "bucket": {"balance": 0}}))?;
    let mut changes = db.listen(Target::pk(pk.clone()))?;
    db.increment(&pk, ["balance"], 1)?;
    let change = changes.recv().ok_or("the subscription has ended")??;
    Ok(serde_json::to_string(&change)?)
}

/// The number of reads of the first worker beside each of its transactions.
const READS_BESIDE: usize = 100;

impl SharedStore<'_> {
    fn select(&self, query: Value) -> Result<Records, BoxError> {
        Ok(self.db.q0(query)?.into_records()?)
    }
}

impl Client for SharedStore<'_> {
    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        let found = self.db.record_by_pk(self.pks.get(record)?)?.ok_or("a record is gone")?;
        sample::check(found.bucket.as_str(), record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        self.db.create(MADE, &sample::bucket(serial))?;
        Ok(())
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let pks = records.iter().map(|&record| Ok(self.pks.get(record)?.to_owned()));
        let pks = pks.collect::<Result<_, BoxError>>()?;
        for (found, &record) in self.db.records_by_pks(pks)?.into_iter().zip(records) {
            sample::check(found.ok_or("a record is gone")?.bucket.as_str(), record)?;
        }
        Ok(())
    }

    fn query_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let select = |&record| Ok(json!({"action": "select", "pk": self.pks.get(record)?}));
        let selects = records.iter().map(select).collect::<Result<_, BoxError>>()?;
        for (answer, &record) in self.db.batch(selects, false)?.into_iter().zip(records) {
            let found = answer?.into_records()?;
            sample::check(found.first().ok_or("a record is gone")?.bucket.as_str(), record)?;
        }
        Ok(())
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        self.db.create_many(MADE, serials.iter().map(|&serial| sample::bucket(serial).into()).collect())?;
        Ok(())
    }

    fn find(&mut self, deck: usize) -> Result<(), BoxError> {
        let found = self.select(json!({
            "action": "select", "class": ITEM, "path": ["deck", deck],
            "sort": ["serial", {"reverse": true}], "limit": FOUND,
        }))?;
        sample::check_last(found.iter().map(|record| record.bucket.as_str()), deck, FOUND)
    }

    fn scan(&mut self, sector: usize) -> Result<(), BoxError> {
        let found = self.select(json!({
            "action": "select", "class": ITEM, "path": ["rank", sample::RANK],
            "then": {"path": ["sector", sector]},
        }))?;
        sample::check_count(found.count(), sample::in_sector(sector))
    }

    fn cold_scan(&mut self, sector: usize, field: usize) -> Result<(), BoxError> {
        let found = self.select(json!({
            "action": "select", "class": ITEM, "path": ["rank", sample::RANK],
            "then": {"path": ["sector", sector], "then": {"path": [format!("field {field}"), null]}},
        }))?;
        sample::check_count(found.count(), sample::in_sector(sector))
    }

    fn increment(&mut self) -> Result<(), BoxError> {
        self.db.increment(&sample::account_key(0), ["balance"], 1)?;
        Ok(())
    }

    fn claim(&mut self) -> Result<(), BoxError> {
        let claim = self.db.claim(json!({"class": ACCOUNT}), Duration::from_secs(60))?;
        claim.ok_or("no account is free")?.finish_with(Edits::new().increment(["balance"], 1))?;
        Ok(())
    }

    fn read_beside(&mut self, record: usize) -> Result<(), BoxError> {
        if self.is_first {
            self.open = match self.open.take() {
                Some((tx, left @ 1..)) => Some((tx, left - 1)),
                ended => {
                    ended.map_or(Ok(()), |(tx, _)| tx.commit())?;
                    let tx = self.db.begin()?;
                    tx.increment(&sample::account_key(1), ["balance"], 1)?;
                    Some((tx, READS_BESIDE))
                }
            };
        }
        self.read(record)
    }

    fn deliver(&mut self) -> Result<bool, BoxError> {
        if self.changes.is_none() {
            self.changes = Some(self.db.listen(Target::pk(self.delivered.clone()))?);
        }
        if self.is_first {
            self.db.increment(&self.delivered, ["balance"], 1)?;
        }
        match self.changes.as_mut().map(|changes| changes.recv_timeout(DELIVERY_TIMEOUT)) {
            Some(Poll::Ready(Some(change))) => Ok(change?.pk == self.delivered),
            Some(Poll::Ready(None)) => Err("the subscription has ended".into()),
            _ => Ok(false),
        }
    }

    fn prepare(&mut self, workload: Workload) {
        if workload != Workload::ReadBeside {
            self.open = None;
        }
        if workload != Workload::Deliver {
            self.changes = None;
        }
    }

    fn transfer(&mut self, from: usize, to: usize) -> Result<(), BoxError> {
        let (from, to) = (sample::account_key(from), sample::account_key(to));
        self.db.transaction(|tx| {
            let balances = (balance(&**tx, &from)?, balance(&**tx, &to)?);
            tx.update(&from, &json!({"balance": balances.0 - 1}))?;
            tx.update(&to, &json!({"balance": balances.1 + 1}))?;
            tx.commit()
        })?;
        Ok(())
    }
}

/// The balance of an account.
fn balance(db: &dyn Mikobase, pk: &str) -> miko_core::Result<i64> {
    let account = db.record_by_pk(pk)?;
    let balance = account.map(|account| account.bucket.get("balance")).transpose()?.flatten();
    balance.and_then(|balance| balance.as_i64()).ok_or_else(|| Error::new(ErrorId::INTERNAL, "no balance"))
}

fn start_empty(Size { workers, records }: Size) -> Result<Option<Running>, BoxError> {
    let crew = Crew::hosted(workers, |orders| {
        let work = |ping: &ping_rpc::PingClient, worker: &miko_shared::Worker| {
            let mut choice = Choice::new(worker.index(), workers, records);
            serve_orders(orders[worker.index()].try_clone()?, &mut Empty(ping), &mut choice)
        };
        let report = Uds::new()?.share::<dyn Ping, _>(workers, || Ok(Box::new(NoOp)), work);
        report.map_err(Error::from)?.into_returned()?;
        Ok(())
    })?;
    Ok(Some(Running::alone(crew)))
}

struct Empty<'d>(&'d ping_rpc::PingClient);

impl Client for Empty<'_> {
    fn empty(&mut self) -> Result<(), BoxError> {
        Ok(self.0.ping()?)
    }
}

//! An LMDB environment on a memory file system, opened by every worker.

use std::path::Path;

use heed::byteorder::BigEndian;
use heed::types::{Str, U64};
use heed::{CommitOrAbort, Database, DatabaseFlags, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, RwTxn};
use miko_shared::BoxError;
use tempfile::TempDir;

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample;
use crate::workload::{Client, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "lmdb",
    terms: "An environment of LMDB on /dev/shm with NOSYNC and WRITEMAP, by the crate `heed`, which every \
            worker opens: there is no server. For each class a database of key and JSON text, one of the \
            unique and one of the indexed values, all written in one transaction. It does not validate the \
            other fields, and the text of an answer is neither copied nor parsed.",
    workloads: &[
        Workload::Read,
        Workload::Create,
        Workload::ReadBatch,
        Workload::QueryBatch,
        Workload::CreateBatch,
    ],
    start,
};

/// The addresses that the map takes, which bound the size of the environment. Memory is taken when it is
/// written.
const MAP_SIZE: usize = 16 << 30;

/// The databases of a class.
struct Class {
    /// The texts by key.
    texts: Database<'static, Str, Str>,
    /// The keys by the unique value.
    by_serial: Database<'static, U64<BigEndian>, Str>,
    /// The keys by the indexed value.
    by_deck: Database<'static, U64<BigEndian>, Str>,
}

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    let directory = TempDir::new_in("/dev/shm")?;
    let path = directory.path();
    preload(&Lmdb::open(path, size.workers)?, size.records)?;
    // It is closed now: it must not cross a fork.
    let crew = Crew::fork(size, |_| Lmdb::open(path, size.workers))?;
    Ok(Some(Running::with(crew, PeerServer::none(directory))))
}

fn preload(Lmdb { env, item, .. }: &Lmdb, records: usize) -> Result<(), BoxError> {
    let mut tx = env.write_txn()?;
    for record in 0..records {
        item.insert(&mut tx, &sample::key(record), record)?;
    }
    Ok(tx.commit()?)
}

/// An open environment and its databases.
struct Lmdb {
    env: Env,
    /// The records that exist before the first round.
    item: Class,
    /// The records that workers create.
    made: Class,
}

impl Lmdb {
    fn open(path: &Path, workers: usize) -> Result<Self, BoxError> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_SIZE).max_dbs(6).max_readers(u32::try_from(workers)? + 1);
        // SAFETY: only processes of this measurement know the new directory, and they write its files
        // through LMDB alone, with its locks. After a crash the files are not used again.
        let env = unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP).open(path) }?;
        let item = class(&env, ["item", "item_by_serial", "item_by_deck"])?;
        let made = class(&env, ["made", "made_by_serial", "made_by_deck"])?;
        Ok(Self { env, item, made })
    }
}

/// Opens the databases of a class with these names. It creates those that do not exist.
fn class(env: &Env, names: [&str; 3]) -> Result<Class, BoxError> {
    let created = env.create_databases_and_commit(env.write_txn()?, |opener, tx| {
        let [texts, by_serial, by_deck] = names;
        let mut many = opener.database_options().types();
        many.name(by_deck).flags(DatabaseFlags::DUP_SORT);
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((
            opener.create_database(tx, Some(texts))?,
            opener.create_database(tx, Some(by_serial))?,
            many.create(tx)?,
        )))
    })?;
    let (texts, by_serial, by_deck) = created.commit().ok_or("the databases were not created")?;
    Ok(Class { texts, by_serial, by_deck })
}

impl Class {
    /// Creates a record, in the transaction.
    fn insert(&self, tx: &mut RwTxn<'_>, key: &str, serial: usize) -> Result<(), BoxError> {
        self.texts.put_with_flags(tx, PutFlags::NO_OVERWRITE, key, &sample::text(serial))?;
        self.by_serial.put_with_flags(tx, PutFlags::NO_OVERWRITE, &(serial as u64), key)?;
        Ok(self.by_deck.put(tx, &((serial / sample::PER_DECK) as u64), key)?)
    }

    fn read(&self, tx: &RoTxn<'_>, record: usize) -> Result<(), BoxError> {
        let text = self.texts.get(tx, &sample::key(record))?;
        sample::check(text.ok_or("a record is gone")?, record)
    }
}

impl Client for Lmdb {
    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        let tx = self.env.read_txn()?;
        self.item.read(&tx, record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        self.create_batch(&[serial])
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let tx = self.env.read_txn()?;
        records.iter().try_for_each(|&record| self.item.read(&tx, record))
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        let mut tx = self.env.write_txn()?;
        for &serial in serials {
            self.made.insert(&mut tx, &sample::made_key(serial), serial)?;
        }
        Ok(tx.commit()?)
    }
}

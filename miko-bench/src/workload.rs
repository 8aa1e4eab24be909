//! The workloads, and the client that makes their calls.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use miko_shared::BoxError;
use serde::{Deserialize, Serialize};

use crate::sample::Choice;

/// The number of requests in one call of a batch.
pub const BATCH: usize = 32;

/// The number of records that a [`Workload::Find`] asks for.
pub(crate) const FOUND: usize = 10;

/// The number of accounts between which money is transferred.
pub(crate) const ACCOUNTS: usize = 1000;

/// How long a subscriber waits for a change: longer than it takes the first worker to make one.
pub(crate) const DELIVERY_TIMEOUT: Duration = Duration::from_millis(20);

/// The number of those that many transfers want at once.
const HOT_ACCOUNTS: usize = 4;

/// A kind of call that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// A call that does nothing.
    Empty,
    /// One record by its key, any of those that exist before the first round.
    Read,
    /// [`Read`](Self::Read) by HTTP.
    HttpRead,
    /// One new record, validated, with one unique and one indexed field.
    Create,
    /// [`BATCH`] reads in one call.
    ReadBatch,
    /// [`BATCH`] requests in one call, each of which asks for a record.
    QueryBatch,
    /// [`BATCH`] creates in one call.
    CreateBatch,
    /// The first records by one field, among those with a value of an indexed field.
    Find,
    /// The records of a class with given values of two fields without an index, which takes a full scan.
    Scan,
    /// The same with a third field, of which no select has asked before: what a server keeps of earlier scans
    /// does not answer it.
    ColdScan,
    /// An increment of one number, which is the same for all workers.
    Increment,
    /// A transaction that reads two accounts, writes both and is committed: any two of a thousand.
    Transfer,
    /// The same with two of four.
    HotTransfer,
    /// A claim of the first account that no worker has, which ends with an increment of its balance.
    Claim,
    /// [`Read`](Self::Read), while the first worker always has a transaction open that has written a record.
    ReadBeside,
    /// A change that arrives at a subscriber. All workers subscribe; the first one makes the changes, each as
    /// soon as it has got the one before.
    Deliver,
}

impl Workload {
    /// All workloads, in the order of measurement.
    pub const ALL: &[Self] = &[
        Self::Empty,
        Self::Read,
        Self::HttpRead,
        Self::Create,
        Self::ReadBatch,
        Self::QueryBatch,
        Self::CreateBatch,
        Self::Find,
        Self::Scan,
        Self::ColdScan,
        Self::Increment,
        Self::Transfer,
        Self::HotTransfer,
        Self::Claim,
        Self::ReadBeside,
        Self::Deliver,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Read => "read",
            Self::HttpRead => "http-read",
            Self::Create => "create",
            Self::ReadBatch => "read-batch",
            Self::QueryBatch => "query-batch",
            Self::CreateBatch => "create-batch",
            Self::Find => "find",
            Self::Scan => "scan",
            Self::ColdScan => "cold-scan",
            Self::Increment => "increment",
            Self::Transfer => "transfer",
            Self::HotTransfer => "hot-transfer",
            Self::Claim => "claim",
            Self::ReadBeside => "read-beside",
            Self::Deliver => "deliver",
        }
    }

    /// The title in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Empty => "an empty call",
            Self::Read => "`record_by_pk`",
            Self::HttpRead => "`GET /records/{pk}`",
            Self::Create => "`create`",
            Self::ReadBatch => "`records_by_pks` of 32",
            Self::QueryBatch => "`batch` of 32 selects by pk",
            Self::CreateBatch => "`create_many` of 32",
            Self::Find => "indexed equality, sort, limit 10",
            Self::Scan => "scan with two conditions",
            Self::ColdScan => "the first scan of a path",
            Self::Increment => "increment of one hot number",
            Self::Transfer => "a transaction: read two, write two, commit",
            Self::HotTransfer => "the same on four hot records",
            Self::Claim => "a claim of a record, and its end with an edit",
            Self::ReadBeside => "`record_by_pk` beside an open transaction",
            Self::Deliver => "a change of one record, delivered to all workers",
        }
    }

    /// The number of requests in one call, which a rate counts.
    pub fn requests(self) -> usize {
        match self {
            Self::ReadBatch | Self::QueryBatch | Self::CreateBatch => BATCH,
            _ => 1,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|workload| workload.name() == word);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|workload| workload.name()).collect();
            format!("`{word}` is no workload; there are: {}", known.join(", "))
        })
    }
}

/// A worker's connection to a peer. Each method makes one call of a workload and checks the answer.
///
/// A peer implements the workloads that it declares.
pub(crate) trait Client {
    fn empty(&mut self) -> Result<(), BoxError> {
        undeclared()
    }

    fn read(&mut self, _record: usize) -> Result<(), BoxError> {
        undeclared()
    }

    /// Reads a record by HTTP. A peer without records sends what it has.
    fn http_read(&mut self, _record: usize) -> Result<(), BoxError> {
        undeclared()
    }

    fn create(&mut self, _serial: usize) -> Result<(), BoxError> {
        undeclared()
    }

    fn read_batch(&mut self, _records: &[usize]) -> Result<(), BoxError> {
        undeclared()
    }

    /// A peer without requests reads the records.
    fn query_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        self.read_batch(records)
    }

    fn create_batch(&mut self, _serials: &[usize]) -> Result<(), BoxError> {
        undeclared()
    }

    /// The last [`FOUND`] records on this deck by serial, the last one first.
    fn find(&mut self, _deck: usize) -> Result<(), BoxError> {
        undeclared()
    }

    /// All captains of this sector.
    fn scan(&mut self, _sector: usize) -> Result<(), BoxError> {
        undeclared()
    }

    /// All captains of this sector, and a third condition, on a field of which the number is a part. A peer
    /// that keeps nothing between scans need not ask it.
    fn cold_scan(&mut self, sector: usize, _field: usize) -> Result<(), BoxError> {
        self.scan(sector)
    }

    fn increment(&mut self) -> Result<(), BoxError> {
        undeclared()
    }

    /// Claims the first account that is free, and ends the claim with an increment of its balance.
    fn claim(&mut self) -> Result<(), BoxError> {
        undeclared()
    }

    /// Reads a record. The first worker has a transaction open meanwhile.
    fn read_beside(&mut self, _record: usize) -> Result<(), BoxError> {
        undeclared()
    }

    /// Waits for a change of the record to which all workers subscribe, which the first one makes. Returns
    /// whether one has come within [`DELIVERY_TIMEOUT`].
    fn deliver(&mut self) -> Result<bool, BoxError> {
        undeclared().map(|()| false)
    }

    /// Ends what calls of other workloads than this one have left open: a transaction, or a subscription.
    fn prepare(&mut self, _workload: Workload) {}

    /// Moves 1 from one account to another. Both balances are read first.
    fn transfer(&mut self, _from: usize, _to: usize) -> Result<(), BoxError> {
        undeclared()
    }
}

fn undeclared() -> Result<(), BoxError> {
    Err("this peer does not have this workload".into())
}

/// Makes one call of `workload`. Returns whether it counts: a subscriber may get nothing at the end of a
/// slice.
pub(crate) fn call(
    client: &mut dyn Client,
    workload: Workload,
    choice: &mut Choice,
) -> Result<bool, BoxError> {
    client.prepare(workload);
    let called = match workload {
        Workload::Empty => client.empty(),
        Workload::Read => client.read(choice.record()),
        Workload::HttpRead => client.http_read(choice.record()),
        Workload::Create => client.create(choice.serial()),
        Workload::ReadBatch => client.read_batch(&std::array::from_fn::<_, BATCH, _>(|_| choice.record())),
        Workload::QueryBatch => client.query_batch(&std::array::from_fn::<_, BATCH, _>(|_| choice.record())),
        Workload::CreateBatch => {
            client.create_batch(&std::array::from_fn::<_, BATCH, _>(|_| choice.serial()))
        }
        Workload::Find => client.find(choice.deck()),
        Workload::Scan => client.scan(choice.sector()),
        Workload::ColdScan => client.cold_scan(choice.sector(), choice.serial()),
        Workload::Increment => client.increment(),
        Workload::Transfer => transfer(client, choice.two_of(ACCOUNTS)),
        Workload::HotTransfer => transfer(client, choice.two_of(HOT_ACCOUNTS)),
        Workload::Claim => client.claim(),
        Workload::ReadBeside => client.read_beside(choice.record()),
        Workload::Deliver => return client.deliver(),
    };
    called.map(|()| true)
}

fn transfer(client: &mut dyn Client, (from, to): (usize, usize)) -> Result<(), BoxError> {
    client.transfer(from, to)
}

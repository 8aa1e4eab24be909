//! PostgreSQL: buckets as `jsonb` in an unlogged table, with indexes on expressions.

use std::path::Path;
use std::time::{Duration, Instant};

use miko_shared::BoxError;
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client as Connection, IsolationLevel, NoTls, Row, Statement};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample;
use crate::workload::{ACCOUNTS, Client, FOUND, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "postgresql",
    terms: "An unlogged table of key and `jsonb` for each class, with a unique and a plain index on \
            expressions, by prepared statements of the crate `postgres`; a batch is one statement of 32 \
            rows. No fsync, no parallel plans. It does not validate the other fields, and the text of an \
            answer is not parsed.",
    workloads: &[
        Workload::Empty,
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
    ],
    start,
};

/// A table for each class, as is usual in SQL, so that a scan does not visit the created records.
const TABLES: &str = "
    CREATE UNLOGGED TABLE item (pk text PRIMARY KEY, bucket jsonb NOT NULL);
    CREATE UNIQUE INDEX ON item (((bucket->>'serial')::bigint));
    CREATE INDEX ON item (((bucket->>'deck')::bigint), pk);
    CREATE UNLOGGED TABLE made (LIKE item INCLUDING ALL);
    CREATE UNLOGGED TABLE account (pk text PRIMARY KEY, bucket jsonb NOT NULL);";

/// Inserts several records with one statement.
macro_rules! insert_into {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (pk, bucket)
             SELECT new.pk, new.bucket::jsonb FROM unnest($1::text[], $2::text[]) AS new (pk, bucket)"
        )
    };
}

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    const SOCKET: &str = ".s.PGSQL.5432";
    let Some(server) = PeerServer::script(include_str!("../../peers/postgresql.sh"), SOCKET)? else {
        return Ok(None);
    };
    preload(&mut connect(server.directory())?, size.records)?;
    let crew = Crew::fork(size, |_| PostgreSql::new(connect(server.directory())?))?;
    Ok(Some(Running::with(crew, server)))
}

/// Connects, and retries while the server starts: its socket exists before it accepts connections.
fn connect(directory: &Path) -> Result<Connection, BoxError> {
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let parameters = format!("host={} user=bench dbname=postgres", directory.display());
        match Connection::connect(&parameters, NoTls) {
            Err(_) if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(10)),
            outcome => return Ok(outcome?),
        }
    }
}

fn preload(connection: &mut Connection, records: usize) -> Result<(), BoxError> {
    connection.batch_execute(TABLES)?;
    for first in (0..records).step_by(1000) {
        let serials: Vec<_> = (first..records.min(first + 1000)).collect();
        connection
            .execute(insert_into!("item"), &[&keys(&serials, sample::key), &keys(&serials, sample::text)])?;
    }
    connection.execute(
        "INSERT INTO account SELECT pk, '{\"balance\": 0}'::jsonb FROM unnest($1::text[]) AS new (pk)",
        &[&keys(&(0..ACCOUNTS).collect::<Vec<_>>(), sample::account_key)],
    )?;
    Ok(connection.batch_execute("VACUUM ANALYZE item, account")?)
}

fn keys(serials: &[usize], one: fn(usize) -> String) -> Vec<String> {
    serials.iter().map(|&serial| one(serial)).collect()
}

struct PostgreSql {
    connection: Connection,
    empty: Statement,
    read: Statement,
    create: Statement,
    read_batch: Statement,
    create_batch: Statement,
    find: Statement,
    scan: Statement,
    balance: Statement,
    set_balance: Statement,
    increment: Statement,
    claim: Statement,
}

impl PostgreSql {
    fn new(mut connection: Connection) -> Result<Self, BoxError> {
        Ok(Self {
            empty: connection.prepare("SELECT 1")?,
            read: connection.prepare("SELECT bucket::text FROM item WHERE pk = $1")?,
            create: connection.prepare("INSERT INTO made (pk, bucket) VALUES ($1, $2::text::jsonb)")?,
            read_batch: connection.prepare(
                "SELECT item.bucket::text FROM unnest($1::text[]) WITH ORDINALITY AS wanted (pk, place)
                 JOIN item USING (pk) ORDER BY wanted.place",
            )?,
            create_batch: connection.prepare(insert_into!("made"))?,
            find: connection.prepare(&format!(
                "SELECT bucket::text FROM item WHERE (bucket->>'deck')::bigint = $1
                 ORDER BY (bucket->>'serial')::bigint DESC LIMIT {FOUND}"
            ))?,
            scan: connection.prepare(
                "SELECT bucket::text FROM item WHERE bucket->>'rank' = $1
                 AND (bucket->>'sector')::bigint = $2 ORDER BY pk",
            )?,
            balance: connection.prepare("SELECT (bucket->>'balance')::bigint FROM account WHERE pk = $1")?,
            set_balance: connection.prepare(
                "UPDATE account SET bucket = jsonb_build_object('balance', $2::bigint) WHERE pk = $1",
            )?,
            increment: connection.prepare(
                "UPDATE account SET bucket = jsonb_build_object('balance', (bucket->>'balance')::bigint + 1)
                 WHERE pk = $1 RETURNING (bucket->>'balance')::bigint",
            )?,
            // It takes the first rows in the order of the index that no other transaction has locked.
            claim: connection.prepare("SELECT pk FROM account ORDER BY pk LIMIT 1 FOR UPDATE SKIP LOCKED")?,
            connection,
        })
    }

    fn rows(
        &mut self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, BoxError> {
        Ok(self.connection.query(statement, parameters)?)
    }
}

impl Client for PostgreSql {
    fn empty(&mut self) -> Result<(), BoxError> {
        sample::check_count(self.connection.query(&self.empty, &[])?.len(), 1)
    }

    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        let row = self.connection.query_one(&self.read, &[&sample::key(record)])?;
        sample::check(row.try_get(0)?, record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        let (pk, text) = (sample::made_key(serial), sample::text(serial));
        let created = self.connection.execute(&self.create, &[&pk, &text])?;
        sample::check_count(created as usize, 1)
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let rows = self.rows(&self.read_batch.clone(), &[&keys(records, sample::key)])?;
        sample::check_count(rows.len(), records.len())?;
        rows.iter().zip(records).try_for_each(|(row, &record)| sample::check(row.try_get(0)?, record))
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        let (pks, texts) = (keys(serials, sample::made_key), keys(serials, sample::text));
        let created = self.connection.execute(&self.create_batch, &[&pks, &texts])?;
        sample::check_count(created as usize, serials.len())
    }

    fn find(&mut self, deck: usize) -> Result<(), BoxError> {
        let rows = self.rows(&self.find.clone(), &[&(deck as i64)])?;
        let texts: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        sample::check_last(texts.into_iter(), deck, FOUND)
    }

    fn scan(&mut self, sector: usize) -> Result<(), BoxError> {
        let rows = self.rows(&self.scan.clone(), &[&sample::RANK, &(sector as i64)])?;
        sample::check_count(rows.len(), sample::in_sector(sector))
    }

    fn increment(&mut self) -> Result<(), BoxError> {
        self.connection.query_one(&self.increment, &[&sample::account_key(0)])?;
        Ok(())
    }

    fn claim(&mut self) -> Result<(), BoxError> {
        let mut transaction = self.connection.transaction()?;
        let pk: String = transaction.query_one(&self.claim, &[])?.try_get(0)?;
        transaction.query_one(&self.increment, &[&pk])?;
        Ok(transaction.commit()?)
    }

    fn transfer(&mut self, from: usize, to: usize) -> Result<(), BoxError> {
        let accounts = [(sample::account_key(from), -1), (sample::account_key(to), 1)];
        loop {
            match self.try_transfer(&accounts) {
                Err(error) if error.code().is_some_and(is_conflict) => {}
                done => return Ok(done?),
            }
        }
    }
}

/// Whether a transaction failed because another one interfered.
fn is_conflict(code: &SqlState) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
}

impl PostgreSql {
    /// Adds to the balances in a serializable transaction, which fails if another one interferes.
    fn try_transfer(&mut self, accounts: &[(String, i64); 2]) -> Result<(), postgres::Error> {
        let Self { connection, balance, set_balance, .. } = self;
        let mut transaction =
            connection.build_transaction().isolation_level(IsolationLevel::Serializable).start()?;
        let mut balances = [0; 2];
        for (balance_of, (pk, _)) in balances.iter_mut().zip(accounts) {
            *balance_of = transaction.query_one(&*balance, &[pk])?.try_get::<_, i64>(0)?;
        }
        for (balance_of, (pk, by)) in balances.into_iter().zip(accounts) {
            transaction.execute(&*set_balance, &[pk, &(balance_of + by)])?;
        }
        transaction.commit()
    }
}

//! Redis: buckets as JSON strings by key.

use miko_shared::BoxError;
use redis::{Commands, Connection};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample;
use crate::workload::{Client, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "redis",
    terms: "GET and SET of the bucket as JSON text, by the crate `redis`; batches are pipelines of 32. \
            Nothing is kept on disk. It validates nothing, has no constraints, and the text is not parsed.",
    workloads: &[
        Workload::Empty,
        Workload::Read,
        Workload::Create,
        Workload::ReadBatch,
        Workload::QueryBatch,
        Workload::CreateBatch,
        Workload::Increment,
    ],
    start,
};

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    let Some(server) = PeerServer::script(include_str!("../../peers/redis.sh"), "socket")? else {
        return Ok(None);
    };
    let client =
        redis::Client::open(format!("redis+unix://{}", server.directory().join("socket").display()))?;
    let mut connection = client.get_connection()?;
    for record in 0..size.records {
        let () = connection.set(sample::key(record), sample::text(record))?;
    }
    let crew = Crew::fork(size, |_| Ok(Redis(client.get_connection()?)))?;
    Ok(Some(Running::with(crew, server)))
}

struct Redis(Connection);

impl Client for Redis {
    fn empty(&mut self) -> Result<(), BoxError> {
        Ok(redis::cmd("PING").exec(&mut self.0)?)
    }

    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        let text: String = self.0.get(sample::key(record))?;
        sample::check(&text, record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        Ok(self.0.set(sample::made_key(serial), sample::text(serial))?)
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let mut pipeline = redis::pipe();
        for &record in records {
            pipeline.get(sample::key(record));
        }
        let texts: Vec<String> = pipeline.query(&mut self.0)?;
        sample::check_count(texts.len(), records.len())?;
        texts.iter().zip(records).try_for_each(|(text, &record)| sample::check(text, record))
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        let mut pipeline = redis::pipe();
        for &serial in serials {
            pipeline.set(sample::made_key(serial), sample::text(serial)).ignore();
        }
        Ok(pipeline.exec(&mut self.0)?)
    }

    fn increment(&mut self) -> Result<(), BoxError> {
        let _: i64 = self.0.incr("counter", 1)?;
        Ok(())
    }
}

//! Redis: buckets as JSON strings by key.

use miko_shared::BoxError;
use redis::{Commands, Connection};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample;
use crate::workload::{Client, DELIVERY_TIMEOUT, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "redis",
    terms: "GET and SET of the bucket as JSON text, by the crate `redis`; batches are pipelines of 32. \
            Changes are published as the JSON text of ours. Nothing is kept on disk. It validates nothing, \
            has no constraints, and the text is not parsed.",
    workloads: &[
        Workload::Empty,
        Workload::Read,
        Workload::Create,
        Workload::ReadBatch,
        Workload::QueryBatch,
        Workload::CreateBatch,
        Workload::Increment,
        Workload::Deliver,
    ],
    start,
};

/// The number of records that one pipeline sets before the first round.
const PER_PIPELINE: usize = 1000;

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    let Some(server) = PeerServer::script(include_str!("../../peers/redis.sh"), "socket")? else {
        return Ok(None);
    };
    let client =
        redis::Client::open(format!("redis+unix://{}", server.directory().join("socket").display()))?;
    let mut connection = client.get_connection()?;
    for first in (0..size.records).step_by(PER_PIPELINE) {
        let mut pipeline = redis::pipe();
        for record in first..size.records.min(first + PER_PIPELINE) {
            pipeline.set(sample::key(record), sample::text(record)).ignore();
        }
        pipeline.exec(&mut connection)?;
    }
    let change = super::mikobase::delivered_change()?;
    let crew = Crew::fork(size, |index| {
        let connection = client.get_connection()?;
        let (client, change) = (client.clone(), change.clone());
        Ok(Redis { connection, client, is_first: index == 0, change, subscription: None })
    })?;
    Ok(Some(Running::with(crew, server)))
}

struct Redis {
    connection: Connection,
    client: redis::Client,
    /// Whether this is the first worker, which publishes.
    is_first: bool,
    /// What it publishes.
    change: String,
    /// The connection on which it has subscribed.
    subscription: Option<Connection>,
}

const CHANNEL: &str = "changes";

/// A connection that has subscribed to the channel.
fn subscribe(client: &redis::Client) -> Result<Connection, BoxError> {
    let mut connection = client.get_connection()?;
    connection.send_packed_command(&redis::cmd("SUBSCRIBE").arg(CHANNEL).get_packed_command())?;
    connection.recv_response()?;
    connection.set_read_timeout(Some(DELIVERY_TIMEOUT))?;
    Ok(connection)
}

impl Client for Redis {
    fn empty(&mut self) -> Result<(), BoxError> {
        Ok(redis::cmd("PING").exec(&mut self.connection)?)
    }

    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        let text: String = self.connection.get(sample::key(record))?;
        sample::check(&text, record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        Ok(self.connection.set(sample::made_key(serial), sample::text(serial))?)
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let mut pipeline = redis::pipe();
        for &record in records {
            pipeline.get(sample::key(record));
        }
        let texts: Vec<String> = pipeline.query(&mut self.connection)?;
        sample::check_count(texts.len(), records.len())?;
        texts.iter().zip(records).try_for_each(|(text, &record)| sample::check(text, record))
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        let mut pipeline = redis::pipe();
        for &serial in serials {
            pipeline.set(sample::made_key(serial), sample::text(serial)).ignore();
        }
        Ok(pipeline.exec(&mut self.connection)?)
    }

    fn increment(&mut self) -> Result<(), BoxError> {
        let _: i64 = self.connection.incr("counter", 1)?;
        Ok(())
    }

    fn deliver(&mut self) -> Result<bool, BoxError> {
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            none => none.insert(subscribe(&self.client)?),
        };
        if self.is_first {
            let _: i64 = self.connection.publish(CHANNEL, &self.change)?;
        }
        match subscription.recv_response() {
            Ok(message) => {
                let (_, _, text): (String, String, String) = redis::from_redis_value(message)?;
                Ok(text == self.change)
            }
            Err(fault) if fault.is_timeout() => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    fn prepare(&mut self, workload: Workload) {
        if workload != Workload::Deliver {
            self.subscription = None;
        }
    }
}

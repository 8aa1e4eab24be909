//! The records that are stored.

pub(crate) const STACK: &str = r#"{"shadow":{},"officer":{"class":"starfleet.com/officer"}}"#;
pub(crate) const RANKS: [&str; 8] =
    ["Crewman", "Ensign", "Lieutenant", "Commander", "Captain", "Commodore", "Admiral", "Cadet"];
pub(crate) const SHIPS: usize = 500;

pub(crate) struct Record {
    pub(crate) pk: String,
    pub(crate) bucket: String,
    pub(crate) created_at: i64,
}

pub(crate) fn records(count: usize) -> Vec<Record> {
    (0..count)
        .map(|n| Record { pk: uuid::Uuid::now_v7().to_string(), bucket: bucket(n), created_at: n as i64 })
        .collect()
}

/// Strides that share no divisor make the fields vary independently without a random generator.
pub(crate) fn bucket(n: usize) -> String {
    format!(
        r#"{{"name":"Officer {n:06}","rank":"{}","serial":"SC-{n:08}","ship":"ship-{:03}","age":{},"score":{}.5,"active":{},"medals":["valor","service"],"home":{{"city":"Riverside","planet":"Earth"}}}}"#,
        RANKS[n % RANKS.len()],
        n * 7 % SHIPS,
        n * 13 % 81,
        n % 97,
        n.is_multiple_of(3),
    )
}

pub(crate) fn average_size(records: &[Record]) -> usize {
    records.iter().map(|record| record.bucket.len()).sum::<usize>() / records.len()
}

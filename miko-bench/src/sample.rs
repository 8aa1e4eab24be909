//! The records that all peers store, and the choices of the workers among them.

use miko_shared::BoxError;
use serde_json::{Value, json};

/// The class of the records that exist before the first round.
pub(crate) const ITEM: &str = "bench.org/item";

/// The class of the records that workers create, so that [`ITEM`] keeps its size.
pub(crate) const MADE: &str = "bench.org/made";

/// How many records have the same `deck`, a field with an index.
pub(crate) const PER_DECK: usize = 100;

/// How many records have the same `sector`, a field without an index.
const PER_SECTOR: usize = 50;

const RANKS: [&str; 3] = ["Ensign", "Lieutenant", "Captain"];

/// The rank of the records that a scan finds.
pub(crate) const RANK: &str = RANKS[2];

/// The definitions of both classes: one unique and one indexed field.
pub(crate) fn schema() -> Value {
    let fields = json!({
        "serial": {"class": "number", "required": true, "unique": true},
        "deck": {"class": "number", "index": true},
        "sector": {"class": "number"},
        "name": {"class": "string", "required": true, "max_length": 80},
        "rank": {"class": "string", "one_of": RANKS},
        "active": {"class": "boolean"},
        "notes": {"class": "string"},
    });
    let account = json!({"balance": {"class": "number", "required": true}});
    json!({"classes": {ITEM: {"fields": fields}, MADE: {"fields": fields}, ACCOUNT: {"fields": account}}})
}

/// The class of the accounts, and of the number that all workers increment.
pub(crate) const ACCOUNT: &str = "bench.org/account";

/// The pk of an account.
pub(crate) fn account_key(number: usize) -> String {
    format!("account-{number}")
}

/// A bucket of some 200 bytes.
pub(crate) fn bucket(serial: usize) -> Value {
    let rank = RANKS[serial % 3];
    json!({
        "serial": serial, "deck": serial / PER_DECK, "sector": serial / PER_SECTOR,
        "name": format!("Officer {serial}"), "rank": rank,
        "active": serial.is_multiple_of(2),
        "notes": "Served with distinction on several ships of the fleet, and was commended twice.",
    })
}

/// The bucket as text, for peers that store text.
pub(crate) fn text(serial: usize) -> String {
    bucket(serial).to_string()
}

/// The key of an [`ITEM`], for peers whose client chooses it: a UUID that grows with the serial, as the pks
/// of Mikobase do.
pub(crate) fn key(serial: usize) -> String {
    format!("0198c0de-0000-7000-8000-{serial:012x}")
}

/// The key of a [`MADE`] record, which a worker creates.
pub(crate) fn made_key(serial: usize) -> String {
    format!("0198c0de-0001-7000-8000-{serial:012x}")
}

/// Checks that `text` is the bucket of this record.
pub(crate) fn check(text: &str, serial: usize) -> Result<(), BoxError> {
    let after = text.find("\"serial\"").map(|at| text[at + 8..].trim_start_matches([':', ' ']));
    let digits = after.map(|rest| &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())]);
    match digits.and_then(|digits| digits.parse::<usize>().ok()) {
        Some(found) if serial == found => Ok(()),
        _ => Err(format!("the answer is not record {serial}: {text}").into()),
    }
}

/// The number of records of a sector that a scan finds.
pub(crate) fn in_sector(sector: usize) -> usize {
    let first = sector * PER_SECTOR;
    (first..first + PER_SECTOR).filter(|serial| RANKS[serial % 3] == RANK).count()
}

/// Checks that these are the buckets of the last records of this deck, in descending order.
pub(crate) fn check_last<'t>(
    texts: impl Iterator<Item = &'t str>,
    deck: usize,
    count: usize,
) -> Result<(), BoxError> {
    let last = (deck + 1) * PER_DECK;
    let mut found = 0;
    for (text, serial) in texts.zip((last - count..last).rev()) {
        check(text, serial)?;
        found += 1;
    }
    check_count(found, count)
}

/// Checks the number of records in an answer.
pub(crate) fn check_count(found: usize, expected: usize) -> Result<(), BoxError> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{expected} records were expected, and {found} came").into())
}

/// A random number generator with a fixed seed. A linear congruential one suffices: only its upper bits are
/// used.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The constants of Knuth's MMIX generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// Chooses the arguments of the calls of a worker.
pub(crate) struct Choice {
    random: Random,
    records: usize,
    /// The serial of the next record that this worker creates, and the distance to the one after it.
    next: usize,
    step: usize,
}

impl Choice {
    /// The choices of one of `workers`. Their serials are disjoint, and those of each worker ascend.
    pub(crate) fn new(worker: usize, workers: usize, records: usize) -> Self {
        Self { random: Random::new(worker as u64 + 1), records, next: worker, step: workers }
    }

    pub(crate) fn record(&mut self) -> usize {
        self.random.below(self.records)
    }

    pub(crate) fn serial(&mut self) -> usize {
        let serial = self.next;
        self.next += self.step;
        serial
    }

    pub(crate) fn deck(&mut self) -> usize {
        self.random.below(self.records / PER_DECK)
    }

    /// Two different numbers below `bound`.
    pub(crate) fn two_of(&mut self, bound: usize) -> (usize, usize) {
        let first = self.random.below(bound);
        (first, (first + 1 + self.random.below(bound - 1)) % bound)
    }

    pub(crate) fn sector(&mut self) -> usize {
        self.random.below(self.records / PER_SECTOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_recognized_by_its_serial_with_any_spacing() {
        for text in [text(17), r#"{ "deck": 3, "serial" : 17}"#.to_owned(), r#"{"serial": 17}"#.to_owned()] {
            assert!(check(&text, 17).is_ok(), "{text}");
            assert!(check(&text, 1).is_err() && check(&text, 170).is_err(), "{text}");
        }
        assert!(check("{}", 0).is_err());
    }

    #[test]
    fn the_serials_of_workers_are_disjoint() {
        let mut made: Vec<usize> = (0..3)
            .flat_map(|worker| {
                let mut choice = Choice::new(worker, 3, 100);
                (0..10).map(move |_| choice.serial())
            })
            .collect();
        made.sort_unstable();
        assert_eq!(made, (0..30).collect::<Vec<_>>());
    }
}

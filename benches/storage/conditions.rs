//! A condition evaluated by SQLite's JSON functions and by a function of ours.

use std::fmt::Formatter;
use std::hint::black_box;

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::ROUNDS;
use crate::store::{MEMBERS, Store};
use crate::support::{Table, interleaved, seconds_per_call};

/// The two conditions of the scan, as `matches` takes them.
pub(crate) const PLAN: [Condition; 2] = [("rank", Test::Is("Commander")), ("age", Test::Above(60.0))];

pub(crate) fn conditions(text: &Store, jsonb: &Store) -> Table {
    offer_matches(&text.writer);
    let scan = |condition| format!("SELECT bucket FROM {MEMBERS} WHERE {condition}");
    let mut variants = [
        ("SQLite, on text", text, text.sql.scan.clone()),
        ("Rust, a call per condition", text, scan("matches(bucket, 0, 1) AND matches(bucket, 1, 2)")),
        ("Rust, one call for both", text, scan("matches(bucket, 0, 2)")),
        ("SQLite, on JSONB", jsonb, jsonb.sql.scan.clone()),
        ("nothing evaluated, nothing found", text, scan("bucket = ''")),
    ];
    let [hits @ .., _] = variants.each_ref().map(|(_, store, sql)| store.count(sql, []));
    assert!(hits.iter().all(|&n| n > 0 && n == hits[0]), "all evaluate alike: {hits:?}");

    let mut table = Table::new(variants.each_ref().map(|(name, ..)| *name));
    let mut scans = |workload: &str, variants: &mut [(_, &Store, String)]| {
        let per_second = |(_, store, sql): &mut (_, &Store, String)| {
            1.0 / seconds_per_call(3, |_| {
                black_box(store.count(sql, []));
            })
        };
        table.measured(workload, &interleaved(ROUNDS, variants, per_second));
    };
    scans("scan of a class through `membership`, /s", &mut variants);
    variants.iter_mut().for_each(|(.., sql)| *sql = sql.replace(MEMBERS, "record"));
    scans("scan of `record` alone, /s", &mut variants);
    table
}

/// A condition on one field of a bucket; all of a plan's must hold.
pub(crate) type Condition = (&'static str, Test);

#[derive(Clone, Copy)]
pub(crate) enum Test {
    Is(&'static str),
    Above(f64),
}

impl Test {
    pub(crate) fn holds(self, value: &RawValue) -> bool {
        let json = value.get();
        match self {
            Self::Is(expected) if json.starts_with('"') => Lend(|text: &str| text == expected)
                .deserialize(&mut serde_json::Deserializer::from_str(json))
                .unwrap_or(false),
            Self::Above(least) => json.parse::<f64>().is_ok_and(|number| number > least),
            Self::Is(_) => false,
        }
    }
}

/// Registers `matches(text, from, to)`: do the plan's conditions from one number to another hold?
pub(crate) fn offer_matches(connection: &Connection) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("matches", 3, flags, |context| {
            let (from, to) = (context.get::<u8>(1)?, context.get::<u8>(2)?);
            Ok(matches(context.get_raw(0).as_str()?, &PLAN[from.into()..to.into()]))
        })
        .expect("a free name");
}

pub(crate) fn matches(object: &str, plan: &[Condition]) -> bool {
    let mut walk = Walk { plan, verdict: false };
    // Stopping early leaves text unread, which serde_json calls an error; the verdict stands nevertheless.
    let _ = serde_json::Deserializer::from_str(object).deserialize_map(&mut walk);
    walk.verdict
}

/// Goes through an object once, skips what no condition names, stops when one fails or all have held.
pub(crate) struct Walk<'p> {
    pub(crate) plan: &'p [Condition],
    pub(crate) verdict: bool,
}

impl<'de> Visitor<'de> for &mut Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut waiting = self.plan.len();
        let find = |key: &str| self.plan.iter().find(|(name, _)| *name == key);
        while let Some(condition) = map.next_key_seed(Lend(find))? {
            let Some((_, test)) = condition else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !test.holds(map.next_value()?) {
                return Ok(());
            }
            waiting -= 1;
            if waiting == 0 {
                self.verdict = true;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Lends a string, its escapes resolved, to a closure: no allocation for what is only compared.
pub(crate) struct Lend<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Lend<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Lend<F> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

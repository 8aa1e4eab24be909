//! Scans columns: finds the records for which predicates hold, and sorts them.

use std::cmp::Ordering;
use std::ops::Range;

use super::column::{Column, Dictionary, Values};
use super::table::Table;
use crate::query::{PathTest, PathValue, SelectRequest, SortBy, SortKey, SortPath, compare_sort_values};
use crate::storage::ids::RowId;
use crate::storage::plan::{Plan, Predicate};

/// The rows that a plan finds, in the order of its select, after the offset and up to the limit. The table
/// must have a column for each path of the plan. If the plan uses an index, `candidates` are the positions of
/// the records that it finds there; otherwise `None`.
///
/// Returns `None` if SQL has to answer: the plan finds more than `max_found` rows, or has a condition or a
/// sort that is not on a path.
pub(crate) fn scan(
    table: &Table,
    plan: &Plan<'_>,
    candidates: Option<&[u32]>,
    max_found: usize,
) -> Option<Vec<RowId>> {
    let positions = match candidates {
        None => filter_all(table, plan)?,
        Some(candidates) => filter_candidates(table, plan, candidates)?,
    };
    let select = plan.select;
    let limit = select.limit.map_or(usize::MAX, saturating_usize);
    if positions.len().saturating_sub(saturating_usize(select.offset)).min(limit) > max_found {
        return None;
    }
    let positions =
        if select.sorts.is_empty() { positions } else { sort_matches(table, select, &positions)? };
    let found = positions.into_iter().map(|position| table.rows()[position as usize]);
    Some(found.skip(saturating_usize(select.offset)).take(limit).collect())
}

fn saturating_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// If a scan is expected to test at least this many records per distinct value of a dictionary, a predicate
/// on that column is evaluated beforehand, once for each distinct value. Otherwise it is evaluated per
/// record, and only for records that pass the predicates before it.
const MIN_RECORDS_PER_VALUE: usize = 4;

/// A predicate, bound to the columns of a table.
enum Test<'t> {
    /// A predicate that was evaluated for each distinct value.
    Coded {
        /// The code of the value of each record.
        codes: &'t [u32],
        /// Whether the predicate holds, by code.
        holds: Vec<bool>,
    },
    /// A predicate that is evaluated per record: its column has no dictionary, or has a dictionary that is
    /// too large for the number of tested records.
    PerRecord {
        column: &'t Column,
        test: &'t PathTest,
    },
    All(Vec<Test<'t>>),
    Any(Vec<Test<'t>>),
    Not(Box<Test<'t>>),
}

impl<'t> Test<'t> {
    /// Binds a predicate. `None` if the predicate is not about paths, or a column is missing. `record_count`
    /// is an estimate of the number of records that are tested.
    fn of(predicate: &Predicate<'t>, table: &'t Table, record_count: usize) -> Option<Self> {
        let bind_all = |parts: &[Predicate<'t>]| {
            parts.iter().map(|part| Self::of(part, table, record_count)).collect::<Option<Vec<_>>>()
        };
        match predicate {
            Predicate::Path(test) => {
                let column = table.column(test.steps())?;
                Some(match column.values() {
                    Values::Coded(Dictionary { codes, distinct })
                        if distinct.len() <= record_count / MIN_RECORDS_PER_VALUE =>
                    {
                        let holds = distinct.iter().map(|value| test.holds_for(value)).collect();
                        Self::Coded { codes, holds }
                    }
                    _ => Self::PerRecord { column, test },
                })
            }
            Predicate::All(parts) => bind_all(parts).map(Self::All),
            Predicate::Any(parts) => bind_all(parts).map(Self::Any),
            Predicate::Not(part) => Some(Self::Not(Box::new(Self::of(part, table, record_count)?))),
            Predicate::Classes(_) | Predicate::Pks(_) => None,
        }
    }

    /// The fraction of the distinct values for which the predicate holds. `None` for a predicate that was not
    /// evaluated once for each distinct value.
    fn selectivity(&self) -> Option<f64> {
        match self {
            Self::Coded { holds, .. } => {
                let held = holds.iter().filter(|holds| **holds).count();
                Some(held as f64 / holds.len() as f64)
            }
            _ => None,
        }
    }

    fn holds(&self, position: u32) -> bool {
        match self {
            Self::Coded { codes, holds } => holds[codes[position as usize] as usize],
            Self::PerRecord { column, test } => test.holds_for(value_at(column, position)),
            Self::All(parts) => parts.iter().all(|part| part.holds(position)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(position)),
            Self::Not(part) => !part.holds(position),
        }
    }
}

fn value_at(column: &Column, position: u32) -> &PathValue {
    match column.values() {
        Values::Coded(Dictionary { codes, distinct }) => &distinct[codes[position as usize] as usize],
        Values::Plain(values) => &values[position as usize],
    }
}

/// The number of codes in a chunk. A chunk is compared without branches, and the result is tested once.
const CHUNK: usize = 64;

/// The positions of the records for which the predicates hold, in order of creation. If the select has a
/// limit and no sort keys, the scan stops after as many as offset and limit together. `None` if a predicate
/// cannot be [bound](Test::of).
fn filter_all(table: &Table, plan: &Plan<'_>) -> Option<Vec<u32>> {
    let len = table.rows().len();
    let max = max_matches(plan.select);
    // Without a limit, all records are tested. A scan with a limit presumably tests few. How many is not
    // known, so the number of matches at which the scan ends is taken.
    let record_count = if max == usize::MAX { len } else { max };
    let mut tests = bind_predicates(table, plan, record_count)?;
    let most_selective = (0..tests.len())
        .filter_map(|index| Some((index, tests[index].selectivity()?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    let first = most_selective.map(|(index, _)| tests.swap_remove(index));
    // Positions of records that were deleted or have left the class are still in the table.
    let is_match =
        |position: &u32| tests.iter().all(|test| test.holds(*position)) && table.is_present(*position);
    // The most selective test runs first, in a loop over the codes alone.
    Some(match &first {
        Some(Test::Coded { codes, holds }) => match single_match(holds) {
            Some(code) => positions_of(codes, code).filter(is_match).take(max).collect(),
            None => {
                let positions = (0..).zip(*codes).filter(|(_, code)| holds[**code as usize]);
                positions.map(|(position, _)| position).filter(is_match).take(max).collect()
            }
        },
        _ => (0..len as u32).filter(is_match).take(max).collect(),
    })
}

/// The only code for which the predicate holds; `None` if there are several, or none.
fn single_match(holds: &[bool]) -> Option<u32> {
    let mut held = (0..).zip(holds).filter(|(_, holds)| **holds).map(|(code, _)| code);
    held.next().filter(|_| held.next().is_none())
}

/// The positions at which `codes` has `code`. Each [chunk](CHUNK) is first compared as a whole, and is
/// skipped if it lacks the code.
fn positions_of(codes: &[u32], code: u32) -> impl Iterator<Item = u32> {
    let chunks = codes.chunks(CHUNK).zip((0..).step_by(CHUNK));
    let found =
        chunks.filter(move |(chunk, _)| chunk.iter().fold(false, |found, other| found | (*other == code)));
    found.flat_map(move |(chunk, from)| {
        (from..).zip(chunk).filter(move |(_, other)| **other == code).map(|(position, _)| position)
    })
}

/// As [`filter_all`], but tests only the records at the positions `candidates`.
fn filter_candidates(table: &Table, plan: &Plan<'_>, candidates: &[u32]) -> Option<Vec<u32>> {
    let tests = bind_predicates(table, plan, candidates.len())?;
    // Positions of records that were deleted or have left the class are still in the table.
    let is_match =
        |position: &u32| tests.iter().all(|test| test.holds(*position)) && table.is_present(*position);
    Some(candidates.iter().copied().filter(is_match).take(max_matches(plan.select)).collect())
}

/// [Binds](Test::of) the predicates of a plan to the columns of a table.
fn bind_predicates<'t>(table: &'t Table, plan: &Plan<'t>, record_count: usize) -> Option<Vec<Test<'t>>> {
    plan.predicates.iter().map(|predicate| Test::of(predicate, table, record_count)).collect()
}

/// The number of matches after which a scan in order of creation may end.
fn max_matches(select: &SelectRequest) -> usize {
    match select.limit {
        Some(limit) if select.sorts.is_empty() => saturating_usize(limit.saturating_add(select.offset)),
        _ => usize::MAX,
    }
}

/// Sort values, one after the other in one buffer: to allocate each takes more time than to sort them.
#[derive(Default)]
struct EncodedSortValues {
    bytes: Vec<u8>,
    /// The place of each sort value in `bytes`; `None` for that of a null or absent value.
    places: Vec<Option<Range<usize>>>,
}

impl EncodedSortValues {
    fn of<'v>(path: &SortPath, values: impl Iterator<Item = &'v PathValue>) -> Self {
        let mut encoded = Self { places: Vec::with_capacity(values.size_hint().0), ..Self::default() };
        for value in values {
            let start = encoded.bytes.len();
            let has_sort_value = path.append_sort_value(value, &mut encoded.bytes);
            encoded.places.push(has_sort_value.then_some(start..encoded.bytes.len()));
        }
        encoded
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.places[index].clone().map(|place| &self.bytes[place])
    }
}

/// The sort values of the matches for one sort key of a select.
enum SortValuesOfMatches<'t> {
    /// A sort value per code: the column has a dictionary, with no more values than there are matches.
    OfCodes {
        /// The code of the value of each record.
        codes: &'t [u32],
        values: EncodedSortValues,
    },
    /// A sort value per match.
    OfMatches(EncodedSortValues),
}

impl<'t> SortValuesOfMatches<'t> {
    /// `None` if the sort key is not a path, or its column is missing.
    fn of(sort: &SortKey, table: &'t Table, matches: &[u32]) -> Option<Self> {
        let SortBy::Bucket(path) = &sort.by else { return None };
        let column = table.column(path.steps())?;
        Some(match column.values() {
            Values::Coded(Dictionary { codes, distinct }) if distinct.len() <= matches.len() => {
                Self::OfCodes { codes, values: EncodedSortValues::of(path, distinct.iter()) }
            }
            _ => {
                let values = matches.iter().map(|position| value_at(column, *position));
                Self::OfMatches(EncodedSortValues::of(path, values))
            }
        })
    }

    /// The sort value of a match, given its index among the matches and its position in the table.
    fn get(&self, index: usize, position: u32) -> Option<&[u8]> {
        match self {
            Self::OfCodes { codes, values } => values.get(codes[position as usize] as usize),
            Self::OfMatches(values) => values.get(index),
        }
    }
}

/// Sorts the positions of matches as the select says. Returns the first `offset + limit` of them; the caller
/// skips the offset. `None` if the [sort values](SortValuesOfMatches::of) for a sort key cannot be made.
fn sort_matches(table: &Table, select: &SelectRequest, matches: &[u32]) -> Option<Vec<u32>> {
    let sort_values = select
        .sorts
        .iter()
        .map(|sort| Some((SortValuesOfMatches::of(sort, table, matches)?, sort.reverse)))
        .collect::<Option<Vec<_>>>()?;
    let compare_whole = |a: usize, b: usize| {
        let compare_by = |values: &SortValuesOfMatches<'_>, reverse: bool| {
            compare_sort_values(values.get(a, matches[a]), values.get(b, matches[b]), reverse)
        };
        let mut orders = sort_values.iter().map(|(values, reverse)| compare_by(values, *reverse));
        // Ties are broken by the index: matches are in order of creation.
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal).then(a.cmp(&b))
    };
    // Indexes into `matches` are sorted: the sort values of a match may be found by its index only. Most of
    // them differ in the prefix for the first sort key.
    let (first, reverse) = sort_values.first()?;
    let mut order: Vec<Sorted> = (0..)
        .zip(matches)
        .map(|(index, position)| Sorted::of(prefix_of(first.get(index as usize, *position), *reverse), index))
        .collect();
    let compare = |a: &Sorted, b: &Sorted| {
        a.prefix().cmp(&b.prefix()).then_with(|| compare_whole(a.index(), b.index()))
    };
    let needed =
        select.limit.map_or(usize::MAX, |limit| saturating_usize(limit.saturating_add(select.offset)));
    if needed < order.len() {
        order.select_nth_unstable_by(needed, compare);
        order.truncate(needed);
    }
    order.sort_unstable_by(compare);
    Some(order.into_iter().map(|sorted| matches[sorted.index()]).collect())
}

/// A match that is sorted: the [prefix](prefix_of) of its sort value, and then its index among the matches.
struct Sorted(u128);

impl Sorted {
    fn of(prefix: u128, index: u32) -> Self {
        Self(prefix << u32::BITS | u128::from(index))
    }

    fn prefix(&self) -> u128 {
        self.0 >> u32::BITS
    }

    fn index(&self) -> usize {
        self.0 as u32 as usize
    }
}

/// The number of bytes of a sort value that its prefix has. The sort value of a number has one less.
const PREFIX: usize = 12;

/// The prefix of a null or absent value: larger than any other, also than those of a reversed sort, since the
/// first byte of a sort value is a small number above 0.
const LAST_PREFIX: u128 = u128::MAX >> u32::BITS;

/// A number of [`PREFIX`] bytes for the first bytes of a sort value. If the numbers of two sort values
/// differ, they are in the order of [`compare_sort_values`].
fn prefix_of(sort_value: Option<&[u8]>, reverse: bool) -> u128 {
    // A null or absent value is last in both directions.
    let Some(sort_value) = sort_value else { return LAST_PREFIX };
    // A shorter value is filled with zeros, which no byte precedes.
    let mut bytes = [0; size_of::<u128>()];
    let len = sort_value.len().min(PREFIX);
    bytes[..len].copy_from_slice(&sort_value[..len]);
    let prefix = u128::from_be_bytes(bytes) >> u32::BITS;
    if reverse { LAST_PREFIX - prefix } else { prefix }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of a type, and then any bytes.
    fn sort_value() -> impl Strategy<Value = Vec<u8>> {
        let rest = prop::collection::vec(0..3_u8, 0..16);
        (1..7_u8, rest).prop_map(|(kind, rest)| [&[kind][..], &rest].concat())
    }

    proptest! {
        #[test]
        fn prefixes_that_differ_are_in_the_order_of_their_sort_values(
            values in prop::collection::vec(prop::option::of(sort_value()), 2),
            reverse in any::<bool>(),
        ) {
            let [a, b] = [&values[0], &values[1]].map(Option::as_deref);
            let order = prefix_of(a, reverse).cmp(&prefix_of(b, reverse));
            prop_assert!(order.is_eq() || order == compare_sort_values(a, b, reverse));
        }
    }

    #[test]
    fn numbers_and_short_texts_differ_in_their_prefixes() {
        let values: [&[u8]; 4] = [&[1; 11], &[1; 12], b"\x02a", b"\x02ab"];
        for reverse in [false, true] {
            let mut prefixes = values.map(|value| prefix_of(Some(value), reverse));
            if reverse {
                prefixes.reverse();
            }
            assert!(prefixes.is_sorted_by(|a, b| a < b));
            assert!(prefixes[3] < prefix_of(None, reverse));
        }
    }
}

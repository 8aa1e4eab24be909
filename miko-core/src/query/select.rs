//! The action `select`.

use serde_json::{Map, Value};

use crate::query::condition::{Condition, Conditions};
use crate::query::faults::Place;
use crate::query::fields::{self, Fields, Reader};
use crate::query::path;
use crate::query::placeholder::{Position, Scope};
use crate::query::sort::Sort;

/// What Q0 defines for `select` and this version does not run.
const LATER: [&str; 3] = ["history", "cutoff", "transaction"];

/// The keys of a select besides `action`.
const KEYS: [&str; 12] = [
    "class",
    "classes",
    "pk",
    "path",
    "all",
    "any",
    "then",
    "placeholders",
    "sort",
    "sorts",
    "limit",
    "offset",
];

/// Which records, in which order, and how many of them.
#[derive(Debug, Default)]
pub(crate) struct Select {
    pub(crate) condition: Condition,
    /// Those that are equal in one are ordered by the next; in the end, by creation.
    pub(crate) sorts: Vec<Sort>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    /// May a placeholder turn out to lead nowhere?
    pub(crate) may_fail: bool,
    /// How many conditions and parts of conditions it has.
    pub(crate) size: usize,
}

impl Select {
    /// Every record of one class.
    pub(crate) fn of_class(class: &str) -> Self {
        let condition = Condition { classes: Some(Ok(vec![class.to_owned()])), ..Condition::default() };
        Self { condition, size: 2, ..Self::default() }
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.not_yet(&LATER);
        let map = fields.rest();
        let mut conditions = Conditions::new(fields.faults);
        let scope = Scope::default();
        let position = Position { place: &Place::Request, scope: &scope, chain: None };
        let select = conditions.with_placeholders(&map, &position, |conditions, position| {
            let mut select =
                Self { condition: conditions.read(&map, position), size: conditions.size, ..Self::default() };
            select.may_fail = !conditions.latent.is_empty();
            select.sorts = read_sorts(conditions, &map, position);
            select.limit = always(conditions, &map, "limit", position, fields::count);
            select.offset = always(conditions, &map, "offset", position, fields::count).unwrap_or(0);
            select
        });
        let latent = conditions.latent;
        fields.faults.will_fail(latent);
        fields.refuse_unknown(path::unknown(&map, &KEYS));
        Some(select)
    }
}

fn read_sorts<'q>(
    conditions: &mut Conditions<'_>,
    map: &'q Map<String, Value>,
    position: &Position<'q, '_>,
) -> Vec<Sort> {
    if map.contains_key("sort") && map.contains_key("sorts") {
        conditions.faults.warn(fields::redundant(["sort", "sorts"], "`sort` goes first"));
    }
    let first = always(conditions, map, "sort", position, Sort::read);
    let others = always(conditions, map, "sorts", position, Sort::read_many);
    first.into_iter().chain(others.into_iter().flatten()).collect()
}

/// Reads a part that is reached whatever the records are: its faults are those of the request.
fn always<'q, T>(
    conditions: &mut Conditions<'_>,
    map: &'q Map<String, Value>,
    key: &str,
    position: &Position<'q, '_>,
    read: Reader<T>,
) -> Option<T> {
    let latent = conditions.latent.len();
    let part = conditions.value(map.get(key)?, &position.at(&Place::Key(position.place, key)), read)?;
    conditions.latent.truncate(latent);
    part.map_err(|error| conditions.faults.refuse_unresolved(error)).ok()
}

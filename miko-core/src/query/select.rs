//! The action `select`.

use serde_json::{Map, Value};

use crate::json::members::get;
use crate::query::condition::{Condition, Conditions};
use crate::query::faults::{Faults, Place};
use crate::query::fields::{self, Reader};
use crate::query::placeholder::{Position, Scope};
use crate::query::sort::Sort;
use crate::timestamp::Timestamp;

/// What Q0 defines for `select` and this version does not run.
const LATER: [&str; 1] = ["transaction"];

/// The keys of a select.
const KEYS: [&str; 16] = [
    "action",
    "history",
    "cutoff",
    "transaction",
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
    /// Are all versions selected?
    pub(crate) history: bool,
    /// The time as of which is selected, if it is not now.
    pub(crate) cutoff: Option<Timestamp>,
    /// May a placeholder turn out to lead nowhere?
    pub(crate) may_fail: bool,
    /// How many conditions, parts of conditions and sort paths it has.
    pub(crate) size: usize,
}

impl Select {
    /// Every record of one class.
    pub(crate) fn of_class(class: &str) -> Self {
        let condition = Condition { classes: Some(Ok(vec![class.to_owned()])), ..Condition::default() };
        Self { condition, size: 2, ..Self::default() }
    }

    pub(super) fn read(map: &Map<String, Value>, faults: &mut Faults) -> Self {
        LATER.iter().filter(|key| get(map, key).is_some()).for_each(|key| fields::refuse_later(key, faults));
        let mut conditions = Conditions::new(faults);
        let scope = Scope::default();
        let position = Position { place: &Place::Request, scope: &scope, chain: None };
        let select = conditions.with_placeholders(map, &position, |conditions, position| {
            let condition = conditions.read(map, position);
            let sorts = read_sorts(conditions, map, position);
            Self {
                condition,
                size: conditions.size + sorts.len(),
                may_fail: !conditions.latent.is_empty(),
                sorts,
                limit: always(conditions, map, "limit", position, fields::count),
                offset: always(conditions, map, "offset", position, fields::count).unwrap_or(0),
                history: always(conditions, map, "history", position, fields::boolean).unwrap_or(false),
                cutoff: always(conditions, map, "cutoff", position, fields::timestamp),
            }
        });
        let latent = conditions.latent;
        faults.will_fail(latent);
        fields::refuse_unknown(map.keys().map(String::as_str), &KEYS, faults);
        select
    }
}

fn read_sorts<'q>(
    conditions: &mut Conditions<'_>,
    map: &'q Map<String, Value>,
    position: &Position<'q, '_>,
) -> Vec<Sort> {
    if get(map, "sort").is_some() && get(map, "sorts").is_some() {
        let warning = fields::redundant(["sort", "sorts"], "`sort` goes first");
        conditions.faults.warn(position.place.locate(warning));
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
    let value = get(map, key)?;
    let latent = std::mem::take(&mut conditions.latent);
    let part = conditions.value(value, &position.at(&Place::Key(position.place, key)), read);
    conditions.latent = latent;
    part?.map_err(|error| conditions.faults.refuse_unresolved(error)).ok()
}

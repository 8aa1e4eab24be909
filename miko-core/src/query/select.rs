//! The action `select`.

use serde_json::{Map, Value};

use crate::diagnostics::readers::{self, ReadFn};
use crate::diagnostics::{Faults, Place};
use crate::json::members::{get, get_mut};
use crate::query::filter::{Filter, FilterReader};
use crate::query::placeholder::{PlaceholderScope, ReadContext};
use crate::query::request_keys;
use crate::query::sort::{MAX_SORT_KEYS, SortKey, too_many_keys};
use crate::timestamp::Timestamp;

/// The keys of a select. `transaction` is not reported as unknown, because
/// [`request_keys::refuse_transaction_key`] refuses it.
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

/// The keys of a `where`: those of a select that are conditions.
const WHERE_KEYS: [&str; 8] = ["class", "classes", "pk", "path", "all", "any", "then", "placeholders"];

/// A select: a filter, an order and a limit.
#[derive(Debug, Default)]
pub(crate) struct SelectRequest {
    pub(crate) filter: Filter,
    /// The sort keys, most significant first. Ties are broken by order of creation.
    pub(crate) sorts: Vec<SortKey>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: u64,
    /// Whether all versions are selected, not only the current ones.
    pub(crate) history: bool,
    /// The time as of which the database is read; `None` means the present.
    pub(crate) cutoff: Option<Timestamp>,
    /// Whether evaluation may raise a deferred error, for example of a placeholder that cannot be resolved.
    pub(crate) may_fail: bool,
    /// The part count of the filter, as [`FilterReader`] counts it, plus the number of sort keys. An estimate
    /// if the select was not read from JSON: see [`of_filter`](Self::of_filter). The planner does not pass a
    /// select with very many parts to storage.
    pub(crate) part_count: usize,
}

/// The part count of a select whose filter has one part: the filter counts, too.
const COUNT_OF_ONE_PART: usize = 2;

impl SelectRequest {
    /// Selects all records of a class.
    pub(crate) fn of_class(class: &str) -> Self {
        let filter = Filter { classes: Some(Ok(vec![class.to_owned()])), ..Filter::default() };
        Self { filter, part_count: COUNT_OF_ONE_PART, ..Self::default() }
    }

    /// Reads a query of the form `{"action": "select", "pk": "…"}`, and takes the pk out of it. Returns
    /// `None` for a query of any other form, and leaves it unchanged. This is a fast path: batches have many
    /// queries of this form, and nothing in them has to be checked.
    pub(super) fn take_only_pk(query: &mut Value) -> Option<Self> {
        let map = query.as_object_mut().filter(|map| map.len() == 2)?;
        get(map, "action").filter(|action| *action == "select")?;
        let Value::String(pk) = get_mut(map, "pk")? else { return None };
        let filter = Filter { pks: Some(Ok(vec![std::mem::take(pk)].into())), ..Filter::default() };
        Some(Self { filter, part_count: COUNT_OF_ONE_PART, ..Self::default() })
    }

    /// Selects the records that pass a filter without deferred errors.
    pub(crate) fn of_filter(filter: Filter) -> Self {
        let Filter { path, all, any, negated, then, .. } = &filter;
        // Only `FilterReader` counts parts, so the part count of this filter is not known. A filter without
        // other parts than classes, pks and `negated` is small. For any other filter, the largest count makes
        // the planner leave the filter to the evaluator.
        let is_small = path.is_none() && all.is_none() && any.is_none() && then.is_none();
        let part_count = if is_small { COUNT_OF_ONE_PART } else { usize::MAX };
        // The planner expects that the outermost filter of a select is not negated. So a filter that may be
        // negated becomes the only member of an `all`.
        let may_be_negated = negated.is_some();
        let filter = if may_be_negated {
            Filter { all: Some(Ok(vec![Ok(filter)])), ..Filter::default() }
        } else {
            filter
        };
        Self { filter, part_count, ..Self::default() }
    }

    /// The pks, if the select has no other condition, and no sort key, limit or offset. `None` in all other
    /// cases. `history` and `cutoff` are not checked: the caller must know that the select is of current
    /// records.
    pub(crate) fn only_pks(&self) -> Option<&[String]> {
        let Self { sorts, limit: None, offset: 0, may_fail: false, .. } = self else { return None };
        match &self.filter {
            Filter {
                pks: Some(Ok(pks)),
                classes: None,
                path: None,
                all: None,
                any: None,
                negated: None,
                then: None,
            } if sorts.is_empty() => Some(pks),
            _ => None,
        }
    }

    /// Reads the conditions of a `where`. The map `order` has the keys `sort`, `sorts` and `limit`, which the
    /// request has beside the `where`. Their values may use the placeholders of the `where`.
    pub(super) fn read_where(
        conditions: &Map<String, Value>,
        order: &Map<String, Value>,
        faults: &mut Faults,
    ) -> Self {
        let place = Place::Key(&Place::Root, "where");
        let select =
            Self::read_with_order(conditions, &place, (order, &Place::Root), faults, |select, _, _| select);
        refuse_unknown_keys("`where`", conditions, &WHERE_KEYS, &place, faults);
        select
    }

    /// Reads the select of a claim: conditions and an order, without a limit.
    pub(super) fn read_select_of_claim(map: &Map<String, Value>, faults: &mut Faults) -> Self {
        const CLAIM_KEYS: [&str; 11] = [
            "action",
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
        ];
        let place = Place::Key(&Place::Root, "select");
        if let Some(action) = get(map, "action").filter(|action| *action != "select") {
            faults.refuse(Place::Key(&place, "action").wrong_value("`select`", action.clone()));
        }
        let select = Self::read_with_order(map, &place, (map, &place), faults, |select, _, _| select);
        // A claim allows no `limit`, but `read_with_order` reads it. So the key is refused here, since
        // `CLAIM_KEYS` lacks it, and its value is dropped.
        refuse_unknown_keys("`select` of a claim", map, &CLAIM_KEYS, &place, faults);
        Self { limit: None, ..select }
    }

    /// Reads the conditions in `conditions`, which is at `place`, and the keys `sort`, `sorts` and `limit` in
    /// `order`, which is at `order_place`. Then `read_rest` adds the values of other keys to the select; a
    /// caller without other keys returns the select as it is. All values may use the placeholders of
    /// `conditions`.
    fn read_with_order(
        conditions: &Map<String, Value>,
        place: &Place<'_>,
        (order, order_place): (&Map<String, Value>, &Place<'_>),
        faults: &mut Faults,
        read_rest: impl FnOnce(Self, &mut FilterReader<'_>, &ReadContext<'_, '_>) -> Self,
    ) -> Self {
        let mut reader = FilterReader::new(faults);
        let scope = PlaceholderScope::default();
        let context = ReadContext { place, scope: &scope, expansion: None };
        let select = reader.with_placeholders(conditions, &context, |reader, context| {
            let filter = reader.read(conditions, context);
            let context = context.at(order_place);
            let sorts = read_sorts(reader, order, &context);
            let select = Self {
                filter,
                part_count: reader.part_count + sorts.len(),
                may_fail: !reader.deferred.is_empty(),
                sorts,
                limit: read_unconditional(reader, order, "limit", &context, readers::count),
                ..Self::default()
            };
            read_rest(select, reader, &context)
        });
        let deferred = reader.deferred;
        faults.add_deferred_errors(deferred);
        select
    }

    /// Reads only the cutoff of a select, which may be a placeholder of the select.
    pub(super) fn read_cutoff(map: &Map<String, Value>, faults: &mut Faults) -> Option<Timestamp> {
        let mut reader = FilterReader::new(faults);
        let scope = PlaceholderScope::default();
        let context = ReadContext { place: &Place::Root, scope: &scope, expansion: None };
        reader.with_placeholders(map, &context, |reader, context| {
            read_unconditional(reader, map, "cutoff", context, readers::timestamp)
        })
    }

    /// Reads a select. The result may be used only if no fault was reported.
    pub(super) fn read(map: &Map<String, Value>, faults: &mut Faults) -> Self {
        if get(map, "transaction").is_some() {
            request_keys::refuse_transaction_key(faults);
        }
        let order = (map, &Place::Root);
        let select =
            Self::read_with_order(map, &Place::Root, order, faults, |select, reader, context| Self {
                offset: read_unconditional(reader, map, "offset", context, readers::count).unwrap_or(0),
                history: read_unconditional(reader, map, "history", context, readers::boolean)
                    .unwrap_or(false),
                cutoff: read_unconditional(reader, map, "cutoff", context, readers::timestamp),
                ..select
            });
        request_keys::refuse_unknown(map.keys().map(String::as_str), &KEYS, faults);
        select
    }
}

/// Refuses the keys of `map` that are not in `allowed`. `part` names the part of the request in the message.
fn refuse_unknown_keys(
    part: &str,
    map: &Map<String, Value>,
    allowed: &[&'static str],
    place: &Place<'_>,
    faults: &mut Faults,
) {
    let unknown = request_keys::unknown(map, allowed);
    if !unknown.is_empty() {
        let message = format!("a {part} has no key `{}`", unknown.join("`, `"));
        let fault = place.fault(message).with("unknown_fields", unknown);
        faults.refuse(fault.with("allowed", allowed.to_vec()));
    }
}

/// Reads `sort` and `sorts`. If both are present, warns and puts `sort` first.
fn read_sorts<'q>(
    reader: &mut FilterReader<'_>,
    map: &'q Map<String, Value>,
    context: &ReadContext<'q, '_>,
) -> Vec<SortKey> {
    if get(map, "sort").is_some() && get(map, "sorts").is_some() {
        let warning = request_keys::redundant_fields(["sort", "sorts"], "`sort` goes first");
        reader.faults.warn(context.place.with_pointer(warning));
    }
    let first = read_unconditional(reader, map, "sort", context, SortKey::read);
    let others = read_unconditional(reader, map, "sorts", context, SortKey::read_many);
    let sorts: Vec<_> = first.into_iter().chain(others.into_iter().flatten()).collect();
    if sorts.len() > MAX_SORT_KEYS {
        reader.faults.refuse(too_many_keys(sorts.len(), context.place));
    }
    sorts
}

/// Reads the value of a key that every evaluation reaches. So all its faults are reported at once, also those
/// in placeholders, which `read_value` defers. `None` if the key is absent, or if a fault was reported.
fn read_unconditional<'q, T>(
    reader: &mut FilterReader<'_>,
    map: &'q Map<String, Value>,
    key: &str,
    context: &ReadContext<'q, '_>,
    read: ReadFn<T>,
) -> Option<T> {
    let value = get(map, key)?;
    let deferred_before = std::mem::take(&mut reader.deferred);
    let part = reader.read_value(value, &context.at(&Place::Key(context.place, key)), read);
    // Drops what `read_value` has deferred: `part` has the same errors, and they are reported below.
    reader.deferred = deferred_before;
    part?.map_err(|error| reader.faults.refuse_undeferred(error)).ok()
}

//! Q0: parses JSON requests into typed ones and evaluates selects.
//!
//! | subject | module |
//! | --- | --- |
//! | takes the keys of a request and reports those that are missing or unknown | [`request_keys`] |
//! | the typed requests; the records that a write changes | [`select`], [`mod@write`]; [`write_target`] |
//! | claims of records | [`claim`] |
//! | edits of a bucket: their parser and their effects | [`edit`] |
//! | the parts of a select | [`filter`], [`path`], [`step`], [`operator`], [`folding`], [`sort`] |
//! | the size of a select, which bounds the costs of testing it | [`size`] |
//! | resolves placeholders | [`placeholder`] |
//! | finds the value at the end of a path in the text of a bucket | [`lookup`], [`value_ref`] |
//! | an owned value at the end of a path, as columns keep it | [`path_value`] |
//! | the lists of `in`, `includes_all` and `includes_any` | [`value_list`] |
//! | validates a request without running it | [`validation`] |
//! | the keys of a request about transactions | [`transaction`] |
//! | evaluates a select record by record | [`evaluate`] |
//!
//! The form of a [`Request`] is valid by construction, so engines do not validate it again. The evaluation of
//! a select may still fail, for example if it reaches a placeholder that has no value. No module here knows
//! SQL: the engine plans a select, and the storage in SQLite compiles the plan.

mod claim;
mod edit;
mod evaluate;
mod filter;
mod folding;
mod lookup;
mod operator;
mod path;
mod path_value;
mod placeholder;
mod request_keys;
mod select;
mod size;
mod sort;
mod step;
mod transaction;
mod validation;
mod value_list;
mod value_ref;
mod write;
mod write_target;

use miko_rpc::{Error, ErrorId, ErrorItem, Result, Warning};
use serde_json::Value;

use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::json::members::get;
use crate::timestamp::Timestamp;
use request_keys::RequestKeys;

pub(crate) use claim::{ClaimRequest, FinishEffect, FinishRequest, ReleaseRequest};
pub(crate) use edit::Edit;
pub use edit::MAX_EDITS;
pub(crate) use edit::{apply as apply_edits, apply_to_text as apply_edits_to_text};
pub(crate) use evaluate::{MatchCollector, RecordView, SortValues, size_of_sort_values};
pub(crate) use filter::{DeferredResult, Filter};
pub(crate) use path::PathTest;
pub(crate) use path_value::PathValue;
pub(crate) use select::SelectRequest;
pub(crate) use sort::{SortBy, SortKey, SortPath, compare_sort_values};
pub(crate) use step::{PathStep, path_text};
pub(crate) use transaction::TransactionRequest;
pub(crate) use validation::validate;
pub use validation::{Check, Validation};
pub(crate) use write::{
    CreateRequest, DeleteRequest, EditRequest, PatchRequest, StackInput, UpdateRequest, UpsertRequest,
};
pub(crate) use write_target::WriteTarget;

/// A Q0 request: a JSON object.
///
/// An alias of `serde_json::Value`, so that `db.q0(json!({…}))` compiles on an engine, on a proxy and on
/// `&dyn Mikobase`. [`json::parse`](crate::json::parse) parses text into a request. It refuses numbers that
/// would lose digits.
pub type Query = serde_json::Value;

/// A valid request.
#[derive(Debug)]
pub(crate) enum Request {
    Select(SelectRequest),
    Create(CreateRequest),
    Update(UpdateRequest),
    Patch(PatchRequest),
    Edit(EditRequest),
    Upsert(UpsertRequest),
    Delete(DeleteRequest),
    Claim(ClaimRequest),
    Finish(FinishRequest),
    Release(ReleaseRequest),
}

impl Request {
    /// Whether the request may change something. Taking, finishing or releasing a claim counts as a change.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Select(_))
    }

    /// Whether the request may remove a unique value from a record, so that another record can have the
    /// value.
    pub(crate) fn may_free_values(&self) -> bool {
        !matches!(self, Self::Select(_) | Self::Create(_) | Self::Claim(_) | Self::Release(_))
    }
}

/// The actions of Q0, without the actions on transactions.
const ACTIONS: [&str; 10] =
    ["select", "create", "update", "patch", "edit", "upsert", "delete", "claim", "finish", "release"];

/// Parses a query into a request and its warnings.
///
/// # Errors
/// All faults of the query.
pub(crate) fn parse(mut query: Query) -> Result<(Request, Vec<Warning>)> {
    // A fast path for a select of one pk: batches have many of them.
    if let Some(select) = SelectRequest::take_only_pk(&mut query) {
        return Ok((Request::Select(select), Vec::new()));
    }
    let mut faults = Faults::default();
    let request = read(query, &mut faults);
    let (errors, warnings) = faults.into_parts();
    errors.check()?;
    let request = request.ok_or_else(refused_without_reason)?;
    Ok((request, warnings.into_items()))
}

/// Fails if there are errors among the faults. Drops the warnings.
///
/// # Errors
/// All errors among the faults.
fn check_for_errors(faults: Faults) -> Result<()> {
    let (errors, _warnings) = faults.into_parts();
    errors.check()
}

/// The error of a query that was refused without a fault. Unreachable: each refusal reports one.
fn refused_without_reason() -> Error {
    Error::new(ErrorId::INTERNAL, "a query was refused without a reason")
}

/// Parses a list of edits into the request to edit a record. Accepts the same edits as [`parse`] accepts in a
/// request, and refuses others with the same errors.
pub(crate) fn parse_edits(pk: &str, edits: Vec<Value>) -> Result<EditRequest> {
    let mut faults = Faults::default();
    let edits = Value::Array(edits);
    // One level less than a request, which contains the list.
    let edits = if json::nests_deeper_than(&edits, json::MAX_DEPTH - 1) {
        refuse_depth(edits, &mut faults)
    } else {
        edit::read_edits(edits, &Place::Key(&Place::Root, "edits"), &mut faults)
    };
    check_for_errors(faults)?;
    let edits = edits.ok_or_else(refused_without_reason)?;
    Ok(EditRequest { target: WriteTarget::One { pk: pk.to_owned(), if_updated_at: None }, edits })
}

/// Reads the cutoff of a select that is not parsed yet; `None` if the select has no cutoff.
///
/// # Errors
/// The faults of the cutoff and of the object `placeholders`, or the fault that the select nests too deep, as
/// [`parse`] would report them.
pub(crate) fn requested_cutoff(select: &Query) -> Result<Option<Timestamp>> {
    let Some(map) = select.as_object().filter(|map| map.contains_key("cutoff")) else { return Ok(None) };
    let mut faults = Faults::default();
    let cutoff = if json::too_deep(select) {
        faults.refuse(too_deep());
        None
    } else {
        SelectRequest::read_cutoff(map, &mut faults)
    };
    check_for_errors(faults)?;
    Ok(cutoff)
}

/// Whether a query that is not parsed yet may change something: `true` unless its action is `select`.
pub(crate) fn may_write(query: &Query) -> bool {
    query.as_object().and_then(|query| get(query, "action")).is_none_or(|action| action != "select")
}

/// Takes the keys about transactions out of a query. `None` if the query is not about transactions. Also
/// `None` if it nests too deep: [`parse`] then reports the depth.
///
/// # Errors
/// All faults of these keys. The query must not be run then, since some of its keys are taken already.
pub(crate) fn take_transaction(query: &mut Query) -> Result<Option<TransactionRequest>> {
    let mut faults = Faults::default();
    let request = TransactionRequest::take(query, &mut faults);
    check_for_errors(faults)?;
    Ok(request)
}

/// Calls `read` with each value, up to and including the first for which `read` fails. The error of that
/// value is the last element of the result. The values after it are dropped without recursion, because they
/// may nest to any depth.
pub(crate) fn read_until_error<T>(values: Vec<Value>, read: impl Fn(Value) -> Result<T>) -> Vec<Result<T>> {
    let mut results = Vec::with_capacity(values.len());
    for value in values {
        match results.last() {
            Some(Err(_)) => json::drop_iteratively(value),
            _ => results.push(read(value)),
        }
    }
    results
}

/// Reads a request, and adds its faults to `faults`. If there are errors, the result must not be used: it is
/// `None`, or lacks the faulty parts.
fn read(query: Query, faults: &mut Faults) -> Option<Request> {
    if json::too_deep(&query) {
        return refuse_depth(query, faults);
    }
    let Value::Object(map) = query else {
        faults.refuse(Place::Root.wrong_type("an object", &query));
        return None;
    };
    // A select is read from the borrowed map. Other actions move their values out of the map.
    if json::members::get(&map, "action").is_some_and(|action| action == "select") {
        return Some(Request::Select(SelectRequest::read(&map, faults)));
    }
    let mut keys = RequestKeys::new(map, faults);
    let Some(action) = keys.take_required("action") else {
        keys.report_missing();
        return None;
    };
    let request = match action.as_str() {
        Some("create") => CreateRequest::read(&mut keys).map(Request::Create),
        Some("update") => UpdateRequest::read(&mut keys).map(Request::Update),
        Some("patch") => PatchRequest::read(&mut keys).map(Request::Patch),
        Some("edit") => EditRequest::read(&mut keys).map(Request::Edit),
        Some("upsert") => UpsertRequest::read(&mut keys).map(Request::Upsert),
        Some("delete") => DeleteRequest::read(&mut keys).map(Request::Delete),
        Some("claim") => ClaimRequest::read(&mut keys).map(Request::Claim),
        Some("finish") => FinishRequest::read(&mut keys).map(Request::Finish),
        Some("release") => ReleaseRequest::read(&mut keys).map(Request::Release),
        _ => {
            // `keys.finish` is not called: which keys are unknown depends on the action.
            faults.refuse(unknown_action(&action));
            return None;
        }
    };
    keys.finish();
    request
}

/// Refuses a request that nests too deep, and drops it without recursion.
fn refuse_depth<T>(request: Value, faults: &mut Faults) -> Option<T> {
    json::drop_iteratively(request);
    faults.refuse(too_deep());
    None
}

fn too_deep() -> ErrorItem {
    Place::Root.fault(format!("arrays and objects may nest {} deep, the request included", json::MAX_DEPTH))
}

fn unknown_action(action: &Value) -> ErrorItem {
    let place = Place::Key(&Place::Root, "action");
    match action.as_str() {
        Some(name) if transaction::ACTIONS.contains(&name) => {
            let message = format!("`{name}` is a request of its own: only `q0` runs it, and not in a batch");
            place.with_pointer(ErrorItem::new(ErrorId::ACTION_NOT_SUPPORTED, message).with("found", name))
        }
        Some(name) => {
            let known = [&ACTIONS[..], &transaction::ACTIONS].concat().join(", ");
            place.wrong_value(&format!("one of {known}"), name)
        }
        None => place.wrong_type("a string", action),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// An edit, which may be invalid, or another value in its place.
    fn any_edit() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(json!(null)),
            Just(json!(true)),
            Just(json!(false)),
            Just(json!(-1)),
            Just(json!("a"))
        ];
        let deep = prop_oneof![Just(0_usize), 110..130_usize].prop_flat_map(|depth| {
            any::<bool>().prop_map(move |in_objects| {
                (0..depth).fold(
                    json!(1),
                    |inner, _| if in_objects { json!({ "a": inner }) } else { json!([inner]) },
                )
            })
        });
        let operand =
            prop_oneof![scalar.clone(), deep.clone(), Just(json!({})), Just(json!([1, {"a": null}]))];
        let step = prop_oneof![
            4 => Just(json!("a")), 2 => Just(json!(0)), 1 => Just(json!(-1)), 1 => Just(json!(0.5)),
            1 => Just(json!({"placeholder": "x"}))
        ];
        let path = prop_oneof![
            6 => prop::collection::vec(step, 0..4).prop_map(Value::from),
            1 => (115..123_usize).prop_map(|steps| vec!["a"; steps].into()),
            1 => scalar.clone(),
        ];
        let names: Vec<&str> = edit::OPERATIONS.into_iter().chain(["other"]).collect();
        let name = prop::sample::select(names);
        let members = prop::collection::vec((name, operand), 0..3);
        let edit = (prop::option::weighted(0.9, path), members).prop_map(|(path, members)| {
            let path = path.map(|path| ("path", path));
            let members = path.into_iter().chain(members);
            Value::Object(members.map(|(key, value)| (key.to_owned(), value)).collect())
        });
        prop_oneof![8 => edit, 1 => scalar, 1 => deep]
    }

    proptest! {
        #[test]
        fn a_select_of_one_pk_is_read_as_any_other(pk: String, pk_is_first: bool) {
            let mut keys = [("action", json!("select")), ("pk", json!(pk))];
            if pk_is_first {
                keys.reverse();
            }
            let query = Value::Object(keys.map(|(key, value)| (key.to_owned(), value)).into_iter().collect());
            let mut faults = Faults::default();
            let expected = read(query.clone(), &mut faults).unwrap();
            let (parsed, warnings) = parse(query).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
            assert!(warnings.is_empty() && check_for_errors(faults).is_ok());
        }
    }

    fn assert_read_as_a_request(edits: Vec<Value>) {
        let request = json!({"action": "edit", "pk": "p", "edits": edits});
        let expected = match parse(request) {
            Ok((Request::Edit(edit), _)) => Ok(edit.edits),
            Ok((other, _)) => panic!("{other:?}"),
            Err(error) => Err(serde_json::to_value(error).unwrap()),
        };
        let read = parse_edits("p", edits).map(|edit| edit.edits);
        assert_eq!(read.map_err(|error| serde_json::to_value(error).unwrap()), expected);
    }

    proptest! {
        #[test]
        fn a_list_of_edits_is_read_as_in_a_request(edits in prop::collection::vec(any_edit(), 0..4)) {
            assert_read_as_a_request(edits);
        }
    }

    #[test]
    fn a_list_of_too_many_edits_is_refused_as_in_a_request() {
        assert_read_as_a_request(vec![json!({"path": ["n"], "increment": 1}); MAX_EDITS + 1]);
    }
}

//! Applies edits to a bucket.

use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::diagnostics::{Place, abbreviate};
use crate::json::{self, NoSum, type_name};
use crate::query::edit::{Edit, Operation};
use crate::query::step::PathStep;

/// Counts a value of the answer towards the size limit of the answer. Fails if the limit is exceeded.
type Charge<'c> = &'c dyn Fn(&Value) -> Result<()>;

/// The maximal work of the edits of one record: the number of array elements and members of objects that they
/// may have to compare or move. `add`, `discard`, `shift` and `unshift` count each element of the array;
/// `add` and `discard` also what is compared inside the elements, as [`json::equal_counting`] counts it.
/// Removing a key counts each member of the object, and removing an index the elements from this index on.
/// `test` does not count: its comparison costs no more than the size of its operand, which is a part of the
/// request. The limit is checked before each edit, so the last edit may exceed it. Without this limit, 10,000
/// edits of an array with a million elements would take minutes.
const MAX_EDIT_WORK: usize = 200_000_000;

/// Applies edits in order. Returns the new bucket and a value for each edit. Without `charge` the answer to
/// the request has no values, so the returned list is empty.
///
/// | operation | value |
/// | --- | --- |
/// | `set`, `default`, `remove`, `merge`, `test` | the value before the edit, null if it was absent |
/// | `increment` | the sum |
/// | `push`, `unshift` | the new number of elements |
/// | `pop`, `shift` | the element, null if there is none |
/// | `add`, `discard` | whether the array has changed |
///
/// # Errors
/// With the place of the edit: `conflict` for a `test` that fails, `edit-refused` for an edit that does not
/// fit the bucket, `request-too-large` for the edit after those that have compared and moved too many
/// elements. Without a place: any error that `charge` returns. The edits after a failed one are neither
/// applied nor checked, since they build on it.
pub(crate) fn apply(
    bucket: Map<String, Value>,
    edits: Vec<Edit>,
    charge: Option<Charge<'_>>,
) -> Result<(Map<String, Value>, Vec<Value>)> {
    apply_within(MAX_EDIT_WORK, bucket, edits, charge)
}

/// As [`apply`], with `max_work` in place of [`MAX_EDIT_WORK`].
fn apply_within(
    max_work: usize,
    bucket: Map<String, Value>,
    edits: Vec<Edit>,
    charge: Option<Charge<'_>>,
) -> Result<(Map<String, Value>, Vec<Value>)> {
    let mut root = Value::Object(bucket);
    let mut values = Vec::with_capacity(if charge.is_some() { edits.len() } else { 0 });
    let mut work = Work { max: max_work, done: 0 };
    for (index, Edit { path, operation }) in edits.into_iter().enumerate() {
        let outcome = work.check().and_then(|()| operation.run(&mut root, &path, charge, &mut work));
        match outcome {
            Ok(value) if charge.is_some() => values.push(value),
            Ok(_) => {}
            Err(EditError::Failed(error)) => return Err(error),
            Err(EditError::Refused(fault)) => return Err(with_place_of_edit(fault, index, &path).into()),
        }
    }
    match root {
        Value::Object(bucket) => Ok((bucket, values)),
        // Unreachable: of the operations on the whole bucket, the reader allows `merge` and `test` only.
        _ => Err(Error::new(ErrorId::INTERNAL, "an edit has replaced a bucket by a value that is no object")),
    }
}

/// Adds the place of the edit in the request, and its path in the bucket, to a fault.
fn with_place_of_edit(fault: ErrorItem, index: usize, path: &[PathStep]) -> ErrorItem {
    let list = Place::Key(&Place::Root, "edits");
    let path: Value = path.iter().map(PathStep::to_json).collect();
    Place::Index(&list, index).with_pointer(fault).with("path", path)
}

/// Counts the elements and members that edits compare and move.
struct Work {
    max: usize,
    done: usize,
}

impl Work {
    fn add(&mut self, elements: usize) {
        self.done = self.done.saturating_add(elements);
    }

    /// Refuses the next edit if the limit is reached.
    fn check(&self) -> Result<(), EditError> {
        if self.done < self.max {
            return Ok(());
        }
        let message = "the edits of a record compare and move too many elements and members: send several \
                       requests";
        Err(ErrorItem::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", self.max).into())
    }
}

/// Why an edit was not applied.
enum EditError {
    /// The edit does not fit the bucket, is a `test` that fails, or comes after the limit of the work. The
    /// fault lacks the place of the edit, which [`with_place_of_edit`] adds.
    Refused(ErrorItem),
    /// Charging a value failed.
    Failed(Error),
}

impl From<ErrorItem> for EditError {
    fn from(fault: ErrorItem) -> Self {
        Self::Refused(fault)
    }
}

impl From<Error> for EditError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Operation {
    /// Applies the operation to the value at `path`. Returns the value for the answer.
    fn run(
        self,
        root: &mut Value,
        path: &[PathStep],
        charge: Option<Charge<'_>>,
        work: &mut Work,
    ) -> Result<Value, EditError> {
        match self {
            Self::Set(value) => {
                let slot = find_or_insert(root, path)?;
                charge_value(slot.value, charge)?;
                Ok(std::mem::replace(slot.value, value))
            }
            Self::Default(value) => {
                let slot = find_or_insert(root, path)?;
                if slot.is_new {
                    *slot.value = value;
                    return Ok(Value::Null);
                }
                copy_for_answer(slot.value, charge)
            }
            Self::Remove => {
                let removed = remove(root, path, work).unwrap_or_default();
                charge_value(&removed, charge)?;
                Ok(removed)
            }
            Self::Increment(by) => {
                let slot = find_or_insert(root, path)?;
                if slot.is_new {
                    *slot.value = 0.into();
                }
                let Value::Number(number) = &*slot.value else {
                    return Err(wrong_type("a number", slot.value));
                };
                *slot.value =
                    json::sum(number, &by).map_err(|no_sum| no_sum_fault(no_sum, number, &by))?.into();
                copy_for_answer(slot.value, charge)
            }
            Self::Push(element) => {
                let items = array_or_new(find_or_insert(root, path)?)?;
                items.push(element);
                Ok(items.len().into())
            }
            Self::Unshift(element) => {
                let items = array_or_new(find_or_insert(root, path)?)?;
                work.add(items.len());
                items.insert(0, element);
                Ok(items.len().into())
            }
            Self::Pop => take_element(root, path, Vec::pop, charge),
            Self::Shift => {
                let first = |items: &mut Vec<Value>| {
                    work.add(items.len());
                    (!items.is_empty()).then(|| items.remove(0))
                };
                take_element(root, path, first, charge)
            }
            Self::Add(element) => {
                let items = array_or_new(find_or_insert(root, path)?)?;
                work.add(items.len());
                let is_new = !items.iter().any(|item| json::equal_counting(item, &element, &mut work.done));
                if is_new {
                    items.push(element);
                }
                Ok(is_new.into())
            }
            Self::Discard(element) => {
                let Some(items) = find_mut(root, path).map(as_array).transpose()? else {
                    return Ok(false.into());
                };
                let old_length = items.len();
                work.add(old_length);
                items.retain(|item| !json::equal_counting(item, &element, &mut work.done));
                Ok((items.len() < old_length).into())
            }
            Self::Merge(patch) => {
                let slot = find_or_insert(root, path)?;
                let before = copy_for_answer(slot.value, charge)?;
                if slot.is_new {
                    *slot.value = Value::Object(Map::new());
                }
                let Value::Object(object) = slot.value else {
                    return Err(wrong_type("an object", slot.value));
                };
                work.add(json::merge(object, patch));
                Ok(before)
            }
            Self::Test(expected) => {
                let found = find_mut(root, path).map_or(&Value::Null, |found| found);
                if json::equal(found, &expected) {
                    copy_for_answer(found, charge)
                } else {
                    Err(conflict(&expected, found))
                }
            }
        }
    }
}

/// A copy of a value for the answer; null, which [`apply_within`] drops, if the answer has no values.
fn copy_for_answer(value: &Value, charge: Option<Charge<'_>>) -> Result<Value, EditError> {
    charge_value(value, charge)?;
    Ok(if charge.is_some() { value.clone() } else { Value::Null })
}

fn charge_value(value: &Value, charge: Option<Charge<'_>>) -> Result<()> {
    charge.map_or(Ok(()), |charge| charge(value))
}

/// A place in the bucket, with its value.
struct Slot<'v> {
    value: &'v mut Value,
    /// Whether the value was missing. If so, it is a null that was just inserted.
    is_new: bool,
}

/// The value at `path`, which is inserted if it is missing. Missing parents become objects; an index below a
/// missing parent is refused. After an error, `root` may contain inserted parents.
fn find_or_insert<'v>(root: &'v mut Value, path: &[PathStep]) -> Result<Slot<'v>, EditError> {
    let mut slot = Slot { value: root, is_new: false };
    for step in path {
        if slot.is_new && matches!(step, PathStep::Key(_)) {
            *slot.value = Value::Object(Map::new());
        }
        slot = child_or_insert(slot.value, step)?;
    }
    Ok(slot)
}

/// The value one step down, which is inserted if it is missing: at a new key of an object, or at the index
/// after the last of an array.
fn child_or_insert<'v>(parent: &'v mut Value, step: &PathStep) -> Result<Slot<'v>, EditError> {
    match (parent, step) {
        (Value::Object(members), PathStep::Key(key)) => Ok(match members.entry(key.as_str()) {
            Entry::Occupied(member) => Slot { value: member.into_mut(), is_new: false },
            Entry::Vacant(place) => Slot { value: place.insert(Value::Null), is_new: true },
        }),
        (Value::Array(items), PathStep::Index(index)) => {
            let length = items.len();
            let is_new = *index == length as u64;
            if is_new {
                items.push(Value::Null);
            }
            match usize::try_from(*index).ok().and_then(|index| items.get_mut(index)) {
                Some(value) => Ok(Slot { value, is_new }),
                None => Err(beyond_end(*index, length).into()),
            }
        }
        (parent, PathStep::Key(key)) => {
            Err(wrong_parent_type(&format!("the key {key:?}"), "an object", parent).into())
        }
        (parent, PathStep::Index(index)) => {
            Err(wrong_parent_type(&format!("the index {index}"), "an array", parent).into())
        }
    }
}

/// The value at `path`; `None` if it is absent, also if a step does not fit the value that it leads from.
fn find_mut<'v>(root: &'v mut Value, path: &[PathStep]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, step| match (value, step) {
        (Value::Object(members), PathStep::Key(key)) => members.get_mut(key),
        (Value::Array(items), PathStep::Index(index)) => items.get_mut(usize::try_from(*index).ok()?),
        _ => None,
    })
}

/// Removes the value at `path`, if it is present.
fn remove(root: &mut Value, path: &[PathStep], work: &mut Work) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    match (find_mut(root, parents)?, last) {
        (Value::Object(members), PathStep::Key(key)) => {
            let count = members.len();
            members.shift_remove(key).inspect(|_| work.add(count))
        }
        (Value::Array(items), PathStep::Index(index)) => {
            let index = usize::try_from(*index).ok().filter(|index| *index < items.len())?;
            work.add(items.len() - index);
            Some(items.remove(index))
        }
        _ => None,
    }
}

/// Takes an element out of the array at `path`. Returns null if the array is empty or absent. Refuses a value
/// that is not an array.
fn take_element(
    root: &mut Value,
    path: &[PathStep],
    take: impl FnOnce(&mut Vec<Value>) -> Option<Value>,
    charge: Option<Charge<'_>>,
) -> Result<Value, EditError> {
    let Some(items) = find_mut(root, path).map(as_array).transpose()? else { return Ok(Value::Null) };
    let element = take(items).unwrap_or_default();
    charge_value(&element, charge)?;
    Ok(element)
}

/// The elements of an array. Refuses a value that is not an array.
fn as_array(value: &mut Value) -> Result<&mut Vec<Value>, EditError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type("an array", other)),
    }
}

/// The array in a slot. A new value becomes an empty array.
fn array_or_new(slot: Slot<'_>) -> Result<&mut Vec<Value>, EditError> {
    if slot.is_new {
        *slot.value = Value::Array(Vec::new());
    }
    as_array(slot.value)
}

fn refused(message: impl Into<String>) -> ErrorItem {
    ErrorItem::new(ErrorId::EDIT_REFUSED, message)
}

/// The fault of a value whose type does not fit the operation.
fn wrong_type(expected: &str, found: &Value) -> EditError {
    let found = type_name(found);
    refused(format!("the value at the path is not {expected}"))
        .with("expected", expected)
        .with("found", found)
        .into()
}

/// The fault of a path that leads into a value of another type.
fn wrong_parent_type(step: &str, expected: &str, found: &Value) -> ErrorItem {
    let message =
        format!("the path has {step} where the bucket does not have {expected}; set the parent first");
    refused(message).with("expected", expected).with("found", type_name(found))
}

fn beyond_end(index: u64, length: usize) -> ErrorItem {
    let message =
        format!("an array of {length} elements has no index {index}; the index {length} adds an element");
    refused(message).with("expected", format!("an index of at most {length}")).with("found", index)
}

fn no_sum_fault(no_sum: NoSum, number: &Number, by: &Number) -> ErrorItem {
    let message = match no_sum {
        NoSum::Overflow => "the sum is outside the range of numbers: integers are kept from -2^63 to 2^64-1",
        NoSum::Inexact => {
            "the sum is a float and would lose digits: no float equals it, or one of the numbers"
        }
    };
    refused(message).with("found", number.clone()).with("increment", by.clone())
}

/// The fault of a `test` that fails.
fn conflict(expected: &Value, found: &Value) -> EditError {
    let message = "the value is not the expected one: read the record and try again";
    let item = ErrorItem::new(ErrorId::CONFLICT, message).with("expected", abbreviate(expected));
    item.with("found", abbreviate(found)).with("retryable", true).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diagnostics::Faults;
    use crate::query::edit::read_edits;

    fn edits(list: Value) -> Vec<Edit> {
        read_edits(list, &Place::Root, &mut Faults::default()).unwrap()
    }

    fn bucket() -> Map<String, Value> {
        json!({"list": [1, 2, 3, 4, 5], "b": 1, "c": 2, "d": 3}).as_object().unwrap().clone()
    }

    #[test]
    fn edits_that_move_many_elements_are_refused() {
        // An edit, and the number of times that it is applied before the limit of this test refuses it: 12
        // elements or members that were compared or moved. 20 for an edit that does neither.
        let cases = [
            (json!({"path": ["list"], "add": 6}), 3),
            (json!({"path": ["list"], "add": 1}), 3),
            (json!({"path": ["list"], "discard": 0}), 3),
            (json!({"path": ["list"], "unshift": 0}), 3),
            (json!({"path": ["list"], "shift": true}), 3),
            (json!({"path": ["list", 0], "remove": true}), 3),
            (json!({"path": [], "merge": {"x": null, "b": 1}}), 20),
            (json!({"path": ["list"], "push": 0}), 20),
            (json!({"path": ["list"], "pop": true}), 20),
            (json!({"path": ["list", 4], "set": 1}), 20),
            (json!({"path": ["b"], "increment": 1}), 20),
        ];
        for (edit, times) in cases {
            let applied = apply_within(12, bucket(), edits(vec![edit.clone(); times].into()), None);
            assert!(applied.is_ok(), "{edit}: {applied:?}");
            if times == 20 {
                continue;
            }
            let error = apply_within(12, bucket(), edits(vec![edit.clone(); 20].into()), None).unwrap_err();
            let [item] = error.items() else { panic!("{error:?}") };
            assert_eq!(item.id, ErrorId::REQUEST_TOO_LARGE, "{edit}");
            assert_eq!(
                (&item.details["pointer"], &item.details["allowed"]),
                (&json!("/edits/3"), &json!(12))
            );
        }
        let removals = json!([
            {"path": ["b"], "remove": true},
            {"path": [], "merge": {"c": null, "d": null}},
            {"path": ["list"], "push": 6},
        ]);
        assert!(apply_within(8, bucket(), edits(removals.clone()), None).is_ok());
        assert!(apply_within(7, bucket(), edits(removals), None).is_err());
    }

    #[test]
    fn comparisons_inside_of_elements_count() {
        let zeros = vec![0; 100];
        let mut element = zeros.clone();
        element[99] = 1;
        let bucket = json!({"list": vec![zeros; 10]}).as_object().unwrap().clone();
        for operation in ["add", "discard"] {
            let edit = json!({"path": ["list"], operation: element});
            let apply = |max_work| apply_within(max_work, bucket.clone(), edits(json!([edit, edit])), None);
            assert!(apply(1_000).is_err(), "{operation}");
            assert!(apply(3_000).is_ok(), "{operation}");
        }
    }

    #[test]
    fn elements_that_differ_early_cost_little() {
        let object = |id: usize| {
            let members = (0..19).map(|n| (format!("field{n}"), json!("some text")));
            Value::Object([("id".to_owned(), json!(id))].into_iter().chain(members).collect())
        };
        // A tenth of 10,000 edits of a list with 1,000 elements makes a hundredth of their comparisons.
        let list: Vec<_> = (0..100).map(object).collect();
        let bucket = json!({"list": list}).as_object().unwrap().clone();
        let adds: Vec<_> = (0..1_000).map(|id| json!({"path": ["list"], "add": object(id)})).collect();
        let (bucket, _) = apply_within(MAX_EDIT_WORK / 100, bucket, edits(adds.into()), None).unwrap();
        assert_eq!(bucket["list"].as_array().unwrap().len(), 1_000);
    }

    #[test]
    fn values_are_made_only_for_an_answer() {
        let list = json!([{"path": ["list"], "test": [1, 2, 3, 4, 5]}, {"path": [], "merge": {"b": 2}}]);
        let (answered, values) = apply(bucket(), edits(list.clone()), Some(&|_| Ok(()))).unwrap();
        assert_eq!(Value::from(values), json!([[1, 2, 3, 4, 5], bucket()]));
        assert_eq!(apply(bucket(), edits(list), None).unwrap(), (answered, vec![]));
    }
}

//! Edits of a bucket, and their parser.

mod apply;
mod text;

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::{Map, Number, Value};

use crate::diagnostics::readers::{self, refuse, refuse_type};
use crate::diagnostics::{Faults, Place};
use crate::json::{self, MAX_BUCKET_DEPTH};
use crate::query::step::{PathStep, read_steps};

pub(crate) use apply::apply;
pub(crate) use text::apply_to_text;

/// The maximal number of edits in one list. A longer list is refused with `request-too-large`.
pub const MAX_EDITS: usize = 10_000;

/// One edit: an operation on the value at a path of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    /// The steps down from the bucket. Without a step, the value is the bucket itself.
    pub(crate) path: Vec<PathStep>,
    pub(crate) operation: Operation,
}

/// The operation of an edit on the value at its path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    /// Sets the value, whether it is present or absent.
    Set(Value),
    /// Sets the value if it is absent.
    Default(Value),
    Remove,
    /// Adds a number.
    Increment(Number),
    /// Adds an element at the end of an array.
    Push(Value),
    /// Takes the last element of an array.
    Pop,
    /// Takes the first element of an array.
    Shift,
    /// Adds an element at the beginning of an array.
    Unshift(Value),
    /// Adds an element at the end of an array, unless the array has an equal element.
    Add(Value),
    /// Removes the elements of an array that are equal to this value.
    Discard(Value),
    /// Merges an object into the value, by RFC 7396.
    Merge(Map<String, Value>),
    /// Fails unless the value equals this one. Null equals an absent value.
    Test(Value),
}

/// The names of the operations, in the order of error messages.
pub(super) const OPERATIONS: [&str; 12] = [
    "set",
    "default",
    "remove",
    "increment",
    "push",
    "pop",
    "shift",
    "unshift",
    "add",
    "discard",
    "merge",
    "test",
];

/// Reads a list of edits. Edits with a fault are left out. `None` after a fault of the list itself.
pub(super) fn read_edits(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<Edit>> {
    let list = match value {
        Value::Array(list) => list,
        other => return refuse_type(faults, place, "an array of edits", &other),
    };
    if list.is_empty() {
        return refuse(faults, place.wrong_value("one edit or more", list));
    }
    if list.len() > MAX_EDITS {
        let message = format!("a list has at most {MAX_EDITS} edits: send several requests");
        let item = place.with_pointer(ErrorItem::new(ErrorId::REQUEST_TOO_LARGE, message));
        return refuse(faults, item.with("allowed", MAX_EDITS).with("found", list.len()));
    }
    let mut edits = Vec::with_capacity(list.len());
    for (index, edit) in list.into_iter().enumerate() {
        // Reading continues after a fault, to report the faults of the other edits as well.
        edits.extend(Edit::read(edit, &Place::Index(place, index), faults));
    }
    Some(edits)
}

impl Edit {
    fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let mut members = match value {
            Value::Object(members) => members,
            other => return refuse(faults, place.wrong_type("an edit (an object)", &other)),
        };
        let path = match members.shift_remove("path") {
            Some(path) => read_path(path, &Place::Key(place, "path"), faults),
            None => refuse(faults, place.fault("an edit needs a `path`").with("missing_fields", ["path"])),
        };
        let (name, operand) = sole_operation(members, place, faults)?;
        let operation = Operation::read(&name, operand, &Place::Key(place, &name), faults);
        let edit = Self { path: path?, operation: operation? };
        edit.check_path_not_empty(&name, place, faults)?;
        edit.check_depth(&Place::Key(place, &name), faults)?;
        Some(edit)
    }

    /// Refuses an empty path, which stands for the whole bucket, unless the operation can be applied to the
    /// whole bucket. `None` after a fault.
    fn check_path_not_empty(&self, name: &str, place: &Place<'_>, faults: &mut Faults) -> Option<()> {
        let applies_to_bucket = matches!(self.operation, Operation::Merge(_) | Operation::Test(_));
        if applies_to_bucket || !self.path.is_empty() {
            return Some(());
        }
        let message = format!(
            "`{name}` needs a path of at least one step; only `merge` and `test` take the bucket as a whole"
        );
        refuse(faults, Place::Key(place, "path").fault(message))
    }

    /// Refuses an operand that would nest too deep in the bucket. `None` after a fault. Operands that do not
    /// get into the bucket, such as that of `test`, may nest to the depth of the request.
    fn check_depth(&self, place: &Place<'_>, faults: &mut Faults) -> Option<()> {
        use Operation::{Add, Default, Push, Set, Unshift};
        let (operand, levels_above) = match &self.operation {
            // Above the value are the bucket and the other parents on the path: one level per step.
            Set(value) | Default(value) => (value, self.path.len()),
            // Above an element, the array at the path is one more level.
            Push(value) | Unshift(value) | Add(value) => (value, self.path.len() + 1),
            // The members of the patch are below the path and the merged object.
            Operation::Merge(patch) => return check_members(patch, self.path.len() + 1, place, faults),
            _ => return Some(()),
        };
        if nests_within(operand, levels_above) { Some(()) } else { refuse(faults, too_deep(place)) }
    }
}

/// Refuses a merge if the object at the path or a member of the patch would nest too deep. `levels_above` is
/// the number of levels above the members, the object at the path included. `None` after a fault.
fn check_members(
    members: &Map<String, Value>,
    levels_above: usize,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<()> {
    if levels_above <= MAX_BUCKET_DEPTH && members.values().all(|member| nests_within(member, levels_above)) {
        Some(())
    } else {
        refuse(faults, too_deep(place))
    }
}

/// Whether a value that has `levels_above` arrays and objects around it nests within the depth of a bucket.
fn nests_within(value: &Value, levels_above: usize) -> bool {
    match MAX_BUCKET_DEPTH.checked_sub(levels_above) {
        None => false,
        Some(0) => !matches!(value, Value::Array(_) | Value::Object(_)),
        Some(levels) => !json::nests_deeper_than(value, levels),
    }
}

fn too_deep(place: &Place<'_>) -> ErrorItem {
    place.fault(format!("arrays and objects may nest {MAX_BUCKET_DEPTH} deep in a bucket"))
}

/// Returns the name of the operation of an edit, and its operand. Refuses members that are not exactly one
/// operation.
fn sole_operation(
    members: Map<String, Value>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<(String, Value)> {
    let unknown: Vec<String> =
        members.keys().filter(|key| !OPERATIONS.contains(&key.as_str())).cloned().collect();
    if !unknown.is_empty() {
        let message = format!("there is no operation `{}`", unknown.join("`, `"));
        let item = place.fault(message).with("unknown_fields", unknown);
        return refuse(faults, item.with("allowed", OPERATIONS.to_vec()));
    }
    if members.len() != 1 {
        let found: Vec<String> = members.keys().cloned().collect();
        let item = place.fault("an edit has exactly one operation beside its `path`");
        return refuse(faults, item.with("allowed", OPERATIONS.to_vec()).with("found", found));
    }
    members.into_iter().next()
}

impl Operation {
    fn read(name: &str, operand: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        Some(match name {
            "set" => Self::Set(operand),
            "default" => Self::Default(operand),
            "push" => Self::Push(operand),
            "unshift" => Self::Unshift(operand),
            "add" => Self::Add(operand),
            "discard" => Self::Discard(operand),
            "test" => Self::Test(operand),
            "increment" => Self::Increment(read_number(operand, place, faults)?),
            "merge" => Self::Merge(readers::object(operand, place, faults)?),
            "remove" => check_true(&operand, place, faults).map(|()| Self::Remove)?,
            "pop" => check_true(&operand, place, faults).map(|()| Self::Pop)?,
            // `shift`: `sole_operation` has refused unknown names.
            _ => check_true(&operand, place, faults).map(|()| Self::Shift)?,
        })
    }
}

fn read_number(operand: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Number> {
    match operand {
        Value::Number(number) => Some(number),
        other => refuse_type(faults, place, "a number", &other),
    }
}

/// Checks the operand of an operation that has no parameter: it must be `true`.
fn check_true(operand: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<()> {
    match operand {
        Value::Bool(true) => Some(()),
        Value::Bool(false) => refuse(faults, place.wrong_value("true", false)),
        other => refuse_type(faults, place, "true", other),
    }
}

/// Reads the path of an edit. It has at most [`MAX_BUCKET_DEPTH`] steps: no value is deeper in a bucket.
fn read_path(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<PathStep>> {
    let elements = match value {
        Value::Array(elements) => elements,
        other => return refuse_type(faults, place, "an array of keys and indices", &other),
    };
    if elements.len() > MAX_BUCKET_DEPTH {
        let message = format!("a path has at most {MAX_BUCKET_DEPTH} steps: a bucket nests no deeper");
        return refuse(faults, place.fault(message).with("found", elements.len()));
    }
    read_steps(elements, place, faults)
}

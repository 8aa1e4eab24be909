//! The requests that write records. The requests about claims are in [`claim`](super::claim). Each `read`
//! reads all keys before it returns `None`, so that all faults are reported.

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Map, Value};

use crate::diagnostics::{Faults, Place, readers};
use crate::json;
use crate::query::edit::{Edit, read_edits};
use crate::query::request_keys::RequestKeys;
use crate::query::write_target::WriteTarget;
use crate::record::EXTRA_KEYS;
use crate::stack::{self, Stack};
use crate::timestamp::Timestamp;
use crate::uns;

/// The maximal length in bytes of a pk that the caller of a `create` chooses. An imported record may have a
/// longer pk.
const MAX_PK_LENGTH: usize = 255;

/// The maximal number of markers in the `custom_classes` of a record. A write looks up the class of each
/// marker to find the references of the record.
const MAX_MARKERS: usize = 1_000;

/// A request to create a record.
#[derive(Debug)]
pub(crate) struct CreateRequest {
    /// The pk that the caller has chosen; `None` if the store is to generate one.
    pub(crate) pk: Option<String>,
    pub(crate) bucket: Map<String, Value>,
    pub(crate) stack: StackInput,
    pub(crate) extras: Map<String, Value>,
}

/// A request to update a record.
#[derive(Debug)]
pub(crate) struct UpdateRequest {
    pub(crate) pk: String,
    /// The new bucket; `None` if it stays as it is.
    pub(crate) bucket: Option<Map<String, Value>>,
    /// The new classes; `None` if they stay as they are.
    pub(crate) stack: Option<StackInput>,
    /// The extras to replace. The extras that are not in this map stay as they are.
    pub(crate) extras: Map<String, Value>,
    /// The `updated_at` that the record must have, so that the update is not refused; `None` allows any.
    pub(crate) if_updated_at: Option<Timestamp>,
}

/// A request to merge an object into the buckets of records.
#[derive(Debug)]
pub(crate) struct PatchRequest {
    pub(crate) target: WriteTarget,
    /// The object that is merged, by RFC 7396.
    pub(crate) bucket: Map<String, Value>,
}

/// A request to edit the buckets of records.
#[derive(Debug)]
pub(crate) struct EditRequest {
    pub(crate) target: WriteTarget,
    pub(crate) edits: Vec<Edit>,
}

/// The classes in a request that writes a record.
#[derive(Debug)]
pub(crate) enum StackInput {
    /// The primary class. An update keeps the other platters; a new record has no others.
    Primary(String),
    /// All platters, and the shadow if the request has one.
    Whole(Stack),
}

impl StackInput {
    /// Whether a new record with this stack is a class definition.
    pub(crate) fn defines_a_class(&self) -> bool {
        match self {
            Self::Primary(class) => class == uns::CLASS,
            Self::Whole(stack) => stack.has_class(uns::CLASS),
        }
    }
}

/// A request to change the record that has a key, or to create a record with the key if there is none.
#[derive(Debug)]
pub(crate) struct UpsertRequest {
    pub(crate) class: String,
    /// The values of a unique field, or of a unique combination.
    pub(crate) key: Map<String, Value>,
    /// Members of the bucket. A new record gets them beside the members of `key`. They are merged into an
    /// existing record, but only if `edits` is `None`.
    pub(crate) bucket: Map<String, Value>,
    /// The edits of the record, whether it exists or is new; `None` if the request has no `edits`.
    pub(crate) edits: Option<Vec<Edit>>,
}

/// A request to delete records.
#[derive(Debug)]
pub(crate) struct DeleteRequest {
    pub(crate) target: WriteTarget,
    /// Whether it is no error if the record does not exist or was deleted before.
    pub(crate) if_exists: bool,
}

impl CreateRequest {
    /// A request to create a record of a class. `class` is the name that the caller has given. `valid_class`
    /// is that name without its protocol. It is `None` if the name is not a valid UNS: this function then
    /// returns the fault.
    ///
    /// # Errors
    /// `invalid_request`, if the class is not a UNS, or the bucket is no object or nests too deep.
    pub(crate) fn of_class(class: &str, valid_class: Option<&str>, bucket: Value) -> Result<Self> {
        let mut faults = Faults::default();
        let bucket = read_bucket(bucket, &mut faults);
        let class = match valid_class {
            Some(class) => Some(class.to_owned()),
            None => readers::class(class.into(), &Place::Key(&Place::Root, "class"), &mut faults),
        };
        let (errors, _) = faults.into_parts();
        errors.check()?;
        let (Some(bucket), Some(class)) = (bucket, class) else {
            // Unreachable: a reader that returns `None` has reported a fault.
            return Err(Error::new(ErrorId::INTERNAL, "a bucket was refused without a reason"));
        };
        Ok(Self { pk: None, bucket, stack: StackInput::Primary(class), extras: Map::new() })
    }

    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let pk = keys.read("pk", read_new_pk);
        let bucket = keys.read_required("bucket", readers::object);
        let stack = read_stack(keys).unwrap_or_else(|| StackInput::Primary(uns::RECORD.to_owned()));
        let extras = read_extras(keys);
        Some(Self { pk, bucket: bucket?, stack, extras })
    }
}

/// Reads a bucket that the caller passes by itself. In a request it would be a member, one level down, so it
/// may nest one level less deep than a request.
fn read_bucket(bucket: Value, faults: &mut Faults) -> Option<Map<String, Value>> {
    let place = Place::Key(&Place::Root, "bucket");
    if json::nests_deeper_than(&bucket, json::MAX_BUCKET_DEPTH) {
        json::drop_iteratively(bucket);
        let message = format!("arrays and objects may nest {} deep in a bucket", json::MAX_BUCKET_DEPTH);
        readers::refuse(faults, place.fault(message))
    } else {
        readers::object(bucket, &place, faults)
    }
}

impl UpdateRequest {
    /// A request to replace the bucket of a record.
    ///
    /// # Errors
    /// `invalid_request`, if the bucket is no object or nests too deep.
    pub(crate) fn of_bucket(pk: &str, bucket: Value) -> Result<Self> {
        let mut faults = Faults::default();
        let bucket = read_bucket(bucket, &mut faults);
        let (errors, _) = faults.into_parts();
        errors.check()?;
        Ok(Self { pk: pk.to_owned(), bucket, stack: None, extras: Map::new(), if_updated_at: None })
    }

    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        const CHANGES: [&str; 4] = ["bucket", "class", "classes", "stack"];
        keys.refuse_transaction();
        if keys.present(&CHANGES).next().is_none() {
            let message = format!("an update needs at least one of `{}`", CHANGES.join("`, `"));
            keys.faults.refuse(Place::Root.fault(message).with("missing_fields", CHANGES.to_vec()));
        }
        let pk = keys.read_required("pk", readers::string);
        let bucket = keys.read("bucket", readers::object);
        let stack = read_stack(keys);
        let extras = read_extras(keys);
        let if_updated_at = keys.read("if_updated_at", readers::exact_timestamp);
        Some(Self { pk: pk?, bucket, stack, extras, if_updated_at })
    }
}

impl PatchRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let target = WriteTarget::read(keys, &[]);
        let bucket = keys.read_required("bucket", readers::object);
        Some(Self { target: target?, bucket: bucket? })
    }
}

impl EditRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let target = WriteTarget::read(keys, &[]);
        let edits = keys.read_required("edits", read_edits);
        Some(Self { target: target?, edits: edits? })
    }
}

impl UpsertRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let class = keys.read_required("class", readers::class);
        let key = keys.read_required("key", readers::object);
        let bucket = keys.read("bucket", readers::object).unwrap_or_default();
        let edits = keys.read("edits", read_edits);
        Some(Self { class: class?, key: key?, bucket, edits })
    }
}

impl DeleteRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let target = WriteTarget::read(keys, &["if_exists"]);
        let if_exists = keys.read("if_exists", readers::boolean).unwrap_or(false);
        Some(Self { target: target?, if_exists })
    }
}

/// Reads the pk of a record that is to be created.
fn read_new_pk(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    let pk = readers::string(value, place, faults)?;
    if (1..=MAX_PK_LENGTH).contains(&pk.len()) {
        return Some(pk);
    }
    let fault = place.fault(format!("the pk of a new record has from 1 to {MAX_PK_LENGTH} bytes"));
    readers::refuse(faults, place.with_field(fault).with("found", pk.len()))
}

/// Reads `class`, `classes` or `stack`. `None` if none of these keys is present, or if there is a fault.
fn read_stack(keys: &mut RequestKeys<'_>) -> Option<StackInput> {
    const KEYS: [&str; 3] = ["class", "classes", "stack"];
    let first_two_present = {
        let mut present = keys.present(&KEYS);
        (present.next(), present.next())
    };
    match first_two_present {
        (None, _) => None,
        (Some("class"), None) => keys.read("class", stack::read_primary).map(StackInput::Primary),
        (Some("classes"), None) => keys.read("classes", Stack::read_classes).map(StackInput::Whole),
        // The only key is `stack`.
        (Some(_), None) => keys.read("stack", Stack::read_stack).map(StackInput::Whole),
        (Some(_), Some(_)) => {
            // Each key sets the classes in its own way, so applying one would ignore another.
            let present: Vec<_> = keys.present(&KEYS).collect();
            let message = format!("`{}` are mutually exclusive: give only one of them", present.join("`, `"));
            keys.faults.refuse(Place::Root.fault(message).with("fields", present));
            // The keys are taken, so that `RequestKeys::finish` does not report them as unknown as well.
            for key in KEYS {
                keys.take(key);
            }
            None
        }
    }
}

/// Reads `custom_classes`. Refuses more than [`MAX_MARKERS`] markers.
fn read_custom_classes(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Value> {
    let count = value.as_object().map_or(0, Map::len);
    if count > MAX_MARKERS {
        let message = format!("`custom_classes` has at most {MAX_MARKERS} markers");
        faults.refuse(place.fault(message).with("allowed", MAX_MARKERS).with("found", count));
        return None;
    }
    readers::custom_classes(value, place, faults)
}

/// Reads the extras of the record. They get the order in which answers have them.
fn read_extras(keys: &mut RequestKeys<'_>) -> Map<String, Value> {
    let mut extras = Map::new();
    for key in EXTRA_KEYS {
        let value = match key {
            "custom_classes" => keys.read(key, read_custom_classes),
            _ => keys.take(key),
        };
        if let Some(value) = value {
            extras.insert(key.to_owned(), value);
        }
    }
    extras
}

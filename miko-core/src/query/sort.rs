//! The sort keys of a select.

use std::cmp::Ordering;
use std::fmt;

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::{Map, Number, Value};

use crate::diagnostics::readers::{self, refuse, refuse_type};
use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::query::folding::Folding;
use crate::query::lookup::with_value_at;
use crate::query::operator::{hyphenated, read_folding};
use crate::query::path_value::PathValue;
use crate::query::placeholder;
use crate::query::request_keys;
use crate::query::step::{self, PathStep};
use crate::query::value_ref::ValueRef;

/// The maximal number of sort keys of a select. The evaluator makes a value per sort key for each record that
/// the select finds.
pub(super) const MAX_SORT_KEYS: usize = 32;

/// A sort key of a select: by what records are sorted, and in which direction.
#[derive(Debug, Clone)]
pub(crate) struct SortKey {
    pub(crate) by: SortBy,
    /// Whether the order is descending. Null and absent values sort last in both directions.
    pub(crate) reverse: bool,
}

/// By what records are sorted: a property of the record, or a value in its bucket.
#[derive(Debug, Clone)]
pub(crate) enum SortBy {
    Pk,
    CreatedAt,
    UpdatedAt,
    Bucket(SortPath),
}

/// The path of a value in the bucket, and how the value is folded before it is compared, if it is a text.
#[derive(Debug, Clone)]
pub(crate) struct SortPath {
    steps: Vec<PathStep>,
    folding: Folding,
}

/// The keys of the qualifiers. The qualifiers are an object, which may be the last element of a sort path.
const QUALIFIERS: [&str; 3] = ["reverse", "case-sensitive", "collapse"];

/// Keys for which [`SortKey::read`] warns if one is the last step of a path of several steps: it is probably
/// meant as a direction.
const DIRECTIONS: [&str; 4] = ["asc", "desc", "ascending", "descending"];

/// The properties of a record by which a select may sort: the values of the key `record`.
const RECORD_PROPERTIES: [&str; 3] = ["pk", "created_at", "updated_at"];

impl SortKey {
    /// Reads the `sort` of a request: an array of the steps of a path in the bucket, or of one property such
    /// as `{"record": "pk"}`. The qualifiers may follow as the last element. If a fault was reported, the
    /// result is `None` or incomplete.
    pub(super) fn read(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        const EXPECTED: &str = "an array of at least one key or index, and qualifiers if any";
        let mut elements = match value {
            Value::Array(elements) => elements,
            other => return refuse_type(faults, place, EXPECTED, &other),
        };
        let original = Value::Array(elements.clone());
        let last_place = Place::Index(place, elements.len().saturating_sub(1));
        let qualifiers = match elements.pop_if(|last| is_qualifiers(last)) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let reverse = match qualifiers.get("reverse") {
            None => Some(false),
            Some(value) => readers::boolean(value.clone(), &Place::Key(&last_place, "reverse"), faults),
        };
        let folding = read_folding(&qualifiers, &last_place, faults);
        let mut unknown = request_keys::unknown(&qualifiers, &QUALIFIERS);
        // `case_sensitive` is allowed as well: it is another spelling of `case-sensitive`.
        unknown.retain(|key| !QUALIFIERS.contains(&hyphenated(key)));
        if !unknown.is_empty() {
            let message = format!("a sort path has no key `{}`", unknown.join("`, `"));
            let item = last_place.fault(message).with("unknown_fields", unknown);
            faults.refuse(item.with("allowed", QUALIFIERS.to_vec()));
        }
        if let [_, .., Value::String(key)] = &elements[..]
            && DIRECTIONS.iter().any(|direction| key.eq_ignore_ascii_case(direction))
        {
            let message =
                format!("`{key}` is a key of this path; a direction is a qualifier: {{\"reverse\": true}}");
            faults.warn(
                place
                    .with_pointer(ErrorItem::new(ErrorId::DIRECTION_AS_KEY, message))
                    .with("found", key.as_str()),
            );
        }
        let by = match &elements[..] {
            [] => refuse(faults, place.wrong_value(EXPECTED, original)),
            [Value::Object(property)] if property.contains_key("record") => {
                if !folding.is_identity() {
                    faults.refuse(
                        last_place.fault("a property of the record allows only the qualifier `reverse`"),
                    );
                }
                read_property(property, &Place::Index(place, 0), faults)
            }
            _ => step::read_steps(elements, place, faults)
                .map(|steps| SortBy::Bucket(SortPath { steps, folding })),
        };
        Some(Self { by: by?, reverse: reverse? })
    }

    /// Reads the `sorts` of a request: an array of sort paths. `None` if a fault was reported.
    pub(super) fn read_many(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<Self>> {
        match value {
            Value::Array(paths) if paths.len() > MAX_SORT_KEYS => {
                refuse(faults, too_many_keys(paths.len(), place))
            }
            Value::Array(paths) => {
                let before = faults.count();
                let read = |(index, path)| Self::read(path, &Place::Index(place, index), faults);
                let sorts: Vec<_> = paths.into_iter().enumerate().filter_map(read).collect();
                (faults.count() == before).then_some(sorts)
            }
            other => refuse_type(faults, place, "an array of sort paths", &other),
        }
    }
}

/// The fault of a select with too many sort keys.
pub(super) fn too_many_keys(found: usize, place: &Place<'_>) -> ErrorItem {
    let message = format!("a select has at most {MAX_SORT_KEYS} sort paths");
    let item = place.with_pointer(ErrorItem::new(ErrorId::REQUEST_TOO_LARGE, message));
    item.with("allowed", MAX_SORT_KEYS).with("found", found)
}

/// Whether the last element of a sort path is the object of qualifiers. Any object is, unless it is a
/// property of the record or a placeholder: the literal parts of a path with placeholders are checked before
/// these are resolved.
fn is_qualifiers(last: &Value) -> bool {
    last.is_object() && last.get("record").is_none() && placeholder::name(last).is_none()
}

/// Reads a property of the record, such as `{"record": "pk"}`.
fn read_property(property: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) -> Option<SortBy> {
    let unknown = request_keys::unknown(property, &["record"]);
    if !unknown.is_empty() {
        let message = format!("this object has no key `{}`", unknown.join("`, `"));
        faults.refuse(place.fault(message).with("unknown_fields", unknown));
    }
    let place = Place::Key(place, "record");
    let name = readers::string(property.get("record")?.clone(), &place, faults)?;
    match name.as_str() {
        "pk" => Some(SortBy::Pk),
        "created_at" => Some(SortBy::CreatedAt),
        "updated_at" => Some(SortBy::UpdatedAt),
        _ => refuse(faults, place.wrong_value(&format!("one of {}", RECORD_PROPERTIES.join(", ")), name)),
    }
}

impl SortPath {
    /// The sort value of a bucket, which is given as JSON text: the value at this path, encoded as bytes that
    /// compare as the values do. `None` if the value is null or absent.
    pub(crate) fn sort_value(&self, bucket: &str) -> Option<Vec<u8>> {
        with_value_at(bucket, &self.steps, |value| {
            let mut encoded = Vec::new();
            encode_value(&value, self.folding, &mut encoded).then_some(encoded)
        })
    }

    /// Appends the [sort value](Self::sort_value) of a value that was taken from the path of a bucket.
    /// Returns whether there is one: a null or absent value has none.
    pub(crate) fn append_sort_value(&self, value: &PathValue, out: &mut Vec<u8>) -> bool {
        encode_value(&value.view(), self.folding, out)
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// Parses what `Display` has written. The error is a message.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let value = json::from_text(text).map_err(|fault| fault.to_string())?;
        match SortKey::read(value, &Place::Root, &mut Faults::default()) {
            Some(SortKey { by: SortBy::Bucket(path), .. }) => Ok(path),
            _ => Err(format!("not a sort path: {text}")),
        }
    }
}

/// Writes the path and its folding as JSON. The direction is not a part of the path, so there is no
/// `reverse`.
impl fmt::Display for SortPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut qualifiers = Map::new();
        if self.folding.ignores_case {
            qualifiers.insert("case-sensitive".to_owned(), false.into());
        }
        if self.folding.collapses_whitespace {
            qualifiers.insert("collapse".to_owned(), true.into());
        }
        let qualifiers = (!qualifiers.is_empty()).then_some(Value::Object(qualifiers));
        step::write_steps(f, &self.steps, qualifiers.as_ref())
    }
}

/// Compares the sort values of two records for one sort key. `None`, a null or absent value, sorts last in
/// both directions.
pub(crate) fn compare_sort_values(a: Option<&[u8]>, b: Option<&[u8]>, reverse: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if reverse => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// Appends a value, encoded as bytes that sort by type, then by value. Returns `false`, and appends nothing,
/// if the value is null or absent. The first byte stands for the type, in this order: numbers, strings,
/// `false`, `true`, arrays, objects. All arrays have the same encoding, and so have all objects.
fn encode_value(value: &ValueRef<'_>, folding: Folding, out: &mut Vec<u8>) -> bool {
    match value {
        ValueRef::Absent | ValueRef::Null => return false,
        ValueRef::Number(number) => encode_number(number, out),
        ValueRef::Text(text) => {
            out.push(2);
            out.extend_from_slice(folding.apply(text).as_bytes());
        }
        ValueRef::Bool(false) => out.push(3),
        ValueRef::Bool(true) => out.push(4),
        ValueRef::Composite(Value::Array(_)) => out.push(5),
        ValueRef::Composite(_) => out.push(6),
    }
    true
}

/// Appends a number as two parts: the nearest float, as bytes that compare in numeric order, and the
/// difference between the number and that float. Rounding to a float is monotonic, so the difference decides
/// only between numbers that have the same float. The difference of an integer is at most 2^10 in either
/// direction, so the difference plus 2^15 fits into 16 bits.
fn encode_number(number: &Number, out: &mut Vec<u8>) {
    // `as_f64` is `None` only with the feature `arbitrary_precision` of `serde_json`, which is off. Adding
    // zero turns -0.0 into 0.0.
    let float = number.as_f64().unwrap_or_default() + 0.0;
    let bits = float.to_bits();
    // Integers that compare as the floats do: of a negative float all bits are inverted, of any other float
    // the sign bit is set.
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // Up to 2^53 each integer is a float.
    let inexact = integer.filter(|integer| integer.unsigned_abs() > 1 << f64::MANTISSA_DIGITS);
    let difference = inexact.map_or(0, |integer| integer - float as i128);
    out.reserve(1 + size_of::<u64>() + size_of::<u16>());
    out.push(1);
    out.extend_from_slice(&ordered.to_be_bytes());
    out.extend_from_slice(&((difference + (1 << 15)) as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sort_value(value: &Value) -> Option<Vec<u8>> {
        let mut encoded = Vec::new();
        encode_value(&value.into(), Folding::default(), &mut encoded).then_some(encoded)
    }

    #[test]
    fn sort_values_are_in_the_order_of_types_and_values() {
        let ascending = [
            json!(-1.7976931348623157e308),
            json!(-18446744073709551616.0),
            json!(i64::MIN),
            json!(i64::MIN + 1),
            json!(-9007199254740993_i64),
            json!(-9007199254740992.0),
            json!(-1.5),
            json!(-1),
            json!(-5e-324),
            json!(0),
            json!(5e-324),
            json!(0.5),
            json!(1),
            json!(9007199254740992.0),
            json!(9007199254740993_i64),
            json!(9007199254740994_i64),
            json!(i64::MAX - 1),
            json!(i64::MAX),
            json!(9223372036854775808.0),
            json!(u64::MAX - 1),
            json!(u64::MAX),
            json!(18446744073709551616.0),
            json!(1.7976931348623157e308),
            json!(""),
            json!("\0"),
            json!("10"),
            json!("9"),
            json!("Z"),
            json!("a"),
            json!("ab"),
            json!("\u{ffff}"),
            json!("🖖"),
            json!(false),
            json!(true),
            json!([]),
            json!({}),
        ];
        for pair in ascending.windows(2) {
            assert!(sort_value(&pair[0]) < sort_value(&pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn equal_values_have_equal_encodings() {
        for [a, b] in [
            [json!(1), json!(1.0)],
            [json!(0), json!(-0.0)],
            [json!(i64::MIN), json!(-9223372036854775808.0)],
            [json!([1]), json!([])],
            [json!({"a": 1}), json!({})],
        ] {
            assert_eq!(sort_value(&a), sort_value(&b), "{a} and {b}");
        }
        assert_eq!(sort_value(&json!(null)), None);
    }
}

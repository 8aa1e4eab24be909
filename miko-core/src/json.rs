//! JSON: equality, index keys, sums, patches and checks of text, beside the lossless reader of `miko-rpc`.
//!
//! Objects that are only passed on (buckets and stacks between the store and a client) stay text, as
//! [`Object`].
//!
//! | subject | module |
//! | --- | --- |
//! | equality by the rules of Q0; keys of an index, which are equal for equal values | `equality`, `key` |
//! | the sum of two numbers; merge patches (RFC 7396) | `sum`; `merge` |
//! | checks text in one pass; writes text; an object as text | `checked`; `writer`; `object` |
//! | finds a member of an object; JSON pointers, by which errors name places | `members`; `pointer` |
//! | reads a struct from an object, and not from an array | `struct_from_object` |

#[cfg(test)]
pub(crate) mod arbitrary;
mod checked;
mod equality;
mod key;
pub(crate) mod members;
mod merge;
mod object;
pub(crate) mod pointer;
mod struct_from_object;
mod sum;
mod writer;

use std::io;

use serde_json::{Map, Number, Value};

pub(crate) use checked::{CheckedObject, CheckedValue, TextChecker, needs_escapes};
pub use equality::equal;
pub(crate) use equality::{compare_numbers, equal_counting};
pub(crate) use key::{IndexKey, index_key, with_length_prefixes};
pub(crate) use merge::merge;
pub use miko_rpc::json::{
    BYTE_ORDER_MARK, MAX_DEPTH, from_text, nests_deeper_than, parse, too_deep, type_name,
};
pub(crate) use miko_rpc::json::{
    drop_iteratively, is_multiple, object_from_text, plain, reader, serialize_text, to_text, too_deep_value,
};
pub use object::Object;
pub(crate) use object::{RepeatedObject, deserialize_raw, serialize_raw};
pub(crate) use struct_from_object::struct_from_object;
pub(crate) use sum::{NoSum, sum};
pub(crate) use writer::text_of;

/// The maximal number of levels to which arrays and objects may nest in the bucket of a record, the bucket
/// included. [`MAX_DEPTH`] limits the whole record, and also a request: both have the bucket as a member, so
/// they may nest one level deeper.
pub(crate) const MAX_BUCKET_DEPTH: usize = MAX_DEPTH - 1;

/// The value of a number, if it is a non-negative integer. `2.0` is the integer `2`, as in JSON Schema.
pub(crate) fn non_negative_integer(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        // The cast is exact: the float is whole and in range.
        (float.fract() == 0.0 && (0.0..U64_END).contains(&float)).then_some(float as u64)
    })
}

/// 2^64, the first integer that is out of range.
const U64_END: f64 = 18_446_744_073_709_551_616.0;

/// The number of bytes of the JSON text of a value.
pub(crate) fn text_length(value: &Value) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // This cannot fail: a value has string keys and finite numbers, and the counter accepts all bytes.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Whether the JSON text of an object certainly has at most `max` bytes. Subtracts an upper bound for each
/// part from `max`, and stops when too few bytes are left. So `false` may also be returned for a text that is
/// short enough.
pub(crate) fn is_text_within(object: &Map<String, Value>, max: usize) -> bool {
    /// The maximal size of an escaped byte of a string: `\u001f`.
    const MAX_ESCAPE: usize = 6;
    /// The bytes around a string: two quotes, a colon and a comma.
    const STRING_OVERHEAD: usize = 4;
    /// The maximal size of a number, literal or pair of brackets, with a comma.
    const MAX_SCALAR: usize = 32;
    fn max_string_size(text: &str) -> usize {
        text.len().saturating_mul(MAX_ESCAPE).saturating_add(STRING_OVERHEAD)
    }
    /// Subtracts the maximal size of a value from the bytes that are left. `false` if too few are left.
    fn subtract_value(value: &Value, left: &mut usize) -> bool {
        let own_size = match value {
            Value::String(text) => max_string_size(text),
            _ => MAX_SCALAR,
        };
        let Some(rest) = left.checked_sub(own_size) else { return false };
        *left = rest;
        match value {
            Value::Array(values) => values.iter().all(|value| subtract_value(value, left)),
            Value::Object(object) => subtract_members(object, left),
            _ => true,
        }
    }
    /// As `subtract_value`, for the members of an object.
    fn subtract_members(object: &Map<String, Value>, left: &mut usize) -> bool {
        object.iter().all(|(key, value)| {
            let rest = left.checked_sub(max_string_size(key));
            rest.is_some_and(|rest| {
                *left = rest;
                subtract_value(value, left)
            })
        })
    }
    // The brackets of the object itself.
    let Some(mut left) = max.checked_sub("{}".len()) else { return false };
    subtract_members(object, &mut left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[\\\\\"a\u{1}é]{0,3}".prop_map(Value::from),
        ];
        scalar.prop_recursive(2, 128, 64, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..64).prop_map(Value::from),
                prop::collection::hash_map("[a\u{2}]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_that_is_within_a_size_is_not_longer(value in value()) {
            let object = json!({"a": value});
            let length = object.to_string().len();
            prop_assert_eq!(text_length(&object), length);
            let object = object.as_object().unwrap();
            prop_assert!(!is_text_within(object, length - 1), "{length} bytes are not within one less");
        }
    }

    #[test]
    fn an_empty_object_has_two_bytes() {
        assert_eq!([0, 1, 2].map(|max| is_text_within(&Map::new(), max)), [false, false, true]);
    }
}

//! The encoding of arguments and results: what serde loses of them is kept.
//!
//! | what | on the wire |
//! | --- | --- |
//! | bytes: `Vec<u8>`, `&[u8]`, `Option<Vec<u8>>` | bytes, where serde has a sequence of numbers |
//! | `Some(None)`, `Some(())`, `Some(Value::Null)` | how many options are around the nil |
//! | JSON | read by this crate's own deserializer; its depth is limited |

use std::any::{Any, TypeId};
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::bounds::Wire;
use crate::bytes::RawBytes;
use crate::json::{self, plain};

mod binary;
mod nil;
pub mod with_nil_level;

pub use binary::{reads_binary, writes_binary};
pub(crate) use nil::{Missing, Nil, nil_level};

/// The suffix of the name of an argument that is a nil inside options, such as `Some(None)`. Its value is the
/// number of the options: MessagePack and JSON encode `None` and `Some(None)` alike.
pub(crate) const NIL_LEVEL: char = '?';

/// Limits the depth of JSON in an argument, because serializing and dropping it need stack in proportion to
/// its depth. JSON that nests too deep is replaced by a value that nests just too deep, so the server returns
/// the same error.
#[inline]
pub fn bounded<T: Any>(mut argument: T) -> T {
    let any: &mut dyn Any = &mut argument;
    if let Some(value) = any.downcast_mut::<Value>() {
        limit_depth(value);
    } else if let Some(values) = any.downcast_mut::<Vec<Value>>() {
        values.iter_mut().for_each(limit_depth);
    }
    argument
}

/// As [`bounded`], for a borrowed `Value`. Other borrowed arguments are not changed.
#[inline]
pub fn bounded_ref<T: ?Sized + 'static>(argument: &T) -> &T {
    static TOO_DEEP: LazyLock<Value> = LazyLock::new(json::too_deep_value);
    match as_type::<T, Value>(argument) {
        Some(value) if json::too_deep(value) => as_type::<Value, T>(&TOO_DEEP).unwrap_or(argument),
        _ => argument,
    }
}

fn limit_depth(value: &mut Value) {
    if json::too_deep(value) {
        json::drop_iteratively(std::mem::replace(value, json::too_deep_value()));
    }
}

/// Deserializes any value that another process sends. JSON in it is read by this crate's own deserializer.
///
/// # Errors
/// Those of the type and of the deserializer.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    plain::read(deserializer)
}

/// A value on its way to another process. Serde makes a sequence of numbers of a `Vec<u8>`, which takes one
/// and a half times the bytes and eight times the time; this makes bytes of it, and of an `Option<Vec<u8>>`.
pub(crate) struct Sent<'v, T: ?Sized>(pub(crate) &'v T);

impl<T: Serialize + ?Sized + 'static> Serialize for Sent<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(bytes) = as_type::<T, [u8]>(self.0) {
            serializer.serialize_bytes(bytes)
        } else if let Some(bytes) = as_type::<T, Vec<u8>>(self.0) {
            serializer.serialize_bytes(bytes)
        } else if let Some(bytes) = as_type::<T, Option<Vec<u8>>>(self.0) {
            serde_bytes::serialize(bytes, serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// The value as a `V`, if it is one. As `Any::downcast_ref`, also for unsized types.
#[inline]
fn as_type<T: ?Sized + 'static, V: ?Sized + 'static>(value: &T) -> Option<&V> {
    if TypeId::of::<T>() != TypeId::of::<V>() {
        return None;
    }
    // SAFETY: `T` and `V` are the same type, so a reference to one is a reference to the other, with the same
    // metadata and the same lifetime.
    Some(unsafe { std::mem::transmute_copy::<&T, &V>(&value) })
}

/// A value that another process has sent as [`Sent`]. Bytes are also read from the sequence that older
/// clients send.
pub(crate) struct Received<T>(pub(crate) T);

impl<T: Wire> Received<T> {
    /// Reads the value.
    #[inline]
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        Self::deserialize(deserializer).map(|Self(value)| value)
    }
}

impl<'de, T: Wire> Deserialize<'de> for Received<T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The value as a `T`, which it is.
        fn as_it_is<T: 'static, V: 'static>(value: V) -> Option<T> {
            let mut value = Some(value);
            (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
        }
        let wanted = TypeId::of::<T>();
        let bytes = if wanted == TypeId::of::<Vec<u8>>() {
            as_it_is::<T, Vec<u8>>(RawBytes::deserialize(deserializer)?.0)
        } else if wanted == TypeId::of::<Option<Vec<u8>>>() {
            let bytes = Option::<RawBytes>::deserialize(deserializer)?;
            as_it_is::<T, Option<Vec<u8>>>(bytes.map(|RawBytes(bytes)| bytes))
        } else {
            return plain::read(deserializer).map(Self);
        };
        bytes.map(Self).ok_or_else(|| D::Error::custom("the type of the bytes was compared"))
    }
}

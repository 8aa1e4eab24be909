//! Whether a value is on its way as MessagePack or as JSON, for types that have a form for each.
//!
//! `is_human_readable` does not tell. Serde buffers the content of a flattened field, an untagged and an
//! internally tagged enum, and reads the buffer with a deserializer of its own, which affirms it whatever the
//! format was. So do its serializers for flattened values and for newtype variants with an internal tag. All
//! of them have the error type of the format, however.

use std::any::TypeId;

use serde::{Deserializer, Serializer};

/// Whether this serializer writes a binary format, or passes a value on to one that writes MessagePack.
pub fn writes_binary<S: Serializer>(serializer: &S) -> bool {
    !serializer.is_human_readable() || typeid::of::<S::Error>() == TypeId::of::<rmp_serde::encode::Error>()
}

/// Whether this deserializer reads a binary format, or what serde has buffered of MessagePack.
pub fn reads_binary<'de, D: Deserializer<'de>>(deserializer: &D) -> bool {
    !deserializer.is_human_readable() || typeid::of::<D::Error>() == TypeId::of::<rmp_serde::decode::Error>()
}

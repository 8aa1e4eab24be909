//! Deserializes user types so that every key of a `serde_json::Value` in them is plain data.
//!
//! `serde_json::Value` deserializes an object whose first key is `$serde_json::private::RawValue` by parsing
//! the member's text. A user type may hold a `Value` anywhere: in a field, in a `Vec`, in a map.
//! `PlainKeys` wraps the deserializer of the type. Where a `Value` is requested, [`PlainValue`] reads it
//! instead; everything else is forwarded.
//!
//! One case is out of reach: for `#[serde(flatten)]`, untagged and internally tagged enums, serde buffers the
//! content first and reads the buffer with a deserializer of its own. Buffering requests keys through
//! `deserialize_any` or as identifiers; there the reserved key is refused.

use std::any::TypeId;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::LazyLock;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::reader::PlainValue;
use crate::memory;

/// The prefix of the keys that `serde_json` reserves.
const RESERVED: &str = "$serde_json::private::";

/// Whether `text` may hold a reserved key, literal or with escapes. Stored text escapes control characters
/// only.
pub fn may_hold_reserved_key(text: &str) -> bool {
    text.contains(RESERVED) || text.contains("\\u00")
}

/// Deserializes a `T` whose values have plain keys.
///
/// # Errors
/// Those of `T` and of the deserializer; also, if serde buffers an object with a reserved key.
pub fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(PlainKeys { inner: deserializer, role: Role::Value })
}

/// The syntactic role of the value that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    /// A key of a value that was requested as a map.
    MapKey,
    /// A key of a value that was requested as a struct; unknown keys are ignored.
    FieldKey,
}

/// A wrapper of serde's deserializers, seeds and accesses, with the role of what they read.
struct PlainKeys<D> {
    inner: D,
    role: Role,
}

/// A visitor that wraps what it visits in [`PlainKeys`].
struct PlainVisitor<V> {
    inner: V,
    /// The role of the keys, if a map is visited.
    keys: Role,
    /// Whether a reserved key is refused.
    refuses_reserved: bool,
}

impl<D> PlainKeys<D> {
    fn visitor<V>(&self, inner: V) -> PlainVisitor<V> {
        PlainVisitor { inner, keys: Role::MapKey, refuses_reserved: false }
    }
}

/// The type of the visitor with which a `Value` deserializes itself.
static VISITOR_OF_VALUE: LazyLock<Option<TypeId>> =
    LazyLock::new(|| Value::deserialize(Probe).err().and_then(|Probed(visitor)| visitor));

/// A deserializer that fails with the type of the visitor that it receives.
struct Probe;

#[derive(Debug)]
struct Probed(Option<TypeId>);

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probed")
    }
}

impl std::error::Error for Probed {}

impl serde::de::Error for Probed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed(Some(typeid::of::<V>())))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Reads a `Value` and returns it as the output of the visitor `V`; `None` if `V` is not the visitor of a
/// `Value`.
fn read_as_value<'de, V: Visitor<'de>, E>(
    read: impl FnOnce() -> Result<Value, E>,
) -> Option<Result<V::Value, E>> {
    let is_value =
        *VISITOR_OF_VALUE == Some(typeid::of::<V>()) && typeid::of::<V::Value>() == TypeId::of::<Value>();
    is_value.then(|| {
        let value = ManuallyDrop::new(read()?);
        // SAFETY: `V::Value` is `Value`: their ids were compared above. Ids of `typeid` are equal for types
        // that differ only in lifetimes, and `Value` has none. The original is never dropped, so the copy
        // owns the value.
        Ok(unsafe { std::mem::transmute_copy::<Value, V::Value>(&value) })
    })
}

macro_rules! forward {
    ($($method:ident($($name:ident: $ty:ty),*);)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.visitor(visitor);
            self.inner.$method($($name,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for PlainKeys<D> {
    type Error = D::Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let mut visitor = self.visitor(visitor);
        if self.role != Role::Value {
            // Only serde's buffering requests a key through `deserialize_any`.
            visitor.refuses_reserved = true;
            return self.inner.deserialize_any(visitor);
        }
        let mut inner = Some(self.inner);
        let take_inner = |inner: &mut Option<D>| {
            inner.take().ok_or_else(|| D::Error::custom("the deserializer was used twice"))
        };
        match read_as_value::<V, _>(|| {
            PlainValue::deserialize(take_inner(&mut inner)?).map(|PlainValue(value)| value)
        }) {
            Some(value) => value,
            None => take_inner(&mut inner)?.deserialize_any(visitor),
        }
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let mut visitor = self.visitor(visitor);
        // Keys requested as identifiers from a map mean a struct with a flattened field.
        visitor.refuses_reserved = self.role == Role::MapKey;
        self.inner.deserialize_identifier(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let mut visitor = self.visitor(visitor);
        // A `RawValue` is requested as a newtype struct and arrives as a map with one reserved key.
        visitor.keys = Role::FieldKey;
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let mut visitor = self.visitor(visitor);
        visitor.keys = Role::FieldKey;
        self.inner.deserialize_struct(name, fields, visitor)
    }

    forward! {
        deserialize_bool();
        deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char(); deserialize_str(); deserialize_string();
        deserialize_bytes(); deserialize_byte_buf(); deserialize_option(); deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_seq(); deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize); deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_ignored_any();
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<V> PlainVisitor<V> {
    fn check<E: serde::de::Error>(&self, key: &str) -> Result<(), E> {
        if self.refuses_reserved && key.starts_with(RESERVED) {
            let message = format!(
                "the key `{key}` cannot be read through `#[serde(flatten)]`, \
                 an untagged or an internally tagged enum"
            );
            return Err(E::custom(message));
        }
        Ok(())
    }
}

macro_rules! visit_scalars {
    ($($method:ident($ty:ty);)*) => {
        $(#[inline]
        fn $method<E: serde::de::Error>(self, scalar: $ty) -> Result<V::Value, E> {
            self.inner.$method(scalar)
        })*
    };
}

macro_rules! visit_text {
    ($($method:ident($ty:ty);)*) => {
        $(#[inline]
        fn $method<E: serde::de::Error>(self, text: $ty) -> Result<V::Value, E> {
            self.check(&text)?;
            self.inner.$method(text)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for PlainVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit_scalars! {
        visit_bool(bool);
        visit_i8(i8); visit_i16(i16); visit_i32(i32); visit_i64(i64); visit_i128(i128);
        visit_u8(u8); visit_u16(u16); visit_u32(u32); visit_u64(u64); visit_u128(u128);
        visit_f32(f32); visit_f64(f64); visit_char(char);
        visit_bytes(&[u8]); visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    visit_text! {
        visit_str(&str); visit_borrowed_str(&'de str); visit_string(String);
    }

    #[inline]
    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(PlainKeys { inner, role: Role::Value })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(PlainKeys { inner, role: Role::Value })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(PlainKeys { inner, role: Role::Value })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(PlainKeys { inner, role: self.keys })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(PlainKeys { inner, role: Role::FieldKey })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for PlainKeys<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(PlainKeys { inner, role: self.role })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for PlainKeys<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        memory::charge_deserialized(2 * size_of::<S::Value>())?;
        self.inner.next_element_seed(PlainKeys { inner, role: Role::Value })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for PlainKeys<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(PlainKeys { inner, role: self.role })
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        memory::charge_deserialized(2 * size_of::<S::Value>())?;
        self.inner.next_value_seed(PlainKeys { inner, role: Role::Value })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for PlainKeys<A> {
    type Error = A::Error;
    type Variant = PlainKeys<A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(PlainKeys { inner, role: self.role })?;
        Ok((value, PlainKeys { inner: variant, role: Role::Value }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for PlainKeys<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(PlainKeys { inner, role: Role::Value })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.visitor(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let mut visitor = self.visitor(visitor);
        visitor.keys = Role::FieldKey;
        self.inner.struct_variant(fields, visitor)
    }
}

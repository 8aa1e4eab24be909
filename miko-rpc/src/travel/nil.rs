//! Nils inside options. Serde, and every format that has no encoding of `Some`, makes the same nil of `None`
//! and of `Some(None)`. A call says how many options are around a nil, and these deserializers give it back.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Impossible, Serialize, Serializer};

use crate::json::HANDLE;

/// How many options are around the nil that `value` is: 1 for `Some(None)` and `Some(())`, 0 for `None`, for
/// `()` and for all that is not a nil.
#[inline]
pub(crate) fn nil_level<T: Serialize + ?Sized>(value: &T) -> u32 {
    value.serialize(NilLevel(0)).unwrap_or(0)
}

/// Counts options until it meets a nil. Fails at once at anything else.
struct NilLevel(u32);

/// The value is not a nil.
#[derive(Debug)]
struct NotNil;

impl Display for NotNil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not a nil")
    }
}

impl std::error::Error for NotNil {}

impl serde::ser::Error for NotNil {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

macro_rules! not_nil {
    ($($method:ident($($ty:ty),*) -> $output:ty;)*) => {
        $(#[inline]
        fn $method(self, $(_: $ty),*) -> Result<$output, NotNil> {
            Err(NotNil)
        })*
    };
}

impl Serializer for NilLevel {
    type Ok = u32;
    type Error = NotNil;
    type SerializeSeq = Impossible<u32, NotNil>;
    type SerializeTuple = Impossible<u32, NotNil>;
    type SerializeTupleStruct = Impossible<u32, NotNil>;
    type SerializeTupleVariant = Impossible<u32, NotNil>;
    type SerializeMap = Impossible<u32, NotNil>;
    type SerializeStruct = Impossible<u32, NotNil>;
    type SerializeStructVariant = Impossible<u32, NotNil>;

    #[inline]
    fn serialize_none(self) -> Result<u32, NotNil> {
        Ok(self.0)
    }

    #[inline]
    fn serialize_unit(self) -> Result<u32, NotNil> {
        Ok(self.0)
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<u32, NotNil> {
        Ok(self.0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u32, NotNil> {
        value.serialize(Self(self.0 + 1))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<u32, NotNil> {
        if name == HANDLE { Err(NotNil) } else { value.serialize(self) }
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u32, NotNil> {
        Err(NotNil)
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<u32, NotNil> {
        Err(NotNil)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    not_nil! {
        serialize_bool(bool) -> u32;
        serialize_i8(i8) -> u32; serialize_i16(i16) -> u32; serialize_i32(i32) -> u32;
        serialize_i64(i64) -> u32; serialize_i128(i128) -> u32;
        serialize_u8(u8) -> u32; serialize_u16(u16) -> u32; serialize_u32(u32) -> u32;
        serialize_u64(u64) -> u32; serialize_u128(u128) -> u32;
        serialize_f32(f32) -> u32; serialize_f64(f64) -> u32; serialize_char(char) -> u32;
        serialize_str(&str) -> u32; serialize_bytes(&[u8]) -> u32;
        serialize_unit_variant(&'static str, u32, &'static str) -> u32;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}

/// A nil inside a number of options, as a deserializer.
pub(crate) struct Nil<E> {
    level: u32,
    error: PhantomData<fn() -> E>,
}

impl<E> Nil<E> {
    /// A nil inside `level` options.
    pub(crate) fn inside(level: u32) -> Self {
        Self { level, error: PhantomData }
    }
}

/// The most options around a nil that are read from another process. A type may contain itself in an option,
/// and each level takes stack.
const MAX_LEVEL: u32 = 64;

impl<E: serde::de::Error> Nil<E> {
    /// A nil inside `level` options, as another process says.
    ///
    /// # Errors
    /// Beyond [`MAX_LEVEL`].
    pub(crate) fn received(level: u32) -> Result<Self, E> {
        if level > MAX_LEVEL {
            return Err(E::custom(format_args!("a nil inside {level} options: {MAX_LEVEL} are allowed")));
        }
        Ok(Self::inside(level))
    }
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Nil<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.level.checked_sub(1) {
            None => visitor.visit_none(),
            Some(level) => visitor.visit_some(Self::inside(level)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// An argument that was not given, as a deserializer: `None` for an option, an error for anything else.
pub(crate) struct Missing<'n, E> {
    name: &'n str,
    error: PhantomData<fn() -> E>,
}

impl<'n, E> Missing<'n, E> {
    /// The argument called `name`.
    pub(crate) fn new(name: &'n str) -> Self {
        Self { name, error: PhantomData }
    }
}

impl<'de, E: serde::de::Error> Deserializer<'de> for Missing<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom(format_args!("missing field `{}`", self.name)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Deserialize;
    use serde::de::value::Error;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_options_around_a_nil_are_counted_and_given_back() {
        fn keeps<'de, T: Serialize + Deserialize<'de> + PartialEq + Debug>(value: T, level: u32) {
            assert_eq!(nil_level(&value), level, "{value:?}");
            assert_eq!(T::deserialize(Nil::<Error>::inside(level)).unwrap(), value);
        }
        keeps((), 0);
        keeps(None::<u8>, 0);
        keeps(Value::Null, 0);
        keeps(Some(()), 1);
        keeps(Some(None::<u8>), 1);
        keeps(Some(Value::Null), 1);
        keeps(Some(Some(())), 2);
        keeps(Some(Some(None::<String>)), 2);
    }

    #[test]
    fn a_hostile_number_of_options_is_refused() {
        #[derive(Debug, Deserialize)]
        struct Chain(#[allow(dead_code)] Option<Box<Chain>>);
        assert!(Nil::<Error>::received(64).and_then(Chain::deserialize).is_ok());
        let fault = Nil::<Error>::received(u32::MAX).and_then(Chain::deserialize).unwrap_err();
        assert_eq!(fault.to_string(), "a nil inside 4294967295 options: 64 are allowed");
    }

    #[test]
    fn all_else_is_no_nil() {
        assert_eq!(nil_level(&Some(Some(5))), 0);
        assert_eq!(nil_level(&Some(Value::from(true))), 0);
        assert_eq!(nil_level(&vec![None::<u8>]), 0);
        assert_eq!(nil_level("text"), 0);
    }

    #[test]
    fn only_an_option_may_be_missing() {
        assert_eq!(Option::<u8>::deserialize(Missing::<Error>::new("by")).unwrap(), None);
        for fault in [
            u8::deserialize(Missing::<Error>::new("by")).unwrap_err(),
            Value::deserialize(Missing::<Error>::new("by")).map(drop).unwrap_err(),
            <()>::deserialize(Missing::<Error>::new("by")).unwrap_err(),
        ] {
            assert_eq!(fault.to_string(), "missing field `by`");
        }
    }
}

//! Serializes values as MessagePack with field names, to the same bytes as `rmp_serde` with
//! `with_struct_map`, in fewer instructions
//! ([decision 0043](../../../docs/decisions/0043-encoding-messages.md)).

use rmp::decode::{read_array_len, read_bin_len, read_int};
use rmp_serde::encode::Error;
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::writer::{Encoded, Form, MessageWriter};

/// Serializes one value.
pub(super) struct ValueSerializer<'e>(pub(super) &'e mut MessageWriter);

macro_rules! as_integer {
    ($($method:ident($ty:ty) => $write:ident;)*) => {
        $(#[inline]
        fn $method(self, number: $ty) -> Encoded {
            self.0.$write(number.into())
        })*
    };
}

impl<'e> Serializer for ValueSerializer<'e> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Entries<'e>;
    type SerializeTuple = Entries<'e>;
    type SerializeTupleStruct = Entries<'e>;
    type SerializeTupleVariant = Entries<'e>;
    type SerializeMap = Entries<'e>;
    type SerializeStruct = Entries<'e>;
    type SerializeStructVariant = Entries<'e>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    as_integer! {
        serialize_i8(i8) => signed; serialize_i16(i16) => signed; serialize_i32(i32) => signed;
        serialize_i64(i64) => signed;
        serialize_u8(u8) => unsigned; serialize_u16(u16) => unsigned; serialize_u32(u32) => unsigned;
        serialize_u64(u64) => unsigned;
    }

    fn serialize_i128(self, number: i128) -> Encoded {
        self.serialize_bytes(&number.to_be_bytes())
    }

    fn serialize_u128(self, number: u128) -> Encoded {
        self.serialize_bytes(&number.to_be_bytes())
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Encoded {
        self.0.boolean(value)
    }

    fn serialize_f32(self, number: f32) -> Encoded {
        self.0.float32(number)
    }

    fn serialize_f64(self, number: f64) -> Encoded {
        self.0.float64(number)
    }

    fn serialize_char(self, character: char) -> Encoded {
        self.0.text(character.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Encoded {
        self.0.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Encoded {
        self.0.bytes(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Encoded {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Encoded {
        self.0.nil()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Encoded {
        self.0.head(Form::Array, 0)
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Encoded {
        self.0.text(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Encoded {
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            write_extension(self.0, value)
        } else {
            value.serialize(self)
        }
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Encoded {
        self.0.variant(variant)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Entries<'e>, Error> {
        Entries::of(self.0, Form::Array, len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Entries<'e>, Error> {
        Entries::of(self.0, Form::Array, Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Entries<'e>, Error> {
        Entries::of(self.0, Form::Array, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries<'e>, Error> {
        self.0.variant(variant)?;
        Entries::of(self.0, Form::Array, Some(len))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'e>, Error> {
        Entries::of(self.0, Form::Map, len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Entries<'e>, Error> {
        Entries::of(self.0, Form::Map, Some(len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Entries<'e>, Error> {
        self.0.variant(variant)?;
        Entries::of(self.0, Form::Map, Some(len))
    }
}

/// The entries of an array or a map, as they are written.
pub(super) struct Entries<'e> {
    writer: &'e mut MessageWriter,
    /// `None` if the head is written.
    uncounted: Option<Uncounted>,
}

/// Entries whose number is not known before the last one, such as those of a struct with flattened fields.
struct Uncounted {
    form: Form,
    /// The place of the head, which is inserted at the end.
    start: usize,
    /// How many values were written; in a map, keys and values.
    count: usize,
}

impl<'e> Entries<'e> {
    #[inline]
    fn of(writer: &'e mut MessageWriter, form: Form, len: Option<usize>) -> Result<Self, Error> {
        let uncounted = match len {
            Some(len) => {
                writer.head(form, len)?;
                None
            }
            None => Some(Uncounted { form, start: writer.len(), count: 0 }),
        };
        Ok(Self { writer, uncounted })
    }

    #[inline]
    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Encoded {
        if let Some(uncounted) = &mut self.uncounted {
            uncounted.count += 1;
        }
        value.serialize(ValueSerializer(self.writer))
    }

    #[inline]
    fn field(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Encoded {
        self.writer.text(name)?;
        value.serialize(ValueSerializer(self.writer))
    }

    #[inline]
    fn finish(self) -> Encoded {
        let Some(Uncounted { form, start, count }) = self.uncounted else { return Ok(()) };
        let len = match form {
            Form::Array => count,
            Form::Map => count / 2,
        };
        self.writer.insert_head(start, form, len)
    }
}

/// Writes an extension, which a type serializes as a pair of its number and its bytes.
#[cold]
fn write_extension(writer: &mut MessageWriter, value: &(impl Serialize + ?Sized)) -> Encoded {
    let is_no_extension = || Error::InvalidDataModel("an extension is a pair of an i8 and bytes");
    // The pair has the heads of an array, a number and bytes.
    const MAX_HEADS: usize = 1 + 2 + 5;
    let mut pair = MessageWriter::new(Vec::new(), writer.left().saturating_add(MAX_HEADS));
    let written = value.serialize(ValueSerializer(&mut pair));
    if pair.is_full() {
        return Err(writer.refuse());
    }
    written?;
    let pair = pair.take();
    let mut rest = &pair[..];
    let mut read = || {
        read_array_len(&mut rest).ok().filter(|len| *len == 2)?;
        let kind = read_int(&mut rest).ok()?;
        let length = read_bin_len(&mut rest).ok()?;
        (length as usize == rest.len()).then_some(kind)
    };
    let kind = read().ok_or_else(is_no_extension)?;
    writer.extension(kind, rest)
}

macro_rules! values {
    ($($trait:ident: $($method:ident),*;)*) => {
        $(impl $trait for Entries<'_> {
            type Ok = ();
            type Error = Error;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Encoded {
                self.value(value)
            })*

            #[inline]
            fn end(self) -> Encoded {
                self.finish()
            }
        })*
    };
}

values! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
    SerializeMap: serialize_key, serialize_value;
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl $trait for Entries<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Encoded {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Encoded {
                self.finish()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;
    use crate::codec::samples::{Extended, Flattened, Nothing, sample};

    /// Checks that a value is written as `rmp_serde` writes it, and not at all within a smaller limit.
    fn check(value: &(impl Serialize + ?Sized)) {
        let expected = rmp_serde::to_vec_named(value).unwrap();
        let before = [7; 3];
        for missing in 0..4 {
            let limit = before.len() + expected.len() - missing.min(expected.len());
            let mut writer = MessageWriter::new(before.to_vec(), limit);
            let written = value.serialize(ValueSerializer(&mut writer));
            assert_eq!((written.is_ok(), writer.is_full()), (missing == 0, missing > 0));
            if missing == 0 {
                assert_eq!(writer.take(), [&before[..], &expected].concat());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn values_are_written_as_by_rmp_serde(sample in sample()) {
            check(&sample);
        }

        #[test]
        fn numbers_are_written_as_by_rmp_serde(
            number in any::<i64>(),
            shift in 0..64_u32,
            float in any::<f64>(),
        ) {
            let number: i64 = number >> shift;
            check(&number);
            check(&number.cast_unsigned());
            check(&(number as i8, number as u8, number as i16, number as u16, number as i32, number as u32));
            check(&(i128::from(number) << 64));
            check(&(float, float as f32));
        }

        #[test]
        fn extensions_are_written_as_by_rmp_serde(
            kind in any::<i8>(),
            data in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            check(&Extended((kind, serde_bytes::ByteBuf::from(data))));
        }
    }

    #[test]
    fn lengths_of_all_forms_are_written_as_by_rmp_serde() {
        for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536, 70_000] {
            check(&"x".repeat(len));
            check(&vec![0_u8; len]);
            check(serde_bytes::Bytes::new(&vec![0; len]));
            let others: BTreeMap<String, i16> = (0..len).map(|n| (n.to_string(), 1)).collect();
            check(&others);
            check(&Flattened { id: 1, others });
        }
        check(&Some(Nothing));
        check(&None::<Nothing>);
        check(&Extended((1, serde_bytes::ByteBuf::from(vec![0; 70_000]))));
    }

    #[test]
    fn numbers_at_the_ends_of_their_forms_are_written_as_by_rmp_serde() {
        for power in 0..63 {
            for near in -2..=2 {
                let number = (1_i64 << power) + near;
                check(&(number, -number, number.cast_unsigned()));
            }
        }
        check(&(i64::MIN, i64::MAX, u64::MAX));
    }

    #[test]
    fn structs_without_names_and_entries_without_a_count_are_written_as_by_rmp_serde() {
        #[derive(Serialize)]
        struct Pair(u8, &'static str);

        /// A sequence whose length is not known before its end.
        struct Filtered(usize);

        impl Serialize for Filtered {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq((0..self.0).filter(|_| true))
            }
        }

        /// Two maps whose lengths are not known before their ends, one inside of the other.
        #[derive(Serialize)]
        struct Nested {
            id: u8,
            #[serde(flatten)]
            inner: BTreeMap<&'static str, Flattened>,
        }

        check(&Pair(1, "two"));
        for len in [0, 15, 16, 65_536] {
            check(&Filtered(len));
            check(&[Filtered(len), Filtered(1)]);
        }
        let others = BTreeMap::from([("a".to_owned(), 1)]);
        check(&Nested { id: 1, inner: BTreeMap::from([("x", Flattened { id: 2, others })]) });
    }

    #[test]
    fn an_extension_that_is_no_pair_of_a_number_and_bytes_is_refused() {
        #[derive(Serialize)]
        #[serde(rename = "_ExtStruct")]
        struct Extension<T>(T);

        fn is_refused(value: &impl Serialize) -> bool {
            let mut writer = MessageWriter::new(Vec::new(), 100);
            value.serialize(ValueSerializer(&mut writer)).is_err() && !writer.is_full()
        }

        let bytes = serde_bytes::Bytes::new(b"x");
        assert!(is_refused(&Extension(1)));
        assert!(is_refused(&Extension((1, 2))));
        assert!(is_refused(&Extension((1000, bytes))));
        assert!(is_refused(&Extension((1, bytes, bytes))));
    }
}

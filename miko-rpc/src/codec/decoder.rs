//! Decodes MessagePack from a slice with serde, to the same values as `rmp_serde`, in fewer instructions
//! ([decision 0041](../../../docs/decisions/0041-decoding-messages.md)). Unlike there, the depth of enums is
//! limited as well.

use std::io;

use rmp::Marker;
use rmp_serde::decode::Error;
use serde::de::value::{BorrowedBytesDeserializer, I8Deserializer, SeqAccessDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};

/// How many levels of arrays, maps and enums may nest. `rmp_serde` has this limit for arrays and maps.
const MAX_DEPTH: u16 = 1023;

/// A deserializer that reads from the start of a slice.
pub(crate) struct Decoder<'de> {
    /// The bytes that are not read yet.
    rest: &'de [u8],
    /// How many more levels of arrays, maps and enums may begin.
    depth_left: u16,
}

/// Decodes the value at the start of `bytes`.
///
/// # Errors
/// Those of the type, and bytes that are not MessagePack.
#[inline]
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    T::deserialize(&mut Decoder::new(bytes))
}

/// What the first bytes of a value say: its form, and its length in bytes, members or items.
enum Head {
    Text(usize),
    Map(usize),
    Array(usize),
    Bytes(usize),
    Extension(usize),
    /// A number, a boolean or nil, whose content follows; or the byte with which no value begins.
    Other(Marker),
}

/// As `<[u8]>::is_ascii`, in fewer instructions for the names of fields.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let any = words.iter().fold(0, |any, word| any | u64::from_ne_bytes(*word));
    any & HIGH_BITS == 0 && rest.iter().fold(0, |any, byte| any | byte) < 0x80
}

fn length_mismatch(len: usize) -> Error {
    // A length comes from at most four bytes.
    Error::LengthMismatch(len as u32)
}

fn ends_early() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl<'de> Decoder<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth_left: MAX_DEPTH }
    }

    /// The next byte.
    #[inline]
    fn first(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| Error::InvalidMarkerRead(ends_early()))?;
        self.rest = rest;
        Ok(*first)
    }

    /// Reads the bytes of a value up to its content.
    #[inline]
    fn head(&mut self) -> Result<Head, Error> {
        Ok(match self.first()? {
            first @ 0xa0..=0xbf => Head::Text(usize::from(first & 0x1f)),
            first @ 0x80..=0x8f => Head::Map(usize::from(first & 0x0f)),
            first @ 0x90..=0x9f => Head::Array(usize::from(first & 0x0f)),
            0xd9 => Head::Text(self.len8()?),
            0xda => Head::Text(self.len16()?),
            0xdb => Head::Text(self.len32()?),
            0xde => Head::Map(self.len16()?),
            0xdf => Head::Map(self.len32()?),
            0xdc => Head::Array(self.len16()?),
            0xdd => Head::Array(self.len32()?),
            0xc4 => Head::Bytes(self.len8()?),
            0xc5 => Head::Bytes(self.len16()?),
            0xc6 => Head::Bytes(self.len32()?),
            0xc7 => Head::Extension(self.len8()?),
            0xc8 => Head::Extension(self.len16()?),
            0xc9 => Head::Extension(self.len32()?),
            first @ 0xd4..=0xd8 => Head::Extension(1 << (first - 0xd4)),
            first => Head::Other(Marker::from_u8(first)),
        })
    }

    /// The next `len` bytes.
    #[inline]
    fn bytes(&mut self, len: usize) -> Result<&'de [u8], Error> {
        let (bytes, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| Error::InvalidDataRead(ends_early()))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `N` bytes.
    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| Error::InvalidDataRead(ends_early()))?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn len8(&mut self) -> Result<usize, Error> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    #[inline]
    fn len16(&mut self) -> Result<usize, Error> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    #[inline]
    fn len32(&mut self) -> Result<usize, Error> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }

    /// Reads text of this many bytes.
    #[inline]
    fn text<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.bytes(len)?;
        if is_ascii(bytes) {
            // SAFETY: each ASCII byte is a character of UTF-8.
            return visitor.visit_borrowed_str(unsafe { std::str::from_utf8_unchecked(bytes) });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            // A type that reads bytes takes them.
            Err(fault) => visitor.visit_borrowed_bytes::<Error>(bytes).map_err(|_| Error::Utf8Error(fault)),
        }
    }

    /// Begins an array, a map or an enum; [`leave`](Self::leave) ends it. After an error nothing more is
    /// read, so it need not be ended.
    #[inline]
    fn enter(&mut self) -> Result<(), Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Error::DepthLimitExceeded)?;
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.depth_left += 1;
    }

    #[inline]
    fn items<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.enter()?;
        let mut items = Items { decoder: self, left: len };
        let value = visitor.visit_seq(&mut items)?;
        items.check_end(len)?;
        self.leave();
        Ok(value)
    }

    #[inline]
    fn members<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.enter()?;
        let mut members = Items { decoder: self, left: len };
        let value = visitor.visit_map(&mut members)?;
        members.check_end(len)?;
        self.leave();
        Ok(value)
    }

    /// Reads bytes. A type that asks for a sequence gets one of numbers.
    fn binary<V: Visitor<'de>>(&mut self, len: usize, visitor: V, as_bytes: bool) -> Result<V::Value, Error> {
        let bytes = self.bytes(len)?;
        if as_bytes {
            visitor.visit_borrowed_bytes(bytes)
        } else {
            visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied()))
        }
    }

    /// Reads a number, a boolean or nil. Not inlined, since it is compiled for each type that is read.
    #[inline(never)]
    fn number<V: Visitor<'de>>(&mut self, marker: Marker, visitor: V) -> Result<V::Value, Error> {
        match marker {
            Marker::Null => visitor.visit_unit(),
            Marker::True => visitor.visit_bool(true),
            Marker::False => visitor.visit_bool(false),
            Marker::FixPos(number) => visitor.visit_u8(number),
            Marker::FixNeg(number) => visitor.visit_i8(number),
            Marker::U8 => visitor.visit_u8(u8::from_be_bytes(self.array()?)),
            Marker::U16 => visitor.visit_u16(u16::from_be_bytes(self.array()?)),
            Marker::U32 => visitor.visit_u32(u32::from_be_bytes(self.array()?)),
            Marker::U64 => visitor.visit_u64(u64::from_be_bytes(self.array()?)),
            Marker::I8 => visitor.visit_i8(i8::from_be_bytes(self.array()?)),
            Marker::I16 => visitor.visit_i16(i16::from_be_bytes(self.array()?)),
            Marker::I32 => visitor.visit_i32(i32::from_be_bytes(self.array()?)),
            Marker::I64 => visitor.visit_i64(i64::from_be_bytes(self.array()?)),
            Marker::F32 => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            other => Err(Error::TypeMismatch(other)),
        }
    }

    /// Reads a value of any form.
    fn any<V: Visitor<'de>>(&mut self, visitor: V, as_bytes: bool) -> Result<V::Value, Error> {
        match self.head()? {
            Head::Text(len) => self.text(len, visitor),
            Head::Map(len) => self.members(len, visitor),
            Head::Array(len) => self.items(len, visitor),
            Head::Bytes(len) => self.binary(len, visitor, as_bytes),
            Head::Extension(len) => {
                let extension = self.extension(len)?;
                self.enter()?;
                let value = visitor.visit_newtype_struct(SeqAccessDeserializer::new(extension))?;
                self.leave();
                Ok(value)
            }
            Head::Other(marker) => self.number(marker, visitor),
        }
    }

    /// Reads the type and the data of an extension of this many bytes.
    fn extension(&mut self, len: usize) -> Result<Extension<'de>, Error> {
        let [kind] = self.array()?;
        Ok(Extension { kind: Some(kind.cast_signed()), data: Some(self.bytes(len)?) })
    }

    /// Reads an integer, or the 16 bytes in which `rmp_serde` writes one of 128 bits.
    fn wide_integer(&mut self) -> Result<i128, Error> {
        let len = match Marker::from_u8(self.first()?) {
            Marker::FixPos(number) => return Ok(number.into()),
            Marker::FixNeg(number) => return Ok(number.into()),
            Marker::U8 => return Ok(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => return Ok(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => return Ok(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => return Ok(u64::from_be_bytes(self.array()?).into()),
            Marker::I8 => return Ok(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => return Ok(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => return Ok(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => return Ok(i64::from_be_bytes(self.array()?).into()),
            Marker::Bin8 => self.len8()?,
            Marker::FixArray(len) => usize::from(len),
            marker => return Err(Error::TypeMismatch(marker)),
        };
        if len == 16 { Ok(i128::from_be_bytes(self.array()?)) } else { Err(length_mismatch(16)) }
    }
}

macro_rules! as_any {
    ($as_bytes:literal: $($method:ident($($name:ident: $ty:ty),*);)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, $(_: $ty,)* visitor: V) -> Result<V::Value, Error> {
            self.any(visitor, $as_bytes)
        })*
    };
}

macro_rules! as_number {
    ($($method:ident)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let first = self.first()?;
            self.number(Marker::from_u8(first), visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = Error;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    as_any! { true:
        deserialize_any(); deserialize_bytes(); deserialize_byte_buf(); deserialize_unit(); deserialize_map();
        deserialize_char(); deserialize_ignored_any();
        deserialize_identifier(); deserialize_str(); deserialize_string();
    }

    as_any! { false:
        deserialize_seq(); deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    }

    as_number! {
        deserialize_bool deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i8
        deserialize_i16 deserialize_i32 deserialize_i64 deserialize_f32 deserialize_f64
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.rest {
            [0xc0, rest @ ..] => {
                self.rest = rest;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            return visitor.visit_newtype_struct(self);
        }
        match self.rest.first() {
            Some(0xc7..=0xc9 | 0xd4..=0xd8) => self.any(visitor, true),
            _ => Err(Error::TypeMismatch(Marker::from_u8(self.first()?))),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.rest {
            // An empty array is a unit struct.
            [0xc0 | 0x90, rest @ ..] => {
                self.rest = rest;
                visitor.visit_unit()
            }
            _ => self.any(visitor, true),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.rest {
            // A variant with content is a map of one entry.
            [0x80..=0x8f | 0xde | 0xdf, ..] => match self.head()? {
                Head::Map(1) => {
                    self.enter()?;
                    let value = visitor.visit_enum(Variant(self))?;
                    self.leave();
                    Ok(value)
                }
                Head::Map(len) => Err(length_mismatch(len)),
                // Such a byte begins a map.
                _ => Err(Error::TypeMismatch(Marker::Reserved)),
            },
            // A variant without content is its name, or its number.
            _ => visitor.visit_enum(UnitVariant(self)),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i128(self.wide_integer()?)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u128(self.wide_integer()?.cast_unsigned())
    }
}

/// The items of an array, or the members of a map.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl Items<'_, '_> {
    fn check_end(&self, len: usize) -> Result<(), Error> {
        match self.left {
            0 => Ok(()),
            left => Err(length_mismatch(len - left)),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant with content: a map of one entry, from its name.
struct Variant<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        Ok((seed.deserialize(&mut *self.0)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(rmp::decode::read_nil(&mut self.0.rest)?)
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_tuple(fields.len(), visitor)
    }
}

/// A variant without content.
struct UnitVariant<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> EnumAccess<'de> for UnitVariant<'_, 'de> {
    type Error = Error;
    type Variant = NoContent;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, NoContent), Error> {
        Ok((seed.deserialize(self.0)?, NoContent))
    }
}

/// The content of a variant that has none.
struct NoContent;

impl NoContent {
    fn refuse<T>(expected: &str) -> Result<T, Error> {
        Err(serde::de::Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for NoContent {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Error> {
        Self::refuse("newtype variant")
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Self::refuse("tuple variant")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Self::refuse("struct variant")
    }
}

/// An extension: a sequence of its type and its data.
struct Extension<'de> {
    kind: Option<i8>,
    data: Option<&'de [u8]>,
}

impl<'de> SeqAccess<'de> for Extension<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if let Some(kind) = self.kind.take() {
            return seed.deserialize(I8Deserializer::new(kind)).map(Some);
        }
        let data = self.data.take();
        data.map(|data| seed.deserialize(BorrowedBytesDeserializer::new(data))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
    use serde::Deserialize;
    use serde_json::Value;

    use super::{Error, from_slice};
    use crate::bytes::Bytes;
    use crate::codec::samples::{Extended, Flattened, Nothing, Sample, Shape, sample};

    /// Checks that the decoder reads `bytes` as a `T` exactly as `rmp_serde` does.
    fn check_as_rmp<T: PartialEq + std::fmt::Debug + for<'de> Deserialize<'de>>(bytes: &[u8]) {
        let (ours, theirs) = (from_slice::<T>(bytes), rmp_serde::from_slice::<T>(bytes));
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{bytes:02x?}"),
            // Bytes that end early may be noticed earlier, and the error has another text.
            (Err(Error::InvalidDataRead(_) | Error::InvalidMarkerRead(_)), Err(_)) => {}
            (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string(), "{bytes:02x?}"),
            _ => panic!("{ours:?} instead of {theirs:?} from {bytes:02x?}"),
        }
    }

    fn check_all(bytes: &[u8]) {
        check_as_rmp::<Sample>(bytes);
        check_as_rmp::<Vec<Shape>>(bytes);
        check_as_rmp::<Shape>(bytes);
        check_as_rmp::<Flattened>(bytes);
        check_as_rmp::<BTreeMap<String, Option<Value>>>(bytes);
        check_as_rmp::<Value>(bytes);
        check_as_rmp::<Option<Vec<u8>>>(bytes);
        check_as_rmp::<Bytes>(bytes);
        check_as_rmp::<(i8, u16, i128)>(bytes);
        check_as_rmp::<Nothing>(bytes);
        check_as_rmp::<Extended>(bytes);
        check_as_rmp::<Vec<Extended>>(bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn values_are_read_as_by_rmp_serde(sample in sample(), in_order in any::<bool>()) {
            let bytes = if in_order { rmp_serde::to_vec(&sample) } else { rmp_serde::to_vec_named(&sample) };
            let bytes = bytes.unwrap();
            prop_assert_eq!(&from_slice::<Sample>(&bytes).unwrap(), &sample);
            check_all(&bytes);
        }

        #[test]
        fn extensions_are_read_as_by_rmp_serde(
            kind in any::<i8>(),
            data in proptest::collection::vec(any::<u8>(), 0..40),
            copies in 1..3_usize,
            end in any::<prop::sample::Index>(),
        ) {
            let extended = Extended((kind, serde_bytes::ByteBuf::from(data)));
            let bytes = rmp_serde::to_vec(&extended).unwrap();
            prop_assert_eq!(&from_slice::<Extended>(&bytes).unwrap(), &extended);
            check_all(&bytes);
            let bytes = rmp_serde::to_vec(&vec![extended; copies]).unwrap();
            check_all(&bytes);
            check_all(&bytes[..end.index(bytes.len())]);
        }

        #[test]
        fn damaged_values_are_read_as_by_rmp_serde(
            sample in sample(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = rmp_serde::to_vec_named(&sample).unwrap();
            damage.iter().for_each(|(index, byte)| *index.get_mut(&mut bytes) = *byte);
            check_all(&bytes);
            bytes.truncate(end.index(bytes.len()));
            check_all(&bytes);
        }

        #[test]
        fn any_bytes_are_read_as_by_rmp_serde(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            check_all(&bytes);
        }
    }

    #[test]
    fn enums_that_nest_without_end_are_refused() {
        for head in [&[0x81_u8][..], &[0xde, 0, 1], &[0xdf, 0, 0, 0, 1]] {
            let level = [head, b"\xa7Wrapped"].concat();
            assert!(from_slice::<Shape>(&[level.repeat(500), vec![0xc0]].concat()).is_ok());
            let refused = from_slice::<Shape>(&level.repeat(100_000));
            assert!(matches!(refused, Err(Error::DepthLimitExceeded)), "{refused:?}");
        }
    }

    #[test]
    fn what_nests_too_deep_is_refused_as_by_rmp_serde() {
        const STACK: usize = 16 << 20;
        let compare = || {
            for depth in [1022, 1023, 1024, 100_000] {
                check_as_rmp::<Value>(&[vec![0x91; depth], vec![0xc0]].concat());
            }
        };
        // Without optimization `rmp_serde` needs more stack than a test has.
        std::thread::Builder::new().stack_size(STACK).spawn(compare).unwrap().join().unwrap();
    }
}

//! Rejects numbers that JSON cannot represent: NaN and infinity, which `serde_json` would write as `null`,
//! and integers beyond 64 bits, whose digits most readers lose.

use std::fmt::Display;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::HANDLE;

/// Traverses a value without writing anything.
///
/// # Errors
/// For a float that is NaN or infinite, and for an integer below -2^63 or above 2^64-1.
pub(super) fn check(value: &(impl Serialize + ?Sized)) -> Result<(), serde_json::Error> {
    value.serialize(RepresentableCheck)
}

/// The serializer of [`check`].
#[derive(Clone, Copy)]
pub(super) struct RepresentableCheck;

type CheckResult = Result<(), serde_json::Error>;

fn check_float(float: f64) -> CheckResult {
    if float.is_finite() { Ok(()) } else { Err(serde_json::Error::custom(not_finite(float))) }
}

/// The fault of a float that is NaN or infinite.
pub(super) fn not_finite(float: f64) -> String {
    format!("JSON has no number {float}")
}

fn check_integer(fits: bool, integer: impl Display) -> CheckResult {
    if fits { Ok(()) } else { Err(serde_json::Error::custom(format!("{integer} has more than 64 bits"))) }
}

macro_rules! nothing_to_check {
    ($($method:ident($($ty:ty),*);)*) => {
        $(fn $method(self, $(_: $ty),*) -> CheckResult { Ok(()) })*
    };
}

impl Serializer for RepresentableCheck {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing_to_check! {
        serialize_bool(bool); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
        serialize_none(); serialize_unit(); serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_i128(self, integer: i128) -> CheckResult {
        check_integer(i64::try_from(integer).is_ok() || u64::try_from(integer).is_ok(), integer)
    }

    fn serialize_u128(self, integer: u128) -> CheckResult {
        check_integer(u64::try_from(integer).is_ok(), integer)
    }

    fn serialize_f32(self, float: f32) -> CheckResult {
        check_float(float.into())
    }

    fn serialize_f64(self, float: f64) -> CheckResult {
        check_float(float)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> CheckResult {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> CheckResult {
        if name == HANDLE { Ok(()) } else { value.serialize(self) }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> CheckResult {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> CheckResult {
        Ok(())
    }
}

macro_rules! each_element {
    ($($compound:ident::$method:ident($($key:ty)?);)*) => {
        $(impl $compound for RepresentableCheck {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $key,)? value: &T) -> CheckResult {
                value.serialize(*self)
            }

            fn end(self) -> CheckResult {
                Ok(())
            }
        })*
    };
}

each_element! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(&'static str);
    SerializeStructVariant::serialize_field(&'static str);
}

impl SerializeMap for RepresentableCheck {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> CheckResult {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> CheckResult {
        value.serialize(*self)
    }

    fn end(self) -> CheckResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_integer_beyond_64_bits_is_rejected() {
        for fits in [i128::from(i64::MIN), -1, 0, u64::MAX.into()] {
            assert!(check(&[fits]).is_ok(), "{fits}");
        }
        for integer in [i128::from(i64::MIN) - 1, i128::from(u64::MAX) + 1] {
            let error = check(&[integer]).unwrap_err().to_string();
            assert_eq!(error, format!("{integer} has more than 64 bits"));
        }
        assert!(check(&u128::MAX).is_err() && check(&5_u128).is_ok());
    }

    #[derive(serde::Serialize)]
    enum Sample {
        Unit,
        Newtype(f64),
        Tuple(u8, f32),
        Struct { value: Option<f64> },
    }

    #[test]
    fn a_number_without_a_json_form_is_rejected_at_any_depth() {
        let samples = |value: f64| {
            vec![
                Sample::Unit,
                Sample::Newtype(value),
                Sample::Tuple(1, value as f32),
                Sample::Struct { value: Some(value) },
            ]
        };
        assert!(check(&samples(1.5)).is_ok());
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for sample in samples(value).split_off(1) {
                assert!(check(&sample).is_err());
            }
            assert!(check(&BTreeMap::from([("x", [(1, value)])])).is_err());
        }
    }
}

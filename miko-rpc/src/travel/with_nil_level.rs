//! A value with the options around a nil that it is: `#[serde(with = "miko_rpc::travel::with_nil_level")]`.
//! It is written as the number of these options and the value, and read as by
//! [`deserialize`](super::deserialize()).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Nil, nil_level};

/// Serializes the value.
///
/// # Errors
/// Those of the value and of the serializer.
pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    (nil_level(value), value).serialize(serializer)
}

/// Deserializes what [`serialize`] wrote.
///
/// # Errors
/// Those of the type and of the deserializer.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_tuple(2, LevelAndValue(PhantomData))
}

struct LevelAndValue<T>(PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LevelAndValue<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of options around a nil, and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<T, A::Error> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct Plain<T>(#[serde(deserialize_with = "super::deserialize")] T);

        let missing = |length| A::Error::invalid_length(length, &"two elements");
        match parts.next_element()?.ok_or_else(|| missing(0))? {
            0 => Ok(parts.next_element::<Plain<T>>()?.ok_or_else(|| missing(1))?.0),
            level => {
                parts.next_element::<IgnoredAny>()?.ok_or_else(|| missing(1))?;
                T::deserialize(Nil::<A::Error>::received(level)?)
            }
        }
    }
}

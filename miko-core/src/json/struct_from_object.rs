//! Reads a struct from a JSON object only. A derived `Deserialize` also takes an array, as the values of the
//! fields in their order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Deserializes a struct from JSON, and refuses an array. In MessagePack a struct may be an array, so this
/// function is not for it.
pub(crate) fn struct_from_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::struct_from_object;

    #[test]
    fn a_struct_is_read_from_an_object_and_not_from_an_array() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Point {
            x: u8,
            #[serde(default)]
            y: u8,
        }
        let read = |text| struct_from_object::<Point, _>(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read(r#"{"y": 2, "x": 1}"#).unwrap(), Point { x: 1, y: 2 });
        for other in ["[1, 2]", "[1]", "[]", "1", "null", r#""x""#, "{}"] {
            assert!(read(other).is_err(), "{other}");
        }
    }
}

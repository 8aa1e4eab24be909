//! Serialization of arguments and results, with bounds whose error messages name the remedy.
//!
//! serde's own messages would list a dozen types that implement `Serialize`; [`Wire`] and
//! [`Fallible`](crate::Fallible) explain what to derive.

use std::any::{Any, TypeId};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounds::Wire;
use crate::json::plain;

/// An argument of a remote method.
pub mod argument {
    use std::any::Any;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    use super::{Received, Sent};
    use crate::Wire;
    use crate::json;

    /// Limits the depth of JSON in an argument, because serializing and dropping it need stack in proportion
    /// to its depth. JSON that nests too deep is replaced by a value that nests just too deep, so the server
    /// returns the same error.
    pub fn bounded<T: Any>(mut argument: T) -> T {
        let any: &mut dyn Any = &mut argument;
        if let Some(value) = any.downcast_mut::<Value>() {
            limit_depth(value);
        } else if let Some(values) = any.downcast_mut::<Vec<Value>>() {
            values.iter_mut().for_each(limit_depth);
        }
        argument
    }

    fn limit_depth(value: &mut Value) {
        if json::too_deep(value) {
            json::drop_iteratively(std::mem::replace(value, json::too_deep_value()));
        }
    }

    /// Serializes the argument; bytes as bytes.
    pub fn serialize<T: Wire, S: Serializer>(argument: &T, serializer: S) -> Result<S::Ok, S::Error> {
        Sent(argument).serialize(serializer)
    }

    /// Deserializes the argument. JSON in it is read by this crate's own deserializer.
    pub fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        Received::deserialize(deserializer).map(|Received(argument)| argument)
    }
}

/// Deserializes any value that another process sends. JSON in it is read by this crate's own deserializer.
///
/// # Errors
/// Those of the type and of the deserializer.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    plain::read(deserializer)
}

/// The result of a remote method.
pub mod result {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Received, Sent};
    use crate::Wire;

    /// Serializes the result; bytes as bytes.
    pub fn serialize<T: Wire, E: Wire, S: Serializer>(
        result: &Result<T, E>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        result.as_ref().map(Sent).serialize(serializer)
    }

    /// Deserializes the result. JSON in it is read by this crate's own deserializer.
    pub fn deserialize<'de, T: Wire, E: Wire, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<T, E>, D::Error> {
        let result: Result<Received<T>, Received<E>> = Deserialize::deserialize(deserializer)?;
        Ok(result.map(|Received(value)| value).map_err(|Received(error)| error))
    }
}

/// A value on its way to another process. Serde makes a sequence of numbers of a `Vec<u8>`, which takes one
/// and a half times the bytes and eight times the time; this makes bytes of it, and of an `Option<Vec<u8>>`.
struct Sent<'v, T>(&'v T);

impl<T: Wire> Serialize for Sent<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &dyn Any = self.0;
        if let Some(bytes) = value.downcast_ref::<Vec<u8>>() {
            serde_bytes::serialize(bytes, serializer)
        } else if let Some(bytes) = value.downcast_ref::<Option<Vec<u8>>>() {
            serde_bytes::serialize(bytes, serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// A value that another process has sent as [`Sent`]. Bytes are also read from the sequence that older
/// clients send.
struct Received<T>(T);

impl<'de, T: Wire> Deserialize<'de> for Received<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The value as a `T`, which it is.
        fn as_it_is<T: 'static, V: 'static>(value: V) -> Option<T> {
            let mut value = Some(value);
            (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
        }
        let wanted = TypeId::of::<T>();
        let bytes = if wanted == TypeId::of::<Vec<u8>>() {
            as_it_is::<T, Vec<u8>>(serde_bytes::deserialize(deserializer)?)
        } else if wanted == TypeId::of::<Option<Vec<u8>>>() {
            as_it_is::<T, Option<Vec<u8>>>(serde_bytes::deserialize(deserializer)?)
        } else {
            return plain::read(deserializer).map(Self);
        };
        bytes.map(Self).ok_or_else(|| D::Error::custom("the type of the bytes was compared"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(bound = "T: Wire")]
    struct Call<T>(#[serde(with = "argument")] T);

    #[derive(Serialize, Deserialize)]
    #[serde(bound = "T: Wire")]
    struct Reply<T>(#[serde(with = "result")] Result<T, String>);

    /// The size of a value on its way, both as an argument and as a result.
    fn size_after_travel<T: Wire + Clone + PartialEq + Debug>(value: &T) -> usize {
        let call = rmp_serde::to_vec_named(&Call(value.clone())).unwrap();
        assert_eq!(rmp_serde::from_slice::<Call<T>>(&call).unwrap().0, *value);
        let reply = rmp_serde::to_vec_named(&Reply(Ok(value.clone()))).unwrap();
        assert_eq!(rmp_serde::from_slice::<Reply<T>>(&reply).unwrap().0.unwrap(), *value);
        call.len()
    }

    #[test]
    fn bytes_travel_as_bytes_and_others_as_serde_has_them() {
        let bytes = vec![200_u8; 1000];
        assert!(size_after_travel(&bytes) < 1010);
        assert!(size_after_travel(&Some(bytes.clone())) < 1010);
        assert!(size_after_travel(&None::<Vec<u8>>) < 10);
        assert!(size_after_travel(&vec![200_u16; 1000]) > 2000);
        assert!(size_after_travel(&"text".to_owned()) < 10);
    }

    #[test]
    fn bytes_are_also_read_from_the_numbers_of_an_older_client() {
        let numbers = rmp_serde::to_vec_named(&vec![1_u8, 200, 3]).unwrap();
        assert_eq!(
            argument::deserialize::<Vec<u8>, _>(&mut rmp_serde::Deserializer::new(&*numbers)).unwrap(),
            [1, 200, 3]
        );
    }

    #[test]
    fn an_error_travels_like_a_value() {
        let sent = rmp_serde::to_vec_named(&Reply::<u8>(Err("sold out".to_owned()))).unwrap();
        assert_eq!(rmp_serde::from_slice::<Reply<u8>>(&sent).unwrap().0, Err("sold out".to_owned()));
    }
}

//! Serialization of arguments and results, with bounds whose error messages name the remedy.
//!
//! serde's own messages would list a dozen types that implement `Serialize`; [`Wire`](crate::Wire) and
//! [`Fallible`](crate::Fallible) explain what to derive.

/// An argument of a remote method.
pub mod argument {
    use std::any::Any;

    use serde::{Deserializer, Serializer};
    use serde_json::Value;

    use crate::Wire;
    use crate::json::{self, plain};

    /// Limits the depth of JSON in an argument, because serializing and dropping it need stack in proportion
    /// to its depth. JSON that nests too deep is replaced by a value that nests just too deep, so the server
    /// returns the same error.
    pub fn bounded<T: Any>(mut argument: T) -> T {
        let any: &mut dyn Any = &mut argument;
        if let Some(value) = any.downcast_mut::<Value>() {
            json::limit_depth(value);
        } else if let Some(values) = any.downcast_mut::<Vec<Value>>() {
            values.iter_mut().for_each(json::limit_depth);
        }
        argument
    }

    /// Serializes the argument unchanged.
    pub fn serialize<T: Wire, S: Serializer>(argument: &T, serializer: S) -> Result<S::Ok, S::Error> {
        argument.serialize(serializer)
    }

    /// Deserializes the argument. JSON in it is read by this crate's own deserializer.
    pub fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        plain::read(deserializer)
    }
}

/// Deserializes any value that another process sends. JSON in it is read by this crate's own deserializer.
///
/// # Errors
/// Those of the type and of the deserializer.
pub fn deserialize<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    crate::json::plain::read(deserializer)
}

/// The result of a remote method.
pub mod result {
    use serde::{Deserializer, Serialize, Serializer};

    use crate::Wire;
    use crate::json::plain;

    /// Serializes the result unchanged.
    pub fn serialize<T: Wire, E: Wire, S: Serializer>(
        result: &Result<T, E>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        result.serialize(serializer)
    }

    /// Deserializes the result. JSON in it is read by this crate's own deserializer.
    pub fn deserialize<'de, T: Wire, E: Wire, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<T, E>, D::Error> {
        plain::read(deserializer)
    }
}

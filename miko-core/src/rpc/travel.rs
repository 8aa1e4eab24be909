//! How arguments and results are serialized: as they are, but with bounds whose messages a reader understands.
//!
//! serde's own would list a dozen types that happen to implement `Serialize`; [`Wire`](super::Wire) and
//! [`Fallible`](super::Fallible) say what to do.

/// An argument of a remote method.
pub mod argument {
    use std::any::Any;

    use serde::{Deserializer, Serializer};
    use serde_json::Value;

    use crate::json::{self, plain};
    use crate::rpc::Wire;
    use crate::streams::Source;

    /// The argument as it can be serialized and dropped, which both take a stack as deep as it nests. JSON that nests deeper than
    /// anybody takes is replaced by some that nests just too deep, so that the server says of it what it would have said.
    pub fn bounded<T: Any>(mut argument: T) -> T {
        let any: &mut dyn Any = &mut argument;
        if let Some(value) = any.downcast_mut::<Value>() {
            bound(value);
        } else if let Some(values) = any.downcast_mut::<Vec<Value>>() {
            values.iter_mut().for_each(bound);
        } else if let Some(Source::Select(query)) = any.downcast_mut::<Source>() {
            bound(query);
        }
        argument
    }

    fn bound(value: &mut Value) {
        if json::too_deep(value) {
            let too_deep = (0..=json::MAX_DEPTH).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
            json::discard(std::mem::replace(value, too_deep));
        }
    }

    /// Serializes it as it is.
    pub fn serialize<T: Wire, S: Serializer>(argument: &T, serializer: S) -> Result<S::Ok, S::Error> {
        argument.serialize(serializer)
    }

    /// Deserializes it, with our own reader where it is or holds JSON.
    pub fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        plain::read(deserializer)
    }
}

/// The result of a remote method.
pub mod result {
    use serde::{Deserializer, Serialize, Serializer};

    use crate::json::plain;
    use crate::rpc::Wire;

    /// Serializes it as it is.
    pub fn serialize<T: Wire, E: Wire, S: Serializer>(
        result: &Result<T, E>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        result.serialize(serializer)
    }

    /// Deserializes it, with our own reader where it holds JSON.
    pub fn deserialize<'de, T: Wire, E: Wire, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<T, E>, D::Error> {
        plain::read(deserializer)
    }
}

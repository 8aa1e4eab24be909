//! How arguments and results are serialized: as they are, but with bounds whose messages a reader understands.
//!
//! serde's own would list a dozen types that happen to implement `Serialize`; [`Wire`](super::Wire) and
//! [`Fallible`](super::Fallible) say what to do.

/// An argument of a remote method.
pub mod argument {
    use serde::{Deserializer, Serializer};

    use crate::rpc::Wire;

    /// Serializes it as it is.
    pub fn serialize<T: Wire, S: Serializer>(argument: &T, serializer: S) -> Result<S::Ok, S::Error> {
        argument.serialize(serializer)
    }

    /// Deserializes it as it is.
    pub fn deserialize<'de, T: Wire, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// The result of a remote method.
pub mod result {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::rpc::Wire;

    /// Serializes it as it is.
    pub fn serialize<T: Wire, E: Wire, S: Serializer>(
        result: &Result<T, E>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        result.serialize(serializer)
    }

    /// Deserializes it as it is.
    pub fn deserialize<'de, T: Wire, E: Wire, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<T, E>, D::Error> {
        Result::deserialize(deserializer)
    }
}

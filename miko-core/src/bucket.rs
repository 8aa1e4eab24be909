//! A bucket on its way into a database: as JSON text ([`Bucket`]) in `create_one`, `create_many` and
//! `update_one`, as an object in requests.

use std::fmt;

use miko_rpc::travel::{reads_binary, writes_binary};
use miko_rpc::{Error, ErrorId, Result, memory};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::diagnostics::Place;
use crate::json::reader::PlainValue;
use crate::json::{self, TextChecker, type_name};

/// The new data of a record, as JSON text: an argument of [`create_many`](crate::Mikobase::create_many),
/// [`create_one`](crate::Mikobase::create_one) and [`update_one`](crate::Mikobase::update_one).
///
/// A bucket is sent as this text, and stored as this text if its class changes nothing in it.
/// [`of`](Self::of) serializes a value of your own type; `Bucket::from(json!({…}))` converts a [`Value`].
///
/// In binary formats a bucket serializes as a string, in JSON as the value itself.
///
/// ```
/// use miko_core::{Bucket, Mikobase, SqliteEngine};
/// use serde::Serialize;
/// use serde_json::json;
///
/// #[derive(Serialize)]
/// struct Officer {
///     name: &'static str,
/// }
///
/// let db = SqliteEngine::in_memory()?;
/// let buckets = vec![Bucket::of(&Officer { name: "Kirk" })?, json!({"name": "Spock"}).into()];
/// assert_eq!(buckets[0].as_str(), r#"{"name":"Kirk"}"#);
/// assert_eq!(db.create_many("starfleet.com/officer", buckets)?.len(), 2);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bucket(String);

impl Bucket {
    /// The bucket that a value serializes as.
    ///
    /// # Errors
    /// `invalid_request`, if the value does not serialize as a JSON object, or has a number without a JSON
    /// form; also for repeated keys, numbers that would lose digits, and deep nesting, as in
    /// [`to_value`](Self::to_value). `storage-full`, if parsing the text would exceed the memory limit of the
    /// process.
    pub fn of(bucket: &(impl Serialize + ?Sized)) -> Result<Self> {
        let text = text_of(bucket)?;
        if TextChecker::default().check(&text).is_some() {
            return Ok(Self(text));
        }
        // The checker refuses text with a fault, text in a form that this library does not write, and objects
        // with many keys. Parsing reports a fault. Text without a fault is written again, in the form of this
        // library.
        object_of(&text).map(Self::from)
    }

    /// As [`of`](Self::of), for a write that follows at once: only the database checks the text, which it
    /// does for every bucket.
    ///
    /// # Errors
    /// `invalid_request`, if the value does not serialize, or has a number without a JSON form.
    pub(crate) fn unchecked(bucket: &(impl Serialize + ?Sized)) -> Result<Self> {
        text_of(bucket).map(Self)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the text.
    ///
    /// # Errors
    /// `invalid_request`, if the text is not JSON, nests deeper than `serde_json` parses, repeats a key, or
    /// has a number that would lose digits. The text of a bucket that [`of`](Self::of) or `from` has made has
    /// none of these faults; text from another process is not checked when it is received. Also
    /// `storage-full`, if the value would exceed the memory limit of the process.
    pub fn to_value(&self) -> Result<Value> {
        let place = Place::Key(&Place::Root, "bucket");
        json::parse(&self.0).map_err(|error| {
            Error::of(error.into_items().into_iter().map(|item| place.with_pointer(item)).collect())
        })
    }
}

/// The object that a value serializes as, for the writes that send a bucket as a part of a request.
///
/// # Errors
/// As [`Bucket::of`].
pub(crate) fn bucket_object(bucket: &(impl Serialize + ?Sized)) -> Result<Map<String, Value>> {
    object_of(&text_of(bucket)?)
}

fn text_of(bucket: &(impl Serialize + ?Sized)) -> Result<String> {
    json::to_text(bucket)
        .map_err(|fault| invalid_request(format!("this cannot be represented in JSON: {fault}")))
}

/// Parses the text of a serialized value. Detects duplicate keys and numbers that would lose digits.
fn object_of(text: &str) -> Result<Map<String, Value>> {
    match json::parse(text)? {
        Value::Object(bucket) => Ok(bucket),
        other => Err(invalid_request("a bucket must serialize as a JSON object".to_owned())
            .with("expected", "object")
            .with("found", type_name(&other))),
    }
}

fn invalid_request(message: String) -> Error {
    Error::new(ErrorId::INVALID_REQUEST, message)
}

impl From<Map<String, Value>> for Bucket {
    fn from(bucket: Map<String, Value>) -> Self {
        Value::Object(bucket).into()
    }
}

impl From<Value> for Bucket {
    /// This conversion cannot fail. The call that receives the bucket refuses a value that is not an object,
    /// or that nests too deep.
    fn from(bucket: Value) -> Self {
        if json::too_deep(&bucket) {
            // Writing or dropping the value recursively could overflow the stack. The bucket gets a smaller
            // value, which also nests too deep and is refused in the same way.
            json::drop_iteratively(bucket);
            return Self(json::too_deep_value().to_string());
        }
        match &bucket {
            Value::Object(object) => Self(json::text_of(object)),
            other => Self(other.to_string()),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Bucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if writes_binary(&serializer) {
            return serializer.serialize_str(&self.0);
        }
        // Text that the checker refuses is not sent as it is: other readers of JSON may take the last of
        // repeated keys, or cut numbers with too many digits. Parsing reports such a fault.
        if TextChecker::default().check(&self.0).is_none() {
            return json::parse(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer);
        }
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        // An `Option`, since `serialize_raw` also serves optional fields.
        json::serialize_raw(&Some(raw), serializer)
    }
}

impl<'de> Deserialize<'de> for Bucket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        if !reads_binary(&deserializer) {
            return PlainValue::deserialize(deserializer).map(|PlainValue(value)| value.into());
        }
        deserializer.deserialize_any(BucketVisitor)
    }
}

/// Reads a bucket from a binary format: as its text, which this library sends, or as a value, which clients
/// in other languages may send. The engine checks the bucket later.
struct BucketVisitor;

impl<'de> Visitor<'de> for BucketVisitor {
    type Value = Bucket;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the text of a JSON object")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Bucket, E> {
        memory::charge_deserialized(text.len())?;
        Ok(Bucket(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> std::result::Result<Bucket, A::Error> {
        PlainValue::deserialize(MapAccessDeserializer::new(members)).map(|PlainValue(value)| value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> std::result::Result<Bucket, A::Error> {
        PlainValue::deserialize(SeqAccessDeserializer::new(items)).map(|PlainValue(value)| value.into())
    }

    fn visit_unit<E>(self) -> std::result::Result<Bucket, E> {
        Ok(Value::Null.into())
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Bucket, E> {
        Ok(Value::from(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Bucket, E> {
        Ok(Value::from(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Bucket, E> {
        Ok(Value::from(value).into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<Bucket, E> {
        // Refuses NaN and infinities. `Value::from` would make them null.
        PlainValue::deserialize(value.into_deserializer()).map(|PlainValue(value)| value.into())
    }
}

//! Records, as a read returns them.

use miko_rpc::Result;
use miko_rpc::travel::{reads_binary, writes_binary};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use serde_json::value::RawValue;

use crate::json::{self, Object, RepeatedObject, deserialize_raw, serialize_raw};
use crate::timestamp::Timestamp;

/// The keys for remarks. They are allowed in every request, record, version and worldlet, and in the objects
/// with fixed keys inside a worldlet. Records, versions and worldlets store the values. A request to create
/// or update a record sets the values of the record. Elsewhere the values are ignored.
pub(crate) const COMMENT_KEYS: [&str; 4] = ["comment", "vibecode", "misc", "corporate"];

/// The keys of the extras of a record, in the order in which answers have them. Only the value of
/// `custom_classes` is interpreted; the other values are returned unchanged.
pub(crate) const EXTRA_KEYS: [&str; 5] = ["custom_classes", "vibecode", "comment", "misc", "corporate"];

/// One record, as it was when it was read.
///
/// ```
/// use miko_core::{Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let pk = db.q0(json!({"action": "create", "class": "starfleet.com/officer",
///                       "bucket": {"name": "Spock"}}))?.into_pk()?;
/// let spock = db.record_by_pk(&pk)?.expect("it was just created");
/// assert_eq!(spock.class()?, "starfleet.com/officer");
/// assert_eq!(spock.bucket.get("name")?, Some(json!("Spock")));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The primary key. It never changes.
    pub pk: String,
    /// The data. No key in it is reserved.
    pub bucket: Object,
    /// The shadow, then a platter per class.
    pub stack: Object,
    /// `custom_classes`, `vibecode`, `comment`, `misc` and `corporate`, if the record has any of them.
    pub extras: Option<Object>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last write. In one database each write of a record has a later time than the previous
    /// write of the same record; a version that was merged from another database may have the same time as a
    /// version that was written here.
    pub updated_at: Timestamp,
}

impl Record {
    /// The primary class: the class of the first platter.
    ///
    /// # Errors
    /// `internal`, if a server sent a stack that is not JSON.
    pub fn class(&self) -> Result<String> {
        let stack = self.stack.to_map()?;
        // The first member is the shadow.
        let class = stack.values().skip(1).find_map(|platter| platter.get("class")?.as_str());
        Ok(class.unwrap_or(crate::uns::RECORD).to_owned())
    }

    /// Deserializes the bucket as a `T`.
    ///
    /// # Errors
    /// `invalid_request`, which names the field that does not fit.
    pub fn bucket_as<T: DeserializeOwned>(&self) -> Result<T> {
        self.bucket.parse()
    }
}

/// The JSON form of a record: the extras are members beside the bucket. The type parameters are references to
/// serialize, and owned values to deserialize.
#[derive(Serialize, Deserialize)]
struct RecordJson<Pk, Text> {
    pk: Pk,
    bucket: Text,
    stack: Text,
    #[serde(
        default,
        deserialize_with = "null_as_present",
        serialize_with = "serialize_raw",
        skip_serializing_if = "Option::is_none"
    )]
    custom_classes: Option<Box<RawValue>>,
    #[serde(
        default,
        deserialize_with = "null_as_present",
        serialize_with = "serialize_raw",
        skip_serializing_if = "Option::is_none"
    )]
    vibecode: Option<Box<RawValue>>,
    #[serde(
        default,
        deserialize_with = "null_as_present",
        serialize_with = "serialize_raw",
        skip_serializing_if = "Option::is_none"
    )]
    comment: Option<Box<RawValue>>,
    #[serde(
        default,
        deserialize_with = "null_as_present",
        serialize_with = "serialize_raw",
        skip_serializing_if = "Option::is_none"
    )]
    misc: Option<Box<RawValue>>,
    #[serde(
        default,
        deserialize_with = "null_as_present",
        serialize_with = "serialize_raw",
        skip_serializing_if = "Option::is_none"
    )]
    corporate: Option<Box<RawValue>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The values of [`EXTRA_KEYS`], in the same order.
pub(crate) type Extras = [Option<Box<RawValue>>; 5];

/// Splits extras into the values of [`EXTRA_KEYS`].
pub(crate) fn split_extras(extras: Option<&Object>) -> Result<Extras> {
    let Some(extras) = extras else { return Ok(Extras::default()) };
    let mut values: std::collections::HashMap<String, Box<RawValue>> = extras.parse()?;
    Ok(EXTRA_KEYS.map(|key| values.remove(key)))
}

/// Joins the values of [`EXTRA_KEYS`] into extras.
pub(crate) fn join_extras(values: Extras) -> serde_json::Result<Option<Object>> {
    let mut extras = Map::new();
    for (key, value) in EXTRA_KEYS.into_iter().zip(values) {
        if let Some(value) = value {
            extras.insert(key.to_owned(), json::from_text(value.get())?);
        }
    }
    Ok((!extras.is_empty()).then(|| Object::from(&extras)))
}

/// Deserializes an optional field that is present. An explicit `null` becomes `Some`, where `Option` alone
/// would read it as absent.
pub(crate) fn null_as_present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    deserialize_raw(deserializer).map(Some)
}

/// The binary form of a record: bucket, stack and extras are JSON text, which is not parsed. The type
/// parameters are as in [`RecordJson`].
#[derive(Serialize, Deserialize)]
struct RecordWire<Pk, Text, StackText> {
    pk: Pk,
    bucket: Text,
    stack: StackText,
    extras: Option<Text>,
    created_at: i64,
    updated_at: i64,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if writes_binary(&serializer) {
            return RecordWire {
                pk: self.pk.as_str(),
                bucket: self.bucket.as_str(),
                stack: self.stack.as_str(),
                extras: self.extras.as_ref().map(Object::as_str),
                created_at: self.created_at.as_millis(),
                updated_at: self.updated_at.as_millis(),
            }
            .serialize(serializer);
        }
        let [custom_classes, vibecode, comment, misc, corporate] =
            split_extras(self.extras.as_ref()).map_err(serde::ser::Error::custom)?;
        RecordJson {
            pk: self.pk.as_str(),
            bucket: &self.bucket,
            stack: &self.stack,
            custom_classes,
            vibecode,
            comment,
            misc,
            corporate,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if reads_binary(&deserializer) {
            let wire = RecordWire::<String, Object, RepeatedObject>::deserialize(deserializer)?;
            return Ok(Self {
                pk: wire.pk,
                bucket: wire.bucket,
                stack: wire.stack.0,
                extras: wire.extras,
                created_at: Timestamp::from_millis(wire.created_at),
                updated_at: Timestamp::from_millis(wire.updated_at),
            });
        }
        let json = RecordJson::<String, Object>::deserialize(deserializer)?;
        let values = [json.custom_classes, json.vibecode, json.comment, json.misc, json.corporate];
        Ok(Self {
            pk: json.pk,
            bucket: json.bucket,
            stack: json.stack,
            extras: join_extras(values).map_err(serde::de::Error::custom)?,
            created_at: json.created_at,
            updated_at: json.updated_at,
        })
    }
}

/// The records that a select returned, in its order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Records(Vec<Record>);

impl Records {
    /// The number of records.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the records.
    pub fn iter(&self) -> std::slice::Iter<'_, Record> {
        self.0.iter()
    }

    /// The first record, if there is one.
    pub fn first(&self) -> Option<&Record> {
        self.0.first()
    }
}

impl From<Vec<Record>> for Records {
    fn from(records: Vec<Record>) -> Self {
        Self(records)
    }
}

impl std::ops::Index<usize> for Records {
    type Output = Record;

    fn index(&self, index: usize) -> &Record {
        &self.0[index]
    }
}

impl IntoIterator for Records {
    type Item = Record;
    type IntoIter = std::vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Record;
    type IntoIter = std::slice::Iter<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

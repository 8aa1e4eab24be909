//! Versions: all states of a record in a temporal database, past ones and the current one.

use miko_rpc::travel::{reads_binary, writes_binary};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json::{Object, serialize_raw};
use crate::record::{join_extras, null_as_present, split_extras};
use crate::timestamp::Timestamp;

/// One version of a record: its state from its `updated_at` until the next version.
///
/// ```
/// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::temporal_in_memory()?;
/// let pk = db.create("starfleet.com/officer", &json!({"rank": "Commander"}))?;
/// db.update(&pk, &json!({"rank": "Captain"}))?;
/// let versions = db.history(&pk)?;
/// assert_eq!(versions[0].bucket.as_ref().unwrap().get("rank")?, Some(json!("Commander")));
/// assert!(versions[0].updated_at < versions[1].updated_at);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The pk of the record.
    pub pk: String,
    /// The pk of this version.
    pub instance_pk: String,
    /// Whether the record exists in this version. If not, this version is a tombstone.
    pub active: bool,
    /// The data; `None` in a tombstone.
    pub bucket: Option<Object>,
    /// The shadow, then a platter per class; `None` in a tombstone.
    pub stack: Option<Object>,
    /// `custom_classes`, `vibecode`, `comment`, `misc` and `corporate`, if the version has any of them.
    pub extras: Option<Object>,
    /// When the record was created.
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
}

/// The JSON form of a version: the extras are members beside the bucket.
#[derive(Serialize, Deserialize)]
struct VersionJson {
    pk: String,
    instance_pk: String,
    active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bucket: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stack: Option<Object>,
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

/// The binary form of a version: bucket, stack and extras are text that is not parsed. `active` is not sent:
/// a version is active if it has a bucket.
#[derive(Serialize, Deserialize)]
struct VersionWire<Text> {
    pk: Text,
    instance_pk: Text,
    bucket: Option<Text>,
    stack: Option<Text>,
    extras: Option<Text>,
    created_at: i64,
    updated_at: i64,
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if writes_binary(&serializer) {
            return VersionWire {
                pk: self.pk.as_str(),
                instance_pk: self.instance_pk.as_str(),
                bucket: self.bucket.as_ref().map(Object::as_str),
                stack: self.stack.as_ref().map(Object::as_str),
                extras: self.extras.as_ref().map(Object::as_str),
                created_at: self.created_at.as_millis(),
                updated_at: self.updated_at.as_millis(),
            }
            .serialize(serializer);
        }
        let [custom_classes, vibecode, comment, misc, corporate] =
            split_extras(self.extras.as_ref()).map_err(serde::ser::Error::custom)?;
        VersionJson {
            pk: self.pk.clone(),
            instance_pk: self.instance_pk.clone(),
            active: self.active,
            bucket: self.bucket.clone(),
            stack: self.stack.clone(),
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

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if reads_binary(&deserializer) {
            let wire = VersionWire::<String>::deserialize(deserializer)?;
            return Ok(Self {
                pk: wire.pk,
                instance_pk: wire.instance_pk,
                active: wire.bucket.is_some(),
                bucket: wire.bucket.map(Object::from_text_unchecked),
                stack: wire.stack.map(Object::from_text_unchecked),
                extras: wire.extras.map(Object::from_text_unchecked),
                created_at: Timestamp::from_millis(wire.created_at),
                updated_at: Timestamp::from_millis(wire.updated_at),
            });
        }
        let json = VersionJson::deserialize(deserializer)?;
        let extras = [json.custom_classes, json.vibecode, json.comment, json.misc, json.corporate];
        Ok(Self {
            pk: json.pk,
            instance_pk: json.instance_pk,
            active: json.active,
            bucket: json.bucket,
            stack: json.stack,
            extras: join_extras(extras).map_err(serde::de::Error::custom)?,
            created_at: json.created_at,
            updated_at: json.updated_at,
        })
    }
}

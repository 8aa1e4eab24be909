//! What a request that succeeded gives back, and how JSON faces show it.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorId, ErrorItem, Result, Warning};
use crate::record::Records;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// The answer to a Q0 request that succeeded. One that failed is an [`Error`].
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// What the action gave.
    pub results: Results,
    /// What was odd about the request, though it succeeded.
    pub warnings: Vec<Warning>,
}

/// What an action gives, by the kind of action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Results {
    /// `select`: the records, after `limit` and `offset`.
    Records(Records),
    /// `select` with `history`: the versions, after `limit` and `offset`.
    Versions(Vec<Version>),
    /// `create` and `update`: which record, and the time of the write.
    Written {
        /// The pk of the record.
        pk: String,
        /// Its new `updated_at`.
        updated_at: Timestamp,
    },
    /// `delete`: which record, and whether there was one to delete.
    Deleted {
        /// The pk that was asked for.
        pk: String,
        /// `false` only with `if_exists`, for a record that was not there.
        deleted: bool,
    },
}

impl Response {
    /// The records of a `select`.
    ///
    /// # Errors
    /// `invalid_request`, if the request was no `select`.
    pub fn into_records(self) -> Result<Records> {
        match self.results {
            Results::Records(records) => Ok(records),
            Results::Versions(_) => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to a `select` with `history` has versions: use `into_versions`",
            )),
            Results::Written { .. } | Results::Deleted { .. } => {
                Err(Error::new(ErrorId::INVALID_REQUEST, "only the response to a `select` has records"))
            }
        }
    }

    /// The versions of a `select` with `history`.
    ///
    /// # Errors
    /// `invalid_request`, if the request was another.
    pub fn into_versions(self) -> Result<Vec<Version>> {
        match self.results {
            Results::Versions(versions) => Ok(versions),
            // In JSON none of them look like none of these.
            Results::Records(records) if records.is_empty() => Ok(Vec::new()),
            _ => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "only the response to a `select` with `history` has versions",
            )),
        }
    }

    /// The pk that a `create`, `update` or `delete` was about.
    ///
    /// # Errors
    /// `invalid_request`, if the request was a `select`.
    pub fn into_pk(self) -> Result<String> {
        match self.results {
            Results::Written { pk, .. } | Results::Deleted { pk, .. } => Ok(pk),
            Results::Records(_) | Results::Versions(_) => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to a `select` is about many records: use `into_records`",
            )),
        }
    }
}

impl From<Results> for Response {
    fn from(results: Results) -> Self {
        Self { results, warnings: Vec::new() }
    }
}

/// A Q0 response as JSON shows it: `{"success": true, "results": …}` or `{"success": false, "errors": […]}`.
///
/// ```
/// use miko_core::{Answer, Error, ErrorId};
///
/// let failed = Err(Error::new(ErrorId::RECORD_DELETED, "it is gone"));
/// assert_eq!(
///     serde_json::to_string(&Answer(&failed)).unwrap(),
///     r#"{"success":false,"errors":[{"id":"record_deleted","details":{"message":"it is gone"}}]}"#,
/// );
/// ```
#[derive(Debug)]
pub struct Answer<'a>(pub &'a Result<Response>);

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Ok(response) => JsonResponse(response).serialize(serializer),
            Err(error) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("success", &false)?;
                map.serialize_entry("errors", error.items())?;
                map.end()
            }
        }
    }
}

struct JsonResponse<'a>(&'a Response);

impl Serialize for JsonResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Object<'a> {
            Written { pk: &'a str, updated_at: Timestamp },
            Deleted { pk: &'a str, deleted: bool },
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("success", &true)?;
        match &self.0.results {
            Results::Records(records) => {
                map.serialize_entry("results", records)?;
                map.serialize_entry("count", &records.count())?;
            }
            Results::Versions(versions) => {
                map.serialize_entry("results", versions)?;
                map.serialize_entry("count", &versions.len())?;
            }
            Results::Written { pk, updated_at } => {
                map.serialize_entry("results", &Object::Written { pk, updated_at: *updated_at })?;
            }
            Results::Deleted { pk, deleted } => {
                map.serialize_entry("results", &Object::Deleted { pk, deleted: *deleted })?;
            }
        }
        if !self.0.warnings.is_empty() {
            map.serialize_entry("warnings", &self.0.warnings)?;
        }
        map.end()
    }
}

/// The parts of a Q0 response, before it is known which kind of response it is.
#[derive(Deserialize)]
struct JsonParts {
    success: bool,
    results: Option<Box<RawValue>>,
    #[serde(default)]
    warnings: Vec<Warning>,
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

impl JsonParts {
    fn into_answer(self) -> serde_json::Result<Result<Response>> {
        if !self.success {
            return Ok(Error::check(self.errors).and_then(|()| {
                Err(Error::new(ErrorId::INTERNAL, "the server said that the request failed, but not why"))
            }));
        }
        let text = self.results.as_deref().map_or("null", RawValue::get);
        let results = if text.starts_with('[') {
            match serde_json::from_str(text) {
                Ok(versions) if text != "[]" => Results::Versions(versions),
                _ => Results::Records(serde_json::from_str(text)?),
            }
        } else {
            #[derive(Deserialize)]
            struct Object {
                pk: String,
                updated_at: Option<Timestamp>,
                #[serde(default)]
                deleted: bool,
            }
            let object: Object = serde_json::from_str(text)?;
            match object.updated_at {
                Some(updated_at) => Results::Written { pk: object.pk, updated_at },
                None => Results::Deleted { pk: object.pk, deleted: object.deleted },
            }
        };
        Ok(Ok(Response { results, warnings: self.warnings }))
    }
}

#[derive(Serialize)]
struct WireResponseRef<'a> {
    results: &'a Results,
    warnings: &'a [Warning],
}

#[derive(Deserialize)]
struct WireResponse {
    results: Results,
    warnings: Vec<Warning>,
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            JsonResponse(self).serialize(serializer)
        } else {
            WireResponseRef { results: &self.results, warnings: &self.warnings }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let answer = JsonParts::deserialize(deserializer)?.into_answer();
            answer.map_err(serde::de::Error::custom)?.map_err(serde::de::Error::custom)
        } else {
            let WireResponse { results, warnings } = WireResponse::deserialize(deserializer)?;
            Ok(Self { results, warnings })
        }
    }
}

/// The largest number of requests in one [`batch`](crate::Mikobase::batch). A larger batch is refused as
/// `request-too-large` before any of its requests is read.
pub const MAX_BATCH_REQUESTS: usize = 100_000;

/// One result per request of a batch, in the order of the requests.
///
/// ```
/// use miko_core::{Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let answers = db.batch(vec![json!({"action": "create", "bucket": {}}), json!({"action": "oops"})], false)?;
/// assert!(answers[0].is_ok());
/// assert!(answers[1].is_err());
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers(Vec<Result<Response>>);

impl From<Vec<Result<Response>>> for Answers {
    fn from(answers: Vec<Result<Response>>) -> Self {
        Self(answers)
    }
}

impl std::ops::Deref for Answers {
    type Target = [Result<Response>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl IntoIterator for Answers {
    type Item = Result<Response>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Serialize for Answers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_seq(self.0.iter().map(Answer))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(Self);
        }
        let parts = Vec::<JsonParts>::deserialize(deserializer)?;
        let answers: serde_json::Result<Vec<_>> = parts.into_iter().map(JsonParts::into_answer).collect();
        answers.map(Self).map_err(serde::de::Error::custom)
    }
}

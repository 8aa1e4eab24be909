//! The results of successful requests, and their JSON form.

use miko_rpc::travel::{reads_binary, writes_binary};
use miko_rpc::{Error, ErrorId, ErrorItem, Result, Warning};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;
use crate::record::{Record, Records, null_as_present};
use crate::timestamp::Timestamp;
use crate::version::Version;

/// The answer to a successful Q0 request. A failed request returns an [`Error`].
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The results of the action.
    pub results: Results,
    /// Findings about the request that did not prevent its success.
    pub warnings: Vec<Warning>,
}

/// The results of an action, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Results {
    /// `select`: the records, after `limit` and `offset`.
    Records(Records),
    /// `select` with `history`: the versions, after `limit` and `offset`.
    Versions(Vec<Version>),
    /// `create`, `update` and `patch`: the record, and the time of the write.
    Written {
        /// The pk of the record.
        pk: String,
        /// Its new `updated_at`.
        updated_at: Timestamp,
    },
    /// `edit`, and `finish` with `edits`: the record, the time of the write, and a value for each edit.
    Edited {
        /// The pk of the record.
        pk: String,
        /// Its new `updated_at`.
        updated_at: Timestamp,
        /// The value that each edit has read, replaced or made, in the order of the edits: the previous value
        /// for `set`, `default`, `remove`, `merge` and `test`; the sum for `increment`; the new number of
        /// elements for `push` and `unshift`; the element for `pop` and `shift`; whether the array has
        /// changed for `add` and `discard`. An absent value is null.
        #[serde(deserialize_with = "json::reader::values")]
        values: Vec<Value>,
    },
    /// `upsert`: the record, the time of the write, and whether it was created.
    Upserted {
        /// The pk of the record.
        pk: String,
        /// Its new `updated_at`.
        updated_at: Timestamp,
        /// Whether the record was created, since no record had the key.
        created: bool,
        /// A value for each edit, as [`Edited`](Self::Edited) has them.
        #[serde(deserialize_with = "json::reader::values")]
        values: Vec<Value>,
    },
    /// `patch`, `edit` and `delete` with `where`: the records that were changed.
    Changed {
        /// The number of these records.
        count: u64,
        /// The pks of the first [`MAX_CHANGED_PKS`] of these records, in the order of the changes.
        pks: Vec<String>,
    },
    /// `claim`: the record that was claimed; `None`, if there was none.
    Claimed(Option<Claimed>),
    /// `finish` with neither `edits` nor `delete`, and `release`: the claim that has ended.
    ClaimEnded {
        /// The id of the claim.
        claim: String,
    },
    /// `transaction`, `commit`, `rollback`: the transaction that has begun or ended.
    Transaction {
        /// The id of the transaction. It is valid only in the connection that began the transaction.
        transaction: String,
    },
    /// `delete`, and `finish` with `delete`: the record, and whether it existed.
    Deleted {
        /// The requested pk.
        pk: String,
        /// `false` only for a missing or deleted record with `if_exists`.
        deleted: bool,
    },
}

/// A claim that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// The id of the claim.
    pub claim: String,
    /// The record.
    pub record: Record,
    /// How often the record was claimed since a claim of it was last finished, including this time.
    pub attempts: u64,
}

impl Response {
    /// The records of a `select`.
    ///
    /// # Errors
    /// `invalid_request`, if the request was not a `select`, or was a `select` with `history`. Exception: in
    /// a response that was read from JSON, an empty list of versions counts as records.
    pub fn into_records(self) -> Result<Records> {
        match self.results {
            Results::Records(records) => Ok(records),
            Results::Versions(_) => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to a `select` with `history` has versions: use `into_versions`",
            )),
            _ => Err(Error::new(ErrorId::INVALID_REQUEST, "only the response to a `select` has records")),
        }
    }

    /// The versions of a `select` with `history`.
    ///
    /// # Errors
    /// `invalid_request` for every other request, except a `select` that has found nothing.
    pub fn into_versions(self) -> Result<Vec<Version>> {
        match self.results {
            Results::Versions(versions) => Ok(versions),
            // In JSON, an empty list of versions looks like an empty list of records.
            Results::Records(records) if records.is_empty() => Ok(Vec::new()),
            _ => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "only the response to a `select` with `history` has versions",
            )),
        }
    }

    /// The values of an `edit`, a `finish` with `edits`, or an `upsert`: one for each edit, see
    /// [`Results::Edited`]. An `upsert` without edits has none.
    ///
    /// # Errors
    /// `invalid_request` for every other request, and for an `edit` with `where`.
    pub fn into_values(self) -> Result<Vec<Value>> {
        match self.results {
            Results::Edited { values, .. } | Results::Upserted { values, .. } => Ok(values),
            _ => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "only the response to an `edit`, an `upsert` or a `finish` with `edits` has values",
            )),
        }
    }

    /// The pk of the record that a `create`, `update`, `patch`, `edit`, `upsert` or `delete` wrote, or a
    /// `finish` with `edits` or `delete`. Of a `delete` that found no record, the requested pk.
    ///
    /// # Errors
    /// `invalid_request` for any other request: a `select`, a write with `where`, `claim`, `release`,
    /// `finish` without a change, and the actions on transactions.
    pub fn into_pk(self) -> Result<String> {
        match self.results {
            Results::Written { pk, .. }
            | Results::Edited { pk, .. }
            | Results::Upserted { pk, .. }
            | Results::Deleted { pk, .. } => Ok(pk),
            Results::Changed { .. } => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to a write with `where` is about many records",
            )),
            Results::Transaction { .. } => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to `transaction`, `commit` or `rollback` is about no record",
            )),
            Results::Claimed(_) | Results::ClaimEnded { .. } => Err(Error::new(
                ErrorId::INVALID_REQUEST,
                "the response to `claim`, `finish` or `release` is about a claim",
            )),
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

/// The JSON form of a Q0 response: `{"success": true, "results": …}` or
/// `{"success": false, "errors": […]}`.
///
/// ```
/// use miko_core::{ResponseEnvelope, Error, ErrorId};
///
/// let failed = Err(Error::new(ErrorId::RECORD_DELETED, "it is gone"));
/// assert_eq!(
///     serde_json::to_string(&ResponseEnvelope(&failed)).unwrap(),
///     r#"{"success":false,"errors":[{"id":"record_deleted","details":{"message":"it is gone"}}]}"#,
/// );
/// ```
#[derive(Debug)]
pub struct ResponseEnvelope<'a>(pub &'a Result<Response>);

impl Serialize for ResponseEnvelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Ok(response) => ResponseJson(response).serialize(serializer),
            Err(error) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("success", &false)?;
                map.serialize_entry("errors", error.items())?;
                map.end()
            }
        }
    }
}

/// The JSON form of a response to a request that succeeded.
struct ResponseJson<'a>(&'a Response);

impl Serialize for ResponseJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum WriteResult<'a> {
            Written {
                pk: &'a str,
                updated_at: Timestamp,
            },
            Edited {
                pk: &'a str,
                updated_at: Timestamp,
                values: &'a [Value],
            },
            Upserted {
                pk: &'a str,
                updated_at: Timestamp,
                created: bool,
                #[serde(skip_serializing_if = "<[_]>::is_empty")]
                values: &'a [Value],
            },
            Changed {
                count: u64,
                pks: &'a [String],
            },
            Deleted {
                pk: &'a str,
                deleted: bool,
            },
            Transaction {
                transaction: &'a str,
            },
            /// The claim that has ended; `null` after a `claim` that found no record.
            Claim {
                claim: Option<&'a str>,
            },
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
                map.serialize_entry("results", &WriteResult::Written { pk, updated_at: *updated_at })?;
            }
            Results::Edited { pk, updated_at, values } => {
                map.serialize_entry("results", &WriteResult::Edited { pk, updated_at: *updated_at, values })?;
            }
            Results::Upserted { pk, updated_at, created, values } => {
                let (updated_at, created) = (*updated_at, *created);
                map.serialize_entry("results", &WriteResult::Upserted { pk, updated_at, created, values })?;
            }
            Results::Changed { count, pks } => {
                map.serialize_entry("results", &WriteResult::Changed { count: *count, pks })?;
            }
            Results::Transaction { transaction } => {
                map.serialize_entry("results", &WriteResult::Transaction { transaction })?;
            }
            Results::Claimed(Some(claimed)) => map.serialize_entry("results", claimed)?,
            Results::Claimed(None) => {
                map.serialize_entry("results", &WriteResult::Claim { claim: None })?;
            }
            Results::ClaimEnded { claim } => {
                map.serialize_entry("results", &WriteResult::Claim { claim: Some(claim) })?;
            }
            Results::Deleted { pk, deleted } => {
                map.serialize_entry("results", &WriteResult::Deleted { pk, deleted: *deleted })?;
            }
        }
        if !self.0.warnings.is_empty() {
            map.serialize_entry("warnings", &self.0.warnings)?;
        }
        map.end()
    }
}

/// The members of a JSON response, before its kind is known.
#[derive(Deserialize)]
struct ResponseParts {
    success: bool,
    /// `null` and an absent member mean the same. `null_as_present` also reads a value that serde has
    /// buffered, which `RawValue` refuses.
    #[serde(default, deserialize_with = "null_as_present")]
    results: Option<Box<RawValue>>,
    #[serde(default)]
    warnings: Vec<Warning>,
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

impl ResponseParts {
    /// The response, or the error of a failed request. The outer error says that the JSON is neither of them.
    fn into_answer(self) -> serde_json::Result<Result<Response>> {
        if !self.success {
            // `check` returns the errors of the request. Only if there are none, the new error is returned.
            return Ok(Error::check(self.errors).and_then(|()| {
                Err(Error::new(ErrorId::INTERNAL, "the server said that the request failed, but not why"))
            }));
        }
        let text = self.results.as_deref().map_or("null", RawValue::get);
        let results = if text.starts_with('[') {
            // Records do not parse as versions, since they have no `instance_pk`.
            match serde_json::from_str(text) {
                Ok(versions) if !Vec::<Version>::is_empty(&versions) => Results::Versions(versions),
                _ => Results::Records(serde_json::from_str(text)?),
            }
        } else {
            serde_json::from_str::<WriteResultParts>(text)?.into_results()?
        };
        Ok(Ok(Response { results, warnings: self.warnings }))
    }
}

/// The members of the results of an action other than `select`, before the action is known.
#[derive(Deserialize)]
struct WriteResultParts {
    pk: Option<String>,
    updated_at: Option<Timestamp>,
    created: Option<bool>,
    values: Option<EditValues>,
    #[serde(default)]
    deleted: bool,
    count: Option<u64>,
    #[serde(default)]
    pks: Vec<String>,
    transaction: Option<String>,
    /// The outer `None` stands for an absent member, the inner one for `null`.
    #[serde(default, deserialize_with = "null_as_inner_none")]
    claim: Option<Option<String>>,
    record: Option<Record>,
    attempts: Option<u64>,
}

/// Deserializes an optional field that is present: an explicit `null` becomes `Some(None)`.
fn null_as_inner_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The values of edits. Their numbers are read without loss.
#[derive(Deserialize)]
struct EditValues(#[serde(deserialize_with = "json::reader::values")] Vec<Value>);

impl WriteResultParts {
    fn into_results(self) -> serde_json::Result<Results> {
        if let Some(transaction) = self.transaction {
            return Ok(Results::Transaction { transaction });
        }
        match (self.claim, self.record, self.attempts) {
            (Some(Some(claim)), Some(record), Some(attempts)) => {
                return Ok(Results::Claimed(Some(Claimed { claim, record, attempts })));
            }
            (Some(Some(claim)), ..) => return Ok(Results::ClaimEnded { claim }),
            (Some(None), ..) => return Ok(Results::Claimed(None)),
            (None, ..) => {}
        }
        let Some(pk) = self.pk else {
            let count = self.count.ok_or_else(|| serde::de::Error::missing_field("pk"))?;
            return Ok(Results::Changed { count, pks: self.pks });
        };
        let values = self.values.map(|EditValues(values)| values);
        // What is left is an action that writes one record by its pk. Only an upsert has `created`, only an
        // edit and an upsert have `values`, and only a delete has no `updated_at`.
        Ok(match (self.updated_at, self.created, values) {
            (Some(updated_at), Some(created), values) => {
                Results::Upserted { pk, updated_at, created, values: values.unwrap_or_default() }
            }
            (Some(updated_at), None, Some(values)) => Results::Edited { pk, updated_at, values },
            (Some(updated_at), None, None) => Results::Written { pk, updated_at },
            (None, ..) => Results::Deleted { pk, deleted: self.deleted },
        })
    }
}

/// The binary form of a response, to be sent.
#[derive(Serialize)]
struct ResponseWireRef<'a> {
    results: &'a Results,
    warnings: &'a [Warning],
}

/// The binary form of a response, as it was received.
#[derive(Deserialize)]
struct ResponseWire {
    results: Results,
    warnings: Vec<Warning>,
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !writes_binary(&serializer) {
            ResponseJson(self).serialize(serializer)
        } else {
            ResponseWireRef { results: &self.results, warnings: &self.warnings }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !reads_binary(&deserializer) {
            let answer = ResponseParts::deserialize(deserializer)?.into_answer();
            answer.map_err(serde::de::Error::custom)?.map_err(serde::de::Error::custom)
        } else {
            let ResponseWire { results, warnings } = ResponseWire::deserialize(deserializer)?;
            Ok(Self { results, warnings })
        }
    }
}

/// The maximal number of pks of changed records in the answer to a write with `where`.
pub const MAX_CHANGED_PKS: usize = 1_000;

/// The maximal number of requests in one [`batch`](crate::Mikobase::batch), and of buckets or pks in one
/// call. A larger batch is refused with `request-too-large` before any of its requests is parsed.
pub const MAX_BATCH_REQUESTS: usize = 100_000;

/// Refuses more than [`MAX_BATCH_REQUESTS`] requests, buckets or pks, with `request-too-large`.
pub(crate) fn check_batch_size(found: usize) -> Result<()> {
    if found <= MAX_BATCH_REQUESTS {
        return Ok(());
    }
    let message =
        format!("a call has at most {MAX_BATCH_REQUESTS} requests, buckets or pks: make several calls");
    Err(Error::new(ErrorId::REQUEST_TOO_LARGE, message)
        .with("allowed", MAX_BATCH_REQUESTS)
        .with("found", found))
}

/// Checks the requests as [`check_batch_size`] does, and returns them. Requests that are refused are dropped
/// without recursion, because they may nest to any depth.
pub(crate) fn within_batch_size(requests: Vec<Value>) -> Result<Vec<Value>> {
    match check_batch_size(requests.len()) {
        Ok(()) => Ok(requests),
        Err(too_many) => {
            requests.into_iter().for_each(json::drop_iteratively);
            Err(too_many)
        }
    }
}

/// The results of a batch, one per request in the same order.
///
/// ```
/// use miko_core::{Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let create = json!({"action": "create", "bucket": {}});
/// let answers = db.batch(vec![create, json!({"action": "oops"})], false)?;
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
        if !writes_binary(&serializer) {
            serializer.collect_seq(self.0.iter().map(ResponseEnvelope))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if reads_binary(&deserializer) {
            return Vec::deserialize(deserializer).map(Self);
        }
        let parts = Vec::<ResponseParts>::deserialize(deserializer)?;
        let answers: serde_json::Result<Vec<_>> = parts.into_iter().map(ResponseParts::into_answer).collect();
        answers.map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_one_of_records_in_any_spelling() {
        for list in ["[]", "[ ]", "[\n]"] {
            let text = format!(r#"{{"success": true, "results": {list}, "count": 0}}"#);
            let response: Response = serde_json::from_str(&text).unwrap();
            assert_eq!(response.clone().into_records().unwrap().count(), 0, "{text}");
            assert_eq!(response.into_versions().unwrap(), []);
            let answers: Answers = serde_json::from_str(&format!("[{text}]")).unwrap();
            assert!(answers[0].clone().unwrap().into_records().unwrap().is_empty(), "{text}");
        }
    }
}

//! The JSON of records as it is stored.

use miko_rpc::Result;
use serde_json::{Map, Value};

use crate::class::Markers;
use crate::json;
use crate::stack;
use crate::storage::corruption;
use crate::uns;

/// The longest text of a stack, in bytes, that is cached. Caches of stacks are those of parsed stacks, of the
/// classes of stacks, and of the stacks that records in the record cache share. A longer stack usually
/// contains data of its record, such as an own bucket, so hardly any other record has an equal stack.
pub(super) const MAX_CACHED_STACK_LENGTH: usize = 256;

/// The text of an object, as it is stored.
pub(super) fn text(map: &Map<String, Value>) -> String {
    json::text_of(map)
}

/// The text of the extras of a record; `None` if it has none.
pub(super) fn extras_text(extras: &Map<String, Value>) -> Option<String> {
    (!extras.is_empty()).then(|| text(extras))
}

/// The markers in the stored extras of a record.
pub(super) fn stored_markers(extras: Option<&str>) -> Result<Markers> {
    extras.map_or_else(
        || Ok(Markers::default()),
        |extras| parse_object(extras).map(|extras| Markers::of(&extras)),
    )
}

/// Parses the stored text of a JSON object.
///
/// # Errors
/// `internal`, if the text is not a JSON object.
pub(super) fn parse_object(stored: &str) -> Result<Map<String, Value>> {
    json::object_from_text(stored).map_err(corruption)
}

/// The media type of a file with this stored `mime`, and the whole `mime`.
///
/// # Errors
/// `internal`, if the text is not JSON, or has no media type.
pub(super) fn stored_mime(stored: &str) -> Result<(String, Value)> {
    let mime = json::from_text(stored).map_err(corruption)?;
    match mime.get("type").and_then(Value::as_str) {
        Some(media_type) => Ok((media_type.to_owned(), mime)),
        None => Err(corruption("a file without a media type")),
    }
}

/// The class that a record defines. `None` if the record is no class definition, or its name is no UNS.
pub(super) fn defined_by(stack: &Map<String, Value>, bucket: &Map<String, Value>) -> Option<String> {
    if !stack::has_class(stack, uns::CLASS) {
        return None;
    }
    // An imported definition is stored as it came, so its name may have a protocol.
    uns::parse(bucket.get("name")?.as_str()?).ok().map(str::to_owned)
}

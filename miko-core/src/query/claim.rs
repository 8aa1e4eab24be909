//! The actions on claims: a caller claims a record, changes it, and finishes the claim, or releases it.

use std::time::Duration;

use serde_json::Value;

use crate::diagnostics::{Faults, Place, readers};
use crate::json;
use crate::query::edit::{Edit, read_edits};
use crate::query::request_keys::RequestKeys;
use crate::query::select::SelectRequest;

/// The longest lease and the longest wait, in seconds: a year of 366 days.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 60.0 * 60.0;

/// A request to claim the first record that a select finds and that is not claimed.
#[derive(Debug)]
pub(crate) struct ClaimRequest {
    pub(crate) select: SelectRequest,
    /// The select as JSON text. The calls that wait with the same text share one parsed select. A lasting
    /// claim stores the text.
    pub(crate) select_text: String,
    /// After this time the claim ends.
    pub(crate) lease: Duration,
    /// How long to wait for a record that can be claimed; zero, the default, to try only once.
    pub(crate) wait: Duration,
    /// Whether the claim outlives the connection that takes it. If not, it ends with the connection.
    pub(crate) is_lasting: bool,
}

/// A request to end a claim, with an effect on its record in the same commit.
#[derive(Debug)]
pub(crate) struct FinishRequest {
    /// The id of the claim, from the answer to `claim`.
    pub(crate) claim: String,
    pub(crate) effect: FinishEffect,
}

/// What finishing a claim does to the claimed record.
#[derive(Debug)]
pub(crate) enum FinishEffect {
    /// Writes nothing: the caller has changed the record before. The request is refused if the select of the
    /// claim still finds the record.
    None,
    Edit(Vec<Edit>),
    Delete,
}

/// A request to give up a claim.
#[derive(Debug)]
pub(crate) struct ReleaseRequest {
    /// The id of the claim, from the answer to `claim`.
    pub(crate) claim: String,
}

impl ClaimRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let select_json = keys.read_required("select", readers::object);
        let lease = keys.read_required("lease", read_lease);
        let wait = keys.read("wait", read_seconds);
        let is_lasting = keys.read("hold", read_hold).unwrap_or(false);
        // A missing select ends the reading only here: the faults of the other keys are reported as well.
        let select_json = select_json?;
        let select = SelectRequest::read_select_of_claim(&select_json, keys.faults);
        let select_text = json::text_of(&select_json);
        Some(Self { select, select_text, lease: lease?, wait: wait.unwrap_or_default(), is_lasting })
    }

    /// Parses the [text](Self::select_text) of a select that was valid when the claim was requested.
    ///
    /// # Errors
    /// If the text is not a JSON object.
    pub(crate) fn select_of_text(text: &str) -> serde_json::Result<SelectRequest> {
        let select_json = json::object_from_text(text)?;
        Ok(SelectRequest::read_select_of_claim(&select_json, &mut Faults::default()))
    }
}

impl FinishRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        let claim = keys.read_required("claim", readers::string);
        let edits = keys.read("edits", read_edits);
        let deletes = keys.read("delete", readers::boolean).unwrap_or(false);
        let effect = match (edits, deletes) {
            (Some(_), true) => {
                let message = "`edits` and `delete` are mutually exclusive: give only one of them";
                let fault = Place::Root.fault(message).with("fields", vec!["edits", "delete"]);
                return readers::refuse(keys.faults, fault);
            }
            (Some(edits), false) => FinishEffect::Edit(edits),
            (None, true) => FinishEffect::Delete,
            (None, false) => FinishEffect::None,
        };
        Some(Self { claim: claim?, effect })
    }
}

impl ReleaseRequest {
    pub(super) fn read(keys: &mut RequestKeys<'_>) -> Option<Self> {
        keys.refuse_transaction();
        Some(Self { claim: keys.read_required("claim", readers::string)? })
    }
}

/// Reads the key `lease`: more than 0 seconds. A time below a nanosecond becomes a nanosecond.
fn read_lease(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Duration> {
    if value.as_f64() == Some(0.0) {
        return readers::refuse(faults, place.wrong_value("a number of seconds above 0", 0));
    }
    Some(read_seconds(value, place, faults)?.max(Duration::from_nanos(1)))
}

/// Reads a number of seconds, which may have a fraction.
fn read_seconds(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Duration> {
    const EXPECTED: &str = "a number of seconds, from 0 to those of a year";
    let Some(seconds) = value.as_f64() else {
        return readers::refuse_type(faults, place, EXPECTED, &value);
    };
    if (0.0..=MAX_SECONDS).contains(&seconds) {
        return Some(Duration::from_secs_f64(seconds));
    }
    readers::refuse(faults, place.wrong_value(EXPECTED, value))
}

/// Reads the key `hold`. Returns whether the claim is lasting.
fn read_hold(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<bool> {
    match readers::string(value, place, faults)?.as_str() {
        "connection" => Some(false),
        "lease" => Some(true),
        other => readers::refuse(faults, place.wrong_value("`connection` or `lease`", other)),
    }
}

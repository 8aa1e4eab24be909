//! Where the text of a worldlet has the imported records, for the faults that are found after it was read.

use std::collections::HashMap;

use miko_rpc::ErrorItem;
use serde_json::Value;

use crate::diagnostics::Place;
use crate::json::pointer::PointerToken;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::worldlet::RecordForm;

/// The places of imported records. Most are under `records` in the exported form: only others are kept.
#[derive(Debug, Default)]
pub(super) struct ImportPlaces(HashMap<RowId, (Section, RecordForm)>);

/// The part of a worldlet that has an entry.
#[derive(Debug)]
enum Section {
    Records,
    History,
    /// `classes`, with the key of the definition.
    Classes(Box<str>),
}

impl ImportPlaces {
    /// Notes that the entry at `place` is the current state of a record.
    pub(super) fn note(&mut self, id: RowId, place: &Place<'_>, form: RecordForm) {
        let section = match place {
            Place::Key(Place::Key(Place::Root, "history"), _) => Section::History,
            Place::Key(Place::Key(Place::Root, "classes"), key) => Section::Classes((*key).into()),
            _ if form == RecordForm::EXPORTED => {
                self.0.remove(&id);
                return;
            }
            _ => Section::Records,
        };
        self.0.insert(id, (section, form));
    }

    /// Whether the current state of a record is from the history.
    pub(super) fn is_version(&self, id: RowId) -> bool {
        matches!(self.0.get(&id), Some((Section::History, _)))
    }

    /// The fault with its pointer in the worldlet, in place of that in the record.
    pub(super) fn locate(&self, id: RowId, row: &Row, fault: ErrorItem) -> ErrorItem {
        let found = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
        let (section, form) = match self.0.get(&id) {
            Some((section, form)) => (section, *form),
            None => (&Section::Records, RecordForm::EXPORTED),
        };
        let (section, key) = match section {
            Section::Records => ("records", row.pk.as_str()),
            Section::History => ("history", row.instance_pk.as_deref().unwrap_or_default()),
            Section::Classes(key) => ("classes", &**key),
        };
        let pointer = format!("/{section}{}{}", PointerToken(key), form.pointer(found));
        fault.with("pointer", pointer)
    }
}

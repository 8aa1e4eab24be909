//! The places of imported records in the text of a worldlet, for faults that are found after the text was
//! read.
//!
//! An entry of a worldlet spells its record in one of several forms. The [`RecordForm`] of an entry
//! translates a place in the record to a place in the entry.

use std::collections::HashMap;

use miko_rpc::ErrorItem;
use serde_json::Value;

use crate::diagnostics::Place;
use crate::json::pointer::PointerToken;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::worldlet::RecordForm;

/// The places of imported records.
///
/// To save memory, a record at the usual place is not noted. The usual place is an entry in the exported
/// form: under `records`, or in a temporal database under `history`.
#[derive(Debug)]
pub(super) struct ImportPlaces {
    is_temporal: bool,
    /// The records that are not at their usual place: the section of each, and the index of its form in
    /// `forms`.
    unusual: HashMap<RowId, (Section, u8)>,
    /// The forms that occur, of which there are only a few.
    forms: Vec<RecordForm>,
    /// The keys of the definitions under `classes`. They may be spelled with a protocol.
    class_keys: HashMap<RowId, Box<str>>,
}

/// The index of the exported form in [`ImportPlaces::forms`].
const EXPORTED_FORM: u8 = 0;

/// In which top-level object of the worldlet an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Records,
    History,
    Classes,
}

impl ImportPlaces {
    pub(super) fn new(is_temporal: bool) -> Self {
        let (unusual, class_keys) = (HashMap::new(), HashMap::new());
        Self { is_temporal, unusual, forms: vec![RecordForm::EXPORTED], class_keys }
    }

    /// Notes that the entry at `place` has the current state of a record. A later call for the same record,
    /// as for a later version of it, replaces the place that was noted before.
    pub(super) fn note(&mut self, id: RowId, place: &Place<'_>, form: RecordForm) {
        let section = match place {
            Place::Key(Place::Key(Place::Root, "history"), _) => Section::History,
            Place::Key(Place::Key(Place::Root, "classes"), key) => {
                self.class_keys.insert(id, (*key).into());
                Section::Classes
            }
            _ => Section::Records,
        };
        let form_index = self.forms.iter().position(|earlier| *earlier == form).unwrap_or_else(|| {
            self.forms.push(form);
            self.forms.len() - 1
        });
        // The conversion does not fail: there are fewer forms than values of `u8`.
        let noted = (section, u8::try_from(form_index).unwrap_or_default());
        let usual = (if self.is_temporal { Section::History } else { Section::Records }, EXPORTED_FORM);
        if noted == usual {
            self.unusual.remove(&id);
        } else {
            self.unusual.insert(id, noted);
        }
    }

    /// Whether the current state of a record is from the history of the worldlet.
    pub(super) fn is_from_history(&self, id: RowId, row: &Row) -> bool {
        self.section_and_form(id, row).0 == Section::History
    }

    /// The section and the form of the entry of a record. In a temporal database, a row without an instance
    /// pk is a stub, which is under `records` and was not noted.
    fn section_and_form(&self, id: RowId, row: &Row) -> (Section, RecordForm) {
        match self.unusual.get(&id) {
            Some(&(section, form_index)) => (section, self.forms[usize::from(form_index)]),
            None if self.is_temporal && row.instance_pk.is_some() => (Section::History, RecordForm::EXPORTED),
            None => (Section::Records, RecordForm::EXPORTED),
        }
    }

    /// The fault of a record, with its pointer into the record replaced by one into the worldlet.
    pub(super) fn locate(&self, id: RowId, row: &Row, fault: ErrorItem) -> ErrorItem {
        let pointer_in_record = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
        let (section, form) = self.section_and_form(id, row);
        let class_key = self.class_keys.get(&id).map_or("", |key| key);
        let (section, key) = match section {
            Section::Records => ("records", row.pk.as_str()),
            Section::History => ("history", row.instance_pk.as_deref().unwrap_or_default()),
            Section::Classes => ("classes", class_key),
        };
        let pointer = format!("/{section}{}{}", PointerToken(key), form.translate(pointer_in_record));
        fault.with("pointer", pointer)
    }
}

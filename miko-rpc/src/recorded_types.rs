//! The assertion of the generated test `types_are_as_recorded`.

use std::{env, fs};

use miko_surface::{Change, Surface};

/// The environment variable with which the test writes the record instead of comparing it.
const RECORD_VARIABLE: &str = "MIKOBASE_RECORD";

/// Compares the schemas of `surface` with those in the recorded surface at `path`, or writes them if
/// `MIKOBASE_RECORD` is `1`. Generated code calls it in a test.
///
/// # Panics
/// If they differ, with the methods and the places; if the record is missing or not valid, describes no types
/// of a method, or cannot be written.
pub fn assert_types_as_recorded(surface: &Surface, path: &str) {
    let json = fs::read_to_string(path)
        .unwrap_or_else(|fault| panic!("the recorded surface `{path}` cannot be read: {fault}"));
    let mut record = Surface::from_json(&json)
        .unwrap_or_else(|fault| panic!("the recorded surface `{path}` is not valid: {fault}"));
    let own = surface.restricted_to(&record).recorded();
    if env::var_os(RECORD_VARIABLE).is_some_and(|value| value == "1") {
        record.schemas = own.schemas;
        let new = record.to_json();
        if new != json {
            fs::write(path, new)
                .unwrap_or_else(|fault| panic!("the recorded surface `{path}` cannot be written: {fault}"));
        }
        return;
    }
    let advice = format!("If that is intended, record it: run this test once with `{RECORD_VARIABLE}=1`");
    assert!(record.schemas.is_some(), "the record `{path}` describes no types. {advice}");
    let methods = own.methods.iter().map(|method| &*method.name).filter(|method| own.describes(method));
    let unrecorded: Vec<&str> = methods.filter(|method| !record.describes(method)).collect();
    assert!(
        unrecorded.is_empty(),
        "the record `{path}` does not describe the types of {}. {advice}",
        unrecorded.join(", ")
    );
    let changes = own.changes_since(&record);
    let changes: Vec<String> =
        changes.iter().filter(|change| is_of_types(change)).map(ToString::to_string).collect();
    assert!(
        changes.is_empty(),
        "the types differ from the recorded surface. {advice}\n{}",
        changes.join("\n")
    );
}

/// Whether it is a change of the shape of a type. The others are compared while compiling.
fn is_of_types(change: &Change) -> bool {
    matches!(change, Change::Reshaped { .. })
}

//! Entries of a worldlet that are imported as text have the effect of the same entries in another form.

use miko_core::json;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::support::{Local, cases, export, non_temporal};

const CLASS: &str = "a.b/thing";

/// The text of a worldlet: compact and with a line per entry, as an export, whose entries are imported as
/// text; or with white space, so that its entries are parsed. The pks begin with `0`.
fn text_of(worldlet: &Value, is_compact: bool) -> String {
    if !is_compact {
        return serde_json::to_string_pretty(worldlet).unwrap();
    }
    worldlet.to_string().replace("},\"0", "},\n\"0")
}

fn definition() -> Value {
    let fields = json!({
        "n": {"class": "number", "index": true, "max": 90, "default": 3},
        "s": {"class": "string", "collapse": true, "unique": true},
    });
    json!({"bucket": {"name": CLASS, "fields": fields, "misc_fields": true},
           "stack": {"shadow": {}, "class": {"class": "puck.uno/class"}}})
}

fn record() -> impl Strategy<Value = Value> {
    let stack = prop::sample::select(vec![
        json!({"shadow": {}, "thing": {"class": CLASS}}),
        json!({"shadow": {}, "other": {"class": "a.b/other"}}),
        json!({"shadow": {"x": 1}, "thing": {"class": CLASS, "y": "é"}}),
        json!({"shadow": {}, "thing": {"class": CLASS}, "other": {"class": "a.b/other"}}),
        json!({"shadow": {}, "thing": {"class": CLASS, "bucket": {"n": 4}}}),
        json!({"thing": {"class": format!("https://{CLASS}")}}),
        json!({}),
    ]);
    let time = prop::sample::select(vec![
        json!("2026-11-28T18:45:00.123Z"),
        json!("2026-11-28T18:45:00Z"),
        json!("2026-11-28T19:45:00.100+01:00"),
        json!("yesterday"),
        json!(null),
    ]);
    let bucket = (0_u64..100, 0_u64..30, any::<bool>()).prop_map(|(n, s, is_spaced)| {
        json!({"s": if is_spaced { format!(" {s}  é") } else { format!("{s}\"\n") }, "n": n})
    });
    let extras = prop::option::weighted(0.1, Just(json!("a comment")));
    (bucket, stack, prop::option::weighted(0.9, time), extras).prop_map(|(bucket, stack, time, comment)| {
        let mut record = json!({"bucket": bucket, "stack": stack});
        if let Some(time) = time {
            record["created_at"] = time;
        }
        if let Some(comment) = comment {
            record["comment"] = comment;
        }
        record
    })
}

/// The outcome of an import: the exported worldlet without the times that the import has set, or the error.
fn outcome(db: &Local, text: &str, trust: bool) -> Result<(Value, Value), Value> {
    let imported = db.read_worldlet(&mut text.as_bytes(), trust).map_err(|error| json!(error))?;
    let mut worldlet: Value = serde_json::from_str(&export(db)).unwrap();
    for (_, record) in worldlet["records"].as_object_mut().unwrap() {
        record
            .as_object_mut()
            .unwrap()
            .retain(|key, value| !key.ends_with("_at") || value == "2026-11-28T18:45:00.123Z");
    }
    Ok((worldlet, json!(imported)))
}

/// Parts of a text that are replaced.
fn replacements() -> impl Strategy<Value = Vec<(prop::sample::Index, String)>> {
    prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}\",:\\\\0a.\n -]{0,2}"), 1..3)
}

fn worldlet(records: Vec<Value>) -> Value {
    let entries = records.into_iter().enumerate().map(|(index, record)| (format!("0{index}"), record));
    json!({"format": "worldlet/1.0", "records": entries.collect::<Map<_, _>>()})
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_entry_in_the_form_of_an_export_is_imported_as_in_any_other(
        records in prop::collection::vec(record(), 1..8),
        second_import in prop::collection::vec(record(), 0..4),
        defined_at in 0_usize..4,
        trust in any::<bool>(),
    ) {
        let mut records = records;
        records.insert(defined_at.min(records.len()), definition());
        let (as_text, as_values) = (non_temporal(), non_temporal());
        for worldlet in [worldlet(records), worldlet(second_import)] {
            let tested = outcome(&as_text, &text_of(&worldlet, true), trust);
            let expected = outcome(&as_values, &text_of(&worldlet, false), trust);
            prop_assert_eq!(tested, expected);
        }
    }

    #[test]
    fn a_mutated_text_is_read_or_refused_as_serde_json_does(
        records in prop::collection::vec(record(), 2..6),
        replacements in replacements(),
    ) {
        let mut text: Vec<char> = text_of(&worldlet(records), true).chars().collect();
        for (index, replacement) in replacements {
            let index = index.index(text.len());
            text.splice(index..=index, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        let tested = outcome(&non_temporal(), &text, false);
        match (serde_json::from_reader::<_, IgnoredAny>(text.as_bytes()), json::parse(&text)) {
            // Text that does not begin an object is refused at its first character.
            (Err(_), _) if !text.trim_start().starts_with('{') => prop_assert!(tested.is_err(), "{text}"),
            (Err(fault), _) => {
                let error = tested.unwrap_err();
                let details = &error[0]["details"];
                // `serde_json` reports a fault one column later if it reads the string than if it ignores it.
                let column = details["column"].as_u64().unwrap().abs_diff(fault.column() as u64);
                prop_assert!(details["line"] == fault.line() && column <= 1, "{fault}: {error}\n{text}");
            }
            (Ok(_), Ok(value)) if value.is_object() => {
                prop_assert_eq!(tested, outcome(&non_temporal(), &text_of(&value, false), false), "{}", text);
            }
            // Only this crate refuses duplicate keys and numbers that would lose digits.
            _ => {}
        }
    }
}

/// A record of a class that is not defined.
fn other(bucket: Value) -> Value {
    json!({"bucket": bucket, "stack": {"shadow": {}, "other": {"class": "a.b/other"}}})
}

#[test]
fn a_worldlet_that_is_larger_than_the_read_buffer_is_imported() {
    let db = non_temporal();
    let mut records: Vec<Value> =
        (0..3000).map(|n| other(json!({"s": "é🖖".repeat(n % 40), "n": n}))).collect();
    records[1500]["bucket"]["s"] = "x".repeat(300 << 10).into();
    let worldlet = worldlet(records);
    let imported = db.read_worldlet(&mut text_of(&worldlet, true).as_bytes(), false).unwrap();
    assert_eq!(imported.records, 3000);
    let exported: Value = serde_json::from_str(&export(&db)).unwrap();
    for (pk, record) in worldlet["records"].as_object().unwrap() {
        assert_eq!(exported["records"][pk]["bucket"], record["bucket"]);
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_line() {
    let records = (0..10)
        .map(|n| json!({"bucket": {"n": n}, "stack": {"shadow": {}, "other": {"class": "a.b/other"}}}));
    let mut text = text_of(&worldlet(records.collect()), true).into_bytes();
    let start = text.windows(5).position(|part| part == b"\"n\":7").unwrap();
    // In place of the digit 7.
    text[start + 4] = 0xff;
    let expected = serde_json::from_reader::<_, Value>(&text[..]).unwrap_err();
    let error = non_temporal().read_worldlet(&mut &text[..], false).unwrap_err();
    assert_eq!(error.items()[0].details["line"], expected.line(), "{error}");
    assert_eq!(error.items()[0].details["column"], expected.column(), "{error}");
}

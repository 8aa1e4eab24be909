//! Every example in the page about Q0 has the documented result.

use std::fmt::Write;
use std::fs;

use miko_core::{Error, ErrorItem, Record, Response, Results};
use serde_json::{Value, json};

use crate::support::{Local, non_temporal, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/q0.md");

/// A database with the records of the page, each a line of JSON; and their names with their pks.
fn crew(page: &str) -> (Local, Vec<(String, String)>) {
    let db = non_temporal();
    let classes = json!({
        "starfleet.com/officer": {"fields": {}, "misc_fields": true},
        "starfleet.com/doctor": {"fields": {}, "misc_fields": true, "inherits": ["starfleet.com/officer"]},
        "starfleet.com/ship": {"fields": {"registry": {"unique": true}}, "misc_fields": true},
    });
    db.import_schema(json!({ "classes": classes })).unwrap();
    let (_, records) = page.split_once("```jsonl\n").unwrap();
    let create = |line| {
        let mut create: Value = serde_json::from_str(line).unwrap();
        create["action"] = "create".into();
        let name = create["bucket"]["name"].as_str().unwrap().to_owned();
        (name, run(&db, create))
    };
    let pks = records.lines().take_while(|line| *line != "```").map(create).collect();
    (db, pks)
}

/// The result in the form of the page.
fn rendered(answer: &Result<Response, Error>) -> String {
    match answer {
        Ok(response) => {
            let mut rendered = match &response.results {
                Results::Records(records) => names(records.iter()),
                Results::Versions(versions) => format!("{} versions", versions.len()),
                Results::Written { .. } => "written".to_owned(),
                Results::Edited { values, .. } => format!("values {}", Value::from(values.clone())),
                Results::Upserted { created: true, .. } => "created".to_owned(),
                Results::Upserted { values, .. } => format!("values {}", Value::from(values.clone())),
                Results::Claimed(Some(claimed)) => {
                    let name = claimed.record.bucket.get("name").unwrap().unwrap();
                    format!("claimed {}, attempt {}", name.as_str().unwrap(), claimed.attempts)
                }
                Results::Changed { count, .. } => format!("{count} changed"),
                Results::Deleted { deleted: true, .. } => "deleted".to_owned(),
                Results::Deleted { deleted: false, .. } => "nothing to delete".to_owned(),
                other => panic!("the page does not say how {other:?} is shown"),
            };
            response
                .warnings
                .iter()
                .for_each(|item| write!(rendered, "; {}: {}", item.id, item.message()).unwrap());
            rendered
        }
        Err(error) => error.items().iter().map(fault).collect::<Vec<_>>().join("\n> "),
    }
}

fn fault(item: &ErrorItem) -> String {
    let place = match item.details.get("pointer").and_then(Value::as_str) {
        None => String::new(),
        Some("") => " at the request".to_owned(),
        Some(pointer) => format!(" at {pointer}"),
    };
    format!("{}{place}: {}", item.id, item.message())
}

/// The names of the records. Definitions, which are records too, are left out.
fn names<'r>(records: impl Iterator<Item = &'r Record>) -> String {
    let crew = records.filter(|record| record.class().unwrap() != "puck.uno/class");
    let names: Vec<String> =
        crew.map(|record| record.bucket.get("name").unwrap().unwrap().as_str().unwrap().to_owned()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[test]
fn every_example_has_the_documented_result() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (db, pks) = crew(&page);
    let examples: Vec<&str> = page.split("```json\n").skip(1).collect();
    assert!(examples.len() > 30);
    for example in examples {
        let (request, rest) =
            example.split_once("\n```\n> ").expect("each request is followed by its answer");
        let (answer, _) = rest.split_once("\n\n").unwrap_or((rest.trim_end(), ""));
        let named = pks
            .iter()
            .fold(request.to_owned(), |request, (name, pk)| request.replace(&format!("${name}"), pk));
        let query: Value = serde_json::from_str(&named).unwrap_or_else(|fault| panic!("{request}: {fault}"));
        assert_eq!(rendered(&db.q0(query)), answer, "{request}");
    }
}

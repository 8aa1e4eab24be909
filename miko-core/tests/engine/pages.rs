//! Every example in the pages about records, classes and history has the documented result.

use std::fs;

use miko_core::json::Object;
use miko_core::{Error, ErrorItem, Response, Results, Timestamp};
use serde_json::Value;

use crate::support::{Local, non_temporal, temporal};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// The result in the form of the page.
fn rendered(answer: &Result<Response, Error>) -> String {
    let lines: Vec<String> = match answer {
        Err(error) => error.items().iter().map(fault).collect(),
        Ok(response) => match &response.results {
            Results::Records(records) => records.iter().map(|record| record.bucket.to_string()).collect(),
            Results::Versions(versions) => {
                let bucket =
                    |bucket: &Option<Object>| bucket.as_ref().map_or("deleted".to_owned(), Object::to_string);
                versions.iter().map(|version| bucket(&version.bucket)).collect()
            }
            Results::Written { .. } => vec!["written".to_owned()],
            Results::Deleted { .. } => vec!["deleted".to_owned()],
            other => panic!("no page says how {other:?} is shown"),
        },
    };
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n> ") }
}

fn fault(item: &ErrorItem) -> String {
    let place = item.details.get("pointer").and_then(Value::as_str).map(|pointer| format!(" at {pointer}"));
    format!("{}{}: {}", item.id, place.unwrap_or_default(), item.message())
}

/// Runs the examples of a page, of which there must be at least `min`.
fn check(name: &str, db: &Local, min: usize) {
    let page = fs::read_to_string(format!("{DOCS}/{name}")).unwrap();
    let examples: Vec<&str> = page.split("```json\n").skip(1).collect();
    assert!(examples.len() >= min, "{} examples", examples.len());
    let mut pks: Vec<String> = Vec::new();
    for example in examples {
        let (request, rest) =
            example.split_once("\n```\n> ").expect("each request is followed by its answer");
        let (expected, _) = rest.split_once("\n\n").unwrap_or((rest.trim_end(), ""));
        // `$1` is the pk of the first record that the page has created.
        let named = pks.iter().enumerate().fold(request.to_owned(), |request, (index, pk)| {
            request.replace(&format!("\"${}\"", index + 1), &format!("\"{pk}\""))
        });
        // Writes in quick succession get times in the future.
        let now = Timestamp::from_millis(Timestamp::now().as_millis() + 1000);
        let query: Value = serde_json::from_str(&named.replace("$now", &now.to_string())).unwrap();
        let creates = query["action"] == "create";
        let answer = db.q0(query);
        assert_eq!(rendered(&answer), expected, "{request}");
        if let Ok(Response { results: Results::Written { pk, .. }, .. }) = answer
            && creates
        {
            pks.push(pk);
        }
    }
}

#[test]
fn examples_about_classes_have_the_documented_results() {
    check("classes.md", &non_temporal(), 20);
}

#[test]
fn examples_about_history_have_the_documented_results() {
    check("history.md", &temporal(), 8);
}

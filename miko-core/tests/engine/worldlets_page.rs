//! Every example in the page about worldlets has the documented result, and is exported as it was imported.

use std::fs;

use crate::support::{export, non_temporal};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/worldlets.md");

#[test]
fn every_example_has_the_documented_result() {
    let page = fs::read_to_string(PAGE).unwrap();
    let examples: Vec<&str> = page.split("```json\n").skip(1).collect();
    assert!(examples.len() >= 4);
    for example in examples {
        let (worldlet, rest) =
            example.split_once("\n```\n> ").expect("each worldlet is followed by its outcome");
        let (outcome, _) = rest.split_once("\n\n").unwrap();
        let db = non_temporal();
        let result = match db.read_worldlet(&mut worldlet.as_bytes(), false) {
            Ok(imported) if imported.records == 1 => "1 record".to_owned(),
            Ok(imported) => format!("{} records", imported.records),
            Err(error) => {
                let fault = |item: &miko_core::ErrorItem| {
                    format!("{}: {}", item.details["pointer"].as_str().unwrap(), item.message())
                };
                error.items().iter().map(fault).collect::<Vec<_>>().join("\n> ")
            }
        };
        assert_eq!(result, outcome, "{worldlet}");
        let exported = export(&db);
        let copy = non_temporal();
        copy.read_worldlet(&mut exported.as_bytes(), false).unwrap();
        assert_eq!(export(&copy), exported);
    }
}

//! The page that lists the errors is made from their one definition.

use std::fmt::Write;
use std::fs;

use miko_core::ERROR_IDS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

/// Writes the page anew instead of comparing it, when set.
const RECORD: &str = "MIKOBASE_RECORD";

fn page() -> String {
    let mut page = "# Errors and warnings\n\n\
        Made from `miko-core/src/error/ids.rs` by `MIKOBASE_RECORD=1 cargo test -p miko-core --test engine errors_page`.\n\n\
        An error is `{\"id\": …, \"details\": {…}}`. The id is a fixed word that programs compare; among the details, `message` is a\n\
        sentence for people, and the others name the place, the rule, what was found and what is allowed.\n\n\
        | id | meaning | an example |\n| --- | --- | --- |\n"
        .to_owned();
    for doc in ERROR_IDS {
        let in_code = |text: &str| if text.contains('`') { text.to_owned() } else { format!("`{text}`") };
        let example =
            if doc.example.starts_with('{') { in_code(doc.example) } else { doc.example.to_owned() };
        writeln!(page, "| `{}` | {} | {example} |", doc.id, doc.meaning).unwrap();
    }
    page
}

#[test]
fn the_page_lists_what_the_code_defines() {
    if std::env::var_os(RECORD).is_some() {
        fs::write(PAGE, page()).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap();
    assert_eq!(written, page(), "the definitions have changed: run the command that the page names");
}

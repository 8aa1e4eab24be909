//! Generates the page about errors from their definitions, and compares it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use miko_core::ERROR_IDS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

/// If this variable is set, the page is written instead of compared.
const RECORD: &str = "MIKOBASE_RECORD";

fn page() -> String {
    let mut page = "# Errors and warnings\n\n\
        Made from `miko-rpc/src/error/ids.rs` by\n\
        `MIKOBASE_RECORD=1 cargo test -p miko-core --test engine errors_page`.\n\n\
        An error is `{\"id\": …, \"details\": {…}}`. The id is a fixed word that programs compare. \
        Among the\ndetails, `message` is a sentence for people; the others name the place, \
        the violated rule, the found\nand the allowed value.\n\n\
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

/// The sources of all tests, in test files and in the modules of the code.
fn tests() -> String {
    fn read(folder: &Path, texts: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, texts);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && !path.ends_with("errors_page.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                let is_test = path.components().any(|part| part.as_os_str() == "tests");
                texts.push_str(if is_test {
                    &text
                } else {
                    text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests)
                });
            }
        }
    }
    let mut texts = String::new();
    for folder in ["tests", "miko-core/tests", "miko-core/src", "miko-rpc/src", "miko-shared/src", "src"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut texts);
    }
    texts
}

#[test]
fn every_id_is_provoked_by_a_test() {
    let tests = tests();
    // By its constant, as a string, or in the text of an error.
    let is_expected = |id: &str| {
        let constant = format!("ErrorId::{}", id.replace('-', "_").to_uppercase());
        [constant, format!("\"{id}\""), format!("{id}: ")].iter().any(|name| tests.contains(name))
    };
    let untested: Vec<&str> =
        ERROR_IDS.iter().map(|doc| doc.id.as_str()).filter(|id| !is_expected(id)).collect();
    assert_eq!(untested, [] as [&str; 0]);
}

#[test]
fn the_page_lists_what_the_code_defines() {
    if std::env::var_os(RECORD).is_some() {
        fs::write(PAGE, page()).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap();
    assert_eq!(written, page(), "the definitions have changed: run the command that the page names");
}

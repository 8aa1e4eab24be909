//! Generates the page about the mistakes from the fixtures, and compares it.
//!
//! `MIKOBASE_RECORD=1 cargo test --test interface mistakes_page` writes the page.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::mistakes::{FIXTURES, entries};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interface-mistakes.md");

/// The themes, each with a folder of fixtures, in the order of the page.
const THEMES: &[(&str, &str)] = &[
    ("the_trait", "The trait itself must be one that both sides see alike, and that a proxy can implement."),
    ("methods", "A remote method is a plain, blocking method of a shared object."),
    (
        "arguments",
        "Arguments are sent by value, under their names. `&str`, `&[T]` and `&T` are allowed: \
         the referenced\nvalue is sent.",
    ),
    ("results", "A call can fail in transport, so every remote method returns a `Result`."),
    (
        "types",
        "Some rules can only be checked by the type checker. The first of its messages names method and \
         argument.",
    ),
    (
        "attributes",
        "The arguments of `#[interface(…)]` and `#[mikobase_interface(…)]` must be known and consistent.",
    ),
    (
        "surface",
        "With `surface = \"…\"` the trait is compared with a recorded file. The documentation of the\n\
         attribute describes the messages for changes of the trait.",
    ),
    ("together", "All mistakes are reported in one go."),
];

#[test]
fn the_mistakes_page_shows_every_fixture() {
    let page = page();
    if env::var_os("MIKOBASE_RECORD").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    assert!(
        fs::read_to_string(PAGE).unwrap() == page,
        "the fixtures have changed: run the command that the page names"
    );
}

fn page() -> String {
    let mut page = "# What `#[mikobase_interface]` refuses, and why\n\n\
        Made from `tests/interface/mistakes/` by \
        `MIKOBASE_RECORD=1 cargo test --test interface mistakes_page`.\n\n\
        An interface is one object in a server process, which other processes call by messages: this is the\n\
        reason for each rule. All mistakes of a trait are reported together, each at its place. \
        The trait is\nstill emitted, so that the rest of the program compiles as before.\n"
        .to_owned();
    let mut themes: Vec<PathBuf> = entries(Path::new(FIXTURES));
    for (theme, introduction) in THEMES {
        let folder = Path::new(FIXTURES).join(theme);
        themes.retain(|other| *other != folder);
        writeln!(page, "\n## {}\n\n{introduction}", title(theme)).unwrap();
        for fixture in entries(&folder).iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        {
            write_fixture(&mut page, fixture);
        }
    }
    assert!(themes.is_empty(), "{themes:?} are in no theme of the page");
    page
}

fn write_fixture(page: &mut String, fixture: &Path) {
    let name = fixture.file_stem().unwrap().to_str().unwrap();
    let code = fs::read_to_string(fixture).unwrap();
    let message = fs::read_to_string(fixture.with_extension("stderr")).unwrap();
    let message = message.trim_end();
    let (why, code) = code.split_once("\n\n").unwrap();
    let why = why.trim_start_matches("//! ");
    let code = code.trim_end().trim_end_matches("fn main() {}").trim_end();
    writeln!(page, "\n### {}\n\n{why}\n\n```rust\n{code}\n```\n\n```text\n{message}\n```", title(name))
        .unwrap();
}

/// `a_generic_trait` as `A generic trait`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    words[..1].to_uppercase() + &words[1..]
}

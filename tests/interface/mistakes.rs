//! What the attribute says to a trait that breaks its rules: a fixture per mistake, beside its message.
//!
//! The fixtures are the programs of one package, which is built with the dependencies of this test. Recorded
//! anew by `MIKOBASE_RECORD=1 cargo test --workspace --test interface every_mistake`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

use crate::cargo::printed;
use crate::library::outside;

/// The fixtures of each theme, by its folder.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mistakes");

/// Of these the compiler says several things about one mistake, with notes on its own. The first is compared.
const CHECKED_BY_TYPE: &str = "types";

#[test]
fn every_mistake_has_its_message() {
    let fixtures = fixtures();
    let messages = messages(&fixtures);
    let accepted: Vec<_> = fixtures.keys().filter(|program| !messages.contains_key(*program)).collect();
    assert!(accepted.is_empty(), "the compiler accepts these programs: {accepted:?}");
    let mut wrong = String::new();
    for (program, path) in &fixtures {
        let recorded = path.with_extension("stderr");
        let message = &messages[program];
        if env::var_os("MIKOBASE_RECORD").is_some() {
            fs::write(&recorded, message).unwrap();
        } else if fs::read_to_string(&recorded).ok().as_ref() != Some(message) {
            write!(wrong, "\n{}:\n{message}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "other messages than recorded:\n{wrong}");
}

/// The fixtures, by the name of their program.
fn fixtures() -> BTreeMap<String, PathBuf> {
    let themes = entries(Path::new(FIXTURES));
    let files = themes.iter().flat_map(|theme| entries(theme));
    let fixtures = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let fixtures: BTreeMap<_, _> = fixtures.map(|path| (program_of(&path), path)).collect();
    assert!(fixtures.len() >= 50, "the fixtures are found");
    fixtures
}

fn program_of(fixture: &Path) -> String {
    format!("{}-{}", theme_of(fixture), fixture.file_stem().unwrap().to_str().unwrap())
}

fn theme_of(fixture: &Path) -> &str {
    fixture.parent().unwrap().file_name().unwrap().to_str().unwrap()
}

/// The files and folders in a folder, sorted.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What the compiler says of each program.
fn messages(fixtures: &BTreeMap<String, PathBuf>) -> BTreeMap<String, String> {
    let package = outside("mistakes", "2024");
    package.add("mistakes", Path::new(FIXTURES));
    let mut manifest = package.read("Cargo.toml");
    for (program, path) in fixtures {
        let path = Path::new("mistakes").join(path.strip_prefix(FIXTURES).unwrap());
        write!(manifest, "\n[[bin]]\nname = \"{program}\"\npath = {path:?}\n").unwrap();
    }
    fs::write(package.path("Cargo.toml"), manifest).unwrap();
    let output = package.cargo(&["build", "--bins", "--keep-going", "--message-format=json"]);
    let mut messages = BTreeMap::<String, String>::new();
    for line in String::from_utf8(output.stdout.clone()).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (Some(program), diagnostic) = (line["target"]["name"].as_str(), &line["message"]) else {
            continue;
        };
        // A summary has no place in the code.
        let is_error = diagnostic["level"] == "error" && diagnostic["spans"] != serde_json::json!([]);
        let seen = messages.get(program);
        if !is_error || seen.is_some() && program.starts_with(CHECKED_BY_TYPE) {
            continue;
        }
        let separator = if seen.is_some() { "\n" } else { "" };
        let rendered = diagnostic["rendered"].as_str().unwrap().trim_end();
        let message = messages.entry(program.to_owned()).or_default();
        writeln!(message, "{separator}{rendered}").unwrap();
    }
    let has_others = messages.keys().any(|program| !fixtures.contains_key(program));
    assert!(!messages.is_empty() && !has_others, "{messages:?}\n{}", printed(&output));
    messages
}

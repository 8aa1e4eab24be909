//! Traits that the attribute accepts under the strictest conditions: names that generated code uses, traits
//! that macros wrote, no prelude, forbidden lints, both editions, and a renamed dependency. The packages
//! depend on `mikobase` alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::{built, printed};
use crate::library::outside;
use crate::mistakes::entries;

/// The programs; each fails if a result is wrong.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/strict");

#[test]
fn strict_programs_compile_in_each_edition_and_run() {
    for edition in ["2021", "2024"] {
        let package = outside(&format!("strict_{edition}"), edition);
        package.add("src/bin", Path::new(PROGRAMS));
        let output = package.cargo(&["build", "--bins", "--keep-going"]);
        assert!(output.status.success(), "{}", printed(&output));
        for program in entries(Path::new(PROGRAMS)) {
            let name = program.file_stem().unwrap().to_str().unwrap();
            let output = Command::new(built(name)).output().unwrap();
            assert!(output.status.success(), "{name}, edition {edition}: {output:?}");
        }
    }
}

#[test]
fn a_renamed_dependency_is_asked_for_by_name() {
    let package = outside("renamed", "2021");
    package.edit("Cargo.toml", "mikobase = { path", "base = { package = \"mikobase\", path");
    fs::create_dir(package.path("src")).unwrap();
    let program = "#[base::mikobase_interface(crate = ::base)]\n\
                   trait Counter {\n    fn get(&self) -> base::Result<u64>;\n}\n\n\
                   fn main() {\n    let _ = counter_rpc::COUNTER_SURFACE;\n}\n";
    fs::write(package.path("src/main.rs"), program).unwrap();
    let output = package.cargo(&["build"]);
    assert!(output.status.success(), "{}", printed(&output));
}

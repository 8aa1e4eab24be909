//! A method added to the trait `Mikobase` reaches the server, the proxy, the JSON dispatch and `miko call` with no edit
//! but its implementation in the engine, and forgetting that is a compile error.
//!
//! It is tried on a copy of the workspace, built with the dependencies that are built already.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const ADDED_TO_THE_TRAIT: &str = "
    /// The stardate of a year.
    #[interface(read)]
    fn stardate(&self, year: u64) -> Result<u64>;
";

const ADDED_TO_THE_ENGINE: &str = "
    fn stardate(&self, year: u64) -> Result<u64> {
        Ok((year - 2323) * 1000)
    }
";

/// A worker calls the new method through its proxy, and `miko call` through the socket.
const PROGRAM: &str = r##"
    use mikobase::prelude::*;
    fn main() {
        let uds = Uds::new().unwrap();
        let report = uds.mikobase(1, |db, _| {
            let by_proxy = db.stardate(2364)?;
            let by_command = std::process::Command::new(std::env::args().nth(1).unwrap())
                .args(["call", "stardate", r#"{"year": 2364}"#])
                .env("MIKOBASE_SOCKET", uds.path())
                .env("MIKOBASE_TOKEN", uds.token().to_hex())
                .output()?;
            Ok(format!("{by_proxy} {}", String::from_utf8(by_command.stdout)?.trim()))
        });
        println!("{}", report.unwrap().into_returned().unwrap()[0]);
    }
"##;

#[test]
fn a_new_method_needs_nothing_but_its_implementation() {
    let workspace = Copy::new();
    workspace.insert("miko-core/src/mikobase.rs", "pub trait Mikobase: Send + Sync {", ADDED_TO_THE_TRAIT);
    let forgotten = workspace.cargo(&["check", "-p", "miko-core", "--features", "rpc"]);
    let message = String::from_utf8_lossy(&forgotten.stderr).into_owned();
    assert!(!forgotten.status.success());
    assert!(message.contains("missing: `stardate`") && message.contains("SqliteEngine"), "{message}");

    workspace.insert(
        "miko-core/src/engine/sqlite.rs",
        "impl Mikobase for SqliteEngine {",
        ADDED_TO_THE_ENGINE,
    );
    fs::create_dir(workspace.path("examples")).unwrap();
    fs::write(workspace.path("examples/grown.rs"), PROGRAM).unwrap();
    let built = workspace.cargo(&["build", "--bin", "miko-grown", "--example", "grown"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let debug = target_directory().join("debug");
    let output = Command::new(debug.join("examples/grown")).arg(debug.join("miko-grown")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "41000 41000\n", "{output:?}");
}

/// A copy of the sources that are needed for the library and the command.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let original = Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["Cargo.lock", "README.md", "src", "schema", "miko-core", "miko-macros", "miko-shared"] {
            copy_all(&original.join(name), &copy.path(name));
        }
        // Tests and benchmarks are left out. The command gets a name of its own, so as not to replace ours.
        let manifest = fs::read_to_string(original.join("Cargo.toml")).unwrap();
        let targets = manifest.find("\n[[").unwrap();
        let lints = manifest.rfind("\n[lints]").unwrap();
        fs::write(copy.path("Cargo.toml"), format!("{}{}", &manifest[..targets], &manifest[lints..]))
            .unwrap();
        fs::rename(copy.path("src/bin/miko"), copy.path("src/bin/miko-grown")).unwrap();
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Inserts `text` behind the line that ends with `anchor`.
    fn insert(&self, name: &str, anchor: &str, text: &str) {
        let old = fs::read_to_string(self.path(name)).unwrap();
        assert_eq!(old.matches(anchor).count(), 1, "{name} has one place for it");
        fs::write(self.path(name), old.replacen(anchor, &format!("{anchor}{text}"), 1)).unwrap();
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--offline", "--target-dir"])
            .arg(target_directory())
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }
}

/// Where this test was built: `target/debug/deps/interface-…`.
fn target_directory() -> PathBuf {
    env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy_all(&from.join(&name), &to.join(&name));
    }
}

//! Changes of interfaces.
//!
//! A new method of the trait `Mikobase`, in the copy of the library, needs no other edit than its
//! implementation to be available in the server, the proxy, the JSON dispatch and `miko call`. Without the
//! implementation it does not compile. Each change of a trait is an error until the surface is recorded.

use std::fs;
use std::process::{Command, Output};

use crate::cargo::{built, printed};
use crate::library::{library, outside};

/// Calls the new method through the proxy of a worker, and by `miko call` through the socket.
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
    let forgotten = &library().errors_without_implementations;
    assert!(forgotten.contains("missing: `stardate`") && forgotten.contains("LocalEngine"), "{forgotten}");

    let package = outside("stardates", "2024");
    fs::create_dir(package.path("src")).unwrap();
    fs::write(package.path("src/main.rs"), PROGRAM).unwrap();
    let output =
        package.cargo(&["build", "-p", "stardates", "-p", "mikobase", "--bin=stardates", "--bin=miko-grown"]);
    assert!(output.status.success(), "{}", printed(&output));
    let output = Command::new(built("stardates")).arg(built("miko-grown")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "41000 41000\n", "{output:?}");
}

/// The trait whose changes are tried, in a package of its own: a small one is built in a moment.
const LEDGER: &str = r#"//! A ledger.
use mikobase::prelude::*;

/// A ledger.
#[mikobase_interface(surface = "schema/ledger.surface.json", cfg(all()))]
pub trait Ledger: Send + Sync {
    /// The entries of an account.
    fn entries(&self, account: &str) -> Result<Vec<String>>;

    /// Whether an entry can be added.
    #[interface(read)]
    fn validate(&self, entry: String) -> Result<bool>;
}
"#;

const LEDGER_FILE: &str = "src/lib.rs";

/// A change of the trait, the message of the build, and the token at which it is reported.
struct Change {
    old: &'static str,
    new: &'static str,
    message: &'static str,
    at: &'static str,
}

const VALIDATE: &str = "    #[interface(read)]
    fn validate(&self, entry: String) -> Result<bool>;
";

const CHANGES: &[Change] = &[
    Change {
        old: VALIDATE,
        new: "    #[interface(read)]
    fn validate(&self, entry: String) -> Result<bool>;
    /// The stardate of a year.
    fn stardate(&self, year: u64) -> Result<u64>;
",
        message: "added: `stardate(year: u64) -> Result<u64>`. Old clients still work",
        at: "stardate(&self",
    },
    Change {
        old: VALIDATE,
        new: "#[interface(local)] fn nothing(&self) {}",
        message: "removed: `validate(entry: String) -> Result<bool>`. \
                  Old clients are refused when they connect",
        at: "Ledger: Send",
    },
    Change {
        old: "fn validate(",
        new: "fn check(",
        message: "renamed: `validate(entry: String) -> Result<bool>` is now `check`. \
                  Old clients are refused when they connect, unless the name on the wire stays: \
                  `#[interface(name = \"validate\")]`",
        at: "check(&self",
    },
    Change {
        old: "fn entries(&self, account: &str) -> Result<Vec<String>>",
        new: "fn entries(&self, account: &str) -> Result<Vec<u64>>",
        message: "changed: it was `entries(account: &str) -> Result<Vec<String>>` and is \
               `entries(account: &str) -> Result<Vec<u64>>`. Old clients are refused when they connect",
        at: "entries(&self",
    },
    Change {
        old: VALIDATE,
        new: "    #[interface(read, deadline = \"5s\")]
    fn validate(&self, entry: String) -> Result<bool>;
",
        message: "changed: the attributes of `validate` were `read` and are `read, deadline = \"5000ms\"`. \
               Old clients still work, and keep the old attributes",
        at: "validate(&self",
    },
    Change {
        old: "pub trait Ledger: Send",
        new: "pub trait Journal: Send",
        message: "the interface was `Ledger` and is `Journal`: old clients are refused when they \
                  connect",
        at: "Journal: Send",
    },
];

#[test]
fn every_change_of_a_trait_is_an_error_against_the_recorded_surface() {
    const BUILD: &[&str] = &["build", "--lib"];
    const SURFACE: &str = "schema/ledger.surface.json";
    let package = outside("ledger", "2024");
    fs::create_dir(package.path("src")).unwrap();
    fs::write(package.path(LEDGER_FILE), LEDGER).unwrap();
    let recorded = package.cargo_recording(BUILD);
    assert!(recorded.status.success(), "{}", printed(&recorded));
    for change in CHANGES {
        package.edit(LEDGER_FILE, change.old, change.new);
        let output = package.cargo(BUILD);
        let place = place_of(&package.read(LEDGER_FILE), change.at);
        let expected = format!("error: {}\n", change.message);
        assert!(printed(&output).contains(&expected), "{expected}{}", printed(&output));
        assert_eq!(surface_errors(&output), [place], "{}", printed(&output));
        fs::write(package.path(LEDGER_FILE), LEDGER).unwrap();
    }

    package.edit(
        LEDGER_FILE,
        "/// The entries of an account.",
        "/// The entries, and documents are no change.",
    );
    let output = package.cargo(BUILD);
    assert!(output.status.success(), "{}", printed(&output));

    // An intended change is recorded.
    package.edit(LEDGER_FILE, CHANGES[4].old, CHANGES[4].new);
    assert!(package.cargo_recording(BUILD).status.success());
    assert!(package.cargo(BUILD).status.success());
    assert!(package.read(SURFACE).contains("\"deadline_ms\": 5000"));
    // A change of the recorded file is detected, also if the trait is unchanged.
    package.edit(SURFACE, "5000", "6000");
    assert!(!package.cargo(BUILD).status.success());
}

/// The places of the errors about the surface.
fn surface_errors(output: &Output) -> Vec<String> {
    let text = printed(output);
    let errors = text.split("\nerror").filter(|error| error.contains("differs from the recorded surface"));
    errors.map(|error| error.split("--> ").nth(1).unwrap().lines().next().unwrap().to_owned()).collect()
}

/// The place of `token` in the format of rustc.
fn place_of(text: &str, token: &str) -> String {
    let at = text.find(token).unwrap();
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').unwrap();
    format!("{LEDGER_FILE}:{line}:{column}")
}

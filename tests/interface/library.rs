//! The library that the packages of these tests depend on: a copy of the workspace, whose trait `Mikobase`
//! has one more method. It is one copy for all of them, so that it is compiled once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::cargo::{Package, WORKSPACE, printed};

const NAME: &str = "library";

/// The sources of the library and the command.
const FILES: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "src",
    "schema",
    "miko-bench",
    "miko-core",
    "miko-http",
    "miko-macros",
    "miko-rpc",
    "miko-shared",
    "miko-surface",
];

const TRAIT: &str = "miko-core/src/mikobase.rs";

const ADDED_TO_THE_TRAIT: &str = "
    /// The stardate of a year.
    #[interface(read)]
    fn stardate(&self, year: u64) -> Result<u64>;
";

const ADDED_TO_THE_ENGINES: &str = "
    fn stardate(&self, year: u64) -> Result<u64> {
        Ok((year - 2323) * 1000)
    }
";

/// The copy of the library.
pub struct Library {
    sources: Package,
    /// What the compiler said before the new method had implementations.
    pub errors_without_implementations: String,
}

/// The library. The copy of an earlier run is used again if the sources are the same.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let digest = digest().to_string();
        let earlier = Package::made(NAME);
        let read = |name: &str| fs::read_to_string(earlier.path(name));
        match (read("digest"), read("errors")) {
            (Ok(of_earlier), Ok(errors)) if of_earlier == digest => {
                Library { sources: earlier, errors_without_implementations: errors }
            }
            _ => {
                let library = grown();
                fs::write(library.sources.path("errors"), &library.errors_without_implementations).unwrap();
                fs::write(library.sources.path("digest"), digest).unwrap();
                library
            }
        }
    })
}

/// A package outside the workspace that depends on the library alone.
pub fn outside(name: &str, edition: &str) -> Package {
    Package::depending_on(&library().sources.path(""), name, edition)
}

/// Copies the library, and adds a method to its trait.
fn grown() -> Library {
    let sources = copy();
    let begin = "pub trait Mikobase: Send + Sync {";
    sources.edit(TRAIT, begin, &format!("{begin}{ADDED_TO_THE_TRAIT}"));
    let user = Package::depending_on(&sources.path(""), "user", "2024");
    fs::create_dir(user.path("src")).unwrap();
    fs::write(user.path("src/lib.rs"), "").unwrap();
    // By name: only then does a build of the package record its surface.
    let errors = printed(&user.cargo_recording_all(&["build", "-p", "miko-core"]));
    // The engines, and the view of a past state.
    for (file, begin) in [
        ("miko-core/src/engine/local.rs", "impl<T: Storage, V: View> Mikobase for LocalEngine<T, V> {"),
        ("miko-core/src/engine/store/hook_reader.rs", "impl<T: Storage> Mikobase for HookReader<'_, T> {"),
        ("miko-core/src/as_of.rs", "impl<M: Mikobase + ?Sized> Mikobase for AsOf<'_, M> {"),
    ] {
        sources.edit(file, begin, &format!("{begin}{ADDED_TO_THE_ENGINES}"));
    }
    Library { sources, errors_without_implementations: errors }
}

/// A copy without tests and benchmarks. The command gets another name, so that it does not replace the
/// original.
fn copy() -> Package {
    let copy = Package::copy(NAME, Path::new(WORKSPACE), FILES);
    copy.edit("Cargo.toml", "    \"tests/interface\",\n", "");
    let manifest = copy.read("Cargo.toml");
    let targets = manifest.find("\n[[").unwrap();
    let lints = manifest.rfind("\n[lints]").unwrap();
    fs::write(copy.path("Cargo.toml"), format!("{}{}", &manifest[..targets], &manifest[lints..])).unwrap();
    fs::rename(copy.path("src/bin/miko"), copy.path("src/bin/miko-grown")).unwrap();
    copy
}

/// A hash of all sources, and of this file, which says how they are changed.
fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    include_str!("library.rs").hash(&mut hasher);
    let mut left: Vec<PathBuf> = FILES.iter().map(|file| Path::new(WORKSPACE).join(file)).collect();
    while let Some(path) = left.pop() {
        path.hash(&mut hasher);
        if path.is_dir() {
            let mut entries: Vec<_> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            left.extend(entries);
        } else {
            fs::read(&path).unwrap().hash(&mut hasher);
        }
    }
    hasher.finish()
}

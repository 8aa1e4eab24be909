//! Builds other packages in the target folder of this test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// The workspace under test.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A package in its own folder, outside the workspace. The folder is the same in each run, so that the
/// artifacts of earlier runs are replaced.
pub struct Package(PathBuf);

impl Package {
    /// Copies these files and folders of `original` to a folder called `name`.
    pub fn copy(name: &str, original: &Path, files: &[&str]) -> Self {
        let package = Self::made(name);
        let _ = fs::remove_dir_all(&package.0);
        fs::create_dir_all(&package.0).unwrap();
        for file in files {
            copy_all(&original.join(file), &package.path(file));
        }
        package
    }

    /// A package in a workspace of its own that depends on `mikobase` alone, whose sources are at `library`.
    /// It has the profiles and the locked versions of the workspace under test, and the default features of
    /// `mikobase`: the artifacts of dependencies are those of the workspace.
    pub fn depending_on(library: &Path, name: &str, edition: &str) -> Self {
        let package = Self::copy(name, Path::new(WORKSPACE), &["Cargo.lock"]);
        let manifest = fs::read_to_string(Path::new(WORKSPACE).join("Cargo.toml")).unwrap();
        let profiles = manifest.split("\n[").filter(|section| section.starts_with("profile.dev"));
        let profiles: String = profiles.map(|section| format!("\n[{section}")).collect();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"{edition}\"\n\n[workspace]\n\n\
             [dependencies]\nmikobase = {{ path = {library:?} }}\n{profiles}"
        );
        fs::write(package.path("Cargo.toml"), manifest).unwrap();
        package
    }

    /// A package that [`copy`](Self::copy) made in this or an earlier run.
    pub fn made(name: &str) -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// Adds a file or folder under `name`.
    pub fn add(&self, name: &str, original: &Path) {
        copy_all(original, &self.path(name));
    }

    /// The path of a file of the package.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces the only occurrence of `old` in a file by `new`.
    pub fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(old).count(), 1, "{name} has one place like this: {old}");
        fs::write(self.path(name), text.replacen(old, new, 1)).unwrap();
    }

    /// Runs cargo in the package with the target folder of this test.
    pub fn cargo(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs cargo, which records the surfaces of this package instead of comparing them. Only the compiler of
    /// this package has the variable: if cargo had it, the library would be built again.
    pub fn cargo_recording(&self, arguments: &[&str]) -> Output {
        let recording = Path::new(WORKSPACE).join("tests/interface/recording.sh");
        self.command(arguments).env("RUSTC_WORKSPACE_WRAPPER", recording).output().unwrap()
    }

    /// Runs cargo as a user does to record surfaces, also those of a dependency that is built by name.
    pub fn cargo_recording_all(&self, arguments: &[&str]) -> Output {
        self.command(arguments).env("MIKOBASE_RECORD", "1").output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).args(["--offline", "--target-dir"]).arg(target_directory());
        command.current_dir(&self.0).env_remove("MIKOBASE_RECORD").env("CARGO_TERM_COLOR", "never");
        command
    }
}

/// The path of a built program.
pub fn built(name: &str) -> PathBuf {
    target_directory().join("debug").join(name)
}

/// The whole output of a run of cargo.
pub fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The output of the version `client` of a program when it calls the server that the version `server` runs. A
/// version serves until standard input ends, or calls the server at a path. All are in one program, which is
/// linked once.
pub fn call_version(program: &str, client: &str, server: &str) -> String {
    let mut serving = Command::new(built(program))
        .args([server, "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let (path, token) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
    let output =
        Command::new(built(program)).args([client, &path]).env("MIKOBASE_TOKEN", token).output().unwrap();
    drop(serving.stdin.take());
    assert!(serving.wait().unwrap().success());
    String::from_utf8(output.stdout).unwrap()
}

/// The target folder of this test, which is `target/debug/deps/interface-…`.
fn target_directory() -> PathBuf {
    env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy_all(&from.join(&name), &to.join(&name));
    }
}

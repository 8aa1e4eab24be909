#!/usr/bin/env python3
"""What a trait with `#[mikobase_interface]` takes to compile.

    benches/trait_compile_time.py [COMMIT]

Checks and builds a crate with a trait of 125 methods of three arguments, with its dependencies there, as the workspace is
and as it was at COMMIT, if one is given. Checks a crate with one small trait from an empty target folder, and the same
trait with tarpc alone. Prints the median processor seconds of three runs, and the ratios.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
ROUNDS = 3
METHOD = "    {prefix}fn method_{i}({receiver}name: {text}, by: i64, values: Vec<Option<String>>) -> {result};\n"


def package(folder: Path, dependency: str, source: str) -> Path:
    (folder / "src").mkdir(parents=True)
    shutil.copy(WORKSPACE / "Cargo.lock", folder)
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "trait"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n' + dependency
    )
    (folder / "src/lib.rs").write_text(source)
    return folder


def ours(folder: Path, workspace: Path, methods: int) -> Path:
    features = ', features = ["share"]' if (workspace / "miko-rpc").exists() else ""
    dependency = f'mikobase = {{ path = "{workspace}", default-features = false{features} }}\n'
    lines = [
        METHOD.format(prefix="", i=i, receiver="&self, ", text="&str", result="Result<Option<Vec<u64>>>")
        for i in range(methods)
    ]
    source = "use mikobase::{Result, mikobase_interface};\n\n#[mikobase_interface]\npub trait Many {\n"
    return package(folder, dependency, source + "".join(lines) + "}\n")


def tarpc(folder: Path, methods: int) -> Path:
    dependency = 'tarpc = { version = "0.38", features = ["serde-transport", "tokio1"] }\n'
    lines = [
        METHOD.format(prefix="async ", i=i, receiver="", text="String", result="Option<Vec<u64>>") for i in range(methods)
    ]
    return package(folder, dependency, "#[tarpc::service]\npub trait Many {\n" + "".join(lines) + "}\n")


def seconds(folder: Path, command: str, clean: bool) -> float:
    """The processor seconds of one run of cargo."""
    if clean:
        shutil.rmtree(folder / "target", ignore_errors=True)
    (folder / "src/lib.rs").touch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "CARGO_INCREMENTAL": "0", "CARGO_TARGET_DIR": str(folder / "target")}
    subprocess.run(["cargo", command, "--quiet", "--offline"], cwd=folder, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(what: str, command: str, clean: bool, one: Path, other: Path | None) -> None:
    folders = [folder for folder in (one, other) if folder]
    if not clean:
        for folder in folders:
            seconds(folder, command, clean)
    times = [statistics.median(times) for times in zip(*([seconds(f, command, clean) for f in folders] for _ in range(ROUNDS)))]
    ratio = f"  before {times[1]:6.2f}  ratio {times[0] / times[1]:.2f}" if other and not clean else ""
    ratio = f"  tarpc {times[1]:6.2f}  ratio {times[0] / times[1]:.2f}" if clean else ratio
    print(f"{what:40} {command:6} {times[0]:6.2f}{ratio}")


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as name:
        root, old = Path(name), None
        if commit:
            old = root / "workspace"
            subprocess.run(["git", "worktree", "add", "--quiet", old, commit], cwd=WORKSPACE, check=True)
        try:
            many = ours(root / "many", WORKSPACE, 125)
            many_before = ours(root / "before", old, 125) if old else None
            for command in ["check", "build"]:
                compare("125 methods of three arguments", command, False, many, many_before)
            small, peer = ours(root / "small", WORKSPACE, 2), tarpc(root / "tarpc", 2)
            compare("a small trait, with its dependencies", "check", True, small, peer)
        finally:
            if old:
                subprocess.run(["git", "worktree", "remove", "--force", old], cwd=WORKSPACE, check=True)


if __name__ == "__main__":
    main()

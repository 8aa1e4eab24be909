#!/usr/bin/env python3
"""What `#[mikobase_interface]` adds to building `miko-core`.

    benches/compile_time.py [ROUNDS]

Builds two copies of the workspace in turn, ROUNDS (default 3) times: as it is, and with the attribute taken from the
trait. `clean` begins with an empty target folder; `miko-core alone` builds that package again, whole, with its dependencies
there.
Prints the median of processor seconds, of seconds on the clock, and the ratio of the two copies.
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
PARTS = [
    "Cargo.lock", "Cargo.toml", "README.md", "benches", "examples", "miko-bench", "miko-core", "miko-macros", "miko-rpc",
    "miko-shared", "miko-surface", "schema", "src", "tests",
]


def copy(folder: Path) -> Path:
    for part in PARTS:
        source = WORKSPACE / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    return folder


def without_attribute(folder: Path) -> Path:
    """Takes the attribute, and what only it needs, from a copy."""
    for name, pattern in [
        ("miko-core/src/mikobase.rs", r"#\[mikobase_interface\(.*?\)\]\n|#\[interface\(.*?\)\]|use miko_macros::.*?;\n"),
        ("miko-core/src/lib.rs", r'#\[cfg\(feature = "rpc"\)\]\npub use mikobase::mikobase_rpc;\n'),
        ("miko-core/Cargo.toml", r"miko-macros\.workspace = true\n"),
    ]:
        path = folder / name
        text, count = re.subn(pattern, "", path.read_text(), flags=re.DOTALL)
        assert count, f"{name} has changed: mend this script"
        path.write_text(text)
    return folder


def build(folder: Path) -> tuple[float, float]:
    """Builds and gives the processor seconds and the seconds on the clock."""
    used = lambda: (lambda r: r.ru_utime + r.ru_stime)(resource.getrusage(resource.RUSAGE_CHILDREN))
    processor, clock = used(), time.monotonic()
    subprocess.run(
        ["cargo", "build", "--quiet", "--offline", "-p", "miko-core", "--features", "rpc"],
        cwd=folder, env={**os.environ, "CARGO_INCREMENTAL": "0"}, check=True,
    )
    return used() - processor, time.monotonic() - clock


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        copies = {}
        for kind in ["with", "without"]:
            (Path(name) / kind).mkdir()
            copies[kind] = copy(Path(name) / kind)
        without_attribute(copies["without"])
        for _ in range(rounds):
            for kind, folder in copies.items():
                shutil.rmtree(folder / "target", ignore_errors=True)
                times.setdefault(("clean", kind), []).append(build(folder))
            for kind, folder in copies.items():
                (folder / "miko-core/src/lib.rs").touch()
                times.setdefault(("miko-core alone", kind), []).append(build(folder))
    print(f"median of {rounds} rounds, in seconds")
    for what in ["clean", "miko-core alone"]:
        for unit, index in [("processor", 0), ("clock", 1)]:
            with_it, without_it = (
                statistics.median(one[index] for one in times[what, kind]) for kind in ["with", "without"]
            )
            print(
                f"{what:16} {unit:10} with {with_it:7.2f}  without {without_it:7.2f}  "
                f"adds {with_it - without_it:6.2f}  ratio {with_it / without_it:.3f}"
            )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Counts the instructions of the core paths, and compares them with the recorded ones.

    benches/instructions.py            compare with benches/instructions.json; fail beyond the tolerance
    benches/instructions.py --record   write what was counted
    benches/instructions.py --profile PATH   where the instructions of one path go, by function

Instructions are counted by callgrind, so neither a busy machine nor a slow one changes them. A path is run for
two counts of calls, and the difference is divided by that of the counts: setting up costs nothing.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
RECORDED = HERE / "instructions.json"
# Far apart: the allocator tidies up from time to time, which takes a hundred thousand instructions.
CALLS = (200, 1000)
FEW_CALLS = (10, 50)
# Another compiler or C library moves counts by a few parts in a hundred.
TOLERANCE = 0.10


# What the tests' builds leave at a lower level, though it is on the counted paths.
COUNTED = ("serde_json", "sha2", "hashbrown")
# What takes long to optimize, and is on none of them.
NOT_COUNTED = (
    "aho-corasick", "nix", "opentelemetry", "regex-automata", "regex-syntax", "rustix", "tracing-opentelemetry",
)


OURS = ("miko-core", "miko-rpc", "miko-shared", "miko-surface")


def build(symbols=False, release=False):
    """The program: as CI counts it, or as in a release, which takes minutes."""
    # Rust is optimized as in a release, but for optimization across crates. The tests' builds of SQLite (at level 1)
    # and of what runs in the compiler are used again, for which their profiles must stay as they are: to build them
    # takes longer than all else.
    optimized = {"opt-level": 3, "codegen-units": 1, "debug-assertions": False, "overflow-checks": False, "incremental": False}
    as_in_tests = {"debug-assertions": True, "overflow-checks": True}
    overrides = {"": optimized, "package.libsqlite3-sys.": as_in_tests, "build-override.": as_in_tests,
                 **{f"package.{name}.": {"debug": symbols} for name in OURS},
                 **{f"package.{name}.": {"opt-level": 3} for name in COUNTED},
                 **{f"package.{name}.": {"opt-level": 0} | as_in_tests for name in NOT_COUNTED}}
    command = ["cargo", *(["bench", "--no-run"] if release else ["build"])]
    command += ["--package", "miko-shared", "--bench", "instructions", "--message-format=json-render-diagnostics"]
    for package, profile in ({} if release else overrides).items():
        for key, value in profile.items():
            command += ["--config", f"profile.dev.{package}{key}={json.dumps(value)}"]
    output = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines())
    built = [m["executable"] for m in messages if m.get("target", {}).get("name") == "instructions"]
    return next(executable for executable in built if executable)


def callgrind(program, path, calls, out):
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", program, path, str(calls)]
    # Hash seeds and addresses are alike in each run, as far as an environment can make them so.
    told = subprocess.run(["setarch", "-R", *command], check=True, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    return int(re.search(rb"Collected : (\d+)", told.stderr)[1])


def count_all(program, paths):
    # Several at once: counts do not depend on the load of the machine.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {path: [(calls, pool.submit(callgrind, program, path, calls, "/dev/null")) for calls in calls_of(path)]
                for path in paths}
    counts = {path: [(calls, run.result()) for calls, run in of_path] for path, of_path in runs.items()}
    return {path: (most - least) // (many - few) for path, [(few, least), (many, most)] in counts.items()}


def calls_of(path):
    return FEW_CALLS if " of 32" in path or path.startswith("first scan") else CALLS


def profile(program, path):
    with tempfile.NamedTemporaryFile() as out:
        callgrind(program, path, calls_of(path)[1], out.name)
        subprocess.run(["callgrind_annotate", "--auto=no", "--inclusive=yes", out.name], check=True)


def compare(counted):
    recorded = json.loads(RECORDED.read_text())
    worse = []
    print("| path | instructions per call | recorded | ratio |\n| --- | --- | --- | --- |")
    for path, instructions in counted.items():
        before = recorded.get(path)
        ratio = instructions / before if before else float("nan")
        print(f"| {path} | {instructions} | {before} | {ratio:.3f}× |")
        if not ratio <= 1 + TOLERANCE:
            worse.append(path)
    for path in worse:
        print(f"{path}: takes more than recorded. If that is worth it: benches/instructions.py --record", file=sys.stderr)
    return 1 if worse else 0


def main(arguments):
    if arguments[:1] == ["--profile"]:
        return profile(build(symbols=True), *arguments[1:])
    program = build()
    paths = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    counted = count_all(program, paths)
    if arguments == ["--record"]:
        RECORDED.write_text(json.dumps(counted, indent=2) + "\n")
        return 0
    return compare(counted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

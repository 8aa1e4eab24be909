#!/usr/bin/env python3
"""Counts the instructions of the core paths, and compares them with the recorded ones.

    benches/instructions.py            compare with benches/instructions.json; fail beyond the tolerance
    benches/instructions.py --record   write what was counted
    benches/instructions.py --profile PATH   where the instructions of one path go, by function

Instructions are counted by callgrind, so neither a busy machine nor a slow one changes them. Those of setting
up and of the first calls are not counted.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
RECORDED = HERE / "instructions.json"
# The calls before those that are counted, and these. Many: the allocator tidies up from time to time, which
# takes a hundred thousand instructions.
CALLS = (200, 800)
FEW_CALLS = (10, 40)
# Of calls with millions of instructions each.
FEWEST_CALLS = (4, 12)
# Another compiler or C library moves counts by a few parts in a hundred.
TOLERANCE = 0.10

# The packages whose code a call runs through.
OURS = ("miko-core", "miko-rpc", "miko-shared")
# The program's package, and those that make the features of the dependencies what they are in the tests. The
# naive storage, which only tests use, is in none of them.
BUILT_TOGETHER = ("miko-shared", "miko-bench", "interface-tests")


def build(symbols=False, release=False):
    """The program: as CI counts it, or as in a release, which takes minutes."""
    # Only our packages are built anew, as in a release but for optimization across crates and between the two
    # parts that the processors compile at once. All else is used as the tests have built it, since the features
    # are those of the tests: SQLite, and the dependencies that `Cargo.toml` has the tests optimize.
    as_in_release = {"opt-level": 2, "codegen-units": 2, "debug-assertions": False, "overflow-checks": False,
                     "debug": symbols}
    command = ["cargo", *(["bench", "--no-run"] if release else ["build"])]
    command += [part for package in BUILT_TOGETHER for part in ("--package", package)]
    command += ["--features", "mikobase/command", "--bench", "instructions"]
    command += ["--message-format=json-render-diagnostics"]
    if not release:
        command += ["--config", "profile.dev.incremental=false"]
        command += [part for package in OURS for key, value in as_in_release.items()
                    for part in ("--config", f"profile.dev.package.{package}.{key}={json.dumps(value)}")]
    output = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines())
    built = [m["executable"] for m in messages if m.get("target", {}).get("name") == "instructions"]
    return next(executable for executable in built if executable)


def callgrind(program, paths, folder):
    """Runs the calls of these paths. The files of their counts, by path."""
    # The program forks for each path. A dump at each end of a part; the second part has the counted calls.
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p"]
    command += ["--dump-before=instructions::end_part"]
    # Hash seeds and addresses are alike in each run, as far as an environment can make them so.
    command = ["setarch", "-R", *command, program]
    command += [argument for path in paths for argument in (path, *map(str, calls_of(path)))]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env={"PATH": os.environ["PATH"]})
    if ran.returncode:
        sys.exit(ran.stderr)
    pids = (line.split(" ", 1) for line in ran.stdout.splitlines())
    return {path: pathlib.Path(folder) / f"{pid}.2" for pid, path in pids}


def count_all(program, paths):
    with tempfile.TemporaryDirectory() as folder:
        files = callgrind(program, paths, folder)
        return {path: count_in(files[path].read_text(), path) for path in paths}


def count_in(counts, path):
    return int(re.search(r"^totals: (\d+)", counts, re.MULTILINE)[1]) // calls_of(path)[1]


def calls_of(path):
    if path.startswith("first scan"):
        return FEWEST_CALLS
    return FEW_CALLS if " of 32" in path else CALLS


def profile(program, path):
    with tempfile.TemporaryDirectory() as folder:
        counts = callgrind(program, [path], folder)[path]
        subprocess.run(["callgrind_annotate", "--auto=no", "--inclusive=yes", counts], check=True)


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
        advice = "takes more than recorded. If that is worth it: benches/instructions.py --record"
        print(f"{path}: {advice}", file=sys.stderr)
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

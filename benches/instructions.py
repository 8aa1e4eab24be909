#!/usr/bin/env python3
"""Counts the instructions of the core paths, and compares them with the recorded ones.

    benches/instructions.py            compare with benches/instructions.json, print a table, fail beyond the tolerance
    benches/instructions.py --record   write what was counted
    benches/instructions.py --profile PATH   where the instructions of one path go, by function

Instructions are counted by callgrind, so neither a busy machine nor a slow one changes them. A path is run for two
counts of calls, and the difference is divided by that of the counts: setting up costs nothing.
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
CALLS = (50, 250)
# Another compiler or C library moves counts by a few parts in a hundred; what a change of ours costs is found above.
TOLERANCE = 0.10


def build(symbols=False):
    # Without optimization across crates, which takes as long as all else. It saves some instructions of each path.
    profile = {"CARGO_PROFILE_BENCH_LTO": "off", "CARGO_PROFILE_BENCH_CODEGEN_UNITS": "16"}
    if not symbols:
        profile |= {"CARGO_PROFILE_BENCH_DEBUG": "none", "CARGO_PROFILE_BENCH_STRIP": "symbols"}
    # Without the command, whose dependencies take longer to build than all others.
    command = ["cargo", "bench", "--no-default-features", "--bench", "instructions", "--no-run"]
    command += ["--message-format=json"]
    output = subprocess.run(
        command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | profile
    ).stdout
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
        runs = {(path, calls): pool.submit(callgrind, program, path, calls, "/dev/null")
                for path in paths for calls in CALLS}
    few, many = CALLS
    return {path: (runs[path, many].result() - runs[path, few].result()) // (many - few) for path in paths}


def profile(program, path):
    with tempfile.NamedTemporaryFile() as out:
        callgrind(program, path, CALLS[1], out.name)
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

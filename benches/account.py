#!/usr/bin/env python3
"""Where the time of a call goes: writes docs/measurements/account.md. Needs strace and valgrind; takes some
three minutes.

For each kind of call, what the server and its workers do for one of them is counted from outside, while `miko
bench` keeps them busy: time in their own code and in the kernel, and context switches, from /proc; system
calls, by strace in a run of its own, which slows everything down and changes no count per call. Instructions
and allocations come from callgrind, on the program of miko-shared/benches/instructions.rs.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import time

import instructions

ROOT = pathlib.Path(__file__).parent.parent
RESULT = ROOT / "docs/measurements/account.md"
WORKERS = 20
WORKLOADS = {"read": "`record_by_pk`", "create": "`create`", "find": "indexed select"}
# How long a crew works. It does so twice, the first time to warm up.
SLICE = 6.0
# From the start of the second slice to the middle of it, all processes being at work.
WINDOW = 3.0
TICKS = os.sysconf("SC_CLK_TCK")


def children(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()]


def spent(pid):
    """Seconds in its own code and in the kernel; context switches that it wanted and that it suffered."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    switches = re.findall(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)", status, re.M)
    return [int(fields[11]) / TICKS, int(fields[12]) / TICKS, *map(int, switches)]


class Crew:
    """A share at work: `miko bench` forks a process that starts it, and that one forks server and workers."""

    def __init__(self, workload):
        command = [ROOT / "target/release/miko", "bench", "--peers", "none", "--workloads", workload]
        command += ["--rounds", "1", "--workers", str(WORKERS), "--slice", str(int(SLICE * 1000))]
        self.bench = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        told = iter(self.bench.stderr.readline, "")
        # The first round warms up, the second counts.
        next(line for line in told if "round 1 of 1" in line)
        [keeper] = children(self.bench.pid)
        self.server, *self.workers = children(keeper)
        assert len(self.workers) == WORKERS

    def rate(self):
        """Calls per second, when all is over."""
        table, _ = self.bench.communicate()
        row = next(line for line in table.splitlines() if "mikobase" in line and line.startswith("| "))
        number, unit = re.search(r"\| mikobase \| ([\d.]+)([kM]?)", row).groups()
        return float(number) * {"": 1, "k": 1e3, "M": 1e6}[unit]


def from_outside(workload):
    """What server and workers spend on a call: microseconds and switches."""
    crew = Crew(workload)
    time.sleep(0.5)
    processes = [crew.server, *crew.workers]
    begun, before = time.monotonic(), [spent(pid) for pid in processes]
    time.sleep(WINDOW)
    after, seconds = [spent(pid) for pid in processes], time.monotonic() - begun
    calls = crew.rate() * seconds
    each = [[(b - a) / calls for a, b in zip(*pair)] for pair in zip(before, after)]
    return crew_rates(each), calls / seconds


def crew_rates(each):
    server, workers = each[0], [sum(column) for column in zip(*each[1:])]
    return server, workers


def system_calls(workload):
    """Which system calls server and one worker make for one call."""
    counts = []
    for who in ("server", "worker"):
        crew = Crew(workload)
        pid = crew.server if who == "server" else crew.workers[0]
        strace = ["timeout", "2", "strace", "-c", "-f", "-p", str(pid)]
        told = subprocess.run(strace, stderr=subprocess.PIPE, text=True)
        crew.bench.communicate()
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", told.stderr, re.M)
        made = {name: int(count) for count, name in rows if name != "total"}
        # Each call is sent, and answered, once.
        calls = max(made.get("sendto", 0), made.get("write", 0))
        often = {name: count / calls for name, count in made.items() if count / calls > 0.005}
        most_first = sorted(often.items(), key=lambda one: -one[1])
        counts.append(", ".join(f"{name} {count:.2f}" for name, count in most_first))
    return counts


# Parts of a call, by the functions whose instructions they are.
PARTS = {
    "the engine": r"LocalEngine<.*> as .*Mikobase>::(q0|record_by_pk)$",
    "reading the request": r"query::parse$",
    "checking the record": r"::examine$",
    "SQLite running statements": r"^sqlite3_step$",
    "SQLite committing": r"^sqlite3BtreeCommitPhaseTwo$",
    "malloc and free": r"^(malloc|free)$",
}
PATHS = {"read": "record_by_pk there and back", "create": "create there and back", "find": "find"}


def from_callgrind(program, workload):
    """Instructions of a call by part, and how many allocations it makes."""
    path = PATHS[workload]
    calls = instructions.calls_of(path)[1]
    with tempfile.TemporaryDirectory() as folder:
        counts = instructions.callgrind(program, [path], folder)[path]
        text = counts.read_text()
        costs = {name: cost / calls for name, cost in inclusive(counts).items()}
    parts = {"the whole call": instructions.count_in(text, path)}
    for part, pattern in PARTS.items():
        found = [cost for name, cost in costs.items() if re.search(pattern, name)]
        parts[part] = sum(found) if part == "malloc and free" else max(found, default=0)
    return parts, called(text, "malloc") / calls


def inclusive(counts):
    """Instructions by function, what it calls included."""
    command = ["callgrind_annotate", "--inclusive=yes", "--auto=no", "--threshold=100", counts]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    costs = {}
    for cost, name in re.findall(r"^ *([\d,]+) \([ \d.]+%\)  (.+)$", text, re.M):
        name = re.sub(r" \[.*", "", name).split(":", 1)[-1]
        # One function is listed once for each file its code comes from.
        costs[name] = max(costs.get(name, 0), int(cost.replace(",", "")))
    return costs


def called(profile, name):
    """How often a profile has a function called, which it names once and then by number."""
    [number] = set(re.findall(rf"^c?fn=\((\d+)\) {name}$", profile, re.M))
    calls = re.findall(rf"^cfn=\({number}\).*\ncalls=(\d+)", profile, re.M)
    return sum(map(int, calls))


def main():
    build = ["cargo", "build", "--release", "--features", "bench", "--bin", "miko"]
    subprocess.run(build, cwd=ROOT, check=True)
    program = instructions.build(release=True)
    lines = ["# The account of a call", "", "Written by `benches/account.py`.", ""]
    lines += [f"What one call takes of a server and of the worker that makes it, with {WORKERS} workers on "
              f"{len(os.sched_getaffinity(0))} CPUs; µs of a core.", ""]
    lines += ["| | calls per second | server: own code | server: kernel | worker: own code | "
              "worker: kernel | server: gives way, is pushed off | worker: gives way, is pushed off |"]
    lines += ["| --- |" + " --- |" * 7]
    calls = {}
    for workload, title in WORKLOADS.items():
        (server, workers), rate = from_outside(workload)
        micro = [f"{1e6 * seconds:.1f}" for seconds in (*server[:2], *workers[:2])]
        switches = [f"{a:.2f}, {b:.2f}" for a, b in (server[2:], workers[2:])]
        lines.append(f"| {title} | {rate / 1000:.0f}k | " + " | ".join(micro + switches) + " |")
        calls[title] = system_calls(workload)
    lines += ["", "System calls per call:", "", "| | server | worker |", "| --- | --- | --- |"]
    lines += [f"| {title} | {server} | {worker} |" for title, (server, worker) in calls.items()]
    accounts = {title: from_callgrind(program, workload) for workload, title in WORKLOADS.items()}
    lines += ["", "Instructions, both sides in one process (the indexed select: the engine alone); "
              "a part may hold others:", ""]
    lines += ["| | " + " | ".join(accounts) + " |", "| --- |" + " --- |" * len(accounts)]
    for part in ("the whole call", *PARTS):
        cells = [f"{parts[part]:.0f}" if parts[part] >= 1 else "" for parts, _ in accounts.values()]
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    allocations = [f"{count:.0f}" for _, count in accounts.values()]
    lines.append("| calls of `malloc` | " + " | ".join(allocations) + " |")
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT.read_text())


if __name__ == "__main__":
    main()

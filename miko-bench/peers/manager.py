"""Workers that share a `multiprocessing.Manager().dict()`: python3 manager.py RECORDS SOCKET...

Each SOCKET is the number of an open descriptor, on which a worker is given orders, a line of JSON each, and tells what
came of them: see `worker.rs`.
"""

import ctypes
import json
import multiprocessing
import multiprocessing.managers
import os
import random
import signal
import socket
import sys
import time

BATCH = 32
PR_SET_PDEATHSIG = 1


def bucket(serial):
    return {
        "serial": serial, "deck": serial // 100, "sector": serial // 50,
        "name": f"Officer {serial}", "rank": ("Ensign", "Lieutenant", "Captain")[serial % 3],
        "active": serial % 2 == 0,
        "notes": "Served with distinction on several ships of the fleet, and was commended twice.",
    }


def calls(shared, index, workers, records):
    serial = iter(range(index, sys.maxsize, workers))
    choose = random.Random(index)

    def read():
        record = choose.randrange(records)
        assert shared[f"item/{record}"]["serial"] == record

    def create():
        number = next(serial)
        shared[f"made/{number}"] = bucket(number)

    def create_batch():
        numbers = [next(serial) for _ in range(BATCH)]
        shared.update({f"made/{number}": bucket(number) for number in numbers})

    return {"empty": lambda: "" in shared, "read": read, "create": create, "create-batch": create_batch}


def attend(shared, stream, index, workers, records):
    known = calls(shared, index, workers, records)
    lines = stream.makefile("rw")
    print(json.dumps({"latencies": [], "elapsed": 0}), file=lines, flush=True)
    for line in lines:
        order = json.loads(line)
        call, start, end = known[order["workload"]], order["start"], order["end"]
        latencies = []
        time.sleep(max(0, start - time.monotonic_ns()) / 1e9)
        before = time.monotonic_ns()
        while before < end:
            call()
            after = time.monotonic_ns()
            latencies.append(after - before)
            before = after
        print(json.dumps({"latencies": latencies, "elapsed": before - start}), file=lines, flush=True)


def main():
    records, descriptors = int(sys.argv[1]), [int(argument) for argument in sys.argv[2:]]
    die_with_parent = lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    context = multiprocessing.get_context("fork")
    manager = multiprocessing.managers.SyncManager(ctx=context)
    manager.start(die_with_parent)
    shared = manager.dict({f"item/{serial}": bucket(serial) for serial in range(records)})
    for index, descriptor in enumerate(descriptors):
        if os.fork() == 0:
            die_with_parent()
            attend(shared, socket.socket(fileno=descriptor), index, len(descriptors), records)
            os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    for _ in descriptors:
        os.wait()
    manager.shutdown()


main()

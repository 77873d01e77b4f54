"""Tumbling windows over the reference events in plain Python and orjson, one thread: the stream benchmark's yardstick.

Usage: stream_peer.py FILE. Count, sum, mean and exact p95 of latency_ms for each window of 10 s, route and model.
The file is in memory before the clock starts. Prints one JSON object.
"""

import io
import sys
import time

import orjson

WINDOW_MS = 10_000


def results(lines):
    windows = {}
    loads = orjson.loads
    for line in lines:
        event = loads(line)
        cell = (event["ts"] // WINDOW_MS, event["route"], event["model"])
        values = windows.get(cell)
        if values is None:
            windows[cell] = [event["latency_ms"]]
        else:
            values.append(event["latency_ms"])
    for (window, route, model), values in windows.items():
        values.sort()
        total = sum(values)
        p95 = values[int(0.95 * (len(values) - 1))]
        yield window * WINDOW_MS, route, model, len(values), total, total / len(values), p95


def main():
    with open(sys.argv[1], "rb") as file:
        lines = io.BytesIO(file.read())
    began = time.process_time()
    rows = list(results(lines))
    seconds = time.process_time() - began
    print(orjson.dumps({
        "records": sum(row[3] for row in rows),
        "sum": sum(row[4] for row in rows),
        "windows": len(rows),
        "cpu_seconds": seconds,
    }).decode())


main()

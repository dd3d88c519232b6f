"""A reading child that misbehaves, as the video's name says."""

from __future__ import annotations

import json
import os
import sys
import time

from backend.media.child import confine_reader


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    confine_reader(request["memory_mb"])
    what, count = request["video"]["name"], request["video"]["num_frames"]
    out = sys.stdout.buffer

    def say(message: object, data: bytes = b"") -> None:
        out.write(json.dumps(message).encode() + b"\n" + data)
        out.flush()

    if what == "hang at once":
        time.sleep(60)
    if what == "other length":
        count += 1
    say({"count": count, "bytes": 8 * count}, bytes(8 * count))
    sys.stdin.buffer.readline()
    size = request["video"]["height"] * request["video"]["width"] * 3
    shape = [request["video"]["height"], request["video"]["width"]]
    if what == "hang":
        time.sleep(60)
    elif what == "drip":
        say({"shape": shape, "bytes": size})
        for _ in range(600):
            out.write(b"\0")
            out.flush()
            time.sleep(0.1)
    elif what == "crash":
        os.abort()
    elif what == "grow":
        held = [bytearray(50_000_000) for _ in range(1000)]
        say({"shape": shape, "bytes": size}, bytes(len(held)))
    elif what == "rubbish":
        out.write(os.urandom(10_000))
    elif what == "long line":
        out.write(b"[" * 10_000_000)
    elif what == "short":
        say({"shape": shape, "bytes": size}, bytes(size - 1))
    elif what == "other size":
        say({"shape": [shape[0], shape[1] + 1], "bytes": size + 3 * shape[0]}, bytes(size + 3 * shape[0]))
    else:
        say({"shape": shape, "bytes": size}, bytes(size))


main()

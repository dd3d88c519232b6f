"""Starts servers quickly: `python -m tests.crash.warm` imports the application once and forks it when asked.

A server's start is four fifths imports (Gradio's, most of all). What a fork runs is `app.py` itself, in a
session of its own, with its own environment and output. A line of JSON on the input asks for one:
`{"env": {…}, "log": "…", "fault": "…"}`, and its process id is answered; `{"reap": pid}` waits for one.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    import app  # noqa: F401  (sets what has to be set before Gradio is imported)
    import sam3_ui.api
    import sam3_ui.blocks
    import sam3_ui.server  # noqa: F401

    print("ready", flush=True)
    # Not `for line in`: nothing may be read ahead that a fork would have too.
    while line := sys.stdin.readline():
        ask = json.loads(line)
        if "reap" in ask:
            _, status = os.waitpid(ask["reap"], 0)
            print(status, flush=True)
            continue
        apart, say = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.close(apart)
            os.close(say)
            _serve(ask)
        os.close(say)
        # Told only once it has a session of its own: that is how its processes are known. Reading ends with its close.
        os.read(apart, 1)
        os.close(apart)
        print(pid, flush=True)


def _serve(ask: dict) -> None:
    os.environ.update(ask["env"])
    out = os.open(ask["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 1
    try:
        if ask.get("fault"):
            from tests.crash import faults

            faults.install(ask["fault"])
        sys.argv = ["app.py"]
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

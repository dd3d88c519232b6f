"""A server whose model stays in the middle of its loading until a test lets it go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server import running_server
from tests.tiny import make_checkpoint

GATE = Path(__file__).parent / "gate"


@contextmanager
def gated_server(folder: Path, **environment: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server with a tiny SAM 3: its address once it listens, and what lets the model load to the end."""
    checkpoint = make_checkpoint(folder / "tiny-sam3", "sam3")
    pipe = folder / "gate"
    os.mkfifo(pipe)

    def go_on() -> None:
        until = time.monotonic() + 60
        while True:
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                return
            except OSError:
                # Nobody waits there yet.
                assert time.monotonic() < until, "no process imports torch"
                time.sleep(0.05)

    with running_server(
        folder / "data",
        wait_for="/health",
        ENGINE="transformers",
        MODEL_ID=str(checkpoint),
        PYTHONPATH=os.pathsep.join(filter(None, [str(GATE), os.environ.get("PYTHONPATH")])),
        TORCH_GATE=str(pipe),
        OMP_NUM_THREADS="1",
        **environment,
    ) as address:
        yield address, go_on

"""A worker as a spawned child process of this one."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator

from backend.engines.devices import visible_devices
from backend.engines.registry import EngineSpec
from backend.workers import messages as m
from backend.workers.worker import serve

log = logging.getLogger(__name__)

_spawn = multiprocessing.get_context("spawn")


_environment = threading.Lock()


@contextlib.contextmanager
def _environment_of(spec: EngineSpec) -> Iterator[None]:
    """Start a child in an environment of its own.

    On the CPU its number libraries take one thread, since several workers share the cores; they
    read that while they are imported, which in a spawned child is before any code of ours. Of the
    GPUs it sees its own only: packages that know nothing but "cuda" then use the right one.
    """
    wanted: dict[str, str] = {}
    if spec.device == "cpu":
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        wanted = {name: "1" for name in names if name not in os.environ}
    elif spec.gpus:
        wanted = {"CUDA_VISIBLE_DEVICES": visible_devices(spec.gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with _environment:
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


class LocalWorker:
    """A child process that holds an engine.

    Args:
        spec: the engine to build there.
        on_message: called with each message, on the worker's own reader thread.
        on_end: called once when the process is gone, on the same thread.
    """

    def __init__(
        self, spec: EngineSpec, on_message: Callable[[m.FromWorker], None], on_end: Callable[[], None]
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._connection, theirs = _spawn.Pipe()
        # A number in memory that both see, without a lock: it outlives whatever ends the process.
        self._doing = _spawn.RawValue(ctypes.c_uint64, 0)
        self._process = _spawn.Process(
            target=serve, args=(theirs, spec, self._doing), name=f"sam3-{spec.name}", daemon=True
        )
        with _environment_of(spec):
            self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0
        self._outbox: queue.SimpleQueue[m.Request | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name=f"to-worker-{self.pid}", daemon=True)
        self._reader = threading.Thread(target=self._read, name=f"worker-{self.pid}", daemon=True)
        self._writer.start()
        self._reader.start()

    @property
    def doing(self) -> int:
        """The ticket that the engine works on, or worked on when the process ended; 0: none."""
        return int(self._doing.value)

    def send(self, request: m.Request) -> None:
        """Send a request; never waits, even where the process is stopped and its pipe is full."""
        self._outbox.put(request)

    def kill(self) -> None:
        # Not terminate: a stopped or wedged process never handles SIGTERM. One that is gone already is fine.
        with contextlib.suppress(ValueError):
            self._process.kill()

    def join(self, timeout: float) -> None:
        """Wait until the process and its reader thread have ended."""
        self._reader.join(timeout)

    def _write(self) -> None:
        while (request := self._outbox.get()) is not None:
            try:
                self._connection.send(request)
            except OSError:
                # The process is gone; the reader tells everybody. What is still in the queue is dropped with it.
                log.debug("a request for the ended worker %s", self.pid)
                return

    def _read(self) -> None:
        while True:
            try:
                message: m.FromWorker = self._connection.recv()
            except (EOFError, OSError):
                break
            except Exception:
                # Half a message of a process that was killed, or one that can't be read: it is not to be trusted.
                log.exception("worker %s sent something that can't be read", self.pid)
                break
            try:
                self._on_message(message)
            except Exception:
                # A mistake over one session's message must not silence the others'.
                log.exception("a message of worker %s could not be dealt with", self.pid)
        # It may still run, after a broken message.
        self._process.kill()
        self._process.join()
        self._on_end()
        self._outbox.put(None)
        self._writer.join()
        self._connection.close()
        self._process.close()

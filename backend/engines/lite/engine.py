"""The embedded engine: runs on any CPU, with nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from backend.domain import Capabilities, DenseResult, EngineInfo, PromptRequest, Snapshot, Span, Video
from backend.engines.base import FrameSource, require
from backend.engines.lite.backbone import Backbone
from backend.engines.lite.clicknet import ClickNetwork
from backend.engines.lite.filters import FILTERS
from backend.engines.lite.prompts import LitePrompter
from backend.engines.lite.propagation import Run
from backend.engines.lite.refiner import Refiner
from backend.engines.lite.still import Still
from backend.engines.lite.words import WORDS, Finder
from backend.errors import EngineError, ServiceError

_NOTE = "Embedded engine for any computer: follows clear objects well, thin parts and look-alikes less."


@contextmanager
def _translated() -> Iterator[None]:
    """The one place where what onnxruntime, OpenCV or numpy raise becomes an `EngineError`."""
    try:
        yield
    except (ServiceError, ModuleNotFoundError):
        # A package that is missing is named by who builds the engine.
        raise
    except MemoryError as error:
        raise EngineError("The embedded engine ran out of memory. Try a smaller video.", "out_of_memory") from error
    except Exception as error:
        raise EngineError(f"The embedded engine failed ({type(error).__name__}). Try again.") from error


@dataclass(eq=False)
class LiteHandle:
    """A session's state: nothing that results depend on, only what saves work."""

    video: Video
    frames: FrameSource
    still: tuple[int, Still] | None = None
    runs: list[Run] = field(default_factory=list)
    closed: bool = False


class LiteEngine:
    """Follows objects with ImageNet features, flow and colours; cuts them out by clicks and boxes.

    Runs on one thread: sets OpenCV's and onnxruntime's to one when it is built. Results depend on
    the requests alone: the same ones give identical masks, on a new handle too.

    Args:
        cache_dir: where the network is kept once it was made from the installed weights.
        reason: why this engine was chosen, for the page.

    Raises:
        EngineError: the weights are missing or damaged, or the cache can't be written.
    """

    def __init__(self, cache_dir: Path, reason: str = "") -> None:
        cv2.setNumThreads(1)
        with _translated():
            self._backbone = Backbone(cache_dir)
            self._network = ClickNetwork(cache_dir)
            self._refiner = Refiner()
            self._finder = Finder(cache_dir)
        self.info = EngineInfo(
            name="lite",
            title="Lite",
            device="CPU",
            checkpoint="efficientnet-lite0",
            capabilities=Capabilities(
                text=True,
                points=True,
                box=True,
                mask=True,
                exemplar=False,
                backward=True,
                words=WORDS,
                filters=tuple(sorted(FILTERS)),
            ),
            note=f"{_NOTE} {reason}".strip(),
            # The picture of the frame that it stands on.
            bytes_per_pixel=3.0,
        )

    def open(self, video: Video, frames: FrameSource, snapshot: Snapshot) -> LiteHandle:
        """Take a session in. Nothing of the snapshot is needed: requests and spans say it all."""
        return LiteHandle(video, frames)

    def apply(self, handle: LiteHandle, request: PromptRequest) -> DenseResult:
        """Answer a prompt on its frame.

        Raises:
            Unsupported: exemplar boxes.
            InvalidInput: prompts that can't mean anything together, a mask of another size.
            EngineError: the handle is closed, or something failed.
        """
        require(self.info.capabilities, request, f"The {self.info.title} engine")
        with _translated():
            prompter = LitePrompter(self._still(handle, request.frame_index), self._finder, request)
            cuts = prompter.answer()
            size = handle.video.height, handle.video.width
            masks = [c.mask for c in cuts.values()]
            return DenseResult(
                request.frame_index,
                tuple(cuts),
                tuple(min(max(c.score, 0.0), 1.0) for c in cuts.values()),
                np.stack(masks) if masks else np.zeros((0, *size), np.bool_),
                born=prompter.born,
            )

    def propagate(self, handle: LiteHandle, span: Span) -> Iterator[DenseResult]:
        """Follow the span's objects, a result a frame.

        On a frame an object's pixels are its own: the strongest track takes one, and what people
        marked there stands exactly as they left it.

        Raises:
            EngineError: the handle is closed, or something failed.
        """
        if handle.closed:
            raise EngineError("This session is closed.", "session_closed")
        size = handle.video.height, handle.video.width
        run = Run(self._backbone, handle.frames, size, span, self._refiner)
        handle.still = None
        handle.runs.append(run)
        try:
            results = run.results()
            while not handle.closed:
                with _translated():
                    result = next(results, None)
                if result is None:
                    return
                yield result
        finally:
            if run in handle.runs:
                handle.runs.remove(run)

    def remove(self, handle: LiteHandle, obj_id: int) -> None:
        """Forget an object; a run that is on its way follows it no longer."""
        for run in handle.runs:
            run.drop(obj_id)

    def reset(self, handle: LiteHandle) -> None:
        """Forget all objects. Between requests the engine holds none."""
        handle.runs.clear()
        handle.still = None

    def close(self, handle: LiteHandle) -> None:
        """Free everything of the handle; a run that is on its way ends. Idempotent."""
        handle.closed = True
        self.reset(handle)

    def memory_bytes(self, handle: LiteHandle) -> int:
        """What the handle holds, in bytes of main memory."""
        still = handle.still[1].nbytes if handle.still is not None else 0
        return still + sum(run.nbytes for run in handle.runs)

    def _still(self, handle: LiteHandle, frame_index: int) -> Still:
        """The frame made ready for prompts; the last one is kept, since prompts come in rows."""
        if handle.closed:
            raise EngineError("This session is closed.", "session_closed")
        if handle.still is None or handle.still[0] != frame_index:
            handle.still = (frame_index, Still(handle.frames.read(frame_index), self._backbone, self._network))
        return handle.still[1]

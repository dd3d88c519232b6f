"""The engine over a SAM model, whichever package it comes from.

A handle holds encoded frames and nothing that results depend on: every propagation builds its
trackers and followers anew from the stored masks. So an undone edit, a rebuilt worker or a second
session leaves no trace in what the next request gives.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from backend.domain import DenseResult, EngineInfo, PromptRequest, Snapshot, Span, Text, Video
from backend.engines.base import FrameSource, require
from backend.engines.sam.model import SamModel
from backend.engines.sam.prompts import SamPrompter
from backend.engines.sam.run import Run
from backend.engines.sam.views import FeatureCache, SessionViews
from backend.errors import EngineError, ServiceError

HELD = 16
"""Frames that trackers and followers keep at first: SAM 2 and 3 look 7 back, at 16 object pointers."""
LEAST_HELD = 7
ENCODED = 4
"""Frames whose features a session keeps between prompts: people click around on one or two."""


@dataclass(eq=False)
class SamHandle:
    """A session's state: nothing that results depend on, only what saves work."""

    video: Video
    views: SessionViews
    runs: list[Run] = field(default_factory=list)
    closed: bool = False


class SamEngine:
    """Segments and follows with a SAM model.

    Args:
        model: the model, loaded.
        cache_bytes: what features of still images may hold between calls; 0 keeps none.
        cache_seconds: how long they stay when nobody asks for them.
        reason: why this engine was chosen, for the page.
    """

    def __init__(self, model: SamModel, cache_bytes: int = 0, cache_seconds: float = 600.0, reason: str = "") -> None:
        self._model = model
        self._cache = FeatureCache(cache_bytes, cache_seconds)
        self._held = HELD
        self._handles: set[SamHandle] = set()
        self.info = EngineInfo(
            name=model.name,
            title=model.title,
            device=model.device,
            checkpoint=model.checkpoint,
            capabilities=replace(model.capabilities, features=True),
            note=" ".join(part for part in (reason, model.note) if part),
        )

    def open(self, video: Video, frames: FrameSource, snapshot: Snapshot) -> SamHandle:
        """Take a session in. Nothing of the snapshot is needed: requests and spans say it all."""
        # Nobody asks for a picture's features while people work on videos: their time is up all the same.
        self._cache.expire()
        handle = SamHandle(video, SessionViews(self._model, video, frames, self._cache, ENCODED))
        self._handles.add(handle)
        return handle

    def apply(self, handle: SamHandle, request: PromptRequest) -> DenseResult:
        """Answer a prompt on its frame.

        Raises:
            Unsupported: a kind of prompt that the model doesn't take.
            InvalidInput: prompts that can't mean anything together, a mask of another size.
            EngineError: the handle is closed, the device has no memory left, or the model failed.
        """
        require(self.info.capabilities, request, self.info.title)
        self._check_open(handle)
        with self._translated():
            prompter = SamPrompter(self._model, handle.views, request)
            answers = prompter.answer()
            masks = [a.mask for a in answers.values()]
            return DenseResult(
                request.frame_index,
                tuple(answers),
                tuple(a.score for a in answers.values()),
                np.stack(masks) if masks else np.zeros((0, *handle.views.size), np.bool_),
                concept_kept=len(handle.views) > 1 and any(isinstance(p, Text) for p in request.prompts),
                born=prompter.born,
                cache_hit=prompter.cache_hit,
            )

    def propagate(self, handle: SamHandle, span: Span) -> Iterator[DenseResult]:
        """Follow the span's objects and concepts, a result a frame.

        Raises:
            EngineError: the handle is closed, the device has no memory left, or the model failed.
        """
        self._check_open(handle)
        run = Run(self._model, handle.views, span, self._held)
        handle.runs.append(run)
        results = run.results()
        try:
            while run in handle.runs:
                with self._translated():
                    result = next(results, None)
                if result is None:
                    return
                yield result
        finally:
            results.close()
            # A run that was never stepped has nothing to unwind.
            run.close()
            if run in handle.runs:
                handle.runs.remove(run)

    def remove(self, handle: SamHandle, obj_id: int) -> None:
        """Forget an object; a run that is on its way follows it no longer."""
        for run in handle.runs:
            run.drop(obj_id)

    def reset(self, handle: SamHandle) -> None:
        """Forget all objects: runs that are on their way end. Between requests there are none."""
        for run in handle.runs:
            run.close()
        handle.runs.clear()

    def close(self, handle: SamHandle) -> None:
        """Free everything of the handle; a run that is on its way ends. Idempotent."""
        if handle.closed:
            return
        handle.closed = True
        self.reset(handle)
        handle.views.clear()
        self._handles.discard(handle)
        self._cache.expire()
        if len(handle.views) > 1:
            # Not after every still image: giving memory back takes longer than using it again.
            self._model.release_memory()

    def memory_bytes(self, handle: SamHandle) -> int:
        """What the handle holds, in bytes of the device's memory."""
        return handle.views.nbytes + sum(run.nbytes for run in handle.runs)

    def _check_open(self, handle: SamHandle) -> None:
        if handle.closed:
            raise EngineError("This session is closed.", "session_closed")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The one place where what a model's package raises becomes an `EngineError`."""
        try:
            yield
        except ServiceError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or self._model.is_out_of_memory(error):
                # Its frames' variables are what filled the memory: as long as they live, nothing is free.
                traceback.clear_frames(error.__traceback__)
                fewer = self._hold_fewer()
                raise EngineError(
                    "The device's memory is full. What was computed is kept; "
                    + ("try again: fewer frames are held from now on." if fewer else "close other sessions first."),
                    "out_of_memory",
                ) from error
            raise EngineError(
                f"The model failed on this ({type(error).__name__}). Try again, or another prompt.", "engine_failed"
            ) from error

    def _hold_fewer(self) -> bool:
        """Free what can be made again, and hold fewer frames; whether that was still possible."""
        fewer = self._held > LEAST_HELD or any(h.views.held > 1 for h in self._handles)
        self._held = max(LEAST_HELD, self._held // 2)
        self._cache.clear()
        for handle in self._handles:
            handle.views.held = 1
            handle.views.clear()
        self._model.release_memory()
        return fewer

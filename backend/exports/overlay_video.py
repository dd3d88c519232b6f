"""The video with the objects painted over it, or in another look, as an mp4 with the source's timing and sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from backend.domain import Image
from backend.errors import InvalidInput
from backend.exports.base import COMMON_OPTIONS, ExportSource, OnProgress, Selection, check_options, choice
from backend.masks import decode
from backend.masks.looks import LOOKS, Look, paint
from backend.masks.overlay import Layer
from backend.media.writer import MAX_SIDE, VideoWriter

UNCOMPUTED = ("black", "keep")
"""What becomes of a frame on which it is not known where the objects are."""

OPTIONS: Mapping[str, str] = {
    "look": f"{LOOKS[0]} (default), {', '.join(LOOKS[1:-1])} or {LOOKS[-1]}",
    "opacity": "0 to 1: of fill's colour (default 0.34), or of the dark around a spotlight (default 0.72)",
    "side_by_side": "true or false (default): the source at the left, twice as wide",
    "labels": "true or false: name each object; default: true for fill and outline",
    "uncomputed": "black or keep: frames on which an object was never computed; default: black where the look hides "
    "objects (blur_object, pixelate_object), else keep, which treats it as not there",
}


@dataclass(frozen=True)
class OverlayMp4:
    """H.264 mp4: every frame of the source at its own time, painted where it was computed.

    Where objects overlap, the one with the higher id is on top.
    """

    name: str = "overlay_mp4"
    title: str = "Overlay video (MP4)"
    description: str = "The video with the masks painted over it: same frames, size, timing and sound."
    extension: str = ".mp4"
    media_type: str = "video/mp4"
    options: Mapping[str, str] = field(default_factory=lambda: {**COMMON_OPTIONS, **OPTIONS})

    def write(
        self,
        source: ExportSource,
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        check_options(options, self.options, self.title)
        selection = Selection.read(source, options)
        painter = _Painter.read(selection, options)
        video = source.video
        writer = VideoWriter(
            target,
            video.width * 2 if painter.side_by_side else video.width,
            video.height,
            video.fps,
            source.timestamps,
            duration=video.duration,
            copy_audio_from=video.path if video.has_audio else None,
        )
        with writer, source.open_frames() as frames:
            for index in range(video.num_frames):
                writer.write(painter.painted(frames.read(index), index))
                if on_progress:
                    on_progress((index + 1) / video.num_frames)


@dataclass(frozen=True)
class _Painter:
    """A frame as the options want it."""

    selection: Selection
    look: Look
    labels: bool | None
    side_by_side: bool
    blacken: bool

    @classmethod
    def read(cls, selection: Selection, options: Mapping[str, str]) -> _Painter:
        """The painter that the options ask for.

        Raises:
            InvalidInput: a value that can't be read, or a video that is too wide beside itself.
        """
        try:
            opacity = float(options["opacity"]) if options.get("opacity", "").strip() else None
            look = Look(choice(options, "look", LOOKS), opacity)
        except ValueError as error:
            raise InvalidInput("The option “opacity” is a number from 0 to 1.", "invalid_option") from error
        except InvalidInput as error:
            raise InvalidInput(error.sentence, "invalid_option") from error
        side_by_side = choice(options, "side_by_side", ("false", "true")) == "true"
        if side_by_side and selection.source.video.width * 2 > MAX_SIDE:
            raise InvalidInput(f"Side by side the video would be wider than {MAX_SIDE} pixels.", "invalid_option")
        labels = choice(options, "labels", ("true", "false")) == "true" if "labels" in options else None
        fallback = "black" if look.hides_objects else "keep"
        blacken = choice(options, "uncomputed", (fallback, *(u for u in UNCOMPUTED if u != fallback))) == "black"
        return cls(selection, look, labels, side_by_side, blacken)

    def painted(self, picture: Image, frame_index: int) -> Image:
        """The frame (H, W, 3), or (H, 2 W, 3) with its source at the left."""
        if self.blacken and not self.selection.knows(frame_index):
            out = np.zeros_like(picture)
        else:
            out = paint(picture, _layers(self.selection, frame_index), self.look, labels=self.labels)
        return np.hstack([picture, out]) if self.side_by_side else out


def _layers(selection: Selection, frame_index: int) -> list[Layer]:
    out = []
    for result in selection.on(frame_index) or ():
        if result.box is not None:
            info = selection.objects[result.obj_id]
            out.append(Layer(decode(result.rle), info.color, f"{info.id} {info.name}"))
    return out

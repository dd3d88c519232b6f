"""The video with the objects painted over it, as an mp4 with the source's timing and sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.exports.base import COMMON_OPTIONS, ExportSource, OnProgress, Selection, check_options, choice
from backend.masks import decode
from backend.masks.overlay import Layer, draw
from backend.media.writer import VideoWriter


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
    options: Mapping[str, str] = field(
        default_factory=lambda: {**COMMON_OPTIONS, "labels": "true (default) or false: name each object"}
    )

    def write(
        self,
        source: ExportSource,
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        check_options(options, self.options, self.title)
        selection = Selection.read(source, options)
        labels = choice(options, "labels", ("true", "false")) == "true"
        video = source.video
        writer = VideoWriter(
            target,
            video.width,
            video.height,
            video.fps,
            source.timestamps,
            duration=video.duration,
            copy_audio_from=video.path if video.has_audio else None,
        )
        with writer, source.open_frames() as frames:
            for index in range(video.num_frames):
                writer.write(draw(frames.read(index), _layers(selection, index), labels=labels))
                if on_progress:
                    on_progress((index + 1) / video.num_frames)


def _layers(selection: Selection, frame_index: int) -> list[Layer]:
    out = []
    for result in selection.on(frame_index) or ():
        if result.box is not None:
            info = selection.objects[result.obj_id]
            out.append(Layer(decode(result.rle), info.color, f"{info.id} {info.name}"))
    return out

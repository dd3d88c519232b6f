"""COCO-style JSON with run-length masks, of one video or of many in one file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from backend.domain import ObjectInfo, ObjectResult
from backend.exports.base import COMMON_OPTIONS, ExportSource, OnProgress, Selection, check_options
from backend.masks import area
from backend.media.disk import disk_errors

NO_LABEL = "object"
"""The category of objects that nobody gave a class."""


@dataclass(frozen=True)
class CocoRleJson:
    """One JSON file that pycocotools reads; `docs/formats.md` lists its fields."""

    name: str = "coco_rle_json"
    title: str = "COCO JSON (RLE masks)"
    description: str = "Masks, boxes and scores of every object on every frame, with the source's own timestamps."
    extension: str = ".json"
    media_type: str = "application/json"
    options: Mapping[str, str] = field(default_factory=lambda: COMMON_OPTIONS)

    def write(
        self,
        source: ExportSource,
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        check_options(options, self.options, self.title)
        self.write_joined([source], target, options, on_progress)

    def write_joined(
        self,
        sources: Sequence[ExportSource],
        target: Path,
        options: Mapping[str, str],
        on_progress: OnProgress | None = None,
    ) -> None:
        check_options(options, self.options, self.title)
        selections = [Selection.read(source, options) for source in sources]
        categories = _categories(info for selection in selections for info in selection.objects.values())
        parts = _numbered(selections, categories)
        head = {
            "info": {
                "description": f"Masks of {sources[0].video.name}"
                if len(sources) == 1
                else f"Masks of {len(sources)} files",
                "version": "1.0",
                "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            "licenses": [],
            "videos": [part.video() for part in parts],
            "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()],
            "tracks": [track for part in parts for track in part.tracks()],
        }
        with disk_errors(), target.open("w", encoding="utf-8") as out:
            out.write(_dump(head)[:-1])
            _list(out, "images", (image for part in parts for image in part.images()))
            _list(out, "annotations", _annotations(parts, on_progress))
            out.write("}\n")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _list(out: TextIO, key: str, items: Iterator[dict[str, Any]]) -> None:
    """Write `,"key":[…]` an item at a time, a line each."""
    out.write(f',"{key}":[')
    for index, item in enumerate(items):
        out.write((",\n" if index else "\n") + _dump(item))
    out.write("\n]")


def _categories(objects: Iterable[ObjectInfo]) -> dict[str, int]:
    """A category id for each label, from 1, in the order of the objects."""
    names = dict.fromkeys(info.label or NO_LABEL for info in objects)
    return {name: index for index, name in enumerate(names, 1)}


@dataclass(frozen=True)
class _Part:
    """One video of the file, and where its numbers begin.

    `images_before` and `tracks_before` are what ids of its frames and objects are counted on from: 0
    in the first, so that a file of one video has `frame_index` + 1 and the objects' own ids.
    """

    selection: Selection
    categories: Mapping[str, int]
    number: int
    images_before: int
    tracks_before: int

    def video(self) -> dict[str, Any]:
        video = self.selection.source.video
        return {
            "id": self.number,
            "name": video.name,
            "width": video.width,
            "height": video.height,
            "length": video.num_frames,
            "fps": float(video.fps),
            "fps_fraction": f"{video.fps.numerator}/{video.fps.denominator}",
            "duration": video.duration,
        }

    def tracks(self) -> Iterator[dict[str, Any]]:
        for info in self.selection.objects.values():
            yield {
                "id": self.tracks_before + info.id,
                "video_id": self.number,
                "category_id": self.categories[info.label or NO_LABEL],
                "name": info.name,
                "color": info.color,
            }

    def images(self) -> Iterator[dict[str, Any]]:
        """Every frame of the video, computed or not."""
        source = self.selection.source
        video, stem = source.video, Path(source.video.name).stem
        for index in range(video.num_frames):
            yield {
                "id": self.images_before + index + 1,
                "video_id": self.number,
                "frame_index": index,
                "timestamp": round(float(source.timestamps[index]), 6),
                "width": video.width,
                "height": video.height,
                "file_name": video.name if video.kind == "image" else f"{stem}/{index:06d}.jpg",
                "computed": source.result(index) is not None,
            }

    def annotation(self, frame_index: int, result: ObjectResult) -> dict[str, Any]:
        assert result.box is not None
        x, y, w, h = result.box
        height, width = result.rle.size
        return {
            "image_id": self.images_before + frame_index + 1,
            "video_id": self.number,
            "frame_index": frame_index,
            "category_id": self.categories[self.selection.objects[result.obj_id].label or NO_LABEL],
            "track_id": self.tracks_before + result.obj_id,
            "obj_id": result.obj_id,
            "segmentation": {"size": result.rle.size, "counts": result.rle.counts},
            "area": area(result.rle),
            # Stored boxes are whole pixels over the frame's size: rounding gives back exactly those.
            "bbox": [round(x * width), round(y * height), round(w * width), round(h * height)],
            "score": round(float(result.score), 6),
            "iscrowd": 0,
            "stale": self.selection.source.stale(result.obj_id, frame_index),
            "approved": self.selection.source.approved(result.obj_id, frame_index),
        }


def _numbered(selections: Iterable[Selection], categories: Mapping[str, int]) -> list[_Part]:
    parts: list[_Part] = []
    images = tracks = 0
    for number, selection in enumerate(selections, 1):
        parts.append(_Part(selection, categories, number, images, tracks))
        images += selection.source.video.num_frames
        tracks += max(selection.objects, default=0)
    return parts


def _annotations(parts: Sequence[_Part], on_progress: OnProgress | None) -> Iterator[dict[str, Any]]:
    """An annotation for each object on each frame where it is to be seen."""
    number, done = 0, 0
    total = sum(part.selection.source.video.num_frames for part in parts)
    for part in parts:
        for index in range(part.selection.source.video.num_frames):
            for result in part.selection.on(index) or ():
                if result.box is None:
                    continue
                number += 1
                yield {"id": number} | part.annotation(index, result)
            done += 1
            if on_progress:
                on_progress(done / total)

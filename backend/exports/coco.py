"""COCO-style JSON with run-length masks, for one video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from backend.domain import ObjectInfo, ObjectResult, Video
from backend.exports.base import COMMON_OPTIONS, ExportSource, OnProgress, Selection, check_options
from backend.masks import area
from backend.media.disk import disk_errors

VIDEO_ID = 1
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
        selection = Selection.read(source, options)
        categories = _categories(selection.objects)
        head = {
            "info": {
                "description": f"Masks of {source.video.name}",
                "version": "1.0",
                "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            "licenses": [],
            "videos": [_video(source.video)],
            "categories": [{"id": i, "name": name, "supercategory": ""} for name, i in categories.items()],
            "tracks": [_track(info, categories) for info in selection.objects.values()],
        }
        with disk_errors(), target.open("w", encoding="utf-8") as out:
            out.write(_dump(head)[:-1])
            _list(out, "images", _images(source))
            _list(out, "annotations", _annotations(selection, categories, on_progress))
            out.write("}\n")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _list(out: TextIO, key: str, items: Iterator[dict[str, Any]]) -> None:
    """Write `,"key":[…]` an item at a time, a line each."""
    out.write(f',"{key}":[')
    for index, item in enumerate(items):
        out.write((",\n" if index else "\n") + _dump(item))
    out.write("\n]")


def _categories(objects: Mapping[int, ObjectInfo]) -> dict[str, int]:
    """A category id for each label, from 1, in the order of the objects."""
    names = dict.fromkeys(info.label or NO_LABEL for info in objects.values())
    return {name: index for index, name in enumerate(names, 1)}


def _video(video: Video) -> dict[str, Any]:
    return {
        "id": VIDEO_ID,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "length": video.num_frames,
        "fps": float(video.fps),
        "fps_fraction": f"{video.fps.numerator}/{video.fps.denominator}",
        "duration": video.duration,
    }


def _track(info: ObjectInfo, categories: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": info.id,
        "video_id": VIDEO_ID,
        "category_id": categories[info.label or NO_LABEL],
        "name": info.name,
        "color": info.color,
    }


def _images(source: ExportSource) -> Iterator[dict[str, Any]]:
    """Every frame of the video, computed or not."""
    video, stem = source.video, Path(source.video.name).stem
    for index in range(video.num_frames):
        yield {
            "id": index + 1,
            "video_id": VIDEO_ID,
            "frame_index": index,
            "timestamp": round(float(source.timestamps[index]), 6),
            "width": video.width,
            "height": video.height,
            "file_name": f"{stem}/{index:06d}.jpg",
            "computed": source.result(index) is not None,
        }


def _annotations(
    selection: Selection, categories: Mapping[str, int], on_progress: OnProgress | None
) -> Iterator[dict[str, Any]]:
    """An annotation for each object on each frame where it is to be seen."""
    number, total = 0, selection.source.video.num_frames
    for index in range(total):
        for result in selection.on(index) or ():
            if result.box is None:
                continue
            number += 1
            yield {"id": number, "image_id": index + 1} | _annotation(selection, categories, index, result)
        if on_progress:
            on_progress((index + 1) / total)


def _annotation(
    selection: Selection, categories: Mapping[str, int], frame_index: int, result: ObjectResult
) -> dict[str, Any]:
    assert result.box is not None
    x, y, w, h = result.box
    height, width = result.rle.size
    return {
        "video_id": VIDEO_ID,
        "frame_index": frame_index,
        "category_id": categories[selection.objects[result.obj_id].label or NO_LABEL],
        "track_id": result.obj_id,
        "obj_id": result.obj_id,
        "segmentation": {"size": result.rle.size, "counts": result.rle.counts},
        "area": area(result.rle),
        # Stored boxes are whole pixels over the frame's size: rounding gives back exactly those.
        "bbox": [round(x * width), round(y * height), round(w * width), round(h * height)],
        "score": round(float(result.score), 6),
        "iscrowd": 0,
        "stale": selection.source.stale(result.obj_id, frame_index),
    }

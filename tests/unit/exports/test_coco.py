"""COCO JSON: read back by pycocotools itself."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from backend.domain import Rle
from backend.exports.coco import CocoRleJson
from backend.exports.registry import ExportSource
from backend.masks import decode
from tests.unit.exports.conftest import ABSENT, NEVER, OBJECTS, STALE, result_of


def export(source: ExportSource, tmp_path: Path, **options: str) -> tuple[dict[str, Any], COCO]:
    target = tmp_path / "out.json"
    CocoRleJson().write(source, target, options)
    with redirect_stdout(StringIO()):
        coco = COCO(str(target))
    return json.loads(target.read_text(encoding="utf-8")), coco


def test_every_frame_and_mask_comes_back(source: ExportSource, tmp_path: Path) -> None:
    data, coco = export(source, tmp_path)
    video = source.video
    assert data["videos"][0] | {"fps": 0} == {
        "id": 1,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "length": video.num_frames,
        "fps": 0,
        "fps_fraction": f"{video.fps.numerator}/{video.fps.denominator}",
        "duration": video.duration,
    }
    assert [i["frame_index"] for i in data["images"]] == list(range(video.num_frames))
    assert [i["timestamp"] for i in data["images"]] == pytest.approx(source.timestamps, abs=1e-6)
    assert len({round(b - a, 4) for a, b in zip(source.timestamps, source.timestamps[1:], strict=False)}) > 1
    for image in data["images"]:
        index = image["frame_index"]
        result = result_of(video, index)
        assert image["computed"] == (result is not None)
        found = {a["obj_id"]: a for a in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))}
        expected = {r.obj_id: r for r in (result.objects if result else ()) if r.box}
        assert list(found) == sorted(expected)
        for obj_id, annotation in found.items():
            mask = coco.annToMask(annotation).astype(bool)
            np.testing.assert_array_equal(mask, decode(expected[obj_id].rle))
            assert annotation["area"] == mask.sum()
            rows, cols = np.nonzero(mask)
            x, y, w, h = annotation["bbox"]
            assert (x, y, x + w - 1, y + h - 1) == (cols.min(), rows.min(), cols.max(), rows.max())
            assert annotation["score"] == expected[obj_id].score
            assert annotation["track_id"] == obj_id
            assert annotation["iscrowd"] == 0
            assert annotation["stale"] == ((obj_id, index) == (2, STALE))
            assert annotation["approved"] == ((obj_id, index) == (4, STALE))
            assert annotation["frame_index"] == index
            size = annotation["segmentation"]["size"]
            assert Rle(annotation["segmentation"]["counts"], *size) == expected[obj_id].rle
    assert len({a["id"] for a in data["annotations"]}) == len(data["annotations"])


def test_never_computed_is_not_the_same_as_absent(source: ExportSource, tmp_path: Path) -> None:
    data, coco = export(source, tmp_path)
    assert not data["images"][NEVER]["computed"]
    assert coco.getAnnIds(imgIds=[NEVER + 1]) == []
    assert data["images"][ABSENT]["computed"]
    assert [a["obj_id"] for a in coco.loadAnns(coco.getAnnIds(imgIds=[ABSENT + 1]))] == [2, 4]


def test_categories_are_the_labels_and_tracks_the_objects(source: ExportSource, tmp_path: Path) -> None:
    data, coco = export(source, tmp_path)
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["shape", "object"]
    assert [(t["id"], t["name"], t["category_id"]) for t in data["tracks"]] == [
        (info.id, info.name, 1 if info.label else 2) for info in OBJECTS
    ]


def test_objects_and_stale_masks_can_be_left_out(source: ExportSource, tmp_path: Path) -> None:
    data, _ = export(source, tmp_path, objects="2", stale="skip")
    assert {a["obj_id"] for a in data["annotations"]} == {2}
    assert [t["id"] for t in data["tracks"]] == [2]
    assert STALE not in {a["frame_index"] for a in data["annotations"]}
    assert not any(a["stale"] for a in data["annotations"])


def test_a_session_with_nothing_in_it(source: ExportSource, tmp_path: Path) -> None:
    data, coco = export(replace(source, objects=(), result=lambda _: None), tmp_path)
    assert data["annotations"] == data["categories"] == []
    assert len(coco.getImgIds()) == source.video.num_frames

"""Many sessions as one file."""

from __future__ import annotations

import json
import zipfile
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from backend.domain import ObjectInfo
from backend.errors import InvalidInput
from backend.exports.coco import CocoRleJson
from backend.exports.many import kind_of, write_many
from backend.exports.registry import ExportSource
from backend.exports.session_file import SessionFile
from backend.masks import decode


def test_coco_holds_them_all_with_numbers_of_their_own(source: ExportSource, tmp_path: Path) -> None:
    still = replace(
        source,
        video=replace(source.video, num_frames=1, kind="image", name="cat.png"),
        objects=(ObjectInfo(1, "Cat", "cat", "#FF0000"), ObjectInfo(2, "Other", "shape", "#00FF00")),
    )
    target = tmp_path / "all.json"
    assert kind_of(CocoRleJson()) == (".json", "application/json")
    write_many(CocoRleJson(), [("a", source), ("b", still), ("c", still)], target, {"stale": "include"})
    with redirect_stdout(StringIO()):
        coco = COCO(str(target))
    data = json.loads(target.read_text())
    frames = source.video.num_frames
    assert [v["id"] for v in data["videos"]] == [1, 2, 3]
    assert [i["id"] for i in data["images"]] == list(range(1, frames + 3))
    assert [i["file_name"] for i in data["images"][frames:]] == ["cat.png", "cat.png"]
    assert [c["name"] for c in data["categories"]] == ["shape", "object", "cat"]
    assert len({t["id"] for t in data["tracks"]}) == len(data["tracks"]) == 3 + 2 + 2
    assert len({a["id"] for a in data["annotations"]}) == len(data["annotations"])
    tracks = {t["id"]: t for t in data["tracks"]}
    for annotation in data["annotations"]:
        assert tracks[annotation["track_id"]]["video_id"] == annotation["video_id"]
        assert tracks[annotation["track_id"]]["category_id"] == annotation["category_id"]
        assert coco.imgs[annotation["image_id"]]["video_id"] == annotation["video_id"]
    result = still.result(0)
    assert result is not None
    expected = {r.obj_id: decode(r.rle) for r in result.objects if r.obj_id in (1, 2)}
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[frames + 2])):
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), expected[annotation["obj_id"]])


def test_others_become_a_zip_of_each_by_name(source: ExportSource, tmp_path: Path) -> None:
    sources = [replace(source, save=lambda path, i=i: path.write_text(f"session {i}")) for i in range(4)]
    target = tmp_path / "all.zip"
    assert kind_of(SessionFile()) == (".zip", "application/zip")
    write_many(SessionFile(), list(zip(["cat", "Cat", "dog", "cat"], sources, strict=True)), target, {})
    with zipfile.ZipFile(target) as bundle:
        names = bundle.namelist()
        assert names == ["cat.sam3.zip", "Cat-2.sam3.zip", "dog.sam3.zip", "cat-3.sam3.zip"]
        assert [bundle.read(name).decode() for name in names] == [f"session {i}" for i in range(4)]
    assert list(tmp_path.iterdir()) == [target], "nothing is left beside it"


@pytest.mark.parametrize("options", [{"objects": "1"}, {"colour": "red"}])
def test_options_of_one_session_and_unknown_ones_are_refused(
    source: ExportSource, tmp_path: Path, options: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        write_many(CocoRleJson(), [("a", source)], tmp_path / "x.json", options)

"""The registry, and what all formats have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import InvalidInput, NotFound
from backend.exports.registry import FORMATS, ExportSource, get


def test_the_formats_there_are() -> None:
    assert list(FORMATS) == ["coco_rle_json", "overlay_mp4", "session"]
    for name, fmt in FORMATS.items():
        assert fmt.name == name
        assert fmt is get(name)
        assert fmt.extension.startswith(".")
        assert "/" in fmt.media_type
        assert fmt.title
        assert fmt.description


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(NotFound, match="coco_rle_json, overlay_mp4, session") as caught:
        get("../x")
    assert caught.value.code == "unknown_format"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "options", [{"compress": "9"}, {"objects": "one"}, {"objects": "-1"}, {"objects": "²"}, {"stale": "maybe"}]
)
def test_options_are_checked_before_a_file_is_made(
    source: ExportSource, tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        get(name).write(source, tmp_path / "out", options)
    assert caught.value.code == "invalid_option"
    assert list(tmp_path.iterdir()) == []


MASKS = [name for name in FORMATS if name != "session"]
"""The formats that are made of masks, frame by frame."""


@pytest.mark.parametrize("name", MASKS)
def test_an_object_that_is_not_there(source: ExportSource, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        get(name).write(source, tmp_path / "out", {"objects": "1, 3"})
    assert caught.value.code == "unknown_object"


@pytest.mark.parametrize("name", MASKS)
def test_progress_grows_to_one(source: ExportSource, tmp_path: Path, name: str) -> None:
    seen: list[float] = []
    get(name).write(source, tmp_path / f"out{get(name).extension}", {}, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == source.video.num_frames

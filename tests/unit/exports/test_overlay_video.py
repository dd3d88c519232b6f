"""The overlay video against its source: frames, size, timing, sound, paint."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend.domain import BoolMask, Image, Video
from backend.errors import InvalidInput
from backend.exports.overlay_video import OverlayMp4
from backend.exports.registry import ExportSource
from backend.masks import decode
from backend.masks.looks import DIM, LOOKS
from backend.media.reader import open_frames
from tests.media_files import number_of
from tests.unit.exports.conftest import ABSENT, NEVER, STALE, source_of

SAMPLE = Path(__file__).parents[3] / "assets" / "sample.mp4"


def read(path: Path) -> tuple[list[Image], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [float(f.time) for f in frames]


def near(picture: Image, point: tuple[int, int], channel: int, base: Image) -> bool:
    """Whether the tint of one channel was added at (y, x): that channel gains on the others."""
    y, x = point
    gain = picture[y, x].astype(int) - base[y, x].astype(int)
    return bool(gain[channel] - max(np.delete(gain, channel)) > 40)


@pytest.fixture(scope="module")
def exported(source: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Image], list[float]]:
    target = tmp_path_factory.mktemp("out") / "out.mp4"
    OverlayMp4().write(source, target, {"labels": "false"})
    return read(target)


def originals(source: ExportSource) -> list[Image]:
    with open_frames(source.video) as frames:
        return [frames.read(index) for index in range(source.video.num_frames)]


def test_the_same_frames_at_the_same_times(source: ExportSource, exported: tuple[list[Image], list[float]]) -> None:
    pictures, times = exported
    assert len(pictures) == source.video.num_frames
    start = source.timestamps[0]
    assert times == pytest.approx([t - start for t in source.timestamps], abs=2e-4)
    assert {p.shape for p in pictures} == {(source.video.height, source.video.width, 3)}
    assert number_of(pictures[NEVER]) == number_of(originals(source)[NEVER])


def test_each_object_has_its_color_where_it_is(source: ExportSource, exported: tuple[list[Image], list[float]]) -> None:
    pictures, base = exported[0], originals(source)
    assert near(pictures[0], (40, 60), 0, base[0])
    assert near(pictures[0], (100, 120), 1, base[0])
    assert near(pictures[0], (70, 80), 1, base[0]), "where two overlap the later one is on top"
    assert not near(pictures[ABSENT], (40, 60), 0, base[ABSENT])
    assert np.abs(pictures[NEVER].astype(int) - base[NEVER]).mean() < 6


def test_labels_and_stale_masks_by_option(source: ExportSource, tmp_path: Path) -> None:
    OverlayMp4().write(source, tmp_path / "a.mp4", {"stale": "skip", "objects": "2"})
    pictures, base = read(tmp_path / "a.mp4")[0], originals(source)
    assert near(pictures[STALE - 2], (100, 120), 1, base[STALE - 2])
    assert not near(pictures[STALE], (100, 120), 1, base[STALE])
    assert near(pictures[0], (52, 66), 1, base[0]), "a chip above the box"
    assert not near(pictures[0], (40, 60), 0, base[0])


HIDING = ("blur_object", "pixelate_object")


def written(source: ExportSource, target: Path, **options: str) -> list[Image]:
    OverlayMp4().write(source, target, options)
    return read(target)[0]


def details(picture: Image, mask: BoolMask) -> float:
    """How much neighbours in a mask (H, W) differ: what is fine in the picture."""
    grey = picture.astype(int).sum(axis=2)
    return float(np.abs(np.diff(grey, axis=1))[mask[:, 1:] & mask[:, :-1]].mean())


def areas(source: ExportSource, frame_index: int) -> BoolMask:
    result = source.result(frame_index)
    assert result is not None
    return np.any([decode(o.rle) for o in result.objects], axis=0)


class Checks:
    """Frames of small grey squares, so that there is something to hide."""

    def __init__(self, video: Video) -> None:
        small = np.random.default_rng(5).integers(30, 226, (video.height // 4, video.width // 4), np.uint8)
        self.picture = np.dstack([np.kron(small, np.ones((4, 4), np.uint8))] * 3)

    def read(self, frame_index: int) -> Image:
        return self.picture


@pytest.mark.parametrize("look", LOOKS[2:])
def test_each_look_in_the_file(source: ExportSource, tmp_path: Path, look: str) -> None:
    checks = Checks(source.video)
    source = replace(source, video=replace(source.video, num_frames=3), open_frames=lambda: nullcontext(checks))
    picture, base, mask = written(source, tmp_path / "out.mp4", look=look)[1], checks.picture, areas(source, 1)
    # Away from the rim, where colours at half the resolution mix and the codec's blocks reach over.
    disc = np.ones((17, 17), np.uint8)
    inner, outer = cv2.erode(mask.view(np.uint8), disc) > 0, cv2.dilate(mask.view(np.uint8), disc) == 0
    kept, changed = (outer, inner) if look in HIDING else (inner, outer)
    assert np.abs(picture[kept].astype(int) - base[kept]).mean() < 8
    if look == "cutout":
        assert picture[changed].max() <= 3, "black: an mp4 has no transparency"
    elif look == "spotlight":
        assert picture[changed].mean() == pytest.approx(base[changed].mean() * (1 - DIM), abs=3)
    else:
        # A cell of the background is a square and a half here, one of an object two and a half.
        assert details(picture, changed) < (0.25 if look in HIDING else 0.5) * details(base, changed)


@pytest.mark.parametrize("look", HIDING)
def test_a_frame_that_can_t_be_made_anonymous_is_black(source: ExportSource, tmp_path: Path, look: str) -> None:
    base = originals(source)
    pictures = written(source, tmp_path / "a.mp4", look=look, stale="skip")
    assert pictures[NEVER].max() <= 3
    assert pictures[STALE].max() <= 3, "a mask that is not to be used leaves the object in sight"
    assert all(pictures[i].mean() > 10 for i in range(len(pictures)) if i not in (NEVER, STALE))
    kept = written(source, tmp_path / "b.mp4", look=look, uncomputed="keep")
    assert np.abs(kept[NEVER].astype(int) - base[NEVER]).mean() < 6
    assert kept[STALE].mean() > 10


def test_an_object_that_was_not_computed_beside_one_that_was(source: ExportSource, tmp_path: Path) -> None:
    partly = replace(source, known=lambda obj_id, index: (obj_id, index) != (4, 2))
    pictures = written(partly, tmp_path / "a.mp4", look="blur_object")
    assert [i for i, p in enumerate(pictures) if p.max() <= 3] == [2]
    chosen = written(partly, tmp_path / "b.mp4", look="blur_object", objects="1,2")
    assert all(p.max() > 3 for p in chosen), "only the objects that are to be hidden count"
    assert written(partly, tmp_path / "c.mp4", uncomputed="black")[2].max() <= 3


def test_side_by_side_with_the_source(source: ExportSource, tmp_path: Path) -> None:
    pictures, base = (
        written(source, tmp_path / "a.mp4", side_by_side="true", look="fill", opacity="1"),
        originals(source),
    )
    width = source.video.width
    assert {p.shape for p in pictures} == {(source.video.height, width * 2, 3)}
    assert np.abs(pictures[0][:, :width].astype(int) - base[0]).mean() < 6
    assert np.abs(pictures[0][75:105, width + 75 : width + 105].astype(int) - (0, 255, 0)).mean() < 8, (
        "the colour alone"
    )
    wide = replace(source, video=replace(source.video, width=9000))
    with pytest.raises(InvalidInput, match="wider than"):
        OverlayMp4().write(wide, tmp_path / "b.mp4", {"side_by_side": "true"})
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"look": "blur"},
        {"opacity": "much"},
        {"opacity": "nan"},
        {"opacity": "1.01"},
        {"look": "cutout", "opacity": "0.5"},
        {"side_by_side": "yes"},
        {"labels": ""},
        {"uncomputed": "white"},
    ],
)
def test_options_of_the_look_are_checked(source: ExportSource, tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        OverlayMp4().write(source, tmp_path / "out.mp4", options)
    assert caught.value.code == "invalid_option"
    assert not list(tmp_path.iterdir())


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]


@pytest.mark.slow
def test_the_sample_keeps_its_sound(tmp_path: Path) -> None:
    with av.open(str(SAMPLE)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        video = Video("s", SAMPLE, "sample.mp4", stream.width, stream.height, rate, stream.frames, 6.0, has_audio=True)
    times = tuple(index / 24 for index in range(video.num_frames))
    OverlayMp4().write(source_of(video, times), tmp_path / "out.mp4", {})
    pictures, written = read(tmp_path / "out.mp4")
    assert len(pictures) == 144
    assert written == pytest.approx(times, abs=1e-4)
    assert packets(tmp_path / "out.mp4") == packets(SAMPLE)

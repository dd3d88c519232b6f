"""The overlay video against its source: frames, size, timing, sound, paint."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from backend.domain import Image, Video
from backend.exports.overlay_video import OverlayMp4
from backend.exports.registry import ExportSource
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

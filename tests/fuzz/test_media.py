"""Mutated videos, pictures and zips: each is read or refused, in the probe's limits, and nothing else happens."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import InvalidMedia, ServiceError
from backend.media.archive import unpack_frames
from backend.media.probe import probe
from tests.fuzz.prober import LIMITS, Prober
from tests.media_files import encode, frame_zip, picture_bytes
from tests.report import record

SMALL = (64, 48)
Mutation = tuple[str, float, bytes]
"""What to do, where (0 to 1 of the file) and with which bytes."""


def seeds(folder: Path) -> dict[str, bytes]:
    """A small real file of each kind."""
    made = {
        "mp4": encode(folder / "a.mp4", num_frames=8, size=SMALL, b_frames=2, sound="aac").path.read_bytes(),
        "mkv": encode(folder / "a.mkv", num_frames=8, size=SMALL).path.read_bytes(),
        "webm": encode(folder / "a.webm", num_frames=8, size=SMALL, codec="libvpx").path.read_bytes(),
        "avi": encode(folder / "a.avi", num_frames=8, size=SMALL, codec="mpeg4").path.read_bytes(),
        "gif": encode(folder / "a.gif", num_frames=4, size=SMALL, codec="gif", pix_fmt="rgb8").path.read_bytes(),
        "png": picture_bytes(3, "PNG", SMALL),
        "jpg": picture_bytes(3, "JPEG", SMALL),
    }
    frame_zip(folder / "a.zip", (1, 2))
    return made | {"zip": (folder / "a.zip").read_bytes()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture
def prober() -> Iterator[Prober]:
    prober = Prober()
    yield prober
    prober.close()


# Where formats keep their sizes, counts and offsets, extremes are what breaks readers.
_EXTREMES = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\xff", b"\0")
_words = st.sampled_from(_EXTREMES) | st.binary(min_size=1, max_size=8)
# Headers are at the ends: half of the changes go there.
_places = st.floats(0, 1) | st.floats(0, 0.05) | st.floats(0.95, 1)
mutations: st.SearchStrategy[list[Mutation]] = st.lists(
    st.tuples(st.sampled_from(["set", "flip", "insert", "cut", "end", "double"]), _places, _words),
    min_size=1,
    max_size=6,
)


def mutated(data: bytes, changes: list[Mutation]) -> bytes:
    for what, place, word in changes:
        at = min(int(place * len(data)), max(len(data) - 1, 0))
        match what:
            case "set":
                data = data[:at] + word + data[at + len(word) :]
            case "flip":
                data = data[:at] + bytes(b ^ w for b, w in zip(data[at:], word, strict=False)) + data[at + len(word) :]
            case "insert":
                data = data[:at] + word + data[at:]
            case "cut":
                data = data[:at] + data[at + 16 * len(word) :]
            case "end":
                data = data[:at]
            case "double":
                data = data[:at] + data[max(0, at - 64 * len(word)) :]
    return data


def fuzz_files(count: int, files: dict[str, bytes], folder: Path, prober: Prober) -> int:
    """Probe `count` mutated files; returns how many it were. Nothing but a find or a refusal is fine."""
    tried = 0
    target = folder / "mutated"

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([kind for kind in files if kind != "zip"]), mutations)
    def one(kind: str, changes: list[Mutation]) -> None:
        nonlocal tried
        tried += 1
        target.write_bytes(mutated(files[kind], changes))
        outcome = prober(target)
        assert not outcome.startswith("bug"), outcome

    one()
    return tried


def fuzz_zips(count: int, files: dict[str, bytes], folder: Path, prober: Prober) -> tuple[int, Counter[str]]:
    """Unpack mutated zips; what comes out stays in its folder and is probed."""
    tried = 0
    outcomes: Counter[str] = Counter()
    archive, out = folder / "mutated.zip", folder / "inside" / "frames"

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutations)
    def one(changes: list[Mutation]) -> None:
        nonlocal tried
        tried += 1
        archive.write_bytes(mutated(files["zip"], changes))
        shutil.rmtree(out.parent, ignore_errors=True)
        out.mkdir(parents=True)
        try:
            unpack_frames(archive, out, LIMITS)
        except ServiceError as error:
            outcomes[type(error).__name__] += 1
        else:
            outcome = prober(out)
            assert not outcome.startswith("bug"), outcome
            outcomes[outcome] += 1
        assert list(out.parent.iterdir()) == [out]
        assert sum(path.stat().st_size for path in out.iterdir()) <= 2 * LIMITS.max_bytes

    one()
    return tried, outcomes


def judge(prober: Prober, tried: int, wanted: int, folder: Path) -> None:
    print(f"{tried} files: {dict(prober.outcomes)}")
    record("mutated_media_files", inputs=tried, read=prober.outcomes["found"], killed_the_probe=len(prober.deadly))
    assert tried >= wanted
    # The mutations are neither harmless nor all fatal.
    assert prober.outcomes["found"] > wanted / 100
    assert prober.outcomes["InvalidMedia"] > wanted / 100
    # A process that dies over a file is no more than a refusal: the probe itself says so.
    for number, data in enumerate(prober.deadly[:10]):
        path = folder / f"deadly-{number}"
        path.write_bytes(data)
        with pytest.raises(InvalidMedia):
            probe(path, LIMITS)


@pytest.mark.slow
def test_mutated_files_are_read_or_refused(files: dict[str, bytes], tmp_path: Path, prober: Prober):
    judge(prober, fuzz_files(1_200, files, tmp_path, prober), 1_200, tmp_path)


@pytest.mark.long
def test_a_great_many_mutated_files_are_read_or_refused(files: dict[str, bytes], tmp_path: Path, prober: Prober):
    judge(prober, fuzz_files(40_000, files, tmp_path, prober), 40_000, tmp_path)


@pytest.mark.slow
def test_mutated_zips_stay_in_their_folder(files: dict[str, bytes], tmp_path: Path, prober: Prober):
    tried, outcomes = fuzz_zips(500, files, tmp_path, prober)
    print(f"{tried} zips: {dict(outcomes)}")
    record("mutated_zips", inputs=tried, read=outcomes["found"])
    assert tried >= 500
    assert outcomes["found"] > 5
    assert outcomes["InvalidMedia"] > 5


@pytest.mark.long
def test_a_great_many_mutated_zips_stay_in_their_folder(files: dict[str, bytes], tmp_path: Path, prober: Prober):
    tried, outcomes = fuzz_zips(10_000, files, tmp_path, prober)
    print(f"{tried} zips: {dict(outcomes)}")
    record("mutated_zips", inputs=tried, read=outcomes["found"])
    assert tried >= 10_000
    assert outcomes["found"] > 100


@pytest.mark.slow
def test_the_probe_itself_reads_or_refuses(files: dict[str, bytes], tmp_path: Path):
    """End to end, a child process for each: fewer, and through the parent that checks the child's answer."""
    outcomes: Counter[str] = Counter()
    target = tmp_path / "mutated"

    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([kind for kind in files if kind != "zip"]), mutations)
    def one(kind: str, changes: list[Mutation]) -> None:
        target.write_bytes(mutated(files[kind], changes))
        try:
            found = probe(target, LIMITS)
        except ServiceError as error:
            outcomes[type(error).__name__] += 1
        else:
            assert found.num_frames == len(found.index) > 0
            outcomes["found"] += 1

    one()
    print(dict(outcomes))
    assert outcomes["found"]
    assert outcomes["InvalidMedia"]

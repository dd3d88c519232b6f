"""The library: what goes in, who may see it, and that nothing is left behind."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from backend.domain import Video
from backend.errors import DiskFull, InvalidMedia, NotFound, ServiceError, TooLarge
from backend.media.library import Library
from backend.media.names import display_name
from backend.media.reader import open_frames
from backend.settings import Settings
from tests.media_files import Clip, frame_folder, frame_zip, number_of, picture_bytes

Hard = Callable[[str], Clip]
ME = "me"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "films").mkdir()
    (tmp_path / "secret").mkdir()
    return Settings(
        data_dir=tmp_path / "data", video_roots=[tmp_path / "none", tmp_path / "films"], max_upload_size_mb=1
    )


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings)


def files(settings: Settings) -> list[str]:
    """Everything on disk below the uploads, but for the empty folder of incoming ones."""
    found = sorted(str(p.relative_to(settings.uploads)) for p in settings.uploads.rglob("*"))
    return [name for name in found if name != "incoming"]


def numbers(video: Video) -> list[int]:
    with open_frames(video) as reader:
        return [number_of(reader.read(i)) for i in range(len(reader))]


# --- uploads ---------------------------------------------------------------------------------


def test_an_upload_becomes_a_video(hard: Hard, library: Library, settings: Settings) -> None:
    clip = hard("turned_90.mov")
    told: list[float] = []
    with clip.path.open("rb") as file:
        video = library.add_file(file, "../../etc/Mein Film.mov", ME, on_progress=told.append)
    assert (video.name, video.kind, video.width, video.height) == ("Mein Film.mov", "video", clip.width, clip.height)
    assert video.path.is_relative_to(settings.uploads)
    assert "film" not in str(video.path).lower()
    assert numbers(video) == list(clip.numbers)
    assert library.get(video.id, ME) == video
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(video.id) >= 22


def test_a_video_outlives_the_process(hard: Hard, library: Library, settings: Settings) -> None:
    video = library.add_file(hard("variable_rate.mp4").path, "a.mp4", ME)
    assert Library(settings).get(video.id, ME) == video


def test_a_zip_becomes_a_video_of_its_frames(library: Library, settings: Settings, tmp_path: Path) -> None:
    clip = frame_zip(tmp_path / "x.zip")
    video = library.add_file(clip.path, "x.zip", ME, Fraction(12))
    assert (video.kind, video.fps, video.fps_assumed) == ("frames", Fraction(12), False)
    assert numbers(video) == list(clip.numbers)
    assert not any(name.endswith("packed") for name in files(settings))
    assert library.add_file(clip.path, "x.zip", ME).fps_assumed


def test_a_picture_becomes_a_video_of_one_frame(library: Library) -> None:
    video = library.add_file(io.BytesIO(picture_bytes(4)), "a.png", ME)
    assert (video.kind, numbers(video)) == ("image", [4])


class Endless(io.RawIOBase):
    """A client that never stops sending, and has no end to seek to."""

    sent = 0

    def read(self, size: int = -1) -> bytes:
        self.sent += size
        return b"\0" * size

    def seekable(self) -> bool:
        return False


def test_an_upload_is_stopped_at_the_limit(library: Library, settings: Settings) -> None:
    source = Endless()
    with pytest.raises(TooLarge, match="1 MB") as caught:
        library.add_file(cast(BinaryIO, source), "a.mp4", ME)
    assert caught.value.code == "upload_too_large"
    assert source.sent < 3_000_000
    assert files(settings) == []


@pytest.mark.parametrize("content", ["text", "cut off", "bomb", "unsafe", "other sizes", "no frames"])
def test_a_refused_upload_leaves_nothing(
    hard: Hard, library: Library, settings: Settings, tmp_path: Path, content: str
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        if content == "bomb":
            target.writestr("1.png", bytes(30_000_000))
        if content == "unsafe":
            target.writestr("../../../1.png", picture_bytes(1))
        if content == "other sizes":
            target.writestr("1.png", picture_bytes(1))
            target.writestr("2.png", picture_bytes(2, size=(100, 80)))
    whole = hard("b_frames.mp4").path.read_bytes()
    data = {"text": b"hello", "cut off": whole[: len(whole) // 2]}.get(content, archive.getvalue())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((InvalidMedia, TooLarge)) as caught:
        library.add_file(io.BytesIO(data), "a.mp4", ME)
    assert str(tmp_path) not in caught.value.sentence
    assert files(settings) == []
    assert {p for p in tmp_path.rglob("*") if settings.uploads not in p.parents} <= {
        *before,
        settings.uploads.parent,
        settings.uploads,
    }


def test_a_client_that_goes_away_leaves_nothing(library: Library, settings: Settings) -> None:
    class Broken(Endless):
        def read(self, size: int = -1) -> bytes:
            if self.sent:
                raise ConnectionResetError
            return super().read(size // 4)

    with pytest.raises(ServiceError):
        library.add_file(cast(BinaryIO, Broken()), "a.mp4", ME)
    assert files(settings) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    library = Library(Settings(data_dir=tmp_path, upload_dir=Path("/proc/self/net")))
    with pytest.raises(DiskFull, match="server") as caught:
        library.add_file(io.BytesIO(picture_bytes(1)), "a.png", ME)
    assert "/proc" not in caught.value.sentence


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EIO, "could not store")]
)
def test_what_the_disk_refuses_is_told(library: Library, settings: Settings, code: int, words: str) -> None:
    # Stands for the spool of a web server, which lies on the same disk and fails in the same way.
    class Spool(Endless):
        def read(self, size: int = -1) -> bytes:
            raise OSError(code, os.strerror(code))

    with pytest.raises(DiskFull, match=words):
        library.add_file(cast(BinaryIO, Spool()), "a.mp4", ME)
    assert files(settings) == []


# --- server-side files -----------------------------------------------------------------------


def test_a_file_below_a_root_is_used_where_it_is(hard: Hard, library: Library, settings: Settings) -> None:
    clip = hard("h264.avi")
    target = settings.video_roots[1] / "sub" / "clip.avi"
    target.parent.mkdir()
    target.write_bytes(clip.path.read_bytes())
    for text in ("sub/clip.avi", str(target), "sub/../sub/./clip.avi"):
        video = library.add_path(text, ME)
        assert video.name == "clip.avi"
        assert video.path.samefile(target)
        assert numbers(video) == list(clip.numbers)
        library.delete(video.id)
    assert target.read_bytes() == clip.path.read_bytes()
    assert [p.name for p in target.parent.iterdir()] == ["clip.avi"]
    assert files(settings) == []


def test_a_folder_or_zip_of_frames_below_a_root(library: Library, settings: Settings) -> None:
    clip = frame_folder(settings.video_roots[1] / "shots")
    packed = frame_zip(settings.video_roots[1] / "shots.zip")
    assert numbers(library.add_path("shots", ME, Fraction(10))) == list(clip.numbers)
    assert numbers(library.add_path("shots.zip", ME)) == list(packed.numbers)


def test_links_may_not_lead_out(hard: Hard, library: Library, settings: Settings, tmp_path: Path) -> None:
    root = settings.video_roots[1]
    secret = tmp_path / "secret" / "x.mp4"
    secret.write_bytes(hard("b_frames.mp4").path.read_bytes())
    (root / "out.mp4").symlink_to(secret)
    (root / "dir").symlink_to(secret.parent)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    sentences = set()
    texts = ["out.mp4", "dir/x.mp4", "../secret/x.mp4", str(secret), "loop", "pipe", "no.mp4", "", "a\0b", "x" * 5000]
    texts += ["/etc/passwd", "/dev/zero", "~/x.mp4", "file:///etc/passwd", "http://127.0.0.1/x.mp4"]
    for text in texts:
        with pytest.raises(NotFound) as caught:
            library.add_path(text, ME)
        assert caught.value.code == "video_not_found"
        sentences.add(caught.value.sentence)
    assert len(sentences) == 1
    assert files(settings) == []
    inside = root / "in.mp4"
    inside.write_bytes(secret.read_bytes())
    (root / "alias.mp4").symlink_to(inside)
    assert library.add_path("alias.mp4", ME).num_frames == 48


# --- owners, holds, sweeping -----------------------------------------------------------------


@pytest.fixture
def video(library: Library) -> Video:
    return library.add_file(io.BytesIO(picture_bytes(4)), "a.png", ME)


def test_a_video_is_its_owners_alone(library: Library, settings: Settings, video: Video) -> None:
    for lib in (library, Library(settings)):
        for video_id, owner in ((video.id, "you"), ("unknown", ME), ("../" + video.id, ME), ("", ME), ("incoming", ME)):
            with pytest.raises(NotFound) as caught:
                lib.get(video_id, owner)
            assert caught.value.code == "video_not_found"


def test_a_deleted_video_is_gone_at_once(library: Library, settings: Settings, video: Video) -> None:
    library.delete(video.id)
    library.delete(video.id)
    with pytest.raises(NotFound):
        library.get(video.id, ME)
    with pytest.raises(NotFound):
        library.hold(video.id)
    assert files(settings) == []


def test_a_held_video_is_deleted_by_the_last_release(library: Library, settings: Settings, video: Video) -> None:
    library.hold(video.id)
    library.hold(video.id)
    library.delete(video.id)
    with pytest.raises(NotFound):
        library.get(video.id, ME)
    library.release(video.id)
    library.sweep(0)
    assert numbers(video) == [4]
    library.release(video.id)
    assert files(settings) == []


def test_releasing_alone_deletes_nothing(library: Library, video: Video) -> None:
    library.hold(video.id)
    library.release(video.id)
    library.release(video.id)
    assert library.get(video.id, ME) == video


def test_sweeping_takes_what_a_killed_process_left(library: Library, settings: Settings, video: Video) -> None:
    left = settings.uploads / "incoming" / "abc"
    left.mkdir()
    (left / "source").write_bytes(b"half")
    held = library.add_file(io.BytesIO(picture_bytes(5)), "b.png", ME)
    library.hold(held.id)
    library.delete(held.id)
    fresh = Library(settings)
    (settings.uploads / "not ours").mkdir()
    assert fresh.sweep() == 2
    assert fresh.get(video.id, ME) == video
    assert {name.split("/")[0] for name in files(settings)} == {video.id, "not ours"}


def test_sweeping_may_take_what_nobody_uses(library: Library, settings: Settings, video: Video) -> None:
    held = library.add_file(io.BytesIO(picture_bytes(5)), "b.png", ME)
    library.hold(held.id)
    assert library.sweep(3600) == 0
    assert library.sweep(-1) == 1
    assert library.get(held.id, ME) == held
    with pytest.raises(NotFound):
        library.get(video.id, ME)


def test_sweeping_spares_an_upload_on_its_way(library: Library, settings: Settings) -> None:
    class Sweeping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            library.sweep(-1)
            return super().read(size)

    assert numbers(library.add_file(Sweeping(picture_bytes(6)), "a.png", ME)) == [6]


def test_many_at_once(library: Library, settings: Settings) -> None:
    def work(number: int) -> None:
        video = library.add_file(io.BytesIO(picture_bytes(number)), "a.png", f"owner{number % 3}")
        library.hold(video.id)
        library.delete(video.id)
        assert numbers(video) == [number]
        library.release(video.id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert files(settings) == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\my film.mov", "my film.mov"),
        ("a\0b\x1b[31m\r\n.mp4", "ab[31m .mp4"),
        ("\u202efdp.exe", "fdp.exe"),
        ("", "video"),
        ("/", "video"),
        ("...", "video"),
        (".hidden.mp4", "hidden.mp4"),
        ("e\u0301t\u00e9.mp4", "été.mp4"),
        ("x" * 300 + ".mp4", "x" * 96 + ".mp4"),
        ("<script>.mp4", "<script>.mp4"),
    ],
)
def test_names_are_made_harmless(given: str, shown: str) -> None:
    assert display_name(given) == shown

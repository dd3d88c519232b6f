"""Files made to cost much or to reach far: refused before they do, with the server as it was."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests import web
from tests.clips import png_bytes, write_clip

CLICK = {"type": "point", "points": [[0.3, 0.5]], "point_labels": [1]}
MB = 1_000_000


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header says so, whatever its data is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose header says so."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_of(width: int, height: int) -> bytes:
    """A GIF of one small picture on a canvas of that size."""
    out = io.BytesIO()
    Image.new("P", (16, 16)).save(out, "GIF", save_all=True, append_images=[Image.new("P", (16, 16), 1)])
    data = bytearray(out.getvalue())
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def mp4_that_says(width: int, height: int, folder: Path) -> bytes:
    """A clip whose container says another size than its frames have."""
    data = bytearray(write_clip(folder / "c.mp4").read_bytes())
    # The sample entry: after its name, 24 bytes on, stand width and height.
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert struct.unpack(">HH", data[at : at + 4]) == (64, 48)
    data[at : at + 4] = struct.pack(">HH", width, height)
    return bytes(data)


def stored(server_data: Path) -> list[Path]:
    return sorted(path for path in (server_data / "uploads").rglob("*") if path.is_file())


HOSTILE: dict[str, tuple[Callable[[Path], bytes], set[int]]] = {
    "a GIF with a huge canvas": (lambda tmp: gif_of(65535, 65535), {400, 413}),
    "a PNG that says 60,000 x 60,000": (lambda tmp: png_of(60_000, 60_000, zlib.compress(bytes(1000))), {413}),
    "a PNG with data for more than it says": (lambda tmp: png_of(9, 9, zlib.compress(bytes(200 * MB), 9)), {200, 400}),
    "a JPEG that says 65,000 x 65,000": (lambda tmp: jpeg_of(65_000, 65_000), {413}),
    "a zip of giant PNGs": (
        lambda tmp: zip_of({f"{i:04}.png": png_of(60_000, 60_000, zlib.compress(bytes(1000))) for i in range(50)}),
        {413},
    ),
    "a zip that unpacks to a gigabyte": (
        lambda tmp: zip_of({f"{i:04}.png": png_bytes() + bytes(100 * MB) for i in range(10)}),
        {413},
    ),
    "a zip of one picture and one giant": (
        lambda tmp: zip_of({"0001.png": png_bytes(), "0002.png": png_of(60_000, 60_000)}),
        {400, 413},
    ),
    "an mp4 that says it is huge": (lambda tmp: mp4_that_says(65_000, 65_000, tmp), {200, 400, 413}),
    "an mp4 that says it has no size": (lambda tmp: mp4_that_says(0, 0, tmp), {200, 400}),
    "a playlist": (lambda tmp: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", {400}),
    "a concat script": (lambda tmp: b"ffconcat version 1.0\nfile /etc/passwd\n", {400}),
    "an svg": (lambda tmp: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', {400}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_uploads_are_refused_and_leave_nothing(
    http: httpx.Client, server_data: Path, tmp_path: Path, what: str
):
    make, statuses = HOSTILE[what]
    before = stored(server_data)
    reply = http.post("/api/v1/video/upload", files={"file": ("a.mp4", make(tmp_path))})
    assert reply.status_code in statuses, reply.text
    if reply.status_code != 200:
        assert set(reply.json()) == {"detail", "code"}
        assert stored(server_data) == before
    else:
        # Taken for what its frames are, not for what it says.
        assert reply.json()["video_info"]["resolution"]["width"] <= 64
    assert http.get("/health").json()["status"] == "healthy"


@pytest.mark.parametrize("make", [lambda: png_of(60_000, 60_000), lambda: jpeg_of(65_000, 65_000)])
def test_hostile_images_in_base64_are_refused(http: httpx.Client, make: Callable[[], bytes]):
    image = base64.b64encode(make()).decode()
    for body, route in (
        ({"image": image, "prompts": [CLICK]}, "segment"),
        ({"image": image, "text_prompts": ["things"]}, "cached-features"),
    ):
        reply = http.post(f"/api/v1/image/{route}", json=body)
        assert (reply.status_code, reply.json()["code"]) == (413, "too_many_pixels")
    batch = http.post("/api/v1/image/batch", json={"images": [{"id": "a", "image": image, "prompts": [CLICK]}]})
    assert batch.json()["results"][0]["code"] == "too_many_pixels"


def parts(sent: list[int], most: int) -> Iterator[bytes]:
    """A multipart body without a length, that goes on for longer than it should."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
    while sent[0] < most:
        sent[0] += 100_000
        yield bytes(100_000)
    yield b"\r\n--x--\r\n"


@pytest.mark.parametrize("route", ["/api/v1/video/upload", "/gradio_api/upload"])
def test_an_upload_of_unknown_length_is_stopped_on_its_way(server: str, server_data: Path, route: str):
    """The server takes 20 MB files: of 400 MB it reads little more than that."""
    sent = [0]
    headers = {"content-type": "multipart/form-data; boundary=x"}
    try:
        reply = web.post(server + route, content=parts(sent, 400 * MB), headers=headers)
        assert reply.status_code == 413
    except httpx.TransportError:
        # It hung up while this end was still sending.
        pass
    assert sent[0] < 60 * MB
    assert not list((server_data / "uploads" / "incoming").glob("*"))


@pytest.mark.parametrize(
    ("route", "most"),
    [("/api/v1/login", 10_000), ("/login", 10_000), ("/api/v1/video/session/x/prompt", 16 * MB)],
)
def test_bodies_without_a_file_in_them_are_small(http: httpx.Client, route: str, most: int):
    reply = http.post(route, content=bytes(most + 1), headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    assert http.post(route, content=b"{}", headers={"content-type": "application/json"}).status_code != 413


def test_a_link_that_leads_elsewhere_later_is_not_followed(http: httpx.Client, roots: Path, tmp_path: Path):
    """Whoever may write below the root can't swap a file for a link after it was checked."""
    inside = roots / "swapped"
    inside.mkdir()
    write_clip(inside / "a.mp4")
    write_clip(tmp_path / "a.mp4", frames=12)
    started = http.post("/api/v1/video/session/start", json={"video_path": "swapped/a.mp4"}).json()
    url = f"/api/v1/video/session/{started['session_id']}"
    (inside / "a.mp4").unlink()
    (inside / "a.mp4").symlink_to(tmp_path / "a.mp4")
    reply = http.get(f"{url}/frame/3")
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_media")
    assert http.post("/api/v1/video/session/start", json={"video_path": "swapped/a.mp4"}).status_code == 404
    http.delete(url)


def test_a_folder_of_frames_with_a_link_out_of_the_root_is_not_there(http: httpx.Client, roots: Path, tmp_path: Path):
    folder = roots / "frames"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes(png_bytes())
    start = "/api/v1/video/session/start"
    assert http.post(start, json={"video_path": "frames"}).status_code == 200
    (tmp_path / "secret.png").write_bytes(png_bytes())
    (folder / "3.png").symlink_to(tmp_path / "secret.png")
    reply = http.post(start, json={"video_path": "frames"})
    assert (reply.status_code, reply.json()["code"]) == (404, "video_not_found")

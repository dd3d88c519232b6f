"""What a video_url may reach, and what it may cost."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InvalidInput, InvalidMedia, ServiceError, TooLarge, TooMany, Unsupported
from backend.media import fetch
from backend.media.library import Library
from backend.sessions.downloads import Downloads
from tests.conftest import make_settings


class Site(http.server.ThreadingHTTPServer):
    """A small site on this machine; `asked` are the paths it was asked for."""

    daemon_threads = True

    def __init__(self, clip: bytes) -> None:
        self.clip = clip
        self.asked: list[str] = []
        self.leaving = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str, host: str = "video.test") -> str:
        return f"http://{host}:{self.port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *args: Any) -> None:
        pass

    def _start(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        clip = self.server.clip
        try:
            if self.path.startswith("/to/"):
                place = self.path.removeprefix("/to/").replace("%5B", "[").replace("%5D", "]")
                self._start(302, Location=place)
            elif self.path.startswith("/around/"):
                self._start(302, Location=f"/around/{int(self.path.rpartition('/')[2]) - 1}")
            elif self.path == "/endless":
                self._start(200)
                while not self.server.leaving.is_set():
                    self.wfile.write(b"\0" * 65536)
            elif self.path == "/drip":
                self._start(200, Content_Length="100000")
                while not self.server.leaving.wait(0.05):
                    self.wfile.write(b"\0")
            elif self.path == "/drip-headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not self.server.leaving.wait(0.05):
                    self.wfile.write(b"X")
            elif self.path == "/short":
                self._start(200, Content_Length=str(len(clip)))
                self.wfile.write(clip[: len(clip) // 2])
            elif self.path == "/large":
                self._start(200, Content_Length="999000000000")
            elif self.path == "/lie":
                self._start(200, Content_Type="video/mp4", Content_Length="5")
                self.wfile.write(b"hello")
            elif self.path == "/missing":
                self._start(404)
            else:
                self._start(200, Content_Type="text/plain", Content_Length=str(len(clip)))
                self.wfile.write(clip)
        except OSError:
            # The client had enough.
            return


@pytest.fixture
def site(clip: Path) -> Iterator[Site]:
    with Site(clip.read_bytes()) as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        yield site
        site.leaving.set()
        site.shutdown()
        thread.join()


def here(host: str, port: int) -> list[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


@contextmanager
def local(url: str, seconds: float) -> Iterator[fetch.Download]:
    """As in earnest, but this machine counts as the internet; only `video.test` and what it leads to."""
    with fetch.opened(url, seconds, here, lambda address: address == "127.0.0.1") as source:
        yield source


def downloads(tmp_path: Path, **changes: object) -> Downloads:
    settings = make_settings(tmp_path, allow_video_url=True, **changes)
    return Downloads(settings, Library(settings), local)


def fetched(tmp_path: Path, url: str, **changes: object) -> Any:
    return downloads(tmp_path, **changes).start(url, "me", None).result(30)


def left_over(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "data" / "uploads").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "nonsense",
        "",
    ],
)
def test_what_is_not_the_internet_is_not_public(address: str):
    assert not fetch.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_what_is_the_internet_is_public(address: str):
    assert fetch.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
    ],
)
def test_this_machine_is_refused_however_it_is_written(site: Site, host: str):
    """With the system's own resolver and the check that is used in earnest."""
    with pytest.raises(InvalidInput) as refused, fetch.opened(site.url("/clip.mp4", host), 10):
        pass
    assert refused.value.code == "video_url_forbidden"
    assert site.asked == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(site: Site):
    def mixed(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with pytest.raises(InvalidInput) as refused, fetch.opened(site.url("/clip.mp4"), 10, mixed):
        pass
    assert refused.value.code == "video_url_forbidden"
    assert site.asked == []


def test_a_name_is_resolved_once_so_that_it_can_t_change_after_the_check(site: Site):
    answers = iter([["127.0.0.1"], ["127.0.0.9"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    seen: list[str] = []

    def allowed(address: str) -> bool:
        seen.append(address)
        return address == "127.0.0.1"

    with fetch.opened(site.url("/clip.mp4"), 10, rebinding, allowed) as source:
        assert source.read(8)
    assert (asked, seen) == (["video.test"], ["127.0.0.1"])


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/clip.mp4", "//127.0.0.2:{port}/x", "http://inner.test:{port}/x"]
)
def test_a_redirect_to_where_it_may_not_go_is_refused(site: Site, target: str):
    """`video.test` counts as public here, and nothing else does."""

    def names(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "video.test" else ["127.0.0.2"]

    url = site.url("/to/" + target.format(port=site.port))
    with pytest.raises(InvalidInput) as refused, fetch.opened(url, 10, names, lambda a: a == "127.0.0.1"):
        pass
    assert refused.value.code == "video_url_forbidden"
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://2130706433/"]
)
def test_a_redirect_to_this_machine_is_refused_by_the_check_used_in_earnest(site: Site, target: str):
    def names(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "video.test" else fetch.resolve(host, port)

    first = iter([True])
    with (
        pytest.raises(InvalidInput) as refused,
        fetch.opened(site.url(f"/to/{target}"), 10, names, lambda a: next(first, False) or fetch.is_public(a)),
    ):
        pass
    assert refused.value.code == "video_url_forbidden"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://video.test/a.mp4",
        "file:///etc/passwd",
        "gopher://video.test/",
        "data:video/mp4;base64,AAAA",
        "video.test/a.mp4",
        "http://",
        "http:///a.mp4",
        "http://video.test:99999/",
        "http://video.test:x/",
        "http://me:secret@video.test/",
        "http://me@video.test/",
        "http://video.test/a b",
        "http://video.test/a\r\nX-Injected: 1",
        "http://[::1/",
        "http://" + "a" * 3000,
        "http://" + "a" * 70 + ".test/",
        "",
    ],
)
def test_what_is_no_web_address_is_refused(url: str):
    with pytest.raises(InvalidInput) as refused, local(url, 10):
        pass
    assert refused.value.code == "invalid_video_url"
    assert "secret" not in refused.value.sentence


@pytest.mark.parametrize("port", [22, 25, 379])
def test_ports_of_other_services_are_refused(port: int):
    with pytest.raises(InvalidInput) as refused, local(f"http://video.test:{port}/", 10):
        pass
    assert refused.value.code == "video_url_forbidden"


def test_a_video_is_fetched_and_probed_whatever_its_header_says(site: Site, tmp_path: Path):
    video = fetched(tmp_path, site.url("/to//a%20clip.mp4?x=1"))
    assert (video.num_frames, video.width, video.height) == (12, 64, 48)
    assert site.asked == ["/to//a%20clip.mp4?x=1", "/a%20clip.mp4?x=1"]
    assert video.name == "a clip.mp4"
    assert video.path.read_bytes() == site.clip


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/missing", InvalidMedia, "video_url_failed"),
        ("/around/100", InvalidMedia, "video_url_failed"),
        ("/short", InvalidMedia, "video_url_failed"),
        ("/lie", InvalidMedia, "invalid_media"),
        ("/large", TooLarge, "upload_too_large"),
        ("/endless", TooLarge, "upload_too_large"),
    ],
)
def test_what_is_no_video_leaves_nothing_behind(
    site: Site, tmp_path: Path, path: str, kind: type[ServiceError], code: str
):
    with pytest.raises(kind) as refused:
        fetched(tmp_path, site.url(path), max_upload_size_mb=1)
    assert refused.value.code == code
    assert left_over(tmp_path) == []
    assert len(site.asked) <= 6


@pytest.mark.parametrize("path", ["/drip", "/drip-headers"])
def test_a_server_that_drips_hits_the_time_limit(site: Site, tmp_path: Path, path: str):
    began = time.monotonic()
    with pytest.raises(InvalidMedia, match=r"longer than 0\.5 seconds"):
        fetched(tmp_path, site.url(path), video_url_timeout_seconds=0.5)
    assert time.monotonic() - began < 5
    assert left_over(tmp_path) == []


def test_a_name_that_is_never_resolved_hits_the_time_limit():
    never = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        never.wait(20)
        return ["127.0.0.1"]

    began = time.monotonic()
    with pytest.raises(InvalidInput), fetch.opened("http://video.test/", 0.3, hanging):
        pass
    assert time.monotonic() - began < 5
    never.set()


def test_nobody_there_is_said_in_a_sentence():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(InvalidMedia) as refused, local(f"http://video.test:{port}/", 10):
        pass
    assert refused.value.code == "video_url_failed"


def test_only_a_few_downloads_at_once(site: Site, tmp_path: Path):
    some = downloads(tmp_path, video_url_timeout_seconds=1)
    running = [some.start(site.url("/drip"), "me", None) for _ in range(4)]
    with pytest.raises(TooMany) as refused:
        some.start(site.url("/clip.mp4"), "me", None)
    assert refused.value.retry_after > 0
    wait(running, 30)
    assert some.start(site.url("/clip.mp4"), "me", None).result(30).num_frames == 12


def test_it_is_off_unless_allowed(site: Site, tmp_path: Path):
    settings = make_settings(tmp_path)
    with pytest.raises(Unsupported) as refused:
        Downloads(settings, Library(settings), local).start(site.url("/clip.mp4"), "me", None)
    assert refused.value.code == "video_url_disabled"
    assert site.asked == []

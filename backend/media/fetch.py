"""Reading a video from an address that a stranger named.

The server may stand where strangers can't reach: so only public addresses are connected to, looked
at after their name was resolved, and the connection is made to the very address that was looked at.
Redirects are followed one by one, each checked alike.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from backend.errors import InvalidInput, InvalidMedia

Resolve = Callable[[str, int], list[str]]
"""The addresses of a name, as text. Raises OSError where it has none."""

_REDIRECTS = 5
_CONNECT_SECONDS = 10.0
_LONGEST = 2000
_MOVED = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024


@dataclass(frozen=True, slots=True)
class _Place:
    """An address taken apart."""

    secure: bool
    host: str
    port: int
    target: str


def resolve(host: str, port: int) -> list[str]:
    """What the system says a name's addresses are; numbers in any writing (decimal, octal) too."""
    return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's: not private, loopback, link-local, shared, multicast
    or reserved, nor one of these inside an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


def name_in(url: str) -> str:
    """The file's name in an address, to be shown."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "video"


class Download:
    """A reply's body as a file that is read once."""

    def __init__(self, reply: http.client.HTTPResponse, late: threading.Event, seconds: float) -> None:
        self._reply = reply
        self._late = late
        self._seconds = seconds
        self.size = reply.length
        """In bytes, where the server says it."""

    def read(self, size: int = -1) -> bytes:
        """Raises: InvalidMedia: it broke off, or took too long."""
        try:
            # What has come, not all of `size`: so that what is too large is seen soon.
            data = self._reply.read1(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._broken() from error
        if self._late.is_set() or (not data and self._reply.length):
            raise self._broken()
        return data

    def _broken(self) -> InvalidMedia:
        return _too_slow(self._seconds) if self._late.is_set() else _failed("the download broke off")


@contextmanager
def opened(
    url: str, seconds: float, resolve: Resolve = resolve, allowed: Callable[[str], bool] = is_public
) -> Iterator[Download]:
    """Open an address for reading.

    Args:
        url: http or https, without a name and password in it.
        seconds: for all of it, the reading in the block included.
        resolve: the addresses of a name.
        allowed: whether an address may be connected to.

    Raises:
        InvalidInput: `invalid_video_url`: not such an address; `video_url_forbidden`: it is not
            public. Nothing is said about which names and machines there are.
        InvalidMedia: `video_url_failed`: it does not answer as it should, or not in time.
    """
    late = threading.Event()
    lock = threading.Lock()
    sockets: list[socket.socket] = []

    def stop() -> None:
        late.set()
        with lock:
            for sock in sockets:
                # It may be closed already. This wakes whoever reads from it.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    ends = time.monotonic() + seconds
    clock = threading.Timer(seconds, stop)
    clock.daemon = True
    clock.start()
    try:
        for _ in range(_REDIRECTS + 1):
            place = _place(url)
            addresses = _addresses(place, resolve, ends)
            if not addresses or not all(allowed(address) for address in addresses):
                raise _forbidden()
            if late.is_set():
                raise _too_slow(seconds)
            with contextlib.ExitStack() as closing:
                try:
                    sock = _connect(addresses, place.port, ends)
                    if place.secure:
                        context = ssl.create_default_context()
                        sock = context.wrap_socket(sock, server_hostname=place.host, do_handshake_on_connect=False)
                    closing.callback(sock.close)
                    with lock:
                        sockets[:] = [sock]
                    reply = _ask(place, sock, closing)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    raise (_too_slow(seconds) if late.is_set() else _failed("it does not answer")) from error
                if late.is_set():
                    raise _too_slow(seconds)
                if reply.status in _MOVED and reply.getheader("location"):
                    url = urljoin(url, str(reply.getheader("location")))
                    continue
                if reply.status != http.HTTPStatus.OK:
                    raise _failed(f"it answers with {reply.status}")
                yield Download(reply, late, seconds)
                return
        raise _failed("it leads on and on")
    finally:
        clock.cancel()


def _place(url: str) -> _Place:
    """Raises: InvalidInput."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError) as error:
        raise _invalid() from error
    odd = len(url) > _LONGEST or any(char <= " " or char == "\x7f" for char in url)
    if odd or parts.scheme not in ("http", "https") or not host:
        raise _invalid()
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("A video_url may hold no name and password.", "invalid_video_url")
    secure = parts.scheme == "https"
    port = (443 if secure else 80) if port is None else port
    if port not in _PORTS and port < _FIRST_FREE_PORT:
        raise _forbidden()
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    return _Place(secure, host, port, target + (f"?{query}" if query else ""))


def _addresses(place: _Place, resolve: Resolve, ends: float) -> list[str]:
    """A name's addresses; none where it has none, or they don't come in time."""
    found: list[str] = []

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError, ValueError):
            found.extend(resolve(place.host, place.port))

    # The system's resolver knows no time limit.
    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(max(0.0, min(_CONNECT_SECONDS, ends - time.monotonic())))
    return [] if thread.is_alive() else list(found)


def _connect(addresses: list[str], port: int, ends: float) -> socket.socket:
    """Raises: OSError: none of them takes the connection."""
    failure: OSError = TimeoutError()
    for address in addresses:
        left = min(_CONNECT_SECONDS, ends - time.monotonic())
        if left <= 0:
            break
        try:
            # An address in figures: nothing is resolved here any more.
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            failure = error
    raise failure


def _ask(place: _Place, sock: socket.socket, closing: contextlib.ExitStack) -> http.client.HTTPResponse:
    """Raises: OSError, HTTPException."""
    kind = http.client.HTTPSConnection if place.secure else http.client.HTTPConnection
    connection: Any = kind(place.host, place.port)
    closing.callback(connection.close)
    if isinstance(sock, ssl.SSLSocket):
        sock.do_handshake()
    connection.sock = sock
    headers = {"User-Agent": "sam3-ui", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    connection.request("GET", place.target, headers=headers)
    reply: http.client.HTTPResponse = connection.getresponse()
    closing.callback(reply.close)
    return reply


def _invalid() -> InvalidInput:
    return InvalidInput("A video_url is an http or https address.", "invalid_video_url")


def _forbidden() -> InvalidInput:
    return InvalidInput("This video_url can't be used: only public addresses are fetched.", "video_url_forbidden")


def _failed(why: str) -> InvalidMedia:
    return InvalidMedia(f"The video_url can't be fetched: {why}.", "video_url_failed")


def _too_slow(seconds: float) -> InvalidMedia:
    return _failed(f"it takes longer than {seconds:g} seconds")

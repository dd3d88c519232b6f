"""Which pages and names a browser may use the server from and by."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from backend.errors import Unauthenticated
from backend.settings import Settings

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def same_origin(connection: HTTPConnection, allowed: Sequence[str]) -> bool:
    """Whether a browser's request comes from a page of this server, or of an allowed origin.

    Programs send no Origin. Behind a proxy the page's host is what the proxy was asked for.
    """
    origins = connection.headers.getlist("origin")
    if not origins or "*" in allowed:
        return True
    if len(origins) > 1:
        return False
    if origins[0] in allowed:
        return True
    # "null" and an empty one come from pages that hide who they are.
    host = urlsplit(origins[0]).netloc.lower()
    hosts = {connection.headers.get(name, "").lower() for name in ("host", "x-forwarded-host")}
    return bool(host) and host in hosts


class Hosts:
    """The names that the server may be asked for by.

    A page elsewhere can make its own name point here, and is then this server's own page to the
    browser: so a server on a loopback address answers to loopback names only.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = {name.lower() for name in settings.allowed_hosts}
        local = settings.server_host.lower() in _LOOPBACK
        self._local = local and not settings.allowed_hosts and not settings.trusted_proxies

    def check(self, connection: HTTPConnection) -> None:
        """Raises: Unauthenticated: `foreign_host`."""
        if not self._names and not self._local:
            return
        name = (urlsplit("//" + connection.headers.get("host", "")).hostname or "") if _sane(connection) else ""
        if name in self._names or (self._local and _is_local(name)):
            return
        raise Unauthenticated(
            "This server does not answer to that name. Its operator can add the name to ALLOWED_HOSTS.", "foreign_host"
        )


def _sane(connection: HTTPConnection) -> bool:
    try:
        return bool(urlsplit("//" + connection.headers.get("host", "")).netloc)
    except ValueError:
        return False


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

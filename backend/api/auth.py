"""Who asks: API keys, page logins, visitors, or everybody.

A program sends its key as `X-API-Key` or as `Authorization: Bearer`, and a login as HTTP Basic; a
WebSocket may put its key in the query as `api_key`, since browsers can't set headers there. The
page asks once for a key or a login and holds a signed cookie made from it, never the secret itself.
Where neither is asked for, `TENANCY` decides: one owner, or a signed cookie for each browser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from backend.api.rates import Buckets
from backend.api.signing import Signer, load_secret
from backend.errors import InvalidInput, TooMany, Unauthenticated
from backend.owners import LOCAL_OWNER, ticket_owner, visitor_owner
from backend.settings import Settings

LOGIN_SECONDS = 7 * 86400
"""How long a login's cookie holds."""
VISITOR_SECONDS = 400 * 86400
"""As long as browsers keep any cookie."""
_IN_SCOPE = "sam3.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `owner` of what is asked for; `address` it comes from; `known` by key, login or cookie."""

    owner: str
    address: str
    known: bool


class Access:
    """Tells callers apart.

    Raises:
        InvalidInput: the settings let nobody in.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.require_api_key and not settings.api_keys and not settings.page_logins:
            raise InvalidInput("REQUIRE_API_KEY is set, but API_KEYS is empty: nobody could come in.", "no_keys")
        keys = settings.api_keys if settings.require_api_key else []
        self._keys = {_key_owner(key): key.encode() for key in keys}
        pairs = (login.partition(":") for login in settings.page_logins)
        self._logins = {user: password.encode() for user, _, password in pairs}
        self.takes_logins = bool(self._logins)
        self.required = settings.require_api_key or self.takes_logins
        """Whether nobody comes in without a key or a login."""
        self.per_visitor = not self.required and settings.tenancy == "per-visitor"
        self.many_owners = self.required or self.per_visitor
        self._proxies = settings.trusted_proxies
        self._signer = Signer(load_secret(settings.data_dir))
        self._failures = Buckets(settings.failed_logins_per_minute)
        self.login_cookie = f"sam3_login_{self._signer.id}"
        self.visitor_cookie = f"sam3_visitor_{self._signer.id}"

    # --- who asks --------------------------------------------------------------------------------

    def caller(self, connection: HTTPConnection) -> Caller:
        """Who asks; worked out once for each request.

        Raises:
            Unauthenticated: a key or login is required and none that is valid came.
            TooMany: too many wrong ones came from there.
        """
        found: Caller | None = connection.scope.get(_IN_SCOPE)
        if found is None:
            found = self._find(connection)
            connection.scope[_IN_SCOPE] = found
        return found

    def owner(self, connection: HTTPConnection) -> str:
        """Whose request it is. Raises what `caller` does."""
        return self.caller(connection).owner

    def stranger(self, connection: HTTPConnection) -> Caller:
        """Who asks, where nothing is known but the address."""
        return Caller(LOCAL_OWNER, address_of(connection, self._proxies), False)

    def _find(self, connection: HTTPConnection) -> Caller:
        address = address_of(connection, self._proxies)
        if self.required:
            return Caller(self._by_cookie(connection) or self._by_secret(connection, address), address, True)
        if not self.per_visitor:
            return Caller(LOCAL_OWNER, address, False)
        visitor = self.visitor(connection)
        return Caller(visitor or ticket_owner(self._stand_in(address)), address, visitor is not None)

    def _by_cookie(self, connection: HTTPConnection) -> str | None:
        text = self._signer.read("login", connection.cookies.get(self.login_cookie, ""))
        owner, _, rest = (text or "").partition("/")
        ends, _, proof = rest.partition("/")
        if not text or not ends.isdigit() or int(ends) < time.time():
            return None
        # A key that was taken back, or a password that was changed, ends its cookies.
        secret = self._secret_of(owner)
        return owner if secret is not None and hmac.compare_digest(proof, self._proof(secret)) else None

    def _by_secret(self, connection: HTTPConnection, address: str) -> str:
        given = list(_given(connection))
        if given:
            self._slow_down(address)
        for user, secret in given:
            owner = self.check(user, secret)
            if owner:
                return owner
        if given:
            self._failures.take(address)
        if self.takes_logins and not self._keys:
            raise Unauthenticated("This server needs a login: open its page, or send it as HTTP Basic.")
        raise Unauthenticated("This server needs an API key: send it as X-API-Key.")

    # --- keys and logins -------------------------------------------------------------------------

    def check(self, user: str | None, secret: str) -> str | None:
        """The owner that a key (`user` None) or a login names; None where it is wrong.

        All of them are compared, so that the time taken tells nothing.
        """
        given = _digest(secret.encode("utf-8", "surrogateescape"))
        found = None
        if user is None:
            for owner, key in self._keys.items():
                if hmac.compare_digest(_digest(key), given):
                    found = owner
            return found
        for name, password in self._logins.items():
            same = hmac.compare_digest(_digest(name.encode()), _digest(user.encode("utf-8", "surrogateescape")))
            if hmac.compare_digest(_digest(password), given) & same:
                found = _login_owner(name)
        return found

    def log_in(self, connection: HTTPConnection, user: str | None, secret: str) -> str:
        """The cookie's value for a key or a login.

        Raises:
            Unauthenticated: it is wrong.
            TooMany: too many wrong ones came from there.
        """
        address = address_of(connection, self._proxies)
        self._slow_down(address)
        owner = self.check(user, secret)
        if owner is None:
            self._failures.take(address)
            raise Unauthenticated("That key is not valid." if user is None else "That login is not valid.")
        proof = self._proof(self._secret_of(owner) or b"")
        return self._signer.sign("login", f"{owner}/{int(time.time()) + LOGIN_SECONDS}/{proof}")

    def _secret_of(self, owner: str) -> bytes | None:
        return self._keys.get(owner) or next((p for n, p in self._logins.items() if _login_owner(n) == owner), None)

    def _proof(self, secret: bytes) -> str:
        return self._signer.digest("proof", secret.decode("utf-8", "surrogateescape"))

    def _slow_down(self, address: str) -> None:
        wait = self._failures.wait(address)
        if wait:
            raise TooMany(
                "Too many wrong keys or logins came from your address: wait a little.",
                "too_many_failures",
                retry_after=math.ceil(wait),
            )

    # --- visitors --------------------------------------------------------------------------------

    def visitor(self, connection: HTTPConnection) -> str | None:
        """The browser that a cookie names, where it was signed here."""
        return self._signer.read("visitor", connection.cookies.get(self.visitor_cookie, ""))

    def new_visitor(self, connection: HTTPConnection) -> str:
        """A cookie's value for a browser that has none yet."""
        address = address_of(connection, self._proxies)
        name = visitor_owner(self._stand_in(address), secrets.token_urlsafe(16))
        return self._signer.sign("visitor", name)

    def _stand_in(self, address: str) -> str:
        """What is stored in an address's place."""
        return self._signer.digest("address", address)[:16]

    # --- cookies ---------------------------------------------------------------------------------

    def set_cookie(self, connection: HTTPConnection, name: str, value: str, seconds: int, embedded: bool) -> str:
        """A `Set-Cookie` header's value; `embedded`: the page may lie in another site's frame."""
        secure = is_https(connection)
        # Browsers send cookies into another site's frame only with these, and only over https.
        site = "SameSite=None; Partitioned" if embedded and secure else "SameSite=Lax"
        return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; {site}" + ("; Secure" if secure else "")


def is_https(connection: HTTPConnection) -> bool:
    """Whether the browser speaks https, to this server or to the proxy before it."""
    forwarded = connection.headers.get("x-forwarded-proto", "").split(",")[-1].strip()
    return connection.url.scheme in ("https", "wss") or forwarded in ("https", "wss")


def address_of(connection: HTTPConnection, proxies: int) -> str:
    """The address that asks; an IPv6 one stands for its network, of which anybody has plenty.

    Args:
        connection: the request.
        proxies: how many proxies in front of the server each add the address they were asked from
            to `X-Forwarded-For`. What stands before their entries, anybody may have written.
    """
    client = connection.client
    found = client.host if client else "unknown"
    if proxies:
        entries = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
        if len(entries) >= proxies:
            found = entries[-proxies].strip() or found
    try:
        ip = ipaddress.ip_address(found.partition("%")[0])
    except ValueError:
        return found[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return str(ip)


def _given(connection: HTTPConnection) -> Iterator[tuple[str | None, str]]:
    """The keys (user None) and logins that came with a request."""
    key = connection.headers.get("x-api-key")
    if key:
        yield None, key
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield None, token.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            user = password = ""
        yield user, password
    if connection.scope["type"] == "websocket" and connection.query_params.get("api_key"):
        yield None, connection.query_params["api_key"]


def _digest(text: bytes) -> bytes:
    """Equally long for all, so that comparing tells nothing of the length."""
    return hashlib.sha256(text).digest()


def _key_owner(key: str) -> str:
    """An owner's name, from which the key can't be had."""
    return "key-" + hashlib.sha256(key.encode()).hexdigest()[:24]


def _login_owner(user: str) -> str:
    return "login-" + base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")

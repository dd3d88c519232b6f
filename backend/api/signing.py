"""Signed cookies, and the secret they are signed with."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger(__name__)

_FILE = "signing.key"
_BYTES = 32


class Signer:
    """Signs short texts, each for one purpose, and takes back only what it signed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = self._mac("id", "")[:8]
        """Tells this server's cookies from those of another one on the same host: ports do not."""

    def sign(self, purpose: str, text: str) -> str:
        """The text with its signature, fit for a cookie where the text is."""
        return f"{text}.{self._mac(purpose, text)}"

    def read(self, purpose: str, token: str) -> str | None:
        """The text of a token that was signed for that purpose, else None."""
        text, _, mac = token.rpartition(".")
        # Compared as bytes: a cookie may hold anything.
        good = hmac.compare_digest(mac.encode("utf-8", "surrogateescape"), self._mac(purpose, text).encode())
        return text if good else None

    def digest(self, purpose: str, text: str) -> str:
        """A text that stands for another one, which can't be had from it."""
        return self._mac(purpose, text)[:24]

    def _mac(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def load_secret(data_dir: Path) -> bytes:
    """The server's secret, made on the first start and kept in a file that only its owner can read.

    Where nothing can be written it lasts as long as the process, and browsers have to log in again.
    """
    path = data_dir / _FILE
    try:
        found = _read(path)
        if found is not None:
            return found
        data_dir.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{_FILE}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            # Of two servers that start at once, the second takes what the first one wrote.
            os.link(new, path)
        except FileExistsError:
            found = _read(path)
            if found is None:
                new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        return found or _read(path) or secrets.token_bytes(_BYTES)
    except OSError as error:
        log.warning("the signing key can't be kept (%s): logins end with this process", error.strerror)
        return secrets.token_bytes(_BYTES)


def _read(path: Path) -> bytes | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    return found if len(found) >= _BYTES else None

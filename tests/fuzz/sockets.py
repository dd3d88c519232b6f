"""WebSockets by hand, so that a client can do what no library lets it, and a look at the server's process."""

from __future__ import annotations

import base64
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0


def frame(opcode: int, payload: bytes, final: bool = True, length: int | None = None) -> bytes:
    """A masked client frame. `length`: what its head says, where that is a lie."""
    said = len(payload) if length is None else length
    head = bytes([opcode | (128 if final else 0)])
    if said < 126:
        head += bytes([128 | said])
    elif said < 1 << 16:
        head += bytes([128 | 126]) + struct.pack(">H", said)
    else:
        head += bytes([128 | 127]) + struct.pack(">Q", said)
    # A mask of zeros leaves the payload as it is.
    return head + b"\0\0\0\0" + payload


class RawSocket:
    """A WebSocket after its handshake, of which only bytes are known."""

    def __init__(self, address: str, path: str, receive_buffer: int | None = None, **headers: str) -> None:
        where = urlsplit(address)
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(60)
        self.sock.connect((where.hostname, where.port))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {where.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._read = b""
        while b"\r\n\r\n" not in self._read:
            self._read += self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])

    def _more(self) -> bytes:
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        while True:
            if len(self._read) >= 2:
                length, at = self._read[1] & 127, 2
                if length == 126 and len(self._read) >= 4:
                    length, at = struct.unpack(">H", self._read[2:4])[0], 4
                elif length == 127 and len(self._read) >= 10:
                    length, at = struct.unpack(">Q", self._read[2:10])[0], 10
                if (length not in (126, 127) or at > 2) and len(self._read) >= at + length:
                    opcode, payload = self._read[0] & 15, self._read[at : at + length]
                    self._read = self._read[at + length :]
                    return opcode, payload
            self._read += self._more()

    def end(self) -> tuple[int | None, list[bytes]]:
        """Read to the end: the code the server closed with (None: it only hung up), and its messages before."""
        messages: list[bytes] = []
        try:
            while True:
                opcode, payload = self.receive()
                if opcode == CLOSE:
                    return struct.unpack(">H", payload[:2])[0] if payload else 1005, messages
                if opcode in (TEXT, BINARY):
                    messages.append(payload)
        except ConnectionError:
            return None, messages

    def reset(self) -> None:
        """Vanish: a TCP reset instead of a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Process:
    """The server's own process."""

    pid: int

    @classmethod
    def of(cls, address: str) -> Process:
        """That of the server at an address, started by this process."""
        wanted = f"SERVER_PORT={urlsplit(address).port}".encode()
        for folder in Path("/proc").iterdir():
            try:
                if not folder.name.isdigit() or wanted not in (folder / "environ").read_bytes().split(b"\0"):
                    continue
                status = (folder / "status").read_text()
            except OSError:
                # It ended meanwhile, or is somebody else's.
                continue
            if f"PPid:\t{os.getpid()}\n" in status:
                return cls(int(folder.name))
        raise AssertionError("the server's process is not to be found")

    @property
    def files(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

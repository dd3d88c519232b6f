"""base64 in a client's JSON: decoded a slice at a time, to the same bytes."""

from __future__ import annotations

import base64
import random

import pytest

from backend.errors import InvalidMedia
from backend.sessions.image import SLICE, decode_base64

LENGTHS = (1, 2, 3, 4, 5, SLICE * 3 // 4 - 1, SLICE * 3 // 4, SLICE * 3 // 4 + 1, 2 * SLICE + 7)


@pytest.mark.parametrize("length", LENGTHS)
def test_whatever_its_length_and_its_line_breaks(length: int):
    data = random.Random(length).randbytes(length)
    text = base64.b64encode(data).decode()
    for written in (text, f"data:image/png;base64,{text}", base64.encodebytes(data).decode(), f" {text}\n"):
        assert decode_base64(written, "image") == data


@pytest.mark.parametrize(
    "text",
    [
        *("", "data:", "data:image/png;base64", "data:,", "Q", "QQ", "Q*==", "é===", "====", "QQ==QQ=="),
        "A" * SLICE + "=",
        "QQ==" + "\n" * SLICE + "QQ==",
        "A" * (SLICE - 4) + "QQ==" + "QQ==",
    ],
)
def test_what_is_no_base64_is_refused(text: str):
    with pytest.raises(InvalidMedia) as caught:
        decode_base64(text, "image")
    assert caught.value.code == "invalid_base64"

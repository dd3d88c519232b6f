"""The looks of a still and of a video, from a real server."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest

from backend.domain import Image
from backend.engines.fake import LATE, WORDS
from backend.masks import decode
from backend.masks.rle import parse

CLICK = {"type": "point", "points": [[0.25, 0.5]], "point_labels": [1]}
FRAMES = 12


@pytest.fixture
def prompted(http: httpx.Client, session_url: str) -> str:
    """A session with one object, known on frames 0 to 5."""
    http.post(f"{session_url}/prompt", json={"frame_index": 0, "prompts": [CLICK]}).raise_for_status()
    http.post(f"{session_url}/propagate", json={"end_frame_index": 5, "direction": "forward"}).raise_for_status()
    return session_url


def picture(http: httpx.Client, url: str, kind: str = "png", **query: Any) -> Image:
    reply = http.get(url, params={"format": kind, **query})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == f"image/{kind}"
    found = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return np.asarray(found, np.uint8)


def test_stills_in_a_look(http: httpx.Client, prompted: str) -> None:
    frame = f"{prompted}/frame/3"
    stored = http.get(f"{prompted}/results", params={"start": 3, "stop": 3}).json()
    mask = decode(parse(stored["results"]["3"]["objects"][0]["mask"], *stored["size"]))
    plain = picture(http, frame)
    cut = picture(http, frame, look="cutout")
    np.testing.assert_array_equal(cut[..., 3], mask * 255)
    np.testing.assert_array_equal(cut[mask][:, :3], plain[mask])
    assert not cut[~mask].any(), "what is cut away is not in the file"
    small = picture(http, frame, look="cutout", width=32)
    assert small.shape == (24, 32, 4)
    assert set(np.unique(small[..., 3])) > {0, 255}
    assert not small[small[..., 3] == 0].any()
    rim = (small[..., 3] > 0) & (small[..., 3] < 255)
    assert small[rim][:, :3].mean() > 0.8 * plain.mean(), "no dark rim"

    blurred = picture(http, frame, look="blur_object")
    np.testing.assert_array_equal(blurred[~mask], plain[~mask])
    background = picture(http, frame, look="pixelate_background")
    np.testing.assert_array_equal(background[mask], plain[mask])
    assert (background[~mask] != plain[~mask]).any()
    for opacity in (0.2, 0.9):
        spot = picture(http, frame, look="spotlight", opacity=opacity)
        np.testing.assert_allclose(spot[~mask], plain[~mask] * (1 - opacity), atol=0.51)
    filled = picture(http, frame, overlay=1)
    np.testing.assert_array_equal(filled, picture(http, frame, look="fill", opacity=0.34))
    assert picture(http, frame, "jpeg", look="outline").shape == plain.shape


def test_what_hides_objects_hides_the_frame_where_they_are_not_known(http: httpx.Client, prompted: str) -> None:
    plain = picture(http, f"{prompted}/frame/9")
    assert not picture(http, f"{prompted}/frame/9", look="pixelate_object").any()
    np.testing.assert_array_equal(
        picture(http, f"{prompted}/frame/9", look="pixelate_object", uncomputed="keep"), plain
    )
    assert not picture(http, f"{prompted}/frame/9", overlay=1, uncomputed="black").any()
    np.testing.assert_array_equal(picture(http, f"{prompted}/frame/9", overlay=1), plain)
    video = http.get(f"{prompted}/export/overlay_mp4", params={"look": "blur_object", "side_by_side": "true"})
    assert video.status_code == 200, video.text
    assert black_frames(video.content) == list(range(6, FRAMES))


def black_frames(file: bytes) -> list[int]:
    """The frames of a video side by side whose right half is black."""
    with av.open(BytesIO(file)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == FRAMES
    assert {p.shape for p in pictures} == {(48, 128, 3)}
    assert all(p[:, :64].mean() > 20 for p in pictures)
    return [i for i, p in enumerate(pictures) if p[:, 64:].max() <= 3]


def test_what_a_run_found_late_was_looked_for_before(http: httpx.Client, session_url: str) -> None:
    """It is known not to be there on the frames that the run went over without finding it."""
    prompts = [{"type": "text", "text": WORDS[2]}, CLICK]
    for prompt in prompts:
        http.post(f"{session_url}/prompt", json={"frame_index": 2, "prompts": [prompt]}).raise_for_status()
    http.post(f"{session_url}/propagate", json={"direction": "forward"}).raise_for_status()
    first, late = http.get(f"{session_url}/status").json()["objects"]
    assert first["known"] == first["computed"] == [[2, FRAMES - 1]]
    assert late["computed"] == [[2 + LATE, FRAMES - 1]]
    assert late["known"] == [[2, FRAMES - 1]]
    look = {"look": "blur_object", "side_by_side": "true"}
    assert black_frames(http.get(f"{session_url}/export/overlay_mp4", params=look).content) == [0, 1]
    assert picture(http, f"{session_url}/frame/3", look="blur_object").any()


@pytest.mark.parametrize(
    "query",
    [
        {"look": "smear"},
        {"look": "fill", "opacity": 2},
        {"look": "fill", "opacity": "nan"},
        {"look": "cutout", "opacity": 0.5},
        {"look": "fill", "uncomputed": "white"},
        {"format": "gif"},
    ],
)
def test_looks_that_are_none(http: httpx.Client, session_url: str, query: dict[str, Any]) -> None:
    reply = http.get(f"{session_url}/frame/0", params=query)
    assert reply.status_code == 422
    assert set(reply.json()) == {"detail", "code"}


def test_gradio_paints_in_a_look_too(server: str, prompted: str) -> None:
    from gradio_client import Client

    client = Client(server, verbose=False, download_files=False)
    asked = {"direction": "forward", "start_frame_index": 5, "max_frames": 2, "overlay": True}
    try:
        pictures = {}
        for look, opacity in (("spotlight", 1.0), ("fill", None)):
            job = client.submit(prompted.rsplit("/", 1)[-1], **asked, look=look, opacity=opacity, api_name="/propagate")
            (_, url), *_ = job
            jpeg = base64.b64decode(url.partition(",")[2])
            found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert found is not None
            pictures[look] = found
    finally:
        client.close()
    assert (pictures["spotlight"].max(axis=2) <= 12).mean() > 0.7, "all but the object is black"
    assert (pictures["fill"].max(axis=2) <= 12).mean() < 0.1

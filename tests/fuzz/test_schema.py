"""Arbitrary JSON into every request body and every prompt: it fits, or is refused by the error tree; nothing else."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.api import bodies
from backend.domain import Box, MaskPrompt, Points, Text, Video
from backend.errors import ServiceError
from backend.sessions.planning import PropagateRequest
from backend.sessions.ranges import legs
from backend.sessions.start import frame_rate
from backend.sessions.wire import prompts_in
from tests.fuzz.counting import feed
from tests.report import record

VIDEO = Video("v", Path("v.mp4"), "v.mp4", 7, 5, Fraction(24), 12, 0.5)
BODIES = (
    bodies.StartBody,
    bodies.PromptBody,
    bodies.PropagateBody,
    bodies.ObjectBody,
    bodies.ApproveBody,
    bodies.LabelBody,
    bodies.SplitBody,
    bodies.MergeBody,
    bodies.ImageBody,
    bodies.BatchBody,
    bodies.FeaturesBody,
    bodies.LoginBody,
)

IMAGE = "aGVsbG8="
PROMPTS: list[dict[str, Any]] = [
    {"type": "text", "text": "person"},
    {"type": "point", "points": [[0.4, 0.5], [0.1, 0]], "point_labels": [1, 0], "replace": True},
    {"type": "box", "box": [0.1, 0.1, 0.3, 0.4], "label": True, "exemplar": False},
    {"type": "mask", "mask": "S1", "mode": "add"},
]
FITTING: list[tuple[type[bodies.Body], dict[str, Any]]] = [
    (bodies.StartBody, {"video_path": "a.mp4", "session_id": "mine", "gpu_ids": [0], "fps": 24}),
    (bodies.PromptBody, {"frame_index": 3, "prompts": PROMPTS, "obj_id": 1}),
    (bodies.PropagateBody, {"direction": "both", "start_frame_index": 0, "max_frames": 3, "obj_ids": [1]}),
    (bodies.PropagateBody, {"end_frame_index": 5}),
    (bodies.ObjectBody, {"name": "a", "label": "b", "color": "#112233"}),
    (bodies.ApproveBody, {"start": 0, "stop": 3, "approved": False}),
    (bodies.SplitBody, {"frame_index": 3, "prompts": [PROMPTS[1], PROMPTS[3]], "start": 0, "stop": 3}),
    (bodies.LabelBody, {"label": "dog", "color": "#112233"}),
    (bodies.MergeBody, {"obj_id": 2, "start": 0}),
    (bodies.ImageBody, {"image": IMAGE, "prompts": PROMPTS[:2], "confidence_threshold": 0.5}),
    (bodies.BatchBody, {"images": [{"id": 1, "image": IMAGE, "prompts": PROMPTS[1:]}], "max_concurrent": 2}),
    (bodies.FeaturesBody, {"image": IMAGE, "text_prompts": ["a", "b"], "confidence_threshold": None}),
    (bodies.LoginBody, {"api_key": "k"}),
]
"""Bodies that fit, into which drawn JSON is put: one place at a time."""

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.integers()
    | st.floats()
    | st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400, 1e308, 5e-324, "text", "both", "add", "P3", "1", ""])
    | st.text(max_size=12)
)
pieces = _scalars | st.lists(_scalars, max_size=3) | st.dictionaries(st.text(max_size=4), _scalars, max_size=2)


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The way to every place in a JSON value."""
    yield ()
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in steps:
        for rest in places(inner):
            yield (key, *rest)


def variants(value: Any, way: tuple[str | int, ...], piece: Any) -> Iterator[Any]:
    """A value with something else in one place, with something more there, and without it."""
    if not way:
        yield piece
        return
    for change in ("put", "add", "drop"):
        changed = copy.deepcopy(value)
        inner = changed
        for key in way[:-1]:
            inner = inner[key]
        if change == "put":
            inner[way[-1]] = piece
        elif change == "drop":
            del inner[way[-1]]
        elif isinstance(inner, list):
            inner.insert(int(way[-1]), piece)
        else:
            inner[str(piece)] = piece
        yield changed


def check_body(body: type[bodies.Body], value: Any) -> bool:
    """Whether it fits."""
    try:
        made = body.model_validate(value)
    except ValidationError:
        return False
    # What is let in can be said again, and goes on without surprises.
    assert body.model_validate(made.model_dump()) == made
    if isinstance(made, bodies.PropagateBody):
        check_range(made.request())
    if isinstance(made, bodies.PromptBody | bodies.SplitBody):
        check_prompts([p.model_dump() for p in made.prompts])
    if isinstance(made, bodies.StartBody) and made.fps is not None:
        check_rate(made.fps)
    return True


def check_range(request: PropagateRequest) -> None:
    try:
        found = legs(request.direction, request.start_frame_index or 0, 12, request.max_frames, request.end_frame_index)
    except ServiceError:
        return
    assert all(0 <= frame < 12 for leg in found for frame in leg.frames)


def check_rate(fps: float) -> None:
    try:
        rate = frame_rate(fps)
    except ServiceError:
        return
    assert rate is not None
    assert Fraction(1, 100) <= rate <= 1000


def check_prompts(items: Any) -> None:
    try:
        made = prompts_in(items, VIDEO)
    except ServiceError:
        return
    for prompt in made:
        assert isinstance(prompt, Text | Points | Box | MaskPrompt)
        if isinstance(prompt, Points):
            assert all(0 <= c <= 1 for point in prompt.points for c in point)
        if isinstance(prompt, Box):
            x, y, w, h = prompt.box
            assert 0 <= x <= 1
            assert 0 <= y <= 1
            assert 0 < w <= 1 - x + 1e-9
            assert 0 < h <= 1 - y + 1e-9


def fuzz(count: int) -> tuple[int, Counter[str]]:
    """At least `count` bodies and lists of prompts; also returns how many bodies of each kind fitted."""
    fitted: Counter[str] = Counter()
    tried = 0

    def everywhere(piece: Any) -> None:
        nonlocal tried
        for body, value in FITTING:
            for way in places(value):
                for changed in variants(value, way, piece):
                    tried += 1
                    fitted[body.__name__] += check_body(body, changed)
        for way in places(PROMPTS):
            for changed in variants(PROMPTS, way, piece):
                tried += 1
                check_prompts(changed)

    while tried < count:
        feed(max(1, (count - tried) // 350), everywhere, pieces)
    return tried, fitted


@pytest.mark.slow
def test_any_json_fits_a_body_or_is_refused():
    tried, fitted = fuzz(4_000)
    print(f"{tried} bodies and prompts; those that fit: {dict(fitted)}")
    record("bodies_and_prompts_of_arbitrary_json", inputs=tried, accepted=sum(fitted.values()))
    assert tried >= 4_000
    assert len(fitted) == len(BODIES)


@pytest.mark.long
def test_a_great_many_bodies_fit_or_are_refused():
    tried, fitted = fuzz(80_000)
    print(f"{tried} bodies and prompts; those that fit: {dict(fitted)}")
    record("bodies_and_prompts_of_arbitrary_json", inputs=tried, accepted=sum(fitted.values()))
    assert tried >= 80_000
    assert len(fitted) == len(BODIES)


@pytest.mark.parametrize("text", ['{"a":' * 5_000 + "1" + "}" * 5_000, "[" * 100_000, "[" * 900 + "]" * 900])
def test_deep_json_is_refused_like_any_other(text: str):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for body in BODIES:
        with pytest.raises(ValidationError):
            body.model_validate(value)
    with pytest.raises(ServiceError):
        prompts_in([value], VIDEO)

"""Still images through the service, for every engine: each answer is what a session of one frame gives."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine, Sequence
from typing import Any

import cv2
import pytest

from backend.domain import Image, Prompt, Text, Video
from backend.errors import Unsupported
from backend.masks import encode
from backend.sessions import wire
from backend.sessions.image import IMAGE_OWNER, segment_batch, segment_image, segment_texts
from backend.sessions.service import LOCAL_OWNER, Service
from backend.sessions.session import Session
from tests.contract.engines.cases import Case
from tests.contract.engines.scene import DISC, FACE, click, inside
from tests.contract.engines.talk import done
from tests.contract.engines.test_prompts import box_of
from tests.unit.engines.clips import Clip

Json = dict[str, Any]
MASKS = ("masks", "boxes", "scores", "num_masks")


def answered(call: Coroutine[Any, Any, Any]) -> Any:
    async def within() -> Any:
        return await asyncio.wait_for(call, 120)

    return asyncio.run(within())


def png(picture: Image) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def sent(picture: Image) -> str:
    return base64.b64encode(png(picture)).decode()


def of(reply: Json) -> Json:
    return {name: reply[name] for name in MASKS}


@pytest.fixture
def still(service: Service, scene: Clip, tmp_path_factory: pytest.TempPathFactory) -> Video:
    """The scene's first picture, uploaded."""
    path = tmp_path_factory.mktemp("still") / "scene.png"
    path.write_bytes(png(scene.pictures[0]))
    return service.upload(path, path.name, LOCAL_OWNER)


def in_a_session(service: Service, still: Video, *prompts: Prompt) -> Json:
    """What a session of the one picture answers."""
    session: Session = service.start_session(still, LOCAL_OWNER)
    frame = done(session.prompt(0, prompts, None)).frame
    service.close(session.id, LOCAL_OWNER)
    return {
        "masks": [o.rle.counts for o in frame.objects],
        "boxes": [list(o.box) if o.box else None for o in frame.objects],
        "scores": [o.score for o in frame.objects],
        "num_masks": len(frame.objects),
    }


def asked(case: Case, scene: Clip) -> Sequence[tuple[Json, Prompt]]:
    """Prompts as a client sends them, and what they mean."""
    box = box_of(scene, FACE)
    point = inside(scene.masks[DISC][0])
    drawn = encode(scene.masks[DISC][0])
    every: list[tuple[Json, Prompt]] = [
        ({"type": "point", "points": [list(point)], "point_labels": [1]}, click(scene.masks[DISC][0])),
        ({"type": "box", "box": list(box.box)}, box),
    ]
    if case.can.mask:
        mask = {"type": "mask", "mask": drawn.counts}
        every.append((mask, wire.prompts_in([mask], scene.video)[0]))
    if case.can.text:
        every.append(({"type": "text", "text": case.word}, Text(case.word)))
    return every


def test_segment_gives_what_a_session_of_one_frame_gives(case: Case, service: Service, scene: Clip, still: Video):
    image = sent(scene.pictures[0])
    found = 0
    for body, prompt in asked(case, scene):
        reply = answered(segment_image(service, image, [body], confidence_threshold=0, return_visualization=True))
        assert of(reply) == in_a_session(service, still, prompt)
        assert reply["image_size"] == {"width": 128, "height": 96}
        assert reply["visualization_url"].startswith("data:image/jpeg;base64,")
        found += reply["num_masks"]
    assert found


def test_the_threshold_drops_finds_of_words_and_nothing_else(case: Case, service: Service, scene: Clip):
    image = sent(scene.pictures[0])
    every_kind = asked(case, scene)
    for body, _ in (every_kind[0], every_kind[-1]):
        every, none = (answered(segment_image(service, image, [body], threshold)) for threshold in (0, 1))
        if body["type"] == "text":
            assert every["num_masks"] > none["num_masks"]
        else:
            assert of(every) == of(none)


def test_a_batch_gives_what_single_calls_give(case: Case, service: Service, scene: Clip):
    bodies = [body for body, _ in asked(case, scene)]
    pictures = [sent(scene.pictures[i % 2]) for i in range(len(bodies))]
    images = [{"id": i, "image": p, "prompts": [b]} for i, (p, b) in enumerate(zip(pictures, bodies, strict=True))]
    broken = {"id": "broken", "image": "@@", "prompts": [bodies[0]]}
    reply = answered(segment_batch(service, [broken, *images], 0, max_concurrent=3))
    assert (reply["total_images"], reply["successful"], reply["failed"]) == (len(images) + 1, len(images), 1)
    assert [r["id"] for r in reply["results"]] == ["broken", *range(len(images))]
    for result, picture, body in zip(reply["results"][1:], pictures, bodies, strict=True):
        assert of(result) == of(answered(segment_image(service, picture, [body], 0)))


def test_texts_are_each_looked_for_alone_and_the_cache_tells_the_truth(case: Case, service: Service, scene: Clip):
    # A picture that no other test has asked about.
    picture = scene.pictures[5][::-1].copy()
    image = sent(picture)
    if not case.can.text:
        with pytest.raises(Unsupported):
            answered(segment_texts(service, image, ["face"], 0))
        return
    texts = [case.word, case.other_word or "nothing of the kind", case.word]
    first, second = (answered(segment_texts(service, image, texts, 0)) for _ in range(2))
    keeps = case.can.features
    assert keeps == case.model
    assert [(r["cache_hit"], r["cache"]) for r in (first, second)] == [
        (False, "on" if keeps else "none"),
        (keeps, "on" if keeps else "none"),
    ]
    assert first["results"] == second["results"]
    assert first["results"][0] == first["results"][2]
    for text, result in zip(texts, first["results"], strict=True):
        alone = answered(segment_image(service, image, [{"type": "text", "text": text}], 0))
        assert (result["prompt"], of(result)) == (text, of(alone))
    picture[0, 0] ^= 1
    assert answered(segment_texts(service, sent(picture), texts[:1], 0))["cache_hit"] is False


def test_a_call_leaves_nothing_behind(case: Case, service: Service, scene: Clip):
    image = sent(scene.pictures[0])
    body, _ = asked(case, scene)[0]
    answered(segment_image(service, image, [body]))
    answered(segment_batch(service, [{"id": 1, "image": "@@", "prompts": [{}]}]))
    assert service.list_sessions(IMAGE_OWNER) == []
    assert [p for p in service.settings.uploads.rglob("*") if p.is_file()] == []
    (slot,) = service.engines()
    assert slot.sessions == 0

"""The page with a model engine: real model code, tiny random weights, a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.e2e.person import Person
from tests.gated import gated_server
from tests.server import running_server
from tests.tiny import make_checkpoint

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("e2e-tiny")
    checkpoint = make_checkpoint(folder / "tiny-sam3", "sam3")
    with running_server(
        folder / "data", ENGINE="auto", CUDA_VISIBLE_DEVICES="", MODEL_ID=str(checkpoint), OMP_NUM_THREADS="1"
    ) as address:
        yield address


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "square.mp4")


def test_every_prompt_and_a_run_with_a_real_model(visit: Callable[..., Person], tiny_server: str, clip: Path) -> None:
    person = visit(tiny_server).upload(clip)
    badge = person.page.locator("[data-engine=transformers]")
    assert badge.inner_text().split() == ["SAM", "3", "CPU"]
    assert "tiny-sam3" in (badge.get_attribute("title") or "")
    # Why it is this one: with `auto`, what keeps a better one from being used.
    badge.click()
    assert person.page.get_by_text("SAM 3 (Meta's package) needs").first.is_visible()
    person.click(0.4, 0.5).settled()
    assert len(person.objects()) == 1
    person.find("square").settled()
    by_words = len(person.objects())
    assert by_words > 1
    assert person.objects()[1]["name"] == "Square"
    person.press("n").drag((0.2, 0.2), (0.6, 0.7)).settled()
    assert len(person.objects()) == by_words + 1
    first = person.masks(0)
    person.propagate().finished()
    assert person.masks(0) == first, "a run leaves what people made"
    for frame in (1, 6, 11):
        assert {m["id"] for m in person.masks(frame)} >= {m["id"] for m in first}
    person.seek(6)
    before = person.masks(6)
    person.page.keyboard.press("1")
    person.click(0.7, 0.3).settled()
    after = person.masks(6)
    assert [m for m in after if m["id"] != 1] == [m for m in before if m["id"] != 1]
    person.press("Control+z").until("s.canRedo && s.pending.length === 0 && s.waiting === 0")
    assert person.masks(6) == before


def test_a_model_that_loads_is_said_to_and_prompts_wait(
    visit: Callable[..., Person], tmp_path: Path, clip: Path
) -> None:
    with gated_server(tmp_path) as (address, go_on):
        person = visit(address).upload(clip)
        person.until("s.model?.stage === 'Importing PyTorch'")
        body = person.page.locator("body")
        assert "transformers is loading (Importing PyTorch)." in body.inner_text()
        assert "prompts wait in line" in body.inner_text()
        person.click(0.4, 0.5)
        assert len(person.state("pending")) + person.state("waiting") > 0
        go_on()
        person.until("s.model?.state === 'ready'", seconds=90)
        person.settled()
        assert len(person.objects()) == 1
        assert "is loading" not in body.inner_text()
        person.page.goto("about:blank")


def test_words_that_find_nothing_here_are_looked_for_in_a_run(person: Person) -> None:
    person.sample().find("late thing")
    assert person.objects() == []
    assert "Propagate to look for it" in person.page.inner_text("body")
    assert person.page.get_by_text("Looked for “late thing”").count() == 1
    person.propagate().finished()
    assert "Propagate to look for it" not in person.page.inner_text("body")
    (found,) = person.objects()
    assert (found["name"], found["computed"][0][0]) == ("Late thing", 3)
    assert person.page.get_by_text("Late thing").count() >= 1

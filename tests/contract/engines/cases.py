"""The engines that the contract is held against, each built as a worker builds it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import pytest

from backend.domain import Capabilities, Text
from backend.engines.base import Engine
from backend.engines.registry import EngineSpec, build
from backend.workers.pool import Pool
from tests.contract.engines.desk import Desk
from tests.contract.engines.scene import make_scene

PACKAGES = {
    "fake": (),
    "lite": (),
    "transformers": ("torch", "transformers"),
    "sam2": ("torch", "transformers"),
    "sam3": ("torch", "sam3"),
}
"""Every engine, "sam2" for a checkpoint that knows no words, and the packages that it needs."""


def lacking(name: str) -> str | None:
    """The first package that an engine needs and that is not installed."""
    return next((package for package in PACKAGES[name] if find_spec(package) is None), None)


NAMES = tuple(name for name in PACKAGES if not lacking(name))
"""The engines that can be tested here."""

WORDS = ("face", "thing", "ball", "dog", "blue disc", "person", "car", "cat", "apple", "red hat", "a wheel", "window")
STILLS = 100_000_000
"""What features of still images may hold, in bytes."""
LATE_WORD = "late thing"
"""What the stand-in finds on a later frame only."""


@dataclass
class Case:
    """An engine under test.

    Attributes:
        name: as in `NAMES`.
        build: builds another of it, with nothing in common with the first.
        spec: what a worker process builds it from.
        environment: what that process needs in its environment.
    """

    name: str
    build: Callable[[], Engine]
    spec: EngineSpec
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def engine(self) -> Engine:
        """The one that most tests use."""
        return self.build()

    @property
    def can(self) -> Capabilities:
        return self.engine.info.capabilities

    @property
    def stand_in(self) -> bool:
        """It draws discs, whatever is on the picture."""
        return self.name == "fake"

    @property
    def model(self) -> bool:
        """It has a network that scores objects on each frame."""
        return self.name not in ("fake", "lite")

    @cached_property
    def word(self) -> str:
        """Words that find something on the scene's first frame."""
        found = self._first(WORDS)
        assert found, "the engine's capabilities say text, and no word finds anything"
        return found

    @cached_property
    def other_word(self) -> str | None:
        """Other words that find something; None: it knows no others."""
        return self._first([w for w in WORDS if w != self.word])

    @contextmanager
    def blind(self) -> Iterator[None]:
        """Meanwhile the model's detector is sure of nothing: random weights find something for every word."""
        model = vars(self.engine)["_model"]
        network = model._video if self.name == "sam3" else model._network.model
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "score_threshold_detection", 1.1)
            patch.setattr(network, "new_det_thresh", 1.1)
            yield

    @cached_property
    def follows(self) -> bool:
        """Whether it goes on looking for words on later frames."""
        if not self.can.text:
            return False
        desk = Desk(self.engine, make_scene())
        word = LATE_WORD if self.stand_in else self.word
        return desk.ask(0, Text(word)).concept_kept

    @contextmanager
    def pool(self) -> Iterator[Pool]:
        """A pool with one worker that holds the engine."""
        pool = Pool([self.spec])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            pool.start()
            yield pool
            pool.stop()

    def need(self, *what: str) -> None:
        """Skip the test where the engine's capabilities lack something."""
        for name in what:
            if not getattr(self.can, name):
                pytest.skip(f"{self.name} says that it can't do {name}")

    def need_following(self) -> None:
        """Skip the test where words are answered on the prompted frame only."""
        self.need("text")
        if not self.follows:
            pytest.skip(f"{self.name} looks for words on the prompted frame only")

    def _first(self, words: Iterable[str]) -> str | None:
        for word in words:
            desk = Desk(self.engine, make_scene())
            found = desk.ask(0, Text(word)).obj_ids
            desk.close()
            if found:
                return word
        return None


def make_case(name: str, folder: Path) -> Case:
    """An engine by its name.

    Args:
        name: one of `NAMES`.
        folder: what it may keep goes there.
    """
    cache = folder / "cache"
    cache.mkdir()
    if name in ("fake", "lite"):
        spec = EngineSpec(name, cache)
        # A run that ends before anybody could cancel it proves nothing.
        slowed = EngineSpec(name, cache, step_seconds=0.02 if name == "fake" else 0.0)
        return Case(name, lambda: build(spec), slowed)
    if name == "sam3":
        from tests.models.shrunk import environment, install

        one_thread()
        install()
        spec = EngineSpec("sam3", cache, cache_bytes=STILLS)
        return Case(name, lambda: _quietly(spec), spec, environment())
    from tests.tiny import make_checkpoint

    one_thread()
    tiny = make_checkpoint(folder / "checkpoint", "sam2" if name == "sam2" else "sam3")
    spec = EngineSpec("transformers", cache, checkpoint=str(tiny), cache_bytes=STILLS)
    return Case(name, lambda: build(spec), spec)


def _quietly(spec: EngineSpec) -> Engine:
    """Build an engine whose package warns of its own ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(spec)


def one_thread() -> None:
    """Layers this small are slower on several threads, and give the same only on one."""
    import torch

    torch.set_num_threads(1)

"""Finds things by words: the few that can honestly be found with what is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from backend.engines.lite.agreement import agreed
from backend.engines.lite.backbone import Classifier
from backend.engines.lite.evidence import Evidence, Survey
from backend.engines.lite.faces import Faces
from backend.engines.lite.filters import FILTERS, Filters, chosen
from backend.engines.lite.nouns import NOUNS, Noun
from backend.engines.lite.still import Still
from backend.engines.prompter import Found

WORDS = ("face", *NOUNS)
"""The nouns that are known, in the singular, as people are told."""

_ALSO = {also: noun for noun, meaning in NOUNS.items() for also in meaning.also} | {"human face": "face"}
_ARTICLES = frozenset(("a", "all", "an", "any", "every", "my", "one", "that", "the"))
_LINKS = frozenset(("and", "at", "colored", "coloured", "from", "hand", "in", "most", "of", "on", "part", "side", "to"))
"""Small words that mean nothing here."""
_MOST = 3
"""Things of a noun that are looked for on a picture."""
_NEXT = 0.85
"""Evidence of another thing, against the first one's."""
_AGREED = 0.2
"""Agreement of a find's masks below which it is none, however evident the noun is."""
_LIKELY = 0.5
"""Chance of being right below which a find is not told of."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a text asks for: a noun of `WORDS`, and which of those that there are."""

    word: str
    filters: Filters


def understood(text: str) -> Wanted | None:
    """What a text asks for; None where any of its words is not known."""
    filters, rest = Filters(), []
    for part in "".join(c if c.isalpha() else " " for c in text.lower()).split():
        if part in FILTERS:
            filters = filters.also(part)
        elif part not in _ARTICLES | _LINKS:
            rest.append(part)
    word = known_word(" ".join(rest))
    return None if word is None else Wanted(word, filters)


def known_word(text: str) -> str | None:
    """The word of `WORDS` that a noun means, plurals aside; None where it is another."""
    plurals = ("s", ""), ("es", ""), ("ies", "y")
    forms = [text, *(text.removesuffix(ending) + stem for ending, stem in plurals if text.endswith(ending))]
    return next((word for form in forms if (word := _ALSO.get(form, form)) in WORDS), None)


class Finder:
    """Answers words with masks.

    Args:
        cache_dir: where the classifier is kept; it is made and loaded when first needed.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._faces = Faces()
        self._classifier: Classifier | None = None
        # Several words are often asked on one frame; what goes with it is forgotten with it.
        self._surveys: WeakKeyDictionary[Still, Survey] = WeakKeyDictionary()

    def find(self, text: str, still: Still) -> list[Found]:
        """The things that a text names on a frame, the surest first; none for unknown words."""
        wanted = understood(text)
        if wanted is None:
            return []
        finds = self._of_faces(still) if wanted.word == "face" else self._of_noun(NOUNS[wanted.word], still)
        return [finds[i] for i in chosen(wanted.filters, still.picture, [f.mask for f in finds])]

    def _of_faces(self, still: Still) -> list[Found]:
        nobodys = np.zeros(still.picture.shape[:2], np.bool_)
        return [Found(still.by_box(f.box, nobodys).mask, f.score) for f in self._faces.find(still.picture)]

    def _of_noun(self, noun: Noun, still: Still) -> list[Found]:
        """One thing after the other, each outside those before it, until the evidence is too thin."""
        evidence = Evidence(self._survey(still), noun.numbers)
        finds: list[Found] = []
        taken = np.zeros(still.picture.shape[:2], np.bool_)
        least = noun.bar
        while len(finds) < _MOST and evidence.surest >= least / 2:
            sight = evidence.sight(taken)
            if sight.evidence < least:
                break
            cut, agreement = agreed(still, sight, taken)
            sure = chance(sight.evidence / noun.bar, agreement, later=bool(finds))
            if agreement < _AGREED or sure < _LIKELY:
                break
            finds.append(Found(cut.mask, sure))
            taken |= cut.mask
            least = max(noun.bar, sight.evidence * _NEXT)
        return sorted(finds, key=lambda f: -f.score)

    def _survey(self, still: Still) -> Survey:
        self._classifier = self._classifier or Classifier(self._cache_dir)
        if still not in self._surveys:
            self._surveys[still] = Survey(self._classifier, still.picture)
        return self._surveys[still]


def chance(over: float, agreement: float, later: bool = False) -> float:
    """The chance that a find is right.

    A logistic regression on the finds that `python -m benchmarks.lite.words` measures, held between
    .05 and .9, since the nouns' bars were settled on the same photographs.

    Args:
        over: evidence over the noun's bar.
        agreement: of the masks that several prompts gave.
        later: whether other things of the noun were found before.
    """
    sum_ = -0.7 + 1.0 * (min(over, 2.0) - 1) + 4.2 * agreement - (1.4 if later else 0.0)
    return 0.05 + 0.85 / (1 + exp(-sum_))

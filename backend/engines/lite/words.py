"""Finds things by words: the few that can honestly be found with what is at hand."""

from __future__ import annotations

from pathlib import Path

from backend.domain import Image
from backend.engines.lite.backbone import Classifier
from backend.engines.lite.faces import Faces
from backend.engines.lite.finds import Find
from backend.engines.lite.nouns import NOUNS, find_noun

WORDS = ("face", *NOUNS)
"""The words that are known, in the singular, as people are told."""

_ARTICLES = ("a ", "an ", "the ", "one ", "all ", "every ", "any ", "my ")
_ALSO = {also: noun for noun, meaning in NOUNS.items() for also in meaning.also} | {"human face": "face"}


def known_word(text: str) -> str | None:
    """The word of `WORDS` that a text means, plural and articles aside; None where it is another."""
    bare = " ".join(text.lower().split()).strip(" .!?")
    for article in _ARTICLES:
        bare = bare.removeprefix(article)
    for form in (bare, bare.removesuffix("s"), bare.removesuffix("es")):
        word = _ALSO.get(form, form)
        if word in WORDS:
            return word
    return None


class Finder:
    """Answers words with boxes.

    Args:
        cache_dir: where the classifier is kept; it is made and loaded when first needed.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._faces = Faces()
        self._classifier: Classifier | None = None

    def find(self, text: str, picture: Image) -> list[Find]:
        """The things that a text names on an RGB picture, the surest first; none for unknown words."""
        word = known_word(text)
        if word is None:
            return []
        if word == "face":
            return self._faces.find(picture)
        self._classifier = self._classifier or Classifier(self._cache_dir)
        return find_noun(self._classifier, NOUNS[word], picture)

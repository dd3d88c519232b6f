"""Works out what a propagation has to do: its frames, its objects and its concepts, from the book."""

from __future__ import annotations

from dataclasses import dataclass

from backend.domain import Direction, Follow, Leg, Seed, Span
from backend.errors import InvalidInput
from backend.sessions import ranges
from backend.sessions.book import Book
from backend.sessions.run import Run


@dataclass(frozen=True, slots=True)
class PropagateRequest:
    """A propagation as asked for; what is left out follows the contract's rules."""

    direction: Direction = "both"
    start_frame_index: int | None = None
    max_frames: int | None = None
    end_frame_index: int | None = None
    obj_ids: tuple[int, ...] | None = None
    resume: bool = False
    """Go on with the last propagation, which did not come to its end; the rest is left out."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Where a propagation begins, and what the engine gets."""

    start: int
    span: Span
    everything: bool
    """Whether all objects and concepts take part, those found on the way too."""


def first_span(book: Book, request: PropagateRequest, num_frames: int) -> Planned:
    """The span of a new propagation.

    Raises:
        NotFound: an unknown object.
        InvalidInput: a bad range, or one on which nothing joins (`no_prompt`).
    """
    chosen = tuple(dict.fromkeys(request.obj_ids)) if request.obj_ids is not None else tuple(book.objects)
    for obj_id in chosen:
        book.object_info(obj_id)
    follows = _follows(book, request.obj_ids is None, chosen)
    start = request.start_frame_index
    if start is None:
        prompted = book.first_prompted(chosen)
        start = min((f for f in [prompted, *_asked(follows)] if f is not None), default=None)
        if start is None:
            # Objects that words found on the way were never prompted themselves.
            start = next(iter(book.results.computed(chosen)), None)
        if start is None:
            raise _no_prompt()
    wanted = ranges.legs(request.direction, start, num_frames, request.max_frames, request.end_frame_index)
    orders = [ranges.order(leg) for leg in wanted]
    seeds, joins = book.results.seeds(chosen, orders)
    asked = set(_asked(follows))
    for i, order in enumerate(orders):
        place = next((p for p, frame in enumerate(order) if frame in asked), None)
        if place is not None:
            joins[i] = min(place, joins.get(i, place))
    legs = tuple(ranges.trimmed(leg, joins[i]) for i, leg in enumerate(wanted) if i in joins)
    legs = tuple(leg for leg in legs if len(leg.frames))
    if not legs:
        raise _no_prompt()
    removed = _removed(book, legs)
    span = Span(request.direction, legs, chosen, seeds, book.next_obj_id, follows, removed)
    return Planned(start, span, request.obj_ids is None)


def rest_of(book: Book, run: Run) -> Span:
    """What is left of a run, with the objects that were found in it so far."""
    legs = ranges.remaining(run.legs, run.done)
    new = tuple(i for i in book.objects if i >= run.first_new_id) if run.everything else ()
    chosen = (*run.obj_ids, *new)
    seeds, _ = book.results.seeds(chosen, [ranges.order(leg) for leg in legs])
    seeds += _out_of_sight(book, run, legs, seeds)
    follows = _follows(book, run.everything, chosen)
    return Span(run.direction, legs, chosen, seeds, book.next_obj_id, follows, _removed(book, legs))


def _out_of_sight(book: Book, run: Run, legs: tuple[Leg, ...], seeds: tuple[Seed, ...]) -> tuple[Seed, ...]:
    """Empty seeds, on the frame that a leg is gone on from, of the objects that are followed and not seen there.

    Without them they would not be part of the rest, or join it again with what an earlier run left.
    """
    if not legs or legs[0] in run.legs:
        return ()
    frame_index, joined = run.frames[-1]
    there = {s.obj_id for s in seeds if s.frame_index == frame_index}
    versions = ((i, book.results.visible(i, frame_index)) for i in joined if i not in there)
    return tuple(Seed(frame_index, i, v.result.rle, False) for i, v in versions if v and v.result.box is None)


def _follows(book: Book, everything: bool, chosen: tuple[int, ...]) -> tuple[Follow, ...]:
    """The concepts to look for: all, or with chosen objects only, those that found any of them."""
    out = []
    for concept in book.log.view.concepts:
        mine = tuple(i for i in concept.found if i in chosen)
        if everything:
            out.append(Follow(concept.text, concept.frames, mine))
        elif mine:
            out.append(Follow(concept.text, (), mine, find_new=False))
    return tuple(out)


def _asked(follows: tuple[Follow, ...]) -> list[int]:
    return [frame for follow in follows for frame in follow.frames]


def _removed(book: Book, legs: tuple[Leg, ...]) -> tuple[Seed, ...]:
    """The stored masks of removed finds on the frames of a span."""
    gone = [i for concept in book.log.view.concepts for i in concept.removed]
    frames = {f for leg in legs for f in ranges.order(leg)} if gone else set()
    out = []
    for obj_id in gone:
        for frame_index, version in book.results.versions(obj_id).items():
            if frame_index in frames and version.result.box is not None:
                out.append(
                    Seed(frame_index, obj_id, version.result.rle, book.results.is_prompted(frame_index, version))
                )
    return tuple(out)


def _no_prompt() -> InvalidInput:
    return InvalidInput(
        "There is nothing to propagate in that range: prompt an object on a frame of it first.", "no_prompt"
    )

"""Which frames a propagation goes over, by the contract's rules. All ends are inclusive."""

from __future__ import annotations

from backend.domain import Direction, Leg
from backend.errors import InvalidInput


def legs(
    direction: Direction,
    start: int,
    num_frames: int,
    max_frames: int | None = None,
    end_frame_index: int | None = None,
) -> tuple[Leg, ...]:
    """The legs of a run from `start`.

    `max_frames` counts frames in each direction, the start included, so "both" yields at most
    2n - 1. `end_frame_index` is the far end instead, on the side it lies; the other side of "both"
    then follows `max_frames`, or goes to the video's end. "both" runs forward, then backward.

    Raises:
        InvalidInput: a frame beyond the video, or an end on the wrong side of the start.
    """
    check_frame(start, num_frames)
    # Not every door checks types: Gradio's hands over what the client's JSON holds.
    if direction not in ("forward", "backward", "both"):
        raise InvalidInput("direction is forward, backward or both.", "invalid_range")
    if max_frames is not None and (not _whole(max_frames) or max_frames < 1):
        raise InvalidInput("max_frames is a whole number of at least 1.", "invalid_range")
    if end_frame_index is not None:
        check_frame(end_frame_index, num_frames)
        if direction == "forward" and end_frame_index < start:
            raise InvalidInput(f"Forward from frame {start} can't end at frame {end_frame_index}.", "invalid_range")
        if direction == "backward" and end_frame_index > start:
            raise InvalidInput(f"Backward from frame {start} can't end at frame {end_frame_index}.", "invalid_range")
    last = num_frames - 1 if max_frames is None else min(start + max_frames - 1, num_frames - 1)
    first = 0 if max_frames is None else max(start - max_frames + 1, 0)
    if end_frame_index is not None:
        if end_frame_index >= start:
            last = end_frame_index
        if end_frame_index <= start:
            first = end_frame_index
    forward = Leg(range(start, last + 1))
    if direction == "forward":
        return (forward,)
    if direction == "backward":
        return (Leg(range(start, first - 1, -1)),)
    return (forward, Leg(range(start - 1, first - 1, -1), anchor=start))


def check_frame(frame_index: int, num_frames: int) -> None:
    """Refuse a frame that the video does not have.

    Raises:
        InvalidInput
    """
    if not _whole(frame_index):
        raise InvalidInput("A frame index is a whole number.", "frame_out_of_range")
    if not 0 <= frame_index < num_frames:
        raise InvalidInput(
            f"There is no frame {frame_index}: the video has frames 0 to {num_frames - 1}.", "frame_out_of_range"
        )


def check_span(start: int | None, stop: int | None, num_frames: int) -> tuple[int, int]:
    """The first and last frame of a span of the video, ends inclusive; what is left out is the video's end.

    Raises:
        InvalidInput
    """
    first, last = 0 if start is None else start, num_frames - 1 if stop is None else stop
    check_frame(first, num_frames)
    check_frame(last, num_frames)
    if first > last:
        raise InvalidInput(f"From frame {first} to frame {last} is backward: swap them.", "invalid_range")
    return first, last


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def order(leg: Leg) -> list[int]:
    """The frames a leg meets, its anchor first."""
    frames = list(leg.frames)
    return frames if leg.anchor is None else [leg.anchor, *frames]


def trimmed(leg: Leg, joined_at: int) -> Leg:
    """The leg from the place in its order at which the first object joins."""
    skip = joined_at if leg.anchor is None else joined_at - 1
    return leg if skip <= 0 else Leg(leg.frames[skip:])


def remaining(all_legs: tuple[Leg, ...], done: int) -> tuple[Leg, ...]:
    """What is left of a run after its first `done` frames, going on from the last of them."""
    out: list[Leg] = []
    for leg in all_legs:
        count = len(leg.frames)
        if done >= count:
            done -= count
            continue
        out.append(leg if done == 0 else Leg(leg.frames[done:], anchor=leg.frames[done - 1]))
        done = 0
    return tuple(out)

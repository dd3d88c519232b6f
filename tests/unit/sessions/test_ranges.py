import pytest

from backend.domain import Leg
from backend.errors import InvalidInput
from backend.sessions.ranges import legs, order, remaining, trimmed


def frames(parts: tuple[Leg, ...]) -> list[int]:
    return [frame for leg in parts for frame in leg.frames]


@pytest.mark.parametrize(
    ("direction", "start", "max_frames", "end", "expected"),
    [
        ("forward", 3, None, None, [3, 4, 5, 6, 7]),
        ("forward", 3, 2, None, [3, 4]),
        ("forward", 3, None, 5, [3, 4, 5]),
        ("forward", 7, None, None, [7]),
        ("forward", 3, 1, None, [3]),
        ("backward", 3, None, None, [3, 2, 1, 0]),
        ("backward", 3, 2, None, [3, 2]),
        ("backward", 3, None, 1, [3, 2, 1]),
        ("backward", 0, None, None, [0]),
        ("both", 3, None, None, [3, 4, 5, 6, 7, 2, 1, 0]),
        ("both", 3, 2, None, [3, 4, 2]),
        ("both", 0, None, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("both", 7, None, None, [7, 6, 5, 4, 3, 2, 1, 0]),
        ("both", 3, 2, 6, [3, 4, 5, 6, 2]),
        ("both", 3, None, 1, [3, 4, 5, 6, 7, 2, 1]),
    ],
)
def test_all_ends_are_inclusive(direction, start, max_frames, end, expected):
    assert frames(legs(direction, start, 8, max_frames, end)) == expected


@pytest.mark.parametrize(
    ("direction", "start", "max_frames", "end"),
    [
        ("forward", 8, None, None),
        ("forward", -1, None, None),
        ("forward", 3, 0, None),
        ("forward", 3, None, 2),
        ("backward", 3, None, 4),
        ("both", 3, None, 8),
        ("sideways", 3, None, None),
        ("forward", 1.5, None, None),
        ("forward", "3", None, None),
        ("forward", True, None, None),
        ("forward", 3, 1.5, None),
        ("forward", 3, None, "5"),
    ],
)
def test_ranges_outside_of_the_video_are_refused(direction, start, max_frames, end):
    with pytest.raises(InvalidInput):
        legs(direction, start, 8, max_frames, end)


def test_the_second_leg_of_both_starts_from_the_start_without_computing_it_again():
    forward, backward = legs("both", 3, 8)
    assert forward.anchor is None
    assert order(backward) == [3, 2, 1, 0]
    assert 3 not in backward.frames


def test_a_leg_is_trimmed_to_where_the_first_object_joins():
    assert list(trimmed(Leg(range(0, 8)), 5).frames) == [5, 6, 7]
    assert trimmed(Leg(range(2, -1, -1), anchor=3), 0) == Leg(range(2, -1, -1), anchor=3)
    assert trimmed(Leg(range(2, -1, -1), anchor=3), 2) == Leg(range(1, -1, -1))


@pytest.mark.parametrize("done", range(9))
def test_what_remains_of_a_run_goes_on_from_its_last_frame(done):
    whole = legs("both", 3, 8)
    rest = remaining(whole, done)
    assert frames(rest) == frames(whole)[done:]
    if 0 < done < 5:
        assert rest[0].anchor == frames(whole)[done - 1]

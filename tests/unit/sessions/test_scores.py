from backend.sessions.scores import score_line


def test_a_short_video_has_a_score_a_frame() -> None:
    assert score_line({0: 0.9, 2: 0.41237}, 4) == [0.9, None, 0.412, None]


def test_a_long_one_keeps_the_dips() -> None:
    line = score_line({f: 0.1 if f == 500 else 0.9 for f in range(1000)}, 1000)
    assert len(line) == 48
    assert line[24] == 0.1
    assert [s for i, s in enumerate(line) if i != 24] == [0.9] * 47


def test_frames_without_a_mask_leave_a_gap() -> None:
    line = score_line(dict.fromkeys(range(48), 0.8), 96)
    assert line == [0.8] * 24 + [None] * 24

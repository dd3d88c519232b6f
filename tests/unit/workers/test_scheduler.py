"""The scheduler's order, in this process, over the stand-in engine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.domain import DenseResult, Leg, Points, PromptRequest, Seed, Snapshot, Span, Text, Video
from backend.engines.fake import FakeEngine
from backend.errors import EngineError
from backend.masks import encode
from backend.workers import messages as m
from backend.workers.worker import Inbox, Scheduler

VIDEO = Video("v", Path("v.mp4"), "v", 8, 6, Fraction(25), 20, 0.8)
MASK = np.zeros((6, 8), np.bool_)
MASK[2:4, 2:4] = True
SPAN = Span("forward", (Leg(range(5)),), (1,), (Seed(0, 1, encode(MASK), True),), 2)
CLICK = PromptRequest(0, (Points(((0.5, 0.5),), (1,)),), None, 1)


class Frames:
    def __init__(self) -> None:
        self.closed = False

    def __len__(self) -> int:
        return VIDEO.num_frames

    def read(self, frame_index: int):
        return np.zeros((6, 8, 3), np.uint8)

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, engine=None) -> None:
        self.inbox = Inbox()
        self.sent: list = []
        self.frames: list[Frames] = []
        self.scheduler = Scheduler(engine or FakeEngine(), self.inbox, self._open, self.sent.append)

    def _open(self, video: Video) -> Frames:
        self.frames.append(Frames())
        return self.frames[-1]

    def turns(self, count: int) -> list[tuple[str, int]]:
        self.sent.clear()
        for _ in range(count):
            self.scheduler.turn()
        return [(type(reply).__name__, reply.ticket) for reply in self.sent]


def test_prompts_go_before_propagations_which_take_turns_by_the_frame():
    bench = Bench()
    for request in (
        m.Open(1, "a", VIDEO, Snapshot()),
        m.Open(2, "b", VIDEO, Snapshot()),
        m.Propagate(3, "a", SPAN),
        m.Propagate(4, "b", SPAN),
    ):
        bench.inbox.post(request)
    bench.turns(4)
    assert bench.turns(4) == [("Stepped", 3), ("Stepped", 4), ("Stepped", 3), ("Stepped", 4)]
    bench.inbox.post(m.Open(5, "c", VIDEO, Snapshot()))
    bench.inbox.post(m.Apply(6, "c", CLICK))
    assert bench.turns(3) == [("Opened", 5), ("Applied", 6), ("Stepped", 3)]
    bench.turns(7)
    assert {reply.ticket for reply in bench.sent if isinstance(reply, m.Finished)} == {3, 4}


def test_a_cancel_takes_effect_before_the_next_frame_even_behind_other_requests():
    bench = Bench()
    bench.inbox.post(m.Open(1, "a", VIDEO, Snapshot()))
    bench.inbox.post(m.Propagate(2, "a", SPAN))
    bench.turns(3)
    bench.inbox.post(m.Apply(3, "a", CLICK))
    bench.inbox.post(m.Cancel(2))
    assert bench.turns(2) == [("Applied", 3), ("Finished", 2)]
    assert bench.sent[-1].cancelled


def test_closing_a_session_ends_its_propagation_and_its_file():
    bench = Bench()
    bench.inbox.post(m.Open(1, "a", VIDEO, Snapshot()))
    bench.inbox.post(m.Propagate(2, "a", SPAN))
    bench.turns(3)
    bench.inbox.post(m.Close("a"))
    bench.inbox.post(m.Close("a"))
    assert bench.turns(2) == [("Finished", 2)]
    assert bench.frames[0].closed
    bench.inbox.post(m.Apply(3, "a", CLICK))
    assert bench.turns(1) == [("Failed", 3)]
    assert bench.sent[0].error.code == "not_open"


def test_an_engine_that_raises_fails_one_request_only():
    bench = Bench()
    bench.inbox.post(m.Open(1, "a", VIDEO, Snapshot()))
    bench.inbox.post(m.Apply(2, "a", PromptRequest(0, (Text("#raise"),), None, 1)))
    bench.inbox.post(m.Apply(3, "a", CLICK))
    assert bench.turns(3) == [("Opened", 1), ("Failed", 2), ("Applied", 3)]
    failed = bench.sent[1].error
    assert isinstance(failed, EngineError)
    assert "ordered" not in failed.sentence


def test_rubbish_from_an_engine_is_refused():
    class Rubbish(FakeEngine):
        def apply(self, handle, request):
            return DenseResult(0, (1,), (float("nan"),), np.zeros((1, 6, 8), np.bool_))

        def propagate(self, handle, span):
            yield DenseResult(0, (1,), (0.5,), np.zeros((1, 3, 3), np.bool_))

    bench = Bench(Rubbish())
    bench.inbox.post(m.Open(1, "a", VIDEO, Snapshot()))
    bench.inbox.post(m.Apply(2, "a", CLICK))
    bench.inbox.post(m.Propagate(3, "a", SPAN))
    assert bench.turns(4) == [("Opened", 1), ("Failed", 2), ("Failed", 3)]
    assert {reply.error.code for reply in bench.sent[1:]} == {"engine_rubbish"}


def test_a_video_that_can_t_be_opened_fails_what_follows_with_the_reason():
    def broken(video: Video):
        raise EngineError("The video is gone.", "video_gone")

    inbox, sent = Inbox(), []
    scheduler = Scheduler(FakeEngine(), inbox, broken, sent.append)
    inbox.post(m.Open(1, "a", VIDEO, Snapshot()))
    inbox.post(m.Apply(2, "a", CLICK))
    scheduler.turn()
    scheduler.turn()
    assert [reply.error.code for reply in sent] == ["video_gone", "video_gone"]

"""What leaves a worker: everything arrives, or says why it doesn't."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from backend.domain import FrameResult
from backend.workers import messages as m
from backend.workers.worker import Outbox


def sent(message: m.FromWorker) -> m.FromWorker:
    here, there = multiprocessing.Pipe()
    with here, there:
        Outbox(there).send(message)
        return here.recv()


def test_a_message_that_can_t_be_sent_fails_its_ticket():
    reply = sent(m.Stepped(7, FrameResult(0, ()), 0, {1: threading.Lock()}))  # type: ignore[dict-item]
    assert isinstance(reply, m.Failed)
    assert (reply.ticket, reply.error.code) == (7, "engine_rubbish")


def test_a_message_that_is_too_large_fails_its_ticket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(m, "MAX_MESSAGE_BYTES", 2000)
    assert isinstance(sent(m.Stepped(7, FrameResult(0, ()), 0, {1: "x" * 100})), m.Stepped)
    reply = sent(m.Stepped(7, FrameResult(0, ()), 0, {1: "x" * 3000}))
    assert isinstance(reply, m.Failed)
    assert reply.ticket == 7


def test_a_service_that_is_gone_is_no_error():
    here, there = multiprocessing.Pipe()
    here.close()
    with there:
        Outbox(there).send(m.Finished(1, False))

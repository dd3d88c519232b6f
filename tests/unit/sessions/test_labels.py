"""An owner's classes: from all their sessions, with colours for later, and nobody else's."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from backend.errors import Conflict, InvalidInput, NotFound, TooMany
from backend.owners import ticket_owner, visitor_owner
from backend.sessions import labels
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.sqlite import FILE
from tests.conftest import make_settings
from tests.unit.sessions.test_service import OTHER, done, prompt


def told(service: Service, owner: str = ME) -> list[tuple[str, str, int]]:
    return [(each.label, each.color, each.objects) for each in service.labels.listed(owner)]


@pytest.fixture
def two(service, video) -> list[str]:
    """Two sessions: a dog and a cat, and another dog."""
    ids = []
    for name in ("one", "two"):
        session = service.start_session(video, ME, name)
        prompt(session)
        done(service.rename(name, ME, 1, label="dog"))
        ids.append(name)
    prompt(session, 0, OTHER)
    done(service.rename("two", ME, 2, label=" cat "))
    return ids


def test_classes_come_from_all_sessions_most_used_first_and_are_one_s_own(service, two):
    assert told(service) == [("dog", "#45B0FF", 2), ("cat", "#FFA21A", 1)]
    assert told(service, "somebody") == []
    done(service.get("two", ME).remove(1))
    done(service.get("two", ME).remove(2))
    assert told(service) == [("dog", "#45B0FF", 1)]


def test_a_class_with_a_colour_gives_it_to_those_that_get_the_class_from_then_on(service, two):
    made = service.labels.put(ME, " dog ", "#102030")
    assert (made.label, made.color, made.objects) == ("dog", "#102030", 2)
    service.labels.put("somebody", "cat", "#ffffff")
    assert service.get("one", ME).objects[1].color == "#45B0FF"
    session = service.start_session(service.get("one", ME).video, ME, "three")
    prompt(session)
    assert done(service.rename("three", ME, 1, label="dog")).color == "#102030"
    assert done(service.rename("three", ME, 1, label="dog", color="#abcdef")).color == "#abcdef"
    assert done(service.rename("three", ME, 1, label="cat")).color == "#abcdef"
    assert done(service.rename("three", ME, 1, label="")).label == ""
    # It is one edit.
    done(session.undo())
    done(session.undo())
    done(session.undo())
    done(session.undo())
    assert session.objects[1].color == "#45B0FF"


def test_classes_outlive_the_process_and_the_sessions(service, two, settings, fake_pool):
    service.labels.put(ME, "bird", "#102030")
    service.labels.put(ME, "bird", "#405060")
    service.suspend()
    later = Service(settings, fake_pool)
    assert told(later) == [("dog", "#45B0FF", 2), ("cat", "#FFA21A", 1), ("bird", "#405060", 0)]
    # Looking through the sessions reads none of their results.
    assert not any(s.loaded for s in later.list_sessions(ME))
    for name in two:
        later.close(name, ME)
    assert told(later) == [("bird", "#405060", 0)]
    later.labels.drop(ME, "bird")
    assert told(later) == []
    later.suspend()


def test_a_class_that_is_in_use_or_unknown_is_not_removed(service, two):
    for label, error, code in (("cat", Conflict, "label_in_use"), ("cow", NotFound, "unknown_label")):
        with pytest.raises(error) as caught:
            service.labels.drop(ME, label)
        assert caught.value.code == code
    service.labels.put(ME, "cow", "#102030")
    with pytest.raises(NotFound):
        service.labels.drop("somebody", "cow")


def test_what_is_no_class_is_refused(service, monkeypatch):
    for label, color in (("  ", "#102030"), ("x" * 101, "#102030"), ("cow", "red"), ("cow", "#10203"), ("cow", "")):
        with pytest.raises(InvalidInput):
            service.labels.put(ME, label, color)
    ticket = ticket_owner("a")
    with pytest.raises(InvalidInput) as caught:
        service.labels.put(ticket, "cow", "#102030")
    assert caught.value.code == "labels_not_allowed"
    assert service.labels.listed(ticket) == []
    monkeypatch.setattr(labels, "MOST", 2)
    for label in ("a", "b", "a"):
        service.labels.put(ME, label, "#102030")
    with pytest.raises(TooMany):
        service.labels.put(ME, "c", "#102030")


def test_classes_of_visitors_that_are_gone_go_too(tmp_path, fake_pool, clip):
    now = [0.0]
    service = Service(make_settings(tmp_path), fake_pool, clock=lambda: now[0])
    gone, back = visitor_owner("a", "gone"), visitor_owner("a", "back")
    for owner in (gone, back, ME):
        service.labels.put(owner, "cow", "#102030")
    now[0] += 7 * 86400 + 1
    service.start_session(service.upload(clip, "a.mp4", back), back)
    service.sweep()
    service.suspend()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / FILE)) as database:
        assert {owner for (owner,) in database.execute("SELECT owner FROM labels")} == {back, ME}

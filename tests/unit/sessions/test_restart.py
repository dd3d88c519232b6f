"""A service that ends, gently or not, and the one that comes after it on the same data folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.domain import Box, MaskPrompt, Points, Text
from backend.engines.registry import EngineSpec
from backend.errors import Conflict, DiskFull, NotFound, StorageUnavailable
from backend.masks import encode
from backend.sessions import wire
from backend.sessions.planning import PropagateRequest
from backend.sessions.run import follow
from backend.sessions.schema import MIGRATIONS
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.session import Session
from backend.sessions.sqlite import FILE, SqliteStore
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.unit.sessions.test_service import OTHER, done, prompt, propagate, stored


@pytest.fixture
def begin(tmp_path: Path, fake_pool: Pool) -> Iterator[Callable[..., Service]]:
    """Begins services one after another on one data folder; each knows only what the disk tells."""
    services: list[Service] = []

    def make(**options) -> Service:
        services.append(Service(make_settings(tmp_path), options.pop("pool", fake_pool), **options))
        return services[-1]

    yield make
    for service in services:
        service.suspend()


def everything(session: Session) -> dict:
    """All that a client can see of a session, but for what differs by the clock."""
    status = wire.status_out(session, 100.0, "fake", None)
    for passing in ("expires_at", "gpu_memory_used_mb", "status"):
        del status[passing]
    if status["run"]:
        del status["run"]["frames_per_second"]
    return {"status": status, "results": wire.results_out(session), "log": wire.log_out(session)}


def cut_off(service: Service) -> None:
    """Have the service write nothing more, as when its process is killed."""
    service._store._jobs.put(None)
    service._store._thread.join(10)


def test_all_of_a_session_is_there_again(begin, clip):
    service = begin()
    video = service.upload(clip, "a.mp4", ME)
    session = service.start_session(video, ME, "mine")
    stroke = np.zeros((48, 64), np.bool_)
    stroke[:10] = True
    prompt(session, 0)
    prompt(session, 3, MaskPrompt(encode(stroke), "add"), obj_id=1)
    prompt(session, 0, Text("things"))
    prompt(session, 2, Box((0.1, 0.2, 0.3, 0.4)), Points(((0.2, 0.3), (0.9, 0.9)), (1, 0), replace=True))
    done(session.prompt(1, (Text("late thing"),), None))
    propagate(session, direction="both", start_frame_index=3)
    done(session.rename(2, "Zwei ✓", "toy", "#123456"))
    assert done(session.approve(1, 4, 8, True)) == ((4, 8),)
    assert done(session.approve(1, 6, 6, False)) == ((4, 5), (7, 8))
    done(session.remove(3))
    stroke[5:] = False
    part = done(session.split(1, 3, (MaskPrompt(encode(stroke)),), 2, 9)).obj_id
    done(session.merge(part, 2, 0, 0))
    done(session.merge(1, part))
    prompt(session, 5, OTHER, obj_id=1)
    done(session.undo())
    before = everything(session)
    cut_off(service)

    again = begin().get("mine", ME)
    assert again.status == "parked"
    assert everything(again) == before
    # And it goes on as the old one would have: the redo is there, and ids go on.
    done(again.redo())
    assert again.log.can_redo is False
    assert prompt(again).objects[0].obj_id == part + 1
    done(again.reset())
    for _ in range(3):
        done(again.undo())
    assert everything(again)["results"] == before["results"]


def test_ids_of_what_was_dropped_are_not_used_again_after_a_restart(begin, clip):
    service = begin()
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    prompt(session, 0, OTHER)
    done(session.undo())
    prompt(session, 1)
    assert list(session.objects) == [1, 3]
    done(session.undo())
    done(session.rename(1, "Ball", None, None))
    seqs = [e.seq for e in session.log.edits]
    cut_off(service)
    again = begin().get("mine", ME)
    frame = prompt(again, 2)
    assert frame.objects[0].obj_id == 4
    assert again.log.edits[-1].seq > max(seqs)


def test_a_listing_reads_no_results(begin, clip):
    service = begin()
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    propagate(session)
    done(session.remove(1))
    done(session.undo())
    cut_off(service)
    later = begin()
    (listed,) = later.list_sessions(ME)
    assert wire.listed_out(listed) | {"created_at": ""} == wire.listed_out(session) | {
        "created_at": "",
        "status": "parked",
        "memory_mb": 0.0,
    }
    assert not listed.loaded


@pytest.fixture
def slow_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A worker that takes its time for each frame."""
    pool = Pool([EngineSpec("fake", tmp_path_factory.mktemp("cache"), step_seconds=0.05)])
    pool.start()
    yield pool
    pool.stop()


def frames_of(session: Session, count: int | None = None, from_seq: int = 0) -> list[tuple[int, int]]:
    """(seq, frame_index) as a follower gets them, to the end or so many."""

    async def collect() -> list[tuple[int, int]]:
        out = []
        async for seq, frame in follow(session, session.run, from_seq):
            out.append((seq, frame.frame_index))
            if len(out) == count:
                break
        return out

    return asyncio.run(collect())


@pytest.mark.parametrize("gently", [True, False])
def test_an_interrupted_propagation_shows_where_it_stopped_and_goes_on_from_there(begin, clip, slow_pool, gently):
    reference = begin(pool=slow_pool)
    video = reference.upload(clip, "a.mp4", ME)
    whole = reference.start_session(video, ME, "whole")
    prompt(whole, 4)
    propagate(whole)

    service = reference
    session = service.start_session(video, ME, "cut")
    prompt(session, 4)
    run = done(session.propagate(PropagateRequest()))
    seen = frames_of(session, 5)
    if gently:
        service.suspend()
        assert run.state == "interrupted"
    else:
        cut_off(service)

    later = begin(pool=slow_pool)
    assert {s.id: s.status for s in later.list_sessions(ME)} == {"whole": "parked", "cut": "interrupted"}
    again = later.get("cut", ME)
    assert again.status == "interrupted"
    assert (again.run.state, again.run.code, again.run.id) == ("interrupted", "interrupted", run.id)
    assert frames_of(again)[:5] == seen
    assert 5 <= again.run.done < 12
    kept = stored(again)
    assert len(kept) == again.run.done
    place = again.run.done

    resumed = done(again.propagate(PropagateRequest(resume=True)))
    assert resumed.id == run.id
    order = [4, 5, 6, 7, 8, 9, 10, 11, 3, 2, 1, 0]
    assert frames_of(again, from_seq=resumed.first_place) == list(enumerate(order))[place:]
    assert resumed.state == "complete"
    assert stored(again) == stored(later.get("whole", ME))
    assert {k: v for k, v in stored(again).items() if k in kept} == kept
    assert [e["kind"] for e in wire.log_out(again)["edits"]] == ["prompt", "propagate"]
    with pytest.raises(Conflict) as caught:
        done(again.propagate(PropagateRequest(resume=True)))
    assert caught.value.code == "nothing_to_resume"


def test_a_propagation_whose_end_was_not_written_is_complete_for_good_if_all_its_frames_are_there(
    begin, clip, tmp_path
):
    service = begin()
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    propagate(session)
    cut_off(service)
    service._store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / FILE)) as database, database:
        database.execute("UPDATE runs SET state = 'running'")
    later = begin()
    (listed,) = later.list_sessions(ME)
    assert listed.status == "parked"
    again = later.get("mine", ME)
    assert again.run.state == "complete"
    propagate(again)
    assert [e.get("outcome") for e in wire.log_out(again)["edits"]] == [None, "complete", "complete"]


def test_an_interrupted_propagation_can_be_undone_or_left_as_it_is(begin, clip, slow_pool):
    service = begin(pool=slow_pool)
    video = service.upload(clip, "a.mp4", ME)
    for name in ("undone", "left"):
        session = service.start_session(video, ME, name)
        prompt(session, 0)
        done(session.propagate(PropagateRequest(direction="forward")))
        frames_of(session, 3)
    cut_off(service)
    later = begin(pool=slow_pool)
    undone, left = later.get("undone", ME), later.get("left", ME)
    done(undone.undo())
    assert undone.status == "parked"
    assert list(stored(undone)) == ["0"]
    prompt(left, 6)
    assert left.status == "ready"
    with pytest.raises(Conflict):
        done(left.propagate(PropagateRequest(resume=True)))
    edits = wire.log_out(left)["edits"]
    assert [e.get("outcome") for e in edits] == [None, "interrupted", None]


def test_an_object_that_had_left_the_picture_is_still_part_of_a_propagation_that_goes_on(begin, clip, slow_pool):
    service = begin(pool=slow_pool)
    video = service.upload(clip, "a.mp4", ME)
    leaving = Points(((0.93, 0.5),), (1,))
    whole = service.start_session(video, ME, "whole")
    cut = service.start_session(video, ME, "cut")
    for session in (whole, cut):
        # What an earlier propagation left further on is no reason to join again.
        prompt(session, 10, leaving)
        propagate(session, direction="backward", max_frames=3)
        prompt(session, 0, leaving, obj_id=1)
        prompt(session, 0)
    propagate(whole, direction="forward", start_frame_index=0)
    run = done(cut.propagate(PropagateRequest("forward", 0)))
    frames_of(cut, 8)
    cut_off(service)

    later = begin(pool=slow_pool)
    again = later.get("cut", ME)
    assert 8 <= again.run.done < 12
    (gone,) = [o for o in again.results.frame(7).objects if o.obj_id == 1]
    assert gone.box is None
    done(again.propagate(PropagateRequest(resume=True)))
    frames_of(again)
    assert again.run.id == run.id
    assert stored(again) == stored(later.get("whole", ME))


def test_a_session_is_listed_as_it_is_once_it_is_read(begin, clip, slow_pool):
    service = begin(pool=slow_pool)
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    done(session.propagate(PropagateRequest(direction="forward")))
    frames_of(session, 2)
    cut_off(service)
    service = begin(pool=slow_pool)
    session = service.get("mine", ME)
    propagate(session, direction="forward", max_frames=2)
    done(session.undo())
    cut_off(service)
    later = begin(pool=slow_pool)
    (listed,) = later.list_sessions(ME)
    before = listed.status
    assert later.get("mine", ME).status == before == "parked"
    with pytest.raises(Conflict):
        done(listed.propagate(PropagateRequest(resume=True)))


def test_a_later_propagation_that_was_dropped_does_not_keep_one_from_going_on(begin, clip, slow_pool):
    session = (service := begin(pool=slow_pool)).start_session(service.upload(clip, "a.mp4", ME), ME)
    prompt(session, 0)
    run = done(session.propagate(PropagateRequest(direction="forward")))
    frames_of(session, 3)
    done(session.cancel())
    propagate(session, direction="backward", start_frame_index=0)
    done(session.undo())
    with pytest.raises(Conflict):
        done(session.propagate(PropagateRequest(resume=True)))
    # Overwrites what could be redone.
    done(session.rename(1, "Ball", None, None))
    assert session.resumable
    resumed = done(session.propagate(PropagateRequest(resume=True)))
    assert resumed.id == run.id
    assert [frame for _, frame in frames_of(session)] == list(range(12))


def test_a_cancelled_propagation_goes_on_where_it_was_stopped(begin, clip, slow_pool):
    service = begin(pool=slow_pool)
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME)
    prompt(session, 0)
    run = done(session.propagate(PropagateRequest(direction="forward")))
    frames_of(session, 3)
    done(session.cancel())
    assert run.state == "cancelled"
    done(session.rename(1, "Ball", None, None))
    done(session.propagate(PropagateRequest(resume=True)))
    assert [frame for _, frame in frames_of(session)] == list(range(12))


def test_a_closed_session_stays_closed_and_leaves_nothing(begin, clip, settings):
    service = begin()
    video = service.upload(clip, "a.mp4", ME, passing=True)
    session = service.start_session(video, ME, "mine", keep_video=False)
    prompt(session)
    propagate(session)
    service.close("mine", ME)
    cut_off(service)
    later = begin()
    with pytest.raises(NotFound):
        later.get("mine", ME)
    for table in ("sessions", "edits", "births", "runs", "steps", "results"):
        assert later._store.read(f"SELECT * FROM {table} WHERE ? != ''", "x") == []
    assert not video.path.parent.exists()


def test_what_a_session_that_never_was_left_is_swept_at_the_start(begin, clip):
    service = begin()
    orphan = service.upload(clip, "a.mp4", ME, passing=True)
    held = service.upload(clip, "b.mp4", ME, passing=True)
    upload = service.upload(clip, "c.mp4", ME)
    service.start_session(held, ME, "mine", keep_video=False)
    cut_off(service)
    later = begin()
    later.library.sweep(starting=True)
    assert not orphan.path.parent.exists()
    assert held.path.exists()
    assert upload.path.exists()


# --- time ----------------------------------------------------------------------------------------


def test_time_that_the_server_does_not_run_does_not_count(begin, clip):
    now = [5000.0]
    service = begin(clock=lambda: now[0])
    video = service.upload(clip, "a.mp4", ME)
    session = service.start_session(video, ME, "mine")
    now[0] += 500
    session.touch()
    now[0] += 100
    service.sweep()
    cut_off(service)
    # A month later, on a machine whose clock began anew.
    now[0] = 3.0
    later = begin(clock=lambda: now[0])
    assert later.list_sessions(ME)[0].idle_seconds == pytest.approx(100)
    now[0] += 7 * 86400 - 200
    assert later.sweep() == []
    now[0] += 101
    assert later.sweep() == ["mine"]


# --- disks that are full, slow or locked ------------------------------------------------------------


class Disk:
    """Stands between the store and the disk: slow, full or broken, as ordered."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.full = False

    def __call__(self) -> None:
        assert self.free.wait(30)
        if self.full:
            error = OSError(28, "No space left on device")
            error.sqlite_errorcode = 13  # type: ignore[attr-defined]
            raise error


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def held(begin, tmp_path, disk) -> Service:
    """A service whose disk obeys."""
    uploads = make_settings(tmp_path).uploads
    return begin(store=SqliteStore(tmp_path / "data", lambda i: uploads / i / "source", disk))


def test_a_full_disk_refuses_and_changes_nothing_and_work_goes_on_once_there_is_room(held, begin, clip, disk):
    session = held.start_session(held.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    before = everything(session)
    disk.full = True
    attempts = (
        lambda session: prompt(session, 1, OTHER),
        lambda session: done(session.remove(1)),
        lambda session: done(session.reset()),
        lambda session: done(session.undo()),
        lambda session: done(session.rename(1, "Ball", None, None)),
        lambda session: done(session.propagate(PropagateRequest())),
        lambda session: done(session.approve(1, None, None, True)),
        lambda session: held.labels.put(ME, "cow", "#102030"),
        lambda session: held.start_session(session.video, ME, "other"),
        lambda session: held.close("mine", ME),
    )
    for attempt in attempts:
        with pytest.raises(DiskFull):
            attempt(session)
        session = held.get("mine", ME)
        assert everything(session) == before
    assert [s.id for s in held.list_sessions(ME)] == ["mine"]
    disk.full = False
    assert prompt(session, 1, OTHER).objects[0].obj_id == 2
    propagate(session)
    after = everything(session)
    cut_off(held)
    assert everything(begin().get("mine", ME)) == after


def test_a_disk_that_fills_up_during_a_propagation_ends_it_with_the_frames_it_has(held, clip, disk, slow_pool):
    held.pool = slow_pool
    session = held.start_session(held.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    run = done(session.propagate(PropagateRequest(direction="forward")))
    seen = frames_of(session, 3)
    disk.full = True
    assert frames_of(session)[:3] == seen
    assert (run.state, run.code) == ("error", "disk_full")
    assert "disk is full" in run.error
    assert len(stored(session)) == run.done
    disk.full = False
    done(session.propagate(PropagateRequest(resume=True)))
    assert [f for _, f in frames_of(session)] == list(range(12))


def test_nothing_is_seen_before_it_is_stored_and_nobody_waits_on_a_thread(held, clip, disk):
    session = held.start_session(held.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    disk.free.clear()
    pending = session.prompt(1, (OTHER,), None)
    renamed = session.rename(1, "Ball", None, None)
    # Everything that only looks is answered at once, and sees what is on record.
    assert list(session.objects) == [1]
    assert session.objects[1].name == "Object 1"
    assert session.status == "processing"
    assert not pending.done()
    assert not renamed.done()
    disk.free.set()
    assert done(pending).frame.objects[0].obj_id == 2
    assert done(renamed).name == "Ball"


@pytest.fixture
def locked(begin, tmp_path, clip) -> Path:
    """A data folder with a session on a video of its own, and no database to be opened: it was put there."""
    service = begin()
    video = service.upload(clip, "a.mp4", ME, passing=True)
    prompt(service.start_session(video, ME, "mine", keep_video=False))
    cut_off(service)
    service._store.close()
    (tmp_path / "data" / FILE).rename(tmp_path / "away")
    (tmp_path / "data" / FILE).mkdir()
    return tmp_path / "away"


def test_a_folder_that_cannot_be_read_at_the_start_is_said_and_may_be_mended(begin, tmp_path, clip, locked):
    service = begin()
    refused = (
        lambda: service.get("mine", ME),
        lambda: service.list_sessions(ME),
        lambda: service.upload(clip, "a.mp4", ME),
        lambda: service.close("mine", ME),
    )
    for attempt in refused:
        with pytest.raises(StorageUnavailable):
            attempt()
    (tmp_path / "data" / FILE).rmdir()
    locked.rename(tmp_path / "data" / FILE)
    until = time.monotonic() + 30
    while not service._restored:
        assert time.monotonic() < until
        threading.Event().wait(0.05)
    assert prompt(service.get("mine", ME)).objects[0].obj_id == 2


def test_nothing_is_swept_while_it_is_not_known_whose_it_is(begin, tmp_path, clip, locked):
    service = begin()
    service.pool = Pool([])
    service.start()
    service.sweep()
    (tmp_path / "data" / FILE).rmdir()
    locked.rename(tmp_path / "data" / FILE)
    service.suspend()
    session = begin().get("mine", ME)
    assert session.video.path.exists()
    assert prompt(session, 1).objects[0].obj_id == 2


def test_an_older_database_comes_over(begin, tmp_path, clip):
    service = begin()
    session = service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    prompt(session)
    propagate(session)
    before, sizes = everything(session), service.disk_bytes(ME)
    assert sizes["mine"] > 12 * 64
    cut_off(service)
    service._store.close()
    # As version 1 had it: the very tables, with the rows of today.
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / FILE)) as database, database:
        database.executescript("""
            DROP TRIGGER result_stored; DROP TRIGGER result_deleted; DROP TABLE labels;
            ALTER TABLE sessions DROP COLUMN stored; PRAGMA user_version = 1;
        """)
        first = sqlite3.connect(":memory:")
        first.executescript(MIGRATIONS[0])
        tables = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
        ours = {name: sql.split() for name, sql in database.execute(tables)}
        assert ours == {name: sql.split() for name, sql in first.execute(tables)}
        first.close()
    later = begin()
    again = later.get("mine", ME)
    assert everything(again) == before
    assert later.disk_bytes(ME) == sizes
    done(again.approve(1, None, None, True))
    done(again.undo())
    prompt(again, 3)
    assert later.disk_bytes(ME)["mine"] > sizes["mine"]
    for _ in range(3):
        done(again.undo())
    prompt(again)
    # What could be redone is gone from the disk too.
    assert 0 < later.disk_bytes(ME)["mine"] < sizes["mine"] / 6


def test_a_listing_says_where_a_run_stands_and_what_a_session_takes(begin, clip, slow_pool):
    service = begin(pool=slow_pool)
    own = service.upload(clip, "a.mp4", ME, passing=True)
    session = service.start_session(own, ME, "mine", keep_video=False)
    assert wire.listed_out(session)["run"] is None
    assert service.disk_bytes(ME) == {"mine": service.library.size(own.id)}
    assert service.library.size(own.id) >= clip.stat().st_size
    prompt(session, 2)
    run = done(session.propagate(PropagateRequest(direction="forward")))
    frames_of(session, 3)
    told = wire.listed_out(session)["run"]
    assert (told["run_id"], told["state"], told["total"], told["resumable"]) == (run.id, "running", 10, False)
    assert told["frame_index"] == told["done"] + 1 >= 4
    cut_off(service)
    later = begin(pool=slow_pool)
    (listed,) = later.list_sessions(ME)
    told = wire.listed_out(listed, later.disk_bytes(ME)["mine"])
    assert not listed.loaded
    assert told["disk_mb"] > later.library.size(own.id) / 1e6
    assert told["memory_mb"] == 0
    (again,) = [wire.listed_out(later.get("mine", ME))]
    assert again["run"] == told["run"]
    assert told["run"]["state"] == "interrupted"
    assert told["run"]["resumable"]


def test_a_newer_database_is_left_alone(begin, tmp_path, clip):
    service = begin()
    service.start_session(service.upload(clip, "a.mp4", ME), ME, "mine")
    cut_off(service)
    service._store.close()
    database = sqlite3.connect(tmp_path / "data" / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = os.stat(tmp_path / "data" / FILE).st_size
    with pytest.raises(StorageUnavailable) as caught:
        begin()
    assert caught.value.code == "newer_database"
    assert os.stat(tmp_path / "data" / FILE).st_size == before

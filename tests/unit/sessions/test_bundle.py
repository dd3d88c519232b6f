"""A session as a file: it comes back as it was, and a hostile file changes nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from backend.domain import Points, Text
from backend.errors import InvalidInput, InvalidMedia, ServiceError, TooLarge
from backend.sessions.service import LOCAL_OWNER as ME
from backend.sessions.service import Service
from backend.sessions.session import Session
from backend.workers.pool import Pool
from tests.conftest import make_settings
from tests.media_files import frame_zip
from tests.unit.sessions.test_restart import everything
from tests.unit.sessions.test_service import OTHER, done, prompt, propagate


@pytest.fixture
def elsewhere(tmp_path: Path, fake_pool: Pool) -> Iterator[Service]:
    """A service on another machine: another data folder."""
    service = Service(make_settings(tmp_path / "elsewhere", max_upload_size_mb=1), fake_pool)
    yield service
    service.suspend()


@pytest.fixture
def session(service: Service, clip: Path) -> Session:
    """A session with some of everything."""
    session = service.start_session(service.upload(clip, "Mein Film.mp4", ME), ME)
    prompt(session, 2)
    prompt(session, 0, Text("things"))
    propagate(session, start_frame_index=2)
    done(session.rename(1, "Größe <b>", "toy", "#123456"))
    done(session.approve(1, 3, 7, True))
    prompt(session, 5, OTHER, obj_id=1)
    done(session.split(1, 5, (OTHER,), 4, 9))
    done(session.merge(1, 2, 0, 2))
    done(session.remove(2))
    done(session.undo())
    return session


def exported(service: Service, session: Session) -> bytes:
    path, fmt = service.export(session.id, ME, "session", {})
    assert path.name.endswith(fmt.extension)
    return path.read_bytes()


def without_ids(seen: dict) -> dict:
    return seen | {"status": seen["status"] | {"session_id": ""}}


def test_a_session_comes_back_on_another_machine_and_goes_on(service, elsewhere, session):
    before = everything(session)
    again = elsewhere.import_session(io.BytesIO(exported(service, session)), "x.sam3.zip", ME)
    assert again.id != session.id
    assert without_ids(everything(again)) == without_ids(before)
    # It is on record there, and goes on as it would have here.
    for one in (session, again):
        done(one.redo())
        propagate(one, direction="forward", start_frame_index=5)
        prompt(one, 1, Points(((0.9, 0.9),), (1,)))
    assert everything(again)["results"] == everything(session)["results"]
    elsewhere.close(again.id, ME)
    assert [p.name for p in elsewhere.settings.uploads.iterdir()] in ([], ["incoming"])


def test_a_folder_of_frames_comes_back_with_its_frame_rate(service, elsewhere, tmp_path):
    frames = frame_zip(tmp_path / "x.zip")
    session = service.start_session(service.upload(frames.path, "x.zip", ME, Fraction(12)), ME)
    prompt(session, 1)
    again = elsewhere.import_session(io.BytesIO(exported(service, session)), "x.sam3.zip", ME)
    assert (again.video.kind, again.video.fps) == ("frames", Fraction(12))
    assert without_ids(everything(again)) == without_ids(everything(session))


def rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The bundle with its record changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        record = json.loads(old.read("session.json"))
        change(record)
        new.writestr("session.json", json.dumps(record))
        new.writestr("video/source", old.read("video/source"))
    return out.getvalue()


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        place: Any = record
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


PROPAGATION = 2
WRONG = {
    "another version": put("version", value=2),
    "another size": put("video", "width", value=65),
    "another length": put("video", "num_frames", value=3),
    "no edits": lambda record: record.pop("edits"),
    "edits of another kind": put("edits", value=[1]),
    "edits twice": lambda record: record["edits"].append(record["edits"][0]),
    "an unknown action": put("edits", 0, "action", "kind", value="explode"),
    "a frame beyond the end": put("edits", 0, "action", "frame_index", value=99),
    "a negative frame": put("edits", 0, "action", "frame_index", value=-1),
    "a point outside": put("edits", 0, "action", "prompts", 0, "points", value=[[7, 7]]),
    "an approval beyond the end": put("edits", 4, "action", "frames", value=[[3, 99]]),
    "an approval backward": put("edits", 4, "action", "frames", value=[[7, 9], [3, 4]]),
    "an approval of no frames": put("edits", 4, "action", "frames", 0, value=[3]),
    "an approval that is no yes or no": put("edits", 4, "action", "approved", value="yes"),
    "a split on a frame beyond the end": put("edits", 6, "action", "frame_index", value=99),
    "a split that was drawn at another size": put(
        "edits", 6, "action", "prompts", 0, value={"type": "mask", "counts": "01", "size": [1, 1], "mode": "add"}
    ),
    "a merge beyond the end": put("edits", 7, "action", "frames", value=[[3, 12]]),
    "a merge of what is no object": put("edits", 7, "action", "other", value="2"),
    "a time without a zone": put("edits", 0, "at", value="2026-01-01T00:00:00"),
    "no time": put("edits", 0, "at", value="yesterday"),
    "a number too large": put("edits", 0, "seq", value=2**80),
    "an object of no edit": put("objects", 0, "seq", value=99),
    "an object twice": lambda record: record["objects"].append(record["objects"][0]),
    "a colour that is none": put("objects", 0, "color", value="red;}"),
    "a name too long": put("objects", 0, "name", value="x" * 5000),
    "a name that is no text": put("objects", 0, "name", value={"a": 1}),
    "a mask of another size": put("results", 0, 4, value="01"),
    "a mask that is none": put("results", 0, 4, value="é"),
    "a score beyond": put("results", 0, 3, value=7),
    "a score that is no number": put("results", 0, 3, value="NaN"),
    "a result of no object": put("results", 0, 2, value=77),
    "a result of no edit": put("results", 0, 0, value=77),
    "results cut off": put("results", 0, value=[1, 2]),
    "no runs": put("runs", value=[]),
    "a run of a prompt": put("runs", 0, "seq", value=1),
    "a run over no frames": put("runs", 0, "legs", 0, value={"start": 5, "stop": 5, "step": 1, "anchor": None}),
    "a run beyond the end": put("runs", 0, "legs", 0, value={"start": 5, "stop": 10**9, "step": 1, "anchor": None}),
    "a run by leaps": put("runs", 0, "legs", 0, "step", value=0),
    "a state that is none": put("runs", 0, "state", value="<script>"),
    "steps beyond the run": lambda record: record["runs"][0]["steps"].extend([[0, []]] * 50),
    "steps of no object": put("runs", 0, "steps", 0, value=[0, [99]]),
    "endless time": put("runs", 0, "milliseconds", value=1e999),
    "more undone than done": put("undone", value=50),
}


def refused(service: Service, data: bytes, *kinds: type[ServiceError]) -> None:
    with pytest.raises(kinds or InvalidInput) as caught:
        service.import_session(io.BytesIO(data), "x.sam3.zip", ME)
    assert caught.value.sentence
    assert service.list_sessions(ME) == []
    left = [p.name for p in service.settings.uploads.glob("*")]
    assert left in ([], ["incoming"])
    assert list(service.settings.outputs.glob("*")) == []


@pytest.fixture
def bundle(service: Service, session: Session) -> bytes:
    return exported(service, session)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_session_cannot_be_is_refused_and_leaves_nothing(elsewhere, bundle, wrong):
    refused(elsewhere, rewritten(bundle, WRONG[wrong]))


def zipped(packing: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as target:
        for name, data in members.items():
            target.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return out.getvalue()


def test_files_that_are_no_bundles_are_refused_and_leave_nothing(elsewhere, bundle, clip):
    with zipfile.ZipFile(io.BytesIO(bundle)) as parts:
        record, video = parts.read("session.json"), parts.read("video/source")
    for data in (
        b"",
        b"PK\x03\x04" + bytes(50),
        bundle[: len(bundle) // 2],
        clip.read_bytes(),
        zipped(session_dot_json=record),
        zipped(session_dot_json=record, video__source=video, more=b""),
        zipped(session_dot_json=record, video__source=video, **{".." + "__up": b""}),
        zipped(session_dot_json=b"[]", video__source=video),
        zipped(session_dot_json=b"[" * 100_000, video__source=video),
        zipped(session_dot_json=b"\xff\xfe", video__source=video),
        zipped(zipfile.ZIP_LZMA, session_dot_json=record, video__source=video),
    ):
        refused(elsewhere, data)
    refused(elsewhere, zipped(session_dot_json=record, video__source=b"no video"), InvalidMedia)
    # A megabyte is allowed here; this is a thousandth of what it unpacks to.
    refused(elsewhere, zipped(session_dot_json=record, video__source=bytes(2_000_000)), TooLarge)

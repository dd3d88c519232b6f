"""A session as one file, to go on with on another machine: a zip with the video and all that is on record.

`session.json` holds the log, objects, runs and results, `video/source` the video as it was
uploaded (a zip of its frames where it is a folder of frames). A bundle may come from a stranger: the
video is probed like any upload, and everything else is checked before a word of it is kept.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from backend.domain import (
    MAX_TEXT,
    ApproveAction,
    Edit,
    MergeAction,
    ObjectInfo,
    ObjectResult,
    PromptAction,
    PropagateAction,
    RenameAction,
    Rle,
    SplitAction,
    Video,
)
from backend.errors import TooLarge
from backend.masks import parse
from backend.masks.rle import rle_box
from backend.media.archive import PACKINGS
from backend.sessions.codec import action_in, action_out, damaged, legs_in, legs_out, video_out
from backend.sessions.session import Session
from backend.sessions.store import Append, Bear, Began, Change, Put, RunRecord, Stepped, Undone

VERSION = 1
MAX_JSON = 256_000_000
"""The log and results of a bundle, unpacked, in bytes at most."""
_JSON = "session.json"
_VIDEO = "video/source"
_CHUNK = 1 << 20
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_STATES = ("queued", "running", "complete", "cancelled", "error", "interrupted")


# --- writing -------------------------------------------------------------------------------------


def write_bundle(session: Session, target: Path) -> None:
    """Write a session to a file, as it is now; a propagation that goes on is in it as far as it has come.

    Raises:
        OSError: it can't be written.
    """
    record = _record(session)
    with zipfile.ZipFile(target, "w") as bundle:
        with bundle.open(zipfile.ZipInfo(_JSON), "w", force_zip64=True) as out:
            # Not compressed here: run-length codes hardly shrink, and the reader counts what it reads.
            for piece in json.JSONEncoder(ensure_ascii=False).iterencode(record):
                out.write(piece.encode())
        source = session.video.path
        if source.is_dir():
            with tempfile.TemporaryFile() as packed:
                with zipfile.ZipFile(packed, "w") as frames:
                    for path in sorted(source.iterdir()):
                        frames.write(path, path.name)
                packed.seek(0)
                _copy(packed, bundle)
        else:
            with source.open("rb") as file:
                _copy(file, bundle)


def _copy(source: Any, bundle: zipfile.ZipFile) -> None:
    with bundle.open(zipfile.ZipInfo(_VIDEO), "w", force_zip64=True) as out:
        shutil.copyfileobj(source, out, _CHUNK)


def _record(session: Session) -> dict[str, Any]:
    with session.lock:
        records = session.book.records
        log = records.log
        return {
            "format": "sam3-ui session",
            "version": VERSION,
            "video": video_out(session.video),
            "undone": log.undone,
            "edits": [{"seq": e.seq, "at": e.at.isoformat(), "action": action_out(e.action)} for e in log.edits],
            "objects": [
                {"seq": b.seq, "id": b.info.id, "name": b.info.name, "label": b.info.label, "color": b.info.color}
                for b in log.births.values()
            ],
            "runs": [
                {
                    "seq": run.seq,
                    "legs": legs_out(run.legs),
                    "everything": run.everything,
                    "first_new_id": run.first_new_id,
                    "state": run.state,
                    "milliseconds": run.milliseconds,
                    "steps": [[frame, list(ids)] for frame, ids in records.steps(run.seq)],
                }
                for run in log.runs.values()
            ],
            "results": [
                [v.seq, frame_index, obj_id, v.result.score, v.result.rle.counts]
                for obj_id in log.births
                for frame_index in sorted(records.frames(obj_id))
                for v in records.versions(obj_id, frame_index)
            ],
        }


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def opened_bundle(path: Path, max_video_bytes: int) -> Iterator[tuple[dict[str, Any], Path]]:
    """What a bundle holds: its record, not checked yet, and its video in a temporary file beside it.

    Raises:
        InvalidInput: it is no bundle (`invalid_session_file`).
        TooLarge: its parts are larger than allowed.
        OSError: the video can't be written.
    """
    video = path.with_name("video")
    try:
        with zipfile.ZipFile(path) as bundle:
            if sorted(bundle.namelist()) != sorted((_JSON, _VIDEO)):
                raise damaged()
            # LZMA asks for as much memory as its header says.
            if any(info.compress_type not in PACKINGS for info in bundle.infolist()):
                raise damaged()
            text = bytearray()
            for chunk in _chunks(bundle, _JSON, MAX_JSON):
                text += chunk
            with video.open("xb") as out:
                for chunk in _chunks(bundle, _VIDEO, max_video_bytes):
                    out.write(chunk)
        record = json.loads(text)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RecursionError) as error:
        raise damaged(error) from error
    except RuntimeError as error:
        # What zipfile says of a member that is locked with a password.
        raise damaged(error) from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise damaged()
    yield record, video


def _chunks(bundle: zipfile.ZipFile, name: str, most: int) -> Iterator[bytes]:
    """A member's bytes; they are counted as they come, whatever the zip says."""
    read = 0
    with bundle.open(name) as member:
        while chunk := member.read(_CHUNK):
            read += len(chunk)
            if read > most:
                raise TooLarge(f"The session file is too large: {most / 1e6:g} MB are allowed.", "upload_too_large")
            yield chunk


def video_facts(record: dict[str, Any]) -> tuple[Fraction | None, str]:
    """What can't be read off the video itself: the frame rate of a folder of frames, and the name it had.

    Raises:
        InvalidInput: they are no such things.
    """
    try:
        video = record["video"]
        fps = Fraction(_text(video["fps"], 40)) if video["kind"] == "frames" else None
        return fps, _text(video["name"], MAX_TEXT)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise damaged(error) from error


def changes_of(record: dict[str, Any], video: Video) -> list[Change]:
    """The changes that bring an empty session of `video` to what a bundle's record says.

    Raises:
        InvalidInput: it is not of that video, or not what a session can be.
    """
    try:
        return list(_Reader(record, video).changes())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise damaged(error) from error


class _Reader:
    """Checks a record while it turns it into changes; raises what `changes_of` turns into one error."""

    def __init__(self, record: dict[str, Any], video: Video) -> None:
        self._record = record
        self._video = video
        self._kinds: dict[int, type] = {}

    def changes(self) -> Iterator[Change]:
        said = self._record["video"]
        mine = self._video
        if (said["width"], said["height"], said["num_frames"]) != (mine.width, mine.height, mine.num_frames):
            raise damaged()
        yield from self._edits()
        births = set()
        for change in self._births():
            births.add(change.info.id)
            yield change
        yield from self._runs(births)
        yield from self._results(births)
        undone = _int(self._record["undone"], 0)
        if undone > len(self._kinds):
            raise damaged()
        if undone:
            yield Undone(undone)

    def _edits(self) -> Iterator[Append]:
        last = 0
        for fields in self._record["edits"]:
            seq = _int(fields["seq"], 1)
            at = datetime.fromisoformat(fields["at"])
            action = action_in(fields["action"], self._mask)
            if at.tzinfo is None or seq <= last:
                raise damaged()
            if isinstance(action, PromptAction):
                self._frame(action.frame_index)
            if isinstance(action, PropagateAction):
                for frame in (action.start, *action.frames):
                    self._frame(frame)
            if isinstance(action, SplitAction):
                self._frame(action.frame_index)
            if isinstance(action, ApproveAction | SplitAction | MergeAction) and action.frames:
                # Ascending, as they were read.
                self._frame(action.frames[-1][1])
            if isinstance(action, RenameAction):
                for text, check in ((action.name, _name), (action.label, _label), (action.color, _color)):
                    if text is not None:
                        check(text)
            self._kinds[seq] = type(action)
            last = seq
            yield Append(Edit(seq, at, action))

    def _births(self) -> Iterator[Bear]:
        seen: set[int] = set()
        for fields in self._record["objects"]:
            obj_id = _int(fields["id"], 1)
            if obj_id in seen:
                raise damaged()
            seen.add(obj_id)
            info = ObjectInfo(obj_id, _name(fields["name"]), _label(fields["label"]), _color(fields["color"]))
            yield Bear(self._seq(fields["seq"]), info)

    def _runs(self, births: set[int]) -> Iterator[Change]:
        seen: set[int] = set()
        for fields in self._record["runs"]:
            seq = self._seq(fields["seq"])
            if self._kinds[seq] is not PropagateAction or seq in seen or fields["state"] not in _STATES:
                raise damaged()
            seen.add(seq)
            legs = legs_in(fields["legs"])
            for leg in legs:
                for frame in (leg.frames[0], leg.frames[-1], *([] if leg.anchor is None else [leg.anchor])):
                    self._frame(frame)
            milliseconds = float(fields["milliseconds"])
            if not math.isfinite(milliseconds) or milliseconds < 0:
                raise damaged()
            steps = fields["steps"]
            if len(steps) > sum(len(leg.frames) for leg in legs):
                raise damaged()
            first_new_id = _int(fields["first_new_id"], 1)
            yield Began(
                RunRecord(
                    seq,
                    legs,
                    bool(fields["everything"]),
                    first_new_id,
                    fields["state"],
                    milliseconds=milliseconds,
                )
            )
            for place, (frame, ids) in enumerate(steps):
                if not set(ids) <= births:
                    raise damaged()
                yield Stepped(seq, place, self._frame(frame), tuple(_int(i, 1) for i in ids))
        if seen != {seq for seq, kind in self._kinds.items() if kind is PropagateAction}:
            raise damaged()

    def _results(self, births: set[int]) -> Iterator[Put]:
        for seq, frame_index, obj_id, score, counts in self._record["results"]:
            value = float(score)
            if obj_id not in births or not 0 <= value <= 1:
                raise damaged()
            rle = self._mask(counts, self._video.height, self._video.width)
            result = ObjectResult(_int(obj_id, 1), value, rle_box(rle), rle)
            yield Put(self._seq(seq), self._frame(frame_index), (result,))

    def _mask(self, counts: str, height: int, width: int) -> Rle:
        if (height, width) != (self._video.height, self._video.width) or not isinstance(counts, str):
            raise damaged()
        return parse(counts, height, width)

    def _seq(self, value: Any) -> int:
        if _int(value, 1) not in self._kinds:
            raise damaged()
        return int(value)

    def _frame(self, value: Any) -> int:
        if _int(value, 0) >= self._video.num_frames:
            raise damaged()
        return int(value)


def _int(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**53:
        raise damaged()
    return value


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise damaged()
    return value


def _name(value: Any) -> str:
    if not value:
        raise damaged()
    return _text(value, MAX_TEXT)


def _label(value: Any) -> str:
    return _text(value, MAX_TEXT)


def _color(value: Any) -> str:
    if not _COLOR.fullmatch(_text(value, 7)):
        raise damaged()
    return str(value)

"""What was acknowledged, and what may have happened: kept beside the server, compared with it after each kill."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.doors import Gradio, Refused, Rest
from tests.crash.model import EditModel, Json, RunModel, SessionModel, Shape, same, shape_of


class Lost(AssertionError):
    """The server does not have what it acknowledged, or has what nobody asked for."""


@dataclass(eq=False)
class Pending:
    """An operation that was sent and not answered."""

    kind: str
    detail: Json = field(default_factory=dict)
    plan: list[tuple[int, dict[int, Shape]]] = field(default_factory=list)


class Catalogue:
    """The shapes that a prompt for new objects makes; the stand-in always makes the same."""

    def __init__(self) -> None:
        self._known: dict[str, list[Shape]] = {}
        self._lock = threading.Lock()

    def check(self, prompts: list[Json], shapes: list[Shape], size: tuple[int, int]) -> None:
        key = json.dumps([prompts, size])
        with self._lock:
            known = self._known.setdefault(key, shapes)
        if len(known) != len(shapes) or not all(map(same, known, shapes)):
            raise Lost(f"the prompt {prompts} made {shapes}, and {known} another time")


def born_of(prompts: list[Json], obj_ids: list[int]) -> dict[int, tuple[str, str]]:
    """Names and labels of what a prompt for new objects finds."""
    text = next((p["text"] for p in prompts if p["type"] == "text"), "")
    return {i: (text[:1].upper() + text[1:] if text else f"Object {i}", text) for i in obj_ids}


class SessionBook:
    """One session as its clients know it. Its `lock` guards all of it.

    One thread at a time edits the session; helpers may rename, cancel and follow during a propagation.
    """

    def __init__(self, session_id: str, catalogue: Catalogue) -> None:
        self.id = session_id
        self.lock = threading.RLock()
        self.model = SessionModel(0, 0, 0)
        self.state = "starting"
        """starting, open, closing (asked for) or closed."""
        self.pending: list[Pending] = []
        self._catalogue = catalogue

    def opened(self, info: Json) -> None:
        size = info["resolution"]
        with self.lock:
            self.model.height, self.model.width = size["height"], size["width"]
            self.model.num_frames = info["total_frames"]
            self.state = "open"

    def begin(self, kind: str, plan: Any = (), **detail: Any) -> Pending:
        pending = Pending(kind, detail, list(plan))
        with self.lock:
            self.pending.append(pending)
        return pending

    def refused(self, pending: Pending) -> None:
        with self.lock:
            self.pending.remove(pending)

    # --- acknowledgements --------------------------------------------------------------------------

    def answered(self, pending: Pending) -> None:
        """An operation whose effect does not depend on the reply was acknowledged."""
        with self.lock:
            self.pending.remove(pending)
            self._apply(self.model, pending)

    def prompted(self, pending: Pending, reply: Json) -> None:
        shapes = list(map(shape_of, _objects_of(reply)))
        with self.lock:
            self.pending.remove(pending)
            edit = self._apply(self.model, pending)
            assert edit is not None
            self._fill(edit, reply["obj_ids"], shapes)

    def _fill(self, edit: EditModel, obj_ids: list[int], shapes: list[Shape]) -> None:
        frame, prompts = edit.detail["frame_index"], edit.detail["prompts"]
        edit.detail["obj_ids"] = obj_ids
        edit.writes = {(frame, i): shape for i, shape in zip(obj_ids, shapes, strict=True)}
        if edit.detail["obj_id"] is None:
            if not obj_ids:
                raise Lost(f"the prompt {prompts} found nothing")
            edit.born = born_of(prompts, obj_ids)
            self._catalogue.check(prompts, shapes, (self.model.height, self.model.width))

    def stepped(self, which: str, reply: Json) -> None:
        """What a reply to undo or redo says, against the model that it was applied to."""
        with self.lock:
            ids = list(self.model.objects())
            if sorted(reply["obj_ids"]) != sorted(ids):
                raise Lost(f"after {which} there are objects {reply['obj_ids']}, not {ids}")

    def frame(self, run: RunModel, run_id: str, place: int, frame: Json) -> None:
        """A frame that a client got."""
        with self.lock:
            if run.run_id not in (None, run_id):
                raise Lost(f"a frame of run {run_id}, not {run.run_id}")
            if place >= len(run.plan):
                raise Lost(f"a frame {frame['frame_index']} after the run's last")
            _check_frame(f"frame {place} of a run", frame, run.plan[place])
            run.seen = max(run.seen, place + 1)

    # --- what may have happened --------------------------------------------------------------------

    @staticmethod
    def _apply(model: SessionModel, pending: Pending) -> EditModel | None:
        match pending.kind:
            case "prompt":
                return model.append(EditModel("prompt", {**pending.detail, "obj_ids": None}, None))
            case "propagate":
                return model.append(EditModel("propagate", run=RunModel(pending.plan)))
            case "undo":
                model.undone += 1
            case "redo":
                model.undone -= 1
            case "remove" | "rename" | "reset" | "approve":
                return model.append(EditModel(pending.kind, dict(pending.detail)))
        return None

    def _candidates(self) -> Iterator[tuple[SessionModel, list[Pending]]]:
        for count in range(len(self.pending) + 1):
            for chosen in itertools.permutations(self.pending, count):
                model = self.model.copy()
                for pending in chosen:
                    self._apply(model, pending)
                yield model, list(chosen)
                # A propagation that ended before its first frame leaves no edit.
                for edit in model.edits:
                    if edit.run and not edit.run.seen and edit.run.ended is None:
                        less = model.copy()
                        del less.edits[model.edits.index(edit)]
                        yield less, list(chosen)

    def reconcile(self, log: list[Json], results: Json, status: Json) -> tuple[int, int]:
        """Take over what became of the unanswered operations, and compare everything.

        Returns:
            How many unanswered operations had happened, and how many had not.

        Raises:
            Lost: what is there can't have come from what was asked and acknowledged.
        """
        with self.lock:
            found = next(((m, h) for m, h in self._candidates() if _fits(m, log)), None)
            if found is None:
                raise Lost(
                    f"session {self.id}: its log {json.dumps(log)} is none that could be; acknowledged: "
                    f"{[(e.kind, e.detail) for e in self.model.edits]}, {self.model.undone} undone; "
                    f"unanswered: {[(p.kind, p.detail) for p in self.pending]}"
                )
            model, happened = found
            before = len(self.pending)
            self.model, self.pending = model, []
            seen = {int(f): {o["id"]: shape_of(o) for o in r["objects"]} for f, r in results["results"].items()}
            for edit, entry in zip(model.edits, log, strict=True):
                edit.seq = entry["seq"]
                if edit.writes is None:
                    frame = edit.detail["frame_index"]
                    missing = [i for i in entry["obj_ids"] if i not in seen.get(frame, {})]
                    if missing:
                        raise Lost(f"session {self.id}: a prompt is half there: objects {missing} are missing")
                    self._fill(edit, entry["obj_ids"], [seen[frame][i] for i in entry["obj_ids"]])
                if edit.run:
                    self._take_run(edit.run, entry)
            self._compare(seen, status)
            return len(happened), before - len(happened)

    def _take_run(self, run: RunModel, entry: Json) -> None:
        done, outcome = entry["frames_written"], entry["outcome"]
        said = f"session {self.id}: run {entry['run_id']} has {done} of {len(run.plan)} frames, {outcome}"
        if done < run.seen:
            raise Lost(f"{said}; {run.seen} were streamed")
        if done > len(run.plan) or (outcome == "complete" and done != len(run.plan)):
            raise Lost(said)
        if run.ended is not None and (outcome, done) != (run.ended, run.done):
            raise Lost(f"{said}; it was {run.ended} with {run.done}")
        if outcome not in run.possible:
            raise Lost(f"{said}; that can't be")
        run.run_id, run.done, run.ended = entry["run_id"], done, outcome
        run.possible = {"interrupted", "complete", outcome}

    def _compare(self, seen: dict[int, dict[int, Shape]], status: Json) -> None:
        model, expected = self.model, self.model.results()
        for frame in sorted(seen.keys() | expected.keys()):
            mine, theirs = expected.get(frame, {}), seen.get(frame, {})
            for i in sorted(mine.keys() | theirs.keys()):
                if not same(mine.get(i), theirs.get(i)):
                    raise Lost(
                        f"session {self.id}: object {i} on frame {frame} is {theirs.get(i)}, not {mine.get(i)}; log: "
                        f"{[(e.kind, e.detail, e.run and (e.run.done, len(e.run.plan))) for e in model.edits]}"
                    )
        names = {o["id"]: (o["name"], o["label"]) for o in status["objects"]}
        if names != model.objects():
            raise Lost(f"session {self.id}: its objects are {names}, not {model.objects()}")
        if (status["can_undo"], status["can_redo"]) != (len(model.edits) > model.undone, model.undone > 0):
            raise Lost(f"session {self.id}: undo and redo are wrong: {status}")
        runs = [e.run for e in model.edits if e.run]
        if runs:
            told, run = status["run"], runs[-1]
            if (told["run_id"], told["state"], told["done"]) != (run.run_id, run.ended, run.done):
                raise Lost(f"session {self.id}: its run is {told}, not {(run.run_id, run.ended, run.done)}")
        resumable = model.resumable()
        interrupted = bool(resumable and resumable.run and resumable.run.ended == "interrupted")
        if interrupted != (status["status"] == "interrupted"):
            raise Lost(f"session {self.id}: its status is {status['status']}; interrupted would be {interrupted}")


def _objects_of(reply: Json) -> Iterator[Json]:
    for mask, box, score in zip(reply["masks"], reply["boxes"], reply["scores"], strict=True):
        yield {"mask": mask, "box": box, "score": score}


def _check_frame(what: str, frame: Json, expected: tuple[int, dict[int, Shape]]) -> None:
    index, objects = expected
    found = {o["id"]: shape_of(o) for o in frame["objects"]}
    if frame["frame_index"] != index or found.keys() != objects.keys():
        raise Lost(f"{what} is {frame['frame_index']} with {list(found)}, not {index} with {list(objects)}")
    for i, shape in objects.items():
        if not same(found[i], shape):
            raise Lost(f"{what}, {index}: object {i} is {found[i]}, not {shape}")


def _fits(model: SessionModel, log: list[Json]) -> bool:
    if len(model.edits) != len(log) or not 0 <= model.undone <= len(log):
        return False
    live = len(log) - model.undone
    return all(
        _is(edit, entry, place >= live) for place, (edit, entry) in enumerate(zip(model.edits, log, strict=True))
    )


def _is(edit: EditModel, entry: Json, undone: bool) -> bool:
    if edit.kind != entry["kind"] or entry["undone"] != undone or edit.seq not in (None, entry["seq"]):
        return False
    if edit.run:
        return edit.run.run_id in (None, entry["run_id"])
    return all(value is None or entry[key] == value for key, value in edit.detail.items())


class Ledger:
    """All that was acknowledged by a server.

    Args:
        data: its DATA_DIR.
    """

    def __init__(self, data: Path) -> None:
        self.catalogue = Catalogue()
        self.books: dict[str, SessionBook] = {}
        self.uploads: dict[str, bytes] = {}
        self.uploading = 0
        """Uploads that were sent and not answered."""
        self.unanswered: dict[str, int] = {"happened": 0, "had not": 0}
        self._lock = threading.Lock()
        self._data = data

    def book(self, session_id: str) -> SessionBook:
        with self._lock:
            return self.books.setdefault(session_id, SessionBook(session_id, self.catalogue))

    def open_books(self) -> list[SessionBook]:
        with self._lock:
            return [book for book in self.books.values() if book.state == "open"]

    def verify(self, address: str) -> None:
        """Compare everything with a server that was started again.

        Raises:
            Lost: something that was acknowledged is missing or different, or something was left over.
        """
        rest, gradio = Rest(address), Gradio(address)
        try:
            listed = {s["session_id"]: s for s in rest.sessions()}
            if {s["session_id"] for s in gradio.sessions()} != listed.keys():
                raise Lost("two doors list different sessions")
            with self._lock:
                books = list(self.books.values())
            if unknown := listed.keys() - {b.id for b in books}:
                raise Lost(f"sessions that nobody started: {unknown}")
            for book in books:
                self._verify(rest, book, listed.get(book.id))
            self._verify_disk({b.id for b in books if b.state == "open"})
        finally:
            rest.close_connection()
            gradio.close_connection()

    def _verify(self, rest: Rest, book: SessionBook, listed: Json | None) -> None:
        if listed is None:
            if book.state == "open":
                raise Lost(f"session {book.id} is gone")
            if book.state != "closed":
                self._count(book.state == "closing")
            book.state = "closed"
            try:
                rest.look(book.id, "status")
            except Refused as refusal:
                if refusal.status == 404:
                    return
            raise Lost(f"session {book.id} is not listed, and yet there")
        if book.state == "closed":
            raise Lost(f"session {book.id} was closed, and is there again")
        if book.state != "open":
            self._count(book.state == "starting")
            book.opened(listed["video_info"])
        look = [rest.look(book.id, what) for what in ("log", "results", "status")]
        happened, had_not = book.reconcile(look[0]["edits"], look[1], look[2])
        self.unanswered["happened"] += happened
        self.unanswered["had not"] += had_not
        if (listed["status"] == "interrupted") != (look[2]["status"] == "interrupted"):
            raise Lost(f"session {book.id} is listed as {listed['status']}, and then is {look[2]['status']}")
        if listed["objects_count"] != len(book.model.objects()):
            raise Lost(f"session {book.id} is listed with {listed['objects_count']} objects")

    def _count(self, happened: bool) -> None:
        self.unanswered["happened" if happened else "had not"] += 1

    def _verify_disk(self, sessions: set[str]) -> None:
        """No rows and no files but those of the sessions and uploads that there are; the uploads whole."""
        database = sqlite3.connect(f"file:{self._data / 'sessions.sqlite3'}?mode=ro", uri=True)
        try:
            rows = {i: json.loads(video)["id"] for i, video in database.execute("SELECT id, video FROM sessions")}
            if rows.keys() != sessions:
                raise Lost(f"rows of sessions {rows.keys() ^ sessions} that should not be, or are missing")
            for table in ("edits", "births", "runs", "steps", "results"):
                (left,) = database.execute(
                    f"SELECT count(*) FROM {table} WHERE sid NOT IN (SELECT sid FROM sessions)"
                ).fetchone()
                if left:
                    raise Lost(f"{left} rows in {table} of sessions that there are not")
        finally:
            database.close()
        folders = {p.name for p in (self._data / "uploads").iterdir()} - {"incoming"}
        if missing := (set(self.uploads) | set(rows.values())) - folders:
            raise Lost(f"videos {missing} are gone")
        left_over = folders - set(self.uploads) - set(rows.values())
        # An upload that was stored but not answered stays: its sender may find it in a listing to come.
        if len(left_over) > self.uploading:
            raise Lost(f"videos {left_over} that nobody holds; {self.uploading} uploads were not answered")
        self.uploading = 0
        for video_id, data in self.uploads.items():
            if (self._data / "uploads" / video_id / "source").read_bytes() != data:
                raise Lost(f"upload {video_id} is not what was sent")
        for video_id in left_over:
            self.uploads[video_id] = (self._data / "uploads" / video_id / "source").read_bytes()
        if (incoming := self._data / "uploads" / "incoming").exists() and any(incoming.iterdir()):
            raise Lost("something is left of an upload that was cut off")

"""Works a server through all its doors, kills it at random moments, and holds it to what it acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clips import write_clip
from tests.crash.doors import DOORS, Gone, Gradio, Refused, Rest, Socket
from tests.crash.ledger import Ledger, Pending, SessionBook
from tests.crash.model import EditModel, Json, RunModel
from tests.crash.server import Launcher, Server, poll

EDITORS = 4
MOST_SESSIONS = 7
FRAMES = 24
STEP_SECONDS = 0.004
COLD_EVERY = 10
"""Each so many starts is a plain `python app.py`."""


@dataclass
class Tally:
    """What a crash test did."""

    kills: int = 0
    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By operation and door."""
    frames: Counter[str] = field(default_factory=Counter)
    """Frames streamed, by door."""
    in_request: int = 0
    """Kills while something was asked for and not answered."""
    in_stream: int = 0
    """Kills while a propagation was sending frames."""
    in_upload: int = 0
    resumed: int = 0
    """Propagations that were cut off or cancelled and then came to their end."""
    happened: int = 0
    """Operations that were not answered and had happened."""
    had_not: int = 0
    seconds: float = 0.0

    def table(self) -> str:
        """The figures as text."""
        doors = [door.name for door in DOORS]
        kinds = sorted({kind for kind, _ in self.acknowledged})
        lines = [f"{'acknowledged':<14}" + "".join(f"{door:>11}" for door in doors)]
        lines += [f"{kind:<14}" + "".join(f"{self.acknowledged[kind, d]:>11}" for d in doors) for kind in kinds]
        lines.append(f"{'frames':<14}" + "".join(f"{self.frames[d]:>11}" for d in doors))
        lines += [
            "",
            f"{self.kills} kills in {self.seconds:.0f} s: {self.in_request} inside requests, {self.in_stream} inside "
            f"streams, {self.in_upload} inside uploads",
            f"{sum(self.acknowledged.values())} operations and {sum(self.frames.values())} frames acknowledged; "
            f"{self.resumed} propagations resumed to their end",
            f"of the operations that were not answered, {self.happened} had happened and {self.had_not} had not",
            "0 losses",
        ]
        return "\n".join(lines)


class Moments:
    """Counts what goes on, so that somebody can wait for a moment."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()

    def mark(self, *kinds: str, by: int = 1) -> None:
        with self._changed:
            for kind in kinds:
                self._counts[kind] += by
            self._changed.notify_all()

    def wait(self, kind: str, count: int, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._counts[kind] >= count, seconds)

    def __getitem__(self, kind: str) -> int:
        with self._changed:
            return self._counts[kind]


class Leave(Exception):
    """A client goes away in the middle of a stream."""


class Life:
    """One life of a server, from its start to its end, and the clients that work it.

    Args:
        server: running.
        ledger: what was acknowledged, in all lives.
        tally: what was done, in all lives.
        seed: of what the clients do.
    """

    def __init__(self, server: Server, ledger: Ledger, tally: Tally, uploads: list[bytes], seed: int) -> None:
        self.moments = Moments()
        self.failures: list[BaseException] = []
        self._server = server
        self._ledger = ledger
        self._tally = tally
        self._uploads = uploads
        self._seed = seed
        self._counting = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._busy: set[str] = set()
        self._picking = threading.Lock()

    def begin(self) -> None:
        for number in range(EDITORS):
            self._spawn(f"editor-{number}", self._edit, random.Random(f"{self._seed} {number}"))
        self._spawn("uploader", self._upload, random.Random(f"{self._seed} uploads"))
        self._spawn("looker", self._look, random.Random(f"{self._seed} looks"))

    def end(self, seconds: float = 60.0) -> None:
        """Wait for the clients; they stop by themselves when the server is gone, or at their next turn.

        Raises:
            BaseException: the first thing that a client found wrong.
        """
        self._over.set()
        # Nobody waits for a moment any more.
        self.moments.mark("ack", by=1000)
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self.failures:
            raise self.failures[0]

    def _spawn(self, name: str, work: Callable[[random.Random], None], dice: random.Random) -> threading.Thread:
        def run() -> None:
            try:
                work(dice)
            except Gone:
                return
            except BaseException as failure:
                self.failures.append(failure)
                self.moments.mark("failure")

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _acknowledged(self, kind: str, door: Rest) -> None:
        with self._counting:
            self._tally.acknowledged[kind, door.name] += 1
        self.moments.mark("ack")

    def _sending(self, book: SessionBook, kind: str, plan: Any = (), **detail: Any) -> Pending:
        pending = book.begin(kind, plan, **detail)
        self.moments.mark("sent", f"sent {kind}")
        return pending

    # --- clients that edit -------------------------------------------------------------------------

    def _edit(self, dice: random.Random) -> None:
        doors = [door(self._server.address) for door in DOORS]
        try:
            while not self._over.is_set():
                book = self._take(dice)
                if book is None:
                    self._start(dice, dice.choice(doors))
                    continue
                try:
                    for _ in range(dice.randint(2, 8)):
                        if self._over.is_set() or not self._turn(book, dice, dice.choice(doors)):
                            break
                finally:
                    with self._picking:
                        self._busy.discard(book.id)
        finally:
            for door in doors:
                door.close_connection()

    def _take(self, dice: random.Random) -> SessionBook | None:
        """A session that nobody edits; None: start one."""
        books = self._ledger.open_books()
        with self._picking:
            free = [book for book in books if book.id not in self._busy]
            if not free or (len(books) < MOST_SESSIONS and dice.random() < 0.2):
                return None
            book = dice.choice(free)
            self._busy.add(book.id)
            return book

    def _start(self, dice: random.Random, door: Rest) -> None:
        session_id = f"s-{dice.getrandbits(60):x}"
        body: Json = {"session_id": session_id}
        if dice.random() < 0.85:
            body["video_id"] = dice.choice(list(self._ledger.uploads))
        else:
            body["video_path"] = "square.mp4"
        book = self._ledger.book(session_id)
        with self._picking:
            self._busy.add(session_id)
        try:
            self.moments.mark("sent", "sent start")
            book.opened(door.start(body)["video_info"])
            self._acknowledged("start", door)
        finally:
            with self._picking:
                self._busy.discard(session_id)

    def _turn(self, book: SessionBook, dice: random.Random, door: Rest) -> bool:
        """One operation of a session; False: it is closed now."""
        model = book.model
        objects = list(model.objects())
        resumable = model.resumable()
        if len(self._ledger.open_books()) > EDITORS and dice.random() < 0.03:
            self._close(book, door)
            return False
        weights = {
            "prompt": 5 if len(objects) < 6 else 0,
            "refine": 3 if objects else 0,
            "propagate": 6 if objects else 0,
            "resume": 8 if resumable else 0,
            "undo": 3 if len(model.edits) > model.undone else 0,
            "redo": 4 if model.undone else 0,
            "remove": 1 if objects else 0,
            "rename": 2 if objects else 0,
            "approve": 2 if objects else 0,
            "reset": 4 if len(objects) >= 6 else 0.3,
        }
        (kind,) = dice.choices(list(weights), list(weights.values()))
        match kind:
            case "prompt" | "refine":
                self._prompt(book, dice, door, dice.choice(objects) if kind == "refine" else None)
            case "propagate":
                self._propagate(book, dice, door, objects)
            case "resume":
                assert resumable is not None
                self._resume(book, dice, door, resumable)
            case "remove":
                obj_id = dice.choice(objects)
                self._plain(book, door, kind, lambda: door.remove(book.id, obj_id), obj_id=obj_id)
            case "approve":
                self._approve(book, dice, door, dice.choice(objects))
            case "rename":
                self._rename(book, dice, door, dice.choice(objects))
            case _:
                reply = self._plain(book, door, kind, lambda: door.step(book.id, kind))
                if kind != "reset":
                    book.stepped(kind, reply)
        return True

    def _plain(self, book: SessionBook, door: Rest, kind: str, call: Callable[[], Json], **detail: Any) -> Json:
        pending = self._sending(book, kind, **detail)
        reply = call()
        book.answered(pending)
        self._acknowledged(kind, door)
        return reply

    def _close(self, book: SessionBook, door: Rest) -> None:
        book.state = "closing"
        self.moments.mark("sent", "sent close")
        door.close(book.id)
        book.state = "closed"
        self._acknowledged("close", door)

    def _rename(self, book: SessionBook, dice: random.Random, door: Rest, obj_id: int) -> None:
        body = {"name": f"Näme {dice.randint(0, 999)}", "label": dice.choice([None, "toy"]), "color": None}
        sent = {k: v for k, v in body.items() if v is not None}
        self._plain(book, door, "rename", lambda: door.rename(book.id, obj_id, sent), obj_id=obj_id, **body)

    def _approve(self, book: SessionBook, dice: random.Random, door: Rest, obj_id: int) -> None:
        first, last = sorted(dice.randrange(FRAMES) for _ in range(2))
        approved = dice.random() < 0.8
        body = {"start": first, "stop": last, "approved": approved}
        frames = book.model.approval(obj_id, first, last, approved)
        if frames:
            detail = {"obj_id": obj_id, "frames": frames, "approved": approved}
            self._plain(book, door, "approve", lambda: door.approve(book.id, obj_id, body), **detail)
        else:
            # What changes nothing is no edit.
            door.approve(book.id, obj_id, body)

    def _prompt(self, book: SessionBook, dice: random.Random, door: Rest, obj_id: int | None) -> None:
        item: Json = {
            "type": "point",
            "points": [[dice.randint(1, 9) / 10, dice.randint(1, 9) / 10]],
            "point_labels": [1],
            "replace": False,
        }
        if obj_id is None and dice.random() < 0.25:
            item = {"type": "text", "text": dice.choice(["thing", "things"])}
        elif dice.random() < 0.3:
            item = {"type": "box", "box": [0.2, dice.randint(1, 5) / 10, 0.3, 0.4], "label": True, "exemplar": False}
        elif obj_id is not None and dice.random() < 0.3:
            item["point_labels"] = [0]
        detail = {"frame_index": dice.randrange(FRAMES), "prompts": [item], "obj_id": obj_id}
        pending = self._sending(book, "prompt", **detail)
        reply = door.prompt(book.id, detail)
        book.prompted(pending, reply)
        self._acknowledged("prompt" if obj_id is None else "refine", door)

    # --- propagations ------------------------------------------------------------------------------

    def _propagate(self, book: SessionBook, dice: random.Random, door: Rest, objects: list[int]) -> None:
        body: Json = {"direction": dice.choice(["forward", "backward", "both"])}
        if dice.random() < 0.6:
            body["start_frame_index"] = dice.randrange(FRAMES)
        if dice.random() < 0.3:
            body["max_frames"] = dice.randint(1, FRAMES)
        if dice.random() < 0.2:
            body["obj_ids"] = dice.sample(objects, dice.randint(1, len(objects)))
        fields = ("direction", "start_frame_index", "max_frames", "obj_ids")
        plan = book.model.plan(*(body.get(f) for f in fields))
        pending = self._sending(book, "propagate", plan)
        if not plan:
            self._nothing_joins(book, door, body, pending)
            return
        self._run(book, dice, door, body, pending, RunModel(plan))

    def _nothing_joins(self, book: SessionBook, door: Rest, body: Json, pending: Pending) -> None:
        try:
            door.propagate(book.id, body, lambda run_id, place, frame: None)
        except Refused as refusal:
            if refusal.code != "no_prompt":
                raise
            book.refused(pending)
        else:
            raise AssertionError("a propagation without a prompt was taken")

    def _resume(self, book: SessionBook, dice: random.Random, door: Rest, edit: EditModel) -> None:
        run = edit.run
        assert run is not None
        assert run.done is not None
        with book.lock:
            # From here on it may be running; if the server never hears of it, all is as it was.
            run.possible = {"interrupted", "complete", str(run.ended)}
            run.seen, run.done, run.ended = run.done, None, None
        self.moments.mark("sent", "sent resume")
        self._run(book, dice, door, {"resume": True}, None, run)

    def _run(
        self, book: SessionBook, dice: random.Random, door: Rest, body: Json, pending: Pending | None, run: RunModel
    ) -> None:
        """See a run through: with somebody who follows, renames or cancels, or leaves in the middle."""
        first = run.seen
        place = first
        helpers: list[threading.Thread] = []
        extras = dice.choices(["follow", "rename", "cancel", "leave", "none"], [3, 2, 3, 2, 4])[0]
        at = first + dice.randint(1, max(1, len(run.plan) - first))
        helper_dice = random.Random(dice.random())
        begun = pending is None

        def acknowledge(run_id: str) -> None:
            nonlocal begun
            with book.lock:
                if not begun:
                    assert pending is not None
                    book.pending.remove(pending)
                    book.model.append(EditModel("propagate", run=run))
                    begun = True
                run.run_id = run_id

        def on_frame(run_id: str, told: int | None, frame: Json) -> None:
            nonlocal place
            if told not in (None, place):
                raise AssertionError(f"frame {told} came in the place of {place}")
            acknowledge(run_id)
            book.frame(run, run_id, place, frame)
            place += 1
            with self._counting:
                self._tally.frames[door.name] += 1
            if place == first + 1:
                self.moments.mark("streams")
            self.moments.mark("frame")
            if place == at:
                if extras == "leave":
                    raise Leave
                if extras != "none":
                    helpers.append(self._help(extras, book, run, helper_dice))

        try:
            try:
                tail = door.propagate(book.id, body, on_frame)
            finally:
                if place > first:
                    self.moments.mark("streams", by=-1)
                for helper in helpers:
                    helper.join(60)
            self._ended(book, run, tail, pending, begun, acknowledge)
        except Leave:
            self._settle(book)
        self._acknowledged("resume" if pending is None else "propagate", door)
        if pending is None and run.ended == "complete":
            with self._counting:
                self._tally.resumed += 1

    def _ended(
        self,
        book: SessionBook,
        run: RunModel,
        tail: Json,
        pending: Pending | None,
        begun: bool,
        acknowledge: Callable[[str], None],
    ) -> None:
        with book.lock:
            done = tail["total_frames"]
            acknowledge(tail["run_id"])
            run.done, run.ended = done, tail["status"]
            if run.seen != done or (run.ended == "complete" and done != len(run.plan)):
                raise AssertionError(f"a run was {tail} after {run.seen} of {len(run.plan)} frames")
            if not done:
                # Without a frame there is no edit.
                book.model.edits = [e for e in book.model.edits if e.run is not run]

    def _help(self, what: str, book: SessionBook, run: RunModel, dice: random.Random) -> threading.Thread:
        def follow() -> None:
            door = Socket(self._server.address)

            def on_frame(run_id: str, place: int | None, frame: Json) -> None:
                assert place is not None
                book.frame(run, run_id, place, frame)
                with self._counting:
                    self._tally.frames[door.name] += 1
                self.moments.mark("frame")

            try:
                door.follow(book.id, 0, on_frame)
                self._acknowledged("follow", door)
            finally:
                door.close_connection()

        def rename() -> None:
            door = Rest(self._server.address)
            try:
                self._rename(book, dice, door, min(run.plan[0][1]))
            finally:
                door.close_connection()

        def cancel() -> None:
            door = dice.choice(DOORS)(self._server.address)
            with book.lock:
                run.possible.add("cancelled")
            self.moments.mark("sent", "sent cancel")
            try:
                door.step(book.id, "cancel")
                self._acknowledged("cancel", door)
            finally:
                door.close_connection()

        work = {"follow": follow, "rename": rename, "cancel": cancel}[what]
        # Not the last of all threads: another client may begin one meanwhile.
        return self._spawn(what, lambda _: work(), dice)

    def _settle(self, book: SessionBook) -> None:
        """Wait for a run that nobody watches, and compare what is there then."""
        rest = Rest(self._server.address)
        try:
            idle = lambda: rest.look(book.id, "status")["status"] not in ("queued", "processing")  # noqa: E731
            poll("the end of a run", idle, 60)
            book.reconcile(
                rest.look(book.id, "log")["edits"], rest.look(book.id, "results"), rest.look(book.id, "status")
            )
        finally:
            rest.close_connection()

    # --- other clients -----------------------------------------------------------------------------

    def _upload(self, dice: random.Random) -> None:
        """One upload in a life, at some moment: each takes a process that decodes it."""
        self.moments.wait("ack", dice.randint(0, 12), 10)
        if self._over.is_set():
            return
        rest = Rest(self._server.address)
        data = dice.choice(self._uploads)
        self._ledger.uploading += 1
        self.moments.mark("sent", "sent upload", "uploads")
        try:
            video_id = rest.upload(data, "clip.mp4")["video_id"]
            self._ledger.uploads[video_id] = data
            self._ledger.uploading -= 1
            self._acknowledged("upload", rest)
            self.moments.mark("uploads", by=-1)
        finally:
            rest.close_connection()

    def _look(self, dice: random.Random) -> None:
        """Reads beside everything else; they may find a session closed, and nothing worse."""
        doors = [Rest(self._server.address), Gradio(self._server.address)]
        try:
            while not self._over.wait(0.05):
                door = dice.choice(doors)
                for listed in door.sessions():
                    with suppress(Refused):
                        door.look(listed["session_id"], dice.choice(["log", "results", "status"]))
        finally:
            for door in doors:
                door.close_connection()


class CrashTest:
    """Kills a server again and again.

    Args:
        folder: for the server's data and its log.
        seed: of everything that is left to chance, but for the scheduling of threads.
        fault: what the server does wrong, see `tests.crash.faults`; the driver has to notice.
        say: told of each kill.
    """

    def __init__(
        self, folder: Path, launcher: Launcher, seed: int, fault: str = "", say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.tally = Tally()
        roots = folder / "roots"
        roots.mkdir(parents=True)
        write_clip(roots / "square.mp4", FRAMES)
        self._uploads = [write_clip(folder / f"{i}.mp4", FRAMES, 64 + 16 * i, 48).read_bytes() for i in range(2)]
        self._server = Server(
            launcher,
            folder / "data",
            folder / "server.log",
            fault,
            VIDEO_ROOTS=str(roots),
            FAKE_STEP_SECONDS=str(STEP_SECONDS),
            MAX_CONCURRENT_SESSIONS="50",
        )
        self._ledger = Ledger(folder / "data")
        self._seed = seed
        self._dice = random.Random(seed)
        self._fault = fault
        self._say = say

    def run(self, kills: int) -> Tally:
        """Kill it so often, and see that nothing was lost each time.

        Raises:
            Lost: something was.
        """
        began = time.monotonic()
        try:
            self._server.start(cold=not self._fault)
            self._first_upload()
            for kill in range(kills):
                self._life(kill)
                self._server.start(cold=not self._fault and kill % COLD_EVERY == COLD_EVERY - 1)
                self._ledger.verify(self._server.address)
                self.tally.kills += 1
                self.tally.happened, self.tally.had_not = self._ledger.unanswered.values()
                self._say(f"kill {kill + 1}: nothing lost")
            return self.tally
        finally:
            self.tally.seconds = time.monotonic() - began
            self._server.stop()

    def _first_upload(self) -> None:
        rest = Rest(self._server.address)
        try:
            self._ledger.uploads[rest.upload(self._uploads[0], "clip.mp4")["video_id"]] = self._uploads[0]
        finally:
            rest.close_connection()

    def _life(self, number: int) -> None:
        life = Life(self._server, self._ledger, self.tally, self._uploads, self._seed * 1000 + number)
        life.begin()
        self._wait_for_a_moment(life)
        streams, uploads = life.moments["streams"], life.moments["uploads"]
        with_request = any(b.pending or b.state in ("starting", "closing") for b in self._ledger.books.values())
        self._server.kill()
        self.tally.in_stream += streams > 0
        self.tally.in_upload += uploads > 0
        self.tally.in_request += with_request
        life.end()
        self._server.wait_for_children()

    def _wait_for_a_moment(self, life: Life) -> None:
        """A count of what clients sent or got, then a delay that is nobody's beat."""
        kind, most = self._dice.choice(
            [
                ("ack", 40),
                ("frame", 200),
                ("sent", 40),
                ("sent prompt", 8),
                ("sent propagate", 6),
                ("sent close", 1),
                ("sent start", 4),
                ("sent undo", 4),
                ("sent rename", 3),
                ("sent upload", 1),
                ("failure", 1),
            ]
        )
        count = self._dice.randint(1, most)
        if self._dice.random() < 0.8:
            # Else it may well come while the engine is loading.
            life.moments.wait("frame", 1, 10.0)
        life.moments.wait(kind, count, 1.0 + 3.0 * self._dice.random())
        delay = self._dice.choice([0.0, 0.003, 0.02, 0.1]) * self._dice.random()
        life.moments.wait("failure", 1, delay)

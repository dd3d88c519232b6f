"""Several GPUs that work on one session together.

The package's `Sam3VideoPredictorMultiGPU` sends each of its requests to all GPUs and lets them meet
in collective operations at every frame: a run that is cancelled, or one GPU that runs out of memory,
leaves the others waiting for minutes, and a worker may not start its child processes. Here each GPU
has a process with the whole model, and what is shared out are our own few calls: objects and
concepts live on the GPU with the least to do, every GPU encodes the frames that it needs, at the
same time, and answers come back by a pipe. No GPU ever waits for another in the middle of a step.
One concept stays on one GPU, so a single text is not quicker than with one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from backend.domain import BoolMask, Box, Capabilities, Image
from backend.engines.devices import visible_devices
from backend.engines.sam.model import Clicks, Follower, Found, SamModel, Tracker, Views
from backend.engines.sam3.load import load_one
from backend.engines.sam3.member import Asked, Failed, Pack, unpack
from backend.engines.sam3.options import Sam3Options
from backend.errors import EngineError

GONE = object()
"""Stands for the end of a member's answers."""


class Line(Protocol):
    """A connection to a member, as `multiprocessing` has them."""

    def send(self, message: object) -> None: ...

    def recv(self) -> Any: ...


class Member:
    """One more GPU: a process with a model of its own, which does what it is asked in turn.

    Args:
        line: to the process.
        end: ends the process.
    """

    def __init__(self, line: Line, end: Callable[[], None] = lambda: None) -> None:
        self._line = line
        self._end = end
        self._asked = 0
        self._answered = 0
        self._kept: dict[int, object] = {}
        self._unwanted: set[int] = set()
        self._answers: SimpleQueue[object] = SimpleQueue()
        self.load = 0
        """How many objects and concepts live there."""
        self.lost = False
        # Answers are taken in while questions are still being sent: a process that can't get rid of
        # an answer reads no question, and both would wait for ever.
        threading.Thread(target=self._read, name="sam3-member", daemon=True).start()

    def ask(self, call: str, *args: object) -> int:
        """Ask for something; the ticket gets the answer."""
        try:
            self._line.send(Asked(call, args))
        except OSError as error:
            raise self._gone() from error
        self._asked += 1
        return self._asked

    def answer(self, ticket: int) -> Any:
        """What came of it.

        Raises:
            MemoryError: that GPU has no memory left.
            RuntimeError: the model failed there.
            ServiceError: what a person can do something about; also where the process is gone.
        """
        while ticket not in self._kept:
            message = self._answers.get()
            if message is GONE:
                self._answers.put(GONE)
                raise self._gone()
            self._answered += 1
            if self._answered in self._unwanted:
                self._unwanted.discard(self._answered)
            else:
                self._kept[self._answered] = message
        message = self._kept.pop(ticket)
        if isinstance(message, Failed):
            if message.error is not None:
                raise message.error
            raise (MemoryError if message.out_of_memory else RuntimeError)(message.kind)
        return message

    def waive(self, ticket: int) -> None:
        """Say that nobody waits for this answer any more."""
        if self._kept.pop(ticket, None) is None and ticket > self._answered:
            self._unwanted.add(ticket)

    def call(self, call: str, *args: object) -> Any:
        """Ask, and wait for the answer."""
        return self.answer(self.ask(call, *args))

    def tell(self, call: str, *args: object) -> None:
        """Ask without waiting; a process that is gone holds nothing any more."""
        if not self.lost:
            with contextlib.suppress(EngineError):
                self.waive(self.ask(call, *args))

    def end(self) -> None:
        """End the process."""
        self._end()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._answers.put(self._line.recv())
        self._answers.put(GONE)

    def _gone(self) -> EngineError:
        self.lost = True
        return EngineError(
            "One of the GPUs that work together stopped. Try again: the others go on without it.", "group_lost"
        )


class GroupModel:
    """SAM 3 on several GPUs; see `SamModel`. Prompts are answered by the first.

    Args:
        first: the model of this process, which keeps pictures beside their features.
        members: the other GPUs.
    """

    name = "sam3"
    title = "SAM 3"

    def __init__(self, first: SamModel, members: Sequence[Member]) -> None:
        self._first = first
        self._members = list(members)
        self._numbers = count()
        self._here = 0
        self._videos: WeakKeyDictionary[Views, Video] = WeakKeyDictionary()
        self.checkpoint: str = first.checkpoint
        self.device: str = f"{len(members) + 1} × {first.device}"
        self.note: str = first.note
        self.capabilities: Capabilities = first.capabilities

    def encode(self, picture: Image) -> Any:
        """Run the vision encoder on a picture."""
        return self._first.encode(picture)

    def nbytes(self, features: Any) -> int:
        """What features hold of the first GPU's memory, in bytes."""
        return self._first.nbytes(features)

    def segment(self, features: Any, size: tuple[int, int], clicks: Clicks) -> Found:
        """The one object that clicks or a box mean."""
        return self._first.segment(features, size, clicks)

    def detect(self, features: Any, size: tuple[int, int], text: str, exemplars: Sequence[Box]) -> list[Found]:
        """Everything on the picture that words and exemplar boxes name."""
        return self._first.detect(features, size, text, exemplars)

    def track(self, views: Views, held: int) -> Tracker:
        """A tracker that shares its objects out."""
        return GroupTracker(self, views, held)

    def follow(self, views: Views, text: str, held: int) -> Follower:
        """A follower on the GPU with the least to do.

        Raises:
            InvalidInput: the text is too long for the model.
        """
        place = self.place()
        if place is None:
            try:
                return FollowerHere(self, views, self._first.follow(views, text, held))
            except BaseException:
                self.leave(None)
                raise
        return FollowerThere(self, place, views, text, held)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether what was raised says that a GPU has no memory left."""
        return isinstance(error, MemoryError) or self._first.is_out_of_memory(error)

    def release_memory(self) -> None:
        """Give back what no GPU uses."""
        self._first.release_memory()
        for member in self._members:
            member.tell("release_memory")

    def close(self) -> None:
        """End the other processes. Idempotent."""
        members, self._members = self._members, []
        for member in members:
            member.end()

    # --- who does what -----------------------------------------------------------------------

    def place(self) -> Member | None:
        """Where the next object or concept goes; None: here. It counts as being there from now on."""
        self._members = [m for m in self._members if not m.lost]
        best = min(self._members, key=lambda m: m.load, default=None)
        if best is None or self._here <= best.load:
            self._here += 1
            return None
        best.load += 1
        return best

    def leave(self, place: Member | None) -> None:
        """An object or concept has left its place."""
        if place is None:
            self._here -= 1
        else:
            place.load -= 1

    def number(self) -> int:
        """A name for something that lives elsewhere."""
        return next(self._numbers)

    def video(self, views: Views) -> Video:
        """What all that follows something in a video shares."""
        if views not in self._videos:
            self._videos[views] = Video(self.number())
        return self._videos[views]

    def track_here(self, views: Views, held: int) -> Tracker:
        """A tracker on the first GPU."""
        return self._first.track(views, held)


class Video:
    """A session's video, as all GPUs know it, and the concepts that are followed elsewhere.

    A run goes through its concepts one after the other; those that went along so far are sent ahead
    to the run's next frame as soon as the first of them is, so that all GPUs are busy.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.elsewhere: list[FollowerThere] = []

    def go(self, frame_index: int, reverse: bool) -> None:
        """Somebody goes on to a frame: so will the others."""
        for follower in self.elsewhere:
            follower.go_along(frame_index, reverse)


class GroupTracker:
    """Shares objects out among GPUs; see `Tracker`."""

    def __init__(self, group: GroupModel, views: Views, held: int) -> None:
        self._group = group
        self._views = views
        self._video = group.video(views)
        self._held = held
        self._here: Tracker | None = None
        self._there: dict[Member, int] = {}
        self._places: dict[int, Member | None] = {}
        self._fresh: dict[Member, set[int]] = {}
        self._sizes: dict[Member, int] = {}

    def add(self, obj_id: int, masks: Mapping[int, BoolMask]) -> None:
        """Take an object in, from the next step on."""
        self.remove(obj_id)
        place = self._group.place()
        self._places[obj_id] = place
        if place is None:
            self._here = self._here or self._group.track_here(self._views, self._held)
            self._here.add(obj_id, masks)
            return
        if place not in self._there:
            number = self._group.number()
            place.call("track", number, self._video.number, len(self._views), self._views.size, self._held)
            self._there[place] = number
        place.call("add", self._there[place], obj_id, {i: Pack.of(mask) for i, mask in masks.items()})
        # What conditions an object is encoded where the object is.
        self._fresh.setdefault(place, set()).update(masks)

    def step(self, frame_index: int, *, reverse: bool) -> dict[int, Found]:
        """Every object's mask on the frame: all GPUs at work at the same time."""
        asked: dict[Member, int] = {}
        out: dict[int, Found] = {}
        self._video.go(frame_index, reverse)
        try:
            for place, number in self._there.items():
                pictures = pictures_of(self._views, {*self._fresh.pop(place, set()), frame_index})
                asked[place] = place.ask("step", number, frame_index, reverse, pictures)
            if self._here is not None:
                out |= self._here.step(frame_index, reverse=reverse)
            while asked:
                place, ticket = next(iter(asked.items()))
                del asked[place]
                found, self._sizes[place] = place.answer(ticket)
                out |= unpack(found)
        finally:
            for place, ticket in asked.items():
                place.waive(ticket)
        return {obj_id: out[obj_id] for obj_id in self._places if obj_id in out}

    def remove(self, obj_id: int) -> None:
        """Follow an object no longer."""
        if obj_id not in self._places:
            return
        place = self._places.pop(obj_id)
        self._group.leave(place)
        if place is not None:
            place.tell("remove", self._there[place], obj_id)
        elif self._here is not None:
            self._here.remove(obj_id)

    def close(self) -> None:
        """Free everything. Idempotent."""
        for place in self._places.values():
            self._group.leave(place)
        self._places.clear()
        if self._here is not None:
            self._here.close()
        for member, number in self._there.items():
            member.tell("close", number)
        self._there.clear()
        self._sizes.clear()

    @property
    def nbytes(self) -> int:
        """What it holds of all GPUs' memory, in bytes."""
        return sum(self._sizes.values()) + (0 if self._here is None else self._here.nbytes)


class FollowerHere:
    """A concept on the first GPU, which counts among what that has to do."""

    def __init__(self, group: GroupModel, views: Views, inner: Follower) -> None:
        self._group = group
        self._video = group.video(views)
        self._inner = inner
        self._open = True

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every find's mask on the frame."""
        self._video.go(frame_index, reverse)
        return self._inner.step(frame_index, reverse=reverse)

    def close(self) -> None:
        """Free everything. Idempotent."""
        if self._open:
            self._open = False
            self._group.leave(None)
            self._inner.close()

    @property
    def nbytes(self) -> int:
        """What it holds of the GPU's memory, in bytes."""
        return self._inner.nbytes


class FollowerThere:
    """A concept on another GPU."""

    def __init__(self, group: GroupModel, member: Member, views: Views, text: str, held: int) -> None:
        self._group = group
        self._member = member
        self._views = views
        self._video = group.video(views)
        self._number = group.number()
        self._at: tuple[int, bool] | None = None
        self._ticket: int | None = None
        self._open = True
        self._nbytes = 0
        try:
            member.call("follow", self._number, self._video.number, len(views), views.size, text, held)
        except BaseException:
            group.leave(member)
            raise
        self._video.elsewhere.append(self)

    def go_along(self, frame_index: int, reverse: bool) -> None:
        """Go on to a frame that somebody else goes on to, if this one stands beside it."""
        step = -1 if reverse else 1
        if self._ticket is None and self._at == (frame_index - step, reverse):
            self._go(frame_index, reverse)

    def step(self, frame_index: int, *, reverse: bool) -> Mapping[int, Found]:
        """Every find's mask on the frame."""
        self._video.go(frame_index, reverse)
        if self._ticket is None:
            self._go(frame_index, reverse)
        if self._at != (frame_index, reverse) or self._ticket is None:
            raise RuntimeError("A follower went another way than those it went along with.")
        ticket, self._ticket = self._ticket, None
        found, self._nbytes = self._member.answer(ticket)
        return unpack(found)

    def close(self) -> None:
        """Free everything. Idempotent."""
        if self._open:
            self._open = False
            self._video.elsewhere.remove(self)
            self._group.leave(self._member)
            if self._ticket is not None:
                self._member.waive(self._ticket)
            self._member.tell("close", self._number)

    @property
    def nbytes(self) -> int:
        """What it holds of the GPU's memory, in bytes."""
        return self._nbytes

    def _go(self, frame_index: int, reverse: bool) -> None:
        pictures = pictures_of(self._views, [frame_index])
        self._ticket = self._member.ask("step", self._number, frame_index, reverse, pictures)
        self._at = frame_index, reverse


def pictures_of(views: Views, frames: Iterable[int]) -> dict[int, Image]:
    """The pictures of frames, to be encoded elsewhere too."""
    return {i: views.features(i).picture for i in frames}


def load_group(options: Sam3Options, report: Callable[[str], None]) -> SamModel:
    """Load SAM 3 onto `options.gpus` GPUs, this process's first among them.

    Raises:
        EngineError: it can't be loaded on one of them.
    """
    # The first loads alone: it fetches the weights that the others then find.
    first = load_one(options, report, keep_pictures=True)
    report(f"loading {first.checkpoint} on {options.gpus - 1} more")
    members: list[Member] = []
    try:
        members.extend(start_member(rank) for rank in range(1, options.gpus))
        loading = [(member, member.ask("load", options)) for member in members]
        for member, ticket in loading:
            member.answer(ticket)
    except BaseException:
        for member in members:
            member.end()
        raise
    return GroupModel(first, members)


def start_member(rank: int) -> Member:
    """Start a process on the GPU of that number; first, it wants to be asked to load a model."""
    ours, theirs = socket.socketpair()
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": visible_devices((rank,)),
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path])),
    }
    # Not by `multiprocessing`: a worker is a daemon to it, and those may have no children.
    process = subprocess.Popen(
        [sys.executable, "-c", "from backend.engines.sam3.member import main; main()", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment,
    )
    theirs.close()
    line = Connection(ours.detach())

    def end() -> None:
        process.kill()
        process.wait()

    return Member(line, end)

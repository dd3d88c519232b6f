"""How many sessions may hold engine memory at once, how much of it, and who gives way.

Nobody finds out by an out-of-memory: a session is let in by what it will hold, as far as that can be
known. The engine says the least that a video of that size takes; and what sessions have held is
remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from backend.domain import EngineInfo, Video
from backend.errors import TooLarge, TooMany
from backend.sessions.session import Session
from backend.workers.pool import Pool

REMEMBERED = 64
"""Of so many sizes of video it is remembered what they held."""
RETRY_SECONDS = 5


def least_bytes(engine: EngineInfo | None, video: Video) -> int:
    """The least that a session of the video holds, by the engine's own word; 0 while it is not known."""
    return 0 if engine is None else int(engine.bytes_per_pixel * video.width * video.height)


class Experience:
    """What sessions have held, by the size of their video. Not thread-safe."""

    def __init__(self) -> None:
        self._most: dict[int, int] = {}

    def learn(self, pixels: int, held: int) -> None:
        if held > self._most.get(pixels, 0):
            self._most[pixels] = held
            if len(self._most) > REMEMBERED:
                del self._most[min(self._most, key=lambda size: self._most[size])]

    def expect(self, pixels: int) -> int:
        """What a session of that size will hold: what one of its size or smaller did, or its part of a larger one's.

        Not more in proportion to a smaller one's: some engines hold the same whatever the video's size.
        """
        return max((int(held * min(1.0, pixels / size)) for size, held in self._most.items()), default=0)


class Capacity:
    """Admits sessions to engine memory; where there is no room, the longest idle one is parked.

    Args:
        limit: how many may hold engine memory.
        sessions: all sessions there are.
        pool: where they hold it.
        budget: the bytes that the sessions of a worker may hold together, by its place; 0: no limit.
    """

    def __init__(
        self,
        limit: int,
        sessions: Callable[[], Iterable[Session]],
        pool: Pool,
        budget: Callable[[int], int] = lambda place: 0,
    ) -> None:
        self._limit = limit
        self._sessions = sessions
        self._pool = pool
        self._budget = budget
        self._experience = Experience()
        self._engine: str | None = None
        self._lock = threading.Lock()

    def admit(self, session: Session) -> None:
        """Make room for a session that is about to take engine memory, and say on which worker.

        Never waits for another session's lock: one that is in use is not idle, so it is passed by.

        Raises:
            TooLarge: it could not even have a worker to itself (`session_too_large`).
            TooMany: all that hold memory are busy.
        """
        with self._lock:
            everybody = list(self._sessions())
            self._learn(everybody)
            holders = [s for s in everybody if s is not session and s.holds_engine]
            self._make_room(holders, len(holders) - self._limit + 1)
            self._place(session, [s for s in holders if s.holds_engine])

    def expected_bytes(self, session: Session) -> int:
        """What a session holds, or will hold: what it has held itself is known best."""
        video = session.video
        learned = self._experience.expect(video.width * video.height)
        return max(session.peak_bytes, learned, least_bytes(self._pool.engine, video))

    def _learn(self, everybody: Iterable[Session]) -> None:
        engine = self._pool.engine
        name = engine.name if engine else None
        if name != self._engine:
            self._engine, self._experience = name, Experience()
        for session in everybody:
            self._experience.learn(session.video.width * session.video.height, session.peak_bytes)

    def _make_room(self, holders: list[Session], excess: int) -> None:
        if excess <= 0:
            return
        for other in _longest_idle(holders):
            if not other.busy and other.park():
                excess -= 1
                if excess <= 0:
                    return
        raise _busy(f"All {self._limit} places for sessions are busy. Try again in a moment.")

    def _place(self, session: Session, holders: list[Session]) -> None:
        """Find a worker with memory for it: one with room as it is, else one where idle sessions can give way."""
        places = self._pool.places(session.id)
        budgets = {place: self._budget(place) for place in places}
        if not places or not all(budgets.values()):
            return
        least = least_bytes(self._pool.engine, session.video)
        if least > max(budgets.values()):
            raise TooLarge(
                f"A video of {session.video.width} × {session.video.height} takes about {least / 1e6:.0f} MB of the "
                f"engine's memory, more than the {max(budgets.values()) / 1e6:.0f} MB there are. Use a smaller one.",
                "session_too_large",
            )
        wanted = self.expected_bytes(session)
        there = {place: [s for s in holders if self._pool.place_of(s.id) == place] for place in places}
        room = {place: budgets[place] - sum(map(self.expected_bytes, there[place])) for place in places}
        for place in places:
            # Whoever has a worker to itself is let in whatever is expected: that is no certainty.
            if wanted <= room[place] or not there[place]:
                self._pool.place(session.id, place)
                return
        for place in places:
            idle = [s for s in _longest_idle(there[place]) if not s.busy]
            if wanted > room[place] + sum(map(self.expected_bytes, idle)) and len(idle) < len(there[place]):
                continue
            left = len(there[place])
            for other in idle:
                freed = self.expected_bytes(other)
                if other.park():
                    room[place] += freed
                    left -= 1
                if wanted <= room[place] or not left:
                    self._pool.place(session.id, place)
                    return
        raise _busy("The engine's memory is taken by sessions that are at work. Try again in a moment.")


def _longest_idle(sessions: Iterable[Session]) -> list[Session]:
    return sorted(sessions, key=lambda s: s.idle_seconds, reverse=True)


def _busy(sentence: str) -> TooMany:
    return TooMany(sentence, "too_many_sessions", retry_after=RETRY_SECONDS)

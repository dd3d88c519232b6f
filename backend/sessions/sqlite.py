"""Sessions in SQLite: one writer, whole transactions, and readers that never wait for it.

Every write is on the disk (WAL, synchronous=FULL) before `on_stored` is called. Writes that wait for
the same commit share it, so that its cost is paid once however many sessions are at work.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from backend.domain import Edit, ObjectInfo, ObjectResult, Rle
from backend.errors import DiskFull, NotFound, ServiceError, StorageUnavailable
from backend.owners import VISITORS
from backend.sessions.codec import action_in, action_out, legs_in, legs_out, video_in, video_out
from backend.sessions.schema import migrate
from backend.sessions.store import (
    Append,
    Bear,
    Began,
    Birth,
    Change,
    Drop,
    Loader,
    Log,
    OnStored,
    Put,
    RunIs,
    RunRecord,
    SessionRow,
    Step,
    Stepped,
    Undone,
    Version,
)

log = logging.getLogger(__name__)

FILE = "sessions.sqlite3"
MOST_AT_ONCE = 200
"""Writes that share a commit at most."""
Work = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work
    on_stored: OnStored


def storage_error(error: Exception) -> ServiceError:
    """What a client is told of a database error."""
    if isinstance(error, ServiceError):
        return error
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_FULL:
        return DiskFull("The server's disk is full: nothing was changed. Delete something, then try again.")
    return StorageUnavailable("The server can't write to its data folder: nothing was changed. Try again later.")


class SqliteStore:
    """See the module. Thread-safe.

    A folder that can't be written at first is no error: what needs it is refused until it can be.

    Args:
        folder: where the database lies; made if need be.
        video_path: tells from a video's id where it lies.
        before_commit: called ahead of each commit; tests make it slow, or fail.
    """

    def __init__(
        self, folder: Path, video_path: Callable[[str], Path], before_commit: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = folder
        self._video_path = video_path
        self._before_commit = before_commit
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._rows: list[SessionRow] | None = None
        self.clock = 0.0
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        self._folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._folder / FILE, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            # Before the first table is made, else it does nothing: deleted sessions give their space back.
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            # Else a row that is replaced would not count as deleted.
            database.execute("PRAGMA recursive_triggers = ON")
            migrate(database)
        except BaseException:
            database.close()
            raise
        return database

    # --- reading ---------------------------------------------------------------------------------

    def sessions(self) -> list[SessionRow]:
        if self._rows is None:
            try:
                with contextlib.closing(self._connect()) as database:
                    rows = list(self._read_rows(database))
                    (self.clock,) = database.execute("SELECT clock FROM server").fetchone()
            except (sqlite3.Error, OSError) as error:
                log.error("The data folder %s can't be used: %s", self._folder, error)
                raise StorageUnavailable("The server can't read its data folder. Try again later.") from error
            self._rows = rows
        return self._rows

    def _read_rows(self, database: sqlite3.Connection) -> Iterator[SessionRow]:
        query = "SELECT id, owner, video, keeps_video, gpu_ids, created_at, used FROM sessions ORDER BY created_at"
        for session_id, owner, video, keeps_video, gpu_ids, created_at, used in database.execute(query):
            fields = json.loads(video)
            yield SessionRow(
                session_id,
                owner,
                video_in(fields, self._video_path(fields["id"])),
                bool(keeps_video),
                tuple(json.loads(gpu_ids)),
                datetime.fromisoformat(created_at),
                used,
            )

    def loader(self, session_id: str) -> Loader | None:
        return _Loader(self, session_id)

    def sizes(self, owner: str) -> dict[str, int]:
        return {
            str(i): _int(stored) for i, stored in self.read("SELECT id, stored FROM sessions WHERE owner = ?", owner)
        }

    def labels(self, owner: str) -> dict[str, str]:
        rows = self.read("SELECT label, color FROM labels WHERE owner = ?", owner)
        return {str(label): str(color) for label, color in rows}

    def read(self, query: str, about: str) -> list[tuple[object, ...]]:
        """All rows of a query about one session, or one owner.

        Raises:
            StorageUnavailable: the database can't be read.
        """
        try:
            with self._reading:
                if self._reader is None:
                    self._reader = self._connect()
                return self._reader.execute(query, (about,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            log.error("the database can't be read: %s", error)
            raise StorageUnavailable("The server can't read its data folder. Try again later.") from error

    # --- writing ---------------------------------------------------------------------------------

    def create(self, row: SessionRow, on_stored: OnStored, changes: Sequence[Change] = ()) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute(
                "INSERT INTO sessions (id, owner, video, keeps_video, gpu_ids, created_at, used)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.owner,
                    json.dumps(video_out(row.video)),
                    row.keeps_video,
                    json.dumps(row.gpu_ids),
                    row.created_at.isoformat(),
                    row.used,
                ),
            )
            _write(database, row.id, changes)

        self._jobs.put(_Job(work, on_stored))

    def write(self, session_id: str, changes: Sequence[Change], on_stored: OnStored) -> None:
        self._jobs.put(_Job(lambda database: _write(database, session_id, changes), on_stored))

    def delete(self, session_id: str, on_stored: OnStored) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

        self._jobs.put(_Job(work, on_stored))

    def put_label(self, owner: str, label: str, color: str, clock: float, on_stored: OnStored) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", (owner, label, color, clock))

        self._jobs.put(_Job(work, on_stored))

    def drop_label(self, owner: str, label: str, on_stored: OnStored) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM labels WHERE owner = ? AND label = ?", (owner, label))

        self._jobs.put(_Job(work, on_stored))

    def note_use(self, clock: float, used: Mapping[str, float], forget: float, on_stored: OnStored) -> None:
        def work(database: sqlite3.Connection) -> None:
            database.execute("UPDATE server SET clock = ?", (clock,))
            database.executemany("UPDATE sessions SET used = ? WHERE id = ?", [(at, i) for i, at in used.items()])
            # A login or key comes back; a browser's cookie that has no session may be nobody's any more.
            database.execute(
                "DELETE FROM labels WHERE at < ? AND owner GLOB ? AND owner NOT IN (SELECT owner FROM sessions)",
                (forget, VISITORS),
            )
            database.execute("PRAGMA incremental_vacuum")

        self._jobs.put(_Job(work, on_stored))

    def close(self) -> None:
        """Store what was asked for, and let go of the files. Idempotent."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join(30)
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < MOST_AT_ONCE and (more := self._jobs.get_nowait()) is not None:
                    jobs.append(more)
                if len(jobs) < MOST_AT_ONCE:
                    self._jobs.put(None)
            self._store(jobs)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _store(self, jobs: Sequence[_Job]) -> None:
        error = self._commit(jobs)
        if error is not None and len(jobs) > 1:
            # One that can't be stored, too large for what is left of the disk perhaps, must not fail the others.
            for job in jobs:
                self._answer(job, self._commit([job]))
            return
        for job in jobs:
            self._answer(job, error)

    def _commit(self, jobs: Sequence[_Job]) -> ServiceError | None:
        try:
            if self._writer is None:
                self._writer = self._connect()
            database = self._writer
            database.execute("BEGIN IMMEDIATE")
            try:
                for job in jobs:
                    job.work(database)
                self._before_commit()
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.error("a write failed: %s", error)
            return storage_error(error)
        return None

    @staticmethod
    def _answer(job: _Job, error: ServiceError | None) -> None:
        try:
            job.on_stored(error)
        except Exception:
            log.exception("what follows a write failed")


class _Loader:
    """Reads one session's records."""

    def __init__(self, store: SqliteStore, session_id: str) -> None:
        self._store = store
        self._id = session_id

    def log(self) -> Log:
        read, mine = self._store.read, "WHERE sid = (SELECT sid FROM sessions WHERE id = ?)"
        out = Log()
        for seq, at, action in read(f"SELECT seq, at, action FROM edits {mine} ORDER BY seq", self._id):
            out.edits.append(Edit(_int(seq), datetime.fromisoformat(str(at)), action_in(json.loads(str(action)))))
        for obj_id, seq, name, label, color in read(
            f"SELECT obj_id, seq, name, label, color FROM births {mine} ORDER BY obj_id", self._id
        ):
            out.births[_int(obj_id)] = Birth(_int(seq), ObjectInfo(_int(obj_id), str(name), str(label), str(color)))
        for run in self._runs(read(f"SELECT {_RUN} FROM runs {mine} ORDER BY seq", self._id)):
            out.runs[run.seq] = run
        cut_off = [run for run in out.runs.values() if run.state in ("queued", "running")]
        if cut_off:
            # Nothing runs in a session that is read: a process ended before it could say how the run did.
            counts = read(f"SELECT seq, count(*) FROM steps {mine} GROUP BY seq", self._id)
            steps = {_int(seq): _int(count) for seq, count in counts}
            for run in cut_off:
                whole = steps.get(run.seq, 0) == sum(len(leg.frames) for leg in run.legs)
                out.runs[run.seq] = replace(run, state="complete" if whole else "interrupted")
        for place, frame_index in read(_REACHED, self._id):
            out.reached = _int(place) + 1, _int(frame_index)
        query = "SELECT undone, next_seq, next_obj_id FROM sessions WHERE id = ?"
        for undone, next_seq, next_obj_id in read(query, self._id):
            out.undone, out.next_seq, out.next_obj_id = _int(undone), _int(next_seq), _int(next_obj_id)
        return out

    @staticmethod
    def _runs(rows: Iterable[tuple[object, ...]]) -> Iterator[RunRecord]:
        for seq, legs, everything, first_new_id, state, error, code, milliseconds in rows:
            yield RunRecord(
                _int(seq),
                legs_in(json.loads(str(legs))),
                bool(everything),
                _int(first_new_id),
                state,  # type: ignore[arg-type]
                None if error is None else str(error),
                None if code is None else str(code),
                float(milliseconds),  # type: ignore[arg-type]
            )

    def results(self) -> Iterable[tuple[int, int, Version]]:
        size = self._store.read("SELECT video FROM sessions WHERE id = ?", self._id)
        if not size:
            return
        fields = json.loads(str(size[0][0]))
        height, width = fields["height"], fields["width"]
        query = (
            "SELECT seq, frame_index, obj_id, score, x, y, w, h, counts FROM results"
            " WHERE sid = (SELECT sid FROM sessions WHERE id = ?) ORDER BY seq"
        )
        for seq, frame_index, obj_id, score, x, y, w, h, counts in self._store.read(query, self._id):
            box = None if x is None else (x, y, w, h)
            found = ObjectResult(_int(obj_id), score, box, Rle(str(counts), height, width))  # type: ignore[arg-type]
            yield found.obj_id, _int(frame_index), Version(_int(seq), found)

    def steps(self) -> Iterable[tuple[int, Step]]:
        query = (
            "SELECT seq, frame_index, obj_ids FROM steps"
            " WHERE sid = (SELECT sid FROM sessions WHERE id = ?) ORDER BY seq, place"
        )
        for seq, frame_index, obj_ids in self._store.read(query, self._id):
            yield _int(seq), (_int(frame_index), tuple(json.loads(str(obj_ids))))


_REACHED = """
SELECT place, frame_index FROM steps WHERE sid = (SELECT sid FROM sessions WHERE id = ?1)
    AND seq = (SELECT max(seq) FROM runs WHERE sid = (SELECT sid FROM sessions WHERE id = ?1))
    ORDER BY place DESC LIMIT 1
"""
_RUN = "seq, legs, everything, first_new_id, state, error, code, milliseconds"


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _write(database: sqlite3.Connection, session_id: str, changes: Sequence[Change]) -> None:
    """Write changes of a session.

    Raises:
        NotFound: it was deleted.
    """
    found = database.execute("SELECT sid FROM sessions WHERE id = ?", (session_id,)).fetchone()
    if found is None:
        raise NotFound("There is no such session. It may have been closed.", "session_not_found")
    (sid,) = found
    for change in changes:
        match change:
            case Append(edit):
                action = json.dumps(action_out(edit.action))
                database.execute("INSERT INTO edits VALUES (?, ?, ?, ?)", (sid, edit.seq, edit.at.isoformat(), action))
                database.execute("UPDATE sessions SET next_seq = max(next_seq, ?) WHERE sid = ?", (edit.seq + 1, sid))
            case Drop(seqs):
                database.executemany("DELETE FROM edits WHERE sid = ? AND seq = ?", [(sid, seq) for seq in seqs])
            case Undone(count):
                database.execute("UPDATE sessions SET undone = ? WHERE sid = ?", (count, sid))
            case Bear(seq, info):
                row = (sid, info.id, seq, info.name, info.label, info.color)
                database.execute("INSERT INTO births VALUES (?, ?, ?, ?, ?, ?)", row)
                database.execute(
                    "UPDATE sessions SET next_obj_id = max(next_obj_id, ?) WHERE sid = ?", (info.id + 1, sid)
                )
            case Put(seq, frame_index, results):
                rows = [
                    (sid, seq, frame_index, r.obj_id, r.score, *(r.box or (None,) * 4), r.rle.counts) for r in results
                ]
                database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            case Began(run):
                legs = json.dumps(legs_out(run.legs))
                database.execute(
                    f"INSERT INTO runs (sid, {_RUN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        sid,
                        run.seq,
                        legs,
                        run.everything,
                        run.first_new_id,
                        run.state,
                        run.error,
                        run.code,
                        run.milliseconds,
                    ),
                )
            case Stepped(seq, place, frame_index, obj_ids):
                step = (sid, seq, place, frame_index, json.dumps(obj_ids))
                database.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", step)
            case RunIs(seq, state, error, code, milliseconds):
                database.execute(
                    "UPDATE runs SET state = ?, error = ?, code = ?, milliseconds = ? WHERE sid = ? AND seq = ?",
                    (state, error, code, milliseconds, sid, seq),
                )

"""The database's tables, by version: each script brings a database from the version before to its own.

Scripts are never changed once released; a change of the tables is a new script at the end.
"""

from __future__ import annotations

import sqlite3

from backend.errors import StorageUnavailable

_V1 = """
CREATE TABLE server (one INTEGER PRIMARY KEY CHECK (one = 1), clock REAL NOT NULL);
INSERT INTO server VALUES (1, 0);

CREATE TABLE sessions (
    sid INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    video TEXT NOT NULL,
    keeps_video INTEGER NOT NULL,
    gpu_ids TEXT NOT NULL,
    created_at TEXT NOT NULL,
    used REAL NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0,
    next_seq INTEGER NOT NULL DEFAULT 1,
    next_obj_id INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE edits (
    sid INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (sid, seq)
);

CREATE TABLE births (
    sid INTEGER NOT NULL,
    obj_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    color TEXT NOT NULL,
    PRIMARY KEY (sid, obj_id),
    FOREIGN KEY (sid, seq) REFERENCES edits ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX births_of ON births (sid, seq);

CREATE TABLE runs (
    sid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    legs TEXT NOT NULL,
    everything INTEGER NOT NULL,
    first_new_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    code TEXT,
    milliseconds REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (sid, seq),
    FOREIGN KEY (sid, seq) REFERENCES edits ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE steps (
    sid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    place INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    obj_ids TEXT NOT NULL,
    PRIMARY KEY (sid, seq, place),
    FOREIGN KEY (sid, seq) REFERENCES edits ON DELETE CASCADE
) WITHOUT ROWID;

-- The box's four numbers are NULL where the mask is empty; the mask is of the video's size.
CREATE TABLE results (
    sid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    obj_id INTEGER NOT NULL,
    score REAL NOT NULL,
    x REAL, y REAL, w REAL, h REAL,
    counts TEXT NOT NULL,
    FOREIGN KEY (sid, seq) REFERENCES edits ON DELETE CASCADE
);
CREATE UNIQUE INDEX results_of ON results (sid, seq, frame_index, obj_id);
"""

_V2 = """
-- An owner's classes, the colour that objects get with them, and when that was given, by the server's own time.
CREATE TABLE labels (
    owner TEXT NOT NULL,
    label TEXT NOT NULL,
    color TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (owner, label)
) WITHOUT ROWID;

-- What a session's results take, in bytes: the masks, and a little for each row. A listing can't add that up each time.
ALTER TABLE sessions ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET stored =
    (SELECT coalesce(sum(length(counts) + 64), 0) FROM results WHERE results.sid = sessions.sid);
CREATE TRIGGER result_stored AFTER INSERT ON results BEGIN
    UPDATE sessions SET stored = stored + length(NEW.counts) + 64 WHERE sid = NEW.sid;
END;
CREATE TRIGGER result_deleted AFTER DELETE ON results BEGIN
    UPDATE sessions SET stored = stored - length(OLD.counts) - 64 WHERE sid = OLD.sid;
END;
"""

MIGRATIONS = (_V1, _V2)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database to the newest version, each step whole or not at all.

    Raises:
        StorageUnavailable: it was written by a newer version of the program.
        sqlite3.Error: it can't be read or written.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StorageUnavailable(
            "The sessions in DATA_DIR were written by a newer version of this program: update it, "
            "or set DATA_DIR to another folder.",
            "newer_database",
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")

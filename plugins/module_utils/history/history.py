# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands remember between runs: one SQLite file that all stages share.

It holds samples of disks, events (a sync, a drill: anything with a time, a level and plain values)
and one small document a stage, for what its alerts are at. Memory is worth less than the run that
asks for it: a damaged file is set aside and a new one begun, and a file that cannot be written is
still read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.locks import lock_folder
from ..common.system_errors import reason

FILE = "history.sqlite3"
# Seconds to wait for another process that writes.
PATIENCE = 10.0
KEEP_DAYS = 400
DAY = 86400.0
# A file of up to so many bytes is looked through at each start; a larger one, which twenty targets
# reach in some months, by the first start of a day, and after it could not be read.
SMALL = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (
    target TEXT NOT NULL, time REAL NOT NULL, bytes_used INTEGER, bytes_available INTEGER,
    bytes_total INTEGER, inodes_used INTEGER, inodes_total INTEGER, level TEXT NOT NULL,
    PRIMARY KEY (target, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, kind TEXT NOT NULL, time REAL NOT NULL,
    level TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS event_by_kind ON event (stage, kind, time);
CREATE TABLE IF NOT EXISTS document (stage TEXT PRIMARY KEY, content TEXT NOT NULL);
PRAGMA user_version = 1;
"""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One measurement of one target; `time` is in seconds since 1970, sizes in bytes."""

    target: str
    time: float
    bytes_used: int | None
    bytes_available: int | None
    bytes_total: int | None
    inodes_used: int | None
    inodes_total: int | None
    level: str


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened: a sync, a drill, a run; `time` in seconds since 1970."""

    stage: str
    kind: str
    time: float
    level: str
    data: dict[str, Any]


class History:
    """The file, open.

    Attributes:
        path: the file.
        writable: whether it takes what is to be remembered.
        set_aside: where a damaged file was put, if one was found.
        problem: in words, what is wrong with the file; None when nothing is.
    """

    def __init__(self, folder: str, *, read_only: bool = False) -> None:
        """Opens the history in a folder, which is made when missing.

        Args:
            folder: the state's folder.
            read_only: whether to leave everything as it is.

        Raises:
            ResilienceError: it can be neither written nor read.
        """
        self.path = os.path.join(folder, FILE)
        self.writable = True
        self.set_aside: str | None = None
        self.problem: str | None = None
        if read_only:
            self.writable = False
            self.problem = "the history was opened for reading only"
            self._database = self._open_readable(PermissionError(0, "it was opened for reading"))
            return
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with lock_folder(folder, PATIENCE) as lock:
                if lock is None:
                    raise OSError(0, f"another process has kept it locked for {PATIENCE:g} s")
                self._database = self._open_writable()
        except (OSError, sqlite3.OperationalError) as error:
            self.writable = False
            self.problem = f"the history {self.path} cannot be written: {reason(error)}"
            self._database = self._open_readable(error)

    def _open_writable(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            moment = time.strftime("%Y%m%dT%H%M%S")
            self.set_aside = f"{self.path}.damaged-{moment}-{os.getpid()}"
            os.replace(self.path, self.set_aside)
            self.problem = f"the history was damaged ({error}); set aside as {self.set_aside}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.path}-journal")
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        new = not os.path.exists(self.path)
        if new:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        elif not os.access(self.path, os.W_OK):
            # SQLite would open it all the same, and fail at the first write.
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            if self._doubtful():
                (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if state != "ok":
                    raise sqlite3.DatabaseError(state)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            if new:
                os.unlink(self.path)
            raise
        return database

    def _doubtful(self) -> bool:
        held = os.stat(self.path)
        return held.st_size <= SMALL or held.st_mtime // DAY != time.time() // DAY

    def _doubt(self, error: sqlite3.Error) -> None:
        """Has the next start look through a damaged file: its time of change tells it to."""
        if not isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))

    def _open_readable(self, why: Exception) -> sqlite3.Connection:
        try:
            address = f"file:{_quoted(self.path)}?mode=ro"
            database = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
            database.execute("SELECT 1 FROM sample LIMIT 1").fetchall()
        except sqlite3.Error as error:
            raise ResilienceError(
                f"the history can be neither written nor read: {reason(why)}; {error}",
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy="make room, or name a folder that can be written to",
            ) from error
        return database

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept or nothing."""
        if not self.writable:
            raise ResilienceError(str(self.problem), option="state_dir")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self._doubt(error)
            raise ResilienceError(
                f"the history {self.path} cannot be written: {error}",
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy="make room, or name a folder that can be written to",
            ) from error

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._doubt(error)
            raise ResilienceError(
                f"the history {self.path} cannot be read: {error}",
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy="the next run sets a damaged file aside",
            ) from error

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Remembers measurements; the first of a day forget those older than `KEEP_DAYS`.

        Raises:
            ResilienceError: they cannot be written.
        """
        if not samples:
            return
        newest = max(sample.time for sample in samples)
        query = "SELECT max(time) FROM sample WHERE target = ?"
        with self._writing() as database:
            (before,) = database.execute(query, (samples[0].target,)).fetchone()
            database.executemany(
                "INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [tuple(dataclasses.asdict(sample).values()) for sample in samples],
            )
            if before is None or before // DAY != newest // DAY:
                oldest = newest - KEEP_DAYS * DAY
                database.execute("DELETE FROM sample WHERE time < ?", (oldest,))
                database.execute("DELETE FROM event WHERE time < ?", (oldest,))

    def samples(self, target: str, since: float = 0) -> list[Sample]:
        """The measurements of one target, the oldest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = "SELECT * FROM sample WHERE target = ? AND time >= ? ORDER BY time"
        return [Sample(*row) for row in self._rows(query, (target, since))]

    def amounts(
        self, target: str, since: float, until: float
    ) -> list[tuple[float, int | None, int | None]]:
        """Time, bytes used and inodes used of one target's measurements, the oldest first: a month
        of twenty targets is thousands of rows, and a forecast needs no more of them.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT time, bytes_used, inodes_used FROM sample"
            " WHERE target = ? AND time >= ? AND time < ? ORDER BY time"
        )
        return self._rows(query, (target, since, until))

    def add_event(self, event: Event) -> None:
        """Remembers something that happened.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            database.execute(
                "INSERT INTO event (stage, kind, time, level, data) VALUES (?, ?, ?, ?, ?)",
                (event.stage, event.kind, event.time, event.level, json.dumps(event.data)),
            )

    def events(self, stage: str, kind: str, *, limit: int = 100) -> list[Event]:
        """The latest events of one kind, the newest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT stage, kind, time, level, data FROM event WHERE stage = ? AND kind = ?"
            " ORDER BY time DESC, id DESC LIMIT ?"
        )
        return [
            Event(of, what, moment, level, json.loads(data))
            for of, what, moment, level, data in self._rows(query, (stage, kind, limit))
        ]

    def remove_stage(self, stage: str) -> bool:
        """Removes what a stage remembers; gives whether nothing at all is left.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            database.execute("DELETE FROM document WHERE stage = ?", (stage,))
            database.execute("DELETE FROM event WHERE stage = ?", (stage,))
            if stage == "disk":
                database.execute("DELETE FROM sample")
        tables = ("sample", "event", "document")
        return not any(self._rows(f"SELECT 1 FROM {table} LIMIT 1", ()) for table in tables)

    def document(self, stage: str) -> dict[str, Any]:
        """What a stage remembers of its alerts; empty when it has none yet.

        Raises:
            ResilienceError: it cannot be read.
        """
        rows = self._rows("SELECT content FROM document WHERE stage = ?", (stage,))
        return dict(json.loads(rows[0][0])) if rows else {}

    def set_document(self, stage: str, content: dict[str, Any]) -> None:
        """Remembers the same, in place of what was there.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO document VALUES (?, ?)", (stage, json.dumps(content))
            )


def forget(folder: str, stage: str) -> bool:
    """Removes what a stage remembers (the samples are those of `disk`), and the file when no other
    stage remembers anything; gives whether there was a file.

    Raises:
        ResilienceError: it cannot be written.
    """
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        return False
    with History(folder) as history:
        empty = history.remove_stage(stage)
    if empty:
        for name in (path, f"{path}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    return True


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")

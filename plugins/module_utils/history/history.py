# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""History between runs: one SQLite file that all stages share.

It holds samples of disks, events (a sync, a drill: anything with a time, a level and plain values)
and for each stage and host one JSON document with the state of its alerts. A run never fails for
its history: a damaged file is set aside and a new one made, and a file that cannot be written is
still read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..common import run_steps
from ..common.errors import ResilienceError
from ..common.locks import lock_folder
from ..common.mask import mask
from ..common.system_errors import reason

FILE = "history.sqlite3"
# Seconds to wait for another process that writes.
PATIENCE = 5.0
DAY = 86400.0
# How many are kept, by number and not by age: a clock that was wrong once must delete nothing. For
# samples, 400 days of one every 15 minutes; for events, years of a daily one.
KEEP_SAMPLES = 40_000
KEEP_EVENTS = 4_000
# The version of the tables below, kept in SQLite's `user_version`.
VERSION = 2
# A file of up to so many bytes is checked (`quick_check`) each time it is opened; a larger one,
# which twenty targets reach in some months, once a day and after an error.
ALWAYS_CHECKED_BYTES = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (
    host TEXT NOT NULL, target TEXT NOT NULL, time REAL NOT NULL, bytes_used INTEGER,
    bytes_available INTEGER, bytes_total INTEGER, inodes_used INTEGER, inodes_total INTEGER,
    level TEXT NOT NULL, PRIMARY KEY (host, target, time)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, stage TEXT NOT NULL, kind TEXT NOT NULL, time REAL NOT NULL,
    level TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS event_by_kind ON event (stage, kind, time);
CREATE TABLE IF NOT EXISTS document (stage TEXT PRIMARY KEY, content TEXT NOT NULL);
"""
# Version 1 had no column for the host, though several may share the folder.
_FROM_VERSION_1 = """
ALTER TABLE sample RENAME TO sample_1;
{schema}
INSERT INTO sample SELECT {host}, {columns} FROM sample_1;
DROP TABLE sample_1;
"""
_COLUMNS = (
    "target, time, bytes_used, bytes_available, bytes_total, inodes_used, inodes_total, level"
)


class Sample(NamedTuple):
    """One measurement of one target; `time` is in seconds since 1970, sizes in bytes."""

    target: str
    time: float
    bytes_used: int | None
    bytes_available: int | None
    bytes_total: int | None
    inodes_used: int | None
    inodes_total: int | None
    level: str


class Event(NamedTuple):
    """Something that happened: a sync, a drill, a run; `time` in seconds since 1970."""

    stage: str
    kind: str
    time: float
    level: str
    data: dict[str, Any]


class FolderLockedError(OSError):
    """Another program has held the folder's lock for too long."""


class NewerVersionError(Exception):
    """The file was written by a program that is newer than this one."""


class History:
    """The file while it is open.

    Attributes:
        path: the file.
        writable: whether it can be written.
        set_aside: where a damaged file was put, if one was found.
        problem: what is wrong with the file, as text; None when nothing is.
    """

    def __init__(self, folder: str, *, read_only: bool = False) -> None:
        """Open the history in a folder, which is made when missing.

        Args:
            folder: the state's folder.
            read_only: whether to leave everything as it is.

        Raises:
            ResilienceError: it can be neither written nor read.
        """
        self.path = os.path.join(folder, FILE)
        # Several hosts may share the folder: each reads and writes its own rows.
        self._host = os.uname().nodename
        self.writable = True
        self.set_aside: str | None = None
        self.problem: str | None = None
        if read_only:
            self.writable = False
            self.problem = "the history was opened for reading only"
            if exists(folder):
                self._database = self._open_readable(None)
            else:
                self.problem = f"there is no history in {folder} yet"
                self._database = sqlite3.connect(":memory:", isolation_level=None)
                self._database.executescript(_SCHEMA)
            return
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with lock_folder(folder, PATIENCE) as lock:
                if lock is None:
                    raise FolderLockedError(0, f"another program has held it for {PATIENCE:g} s")
                self._database = self._open_writable()
        except (OSError, sqlite3.OperationalError, NewerVersionError) as error:
            self.writable = False
            self.problem = f"the history {self.path} cannot be written: {reason(error)}"
            self._database = self._open_readable(error)

    def _open_writable(self) -> sqlite3.Connection:
        """Open it for writing; a damaged file is set aside first."""
        try:
            return self._open_checked()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            moment = time.strftime("%Y%m%dT%H%M%S")
            self.set_aside = f"{self.path}.damaged-{moment}-{os.getpid()}"
            os.replace(self.path, self.set_aside)
            self.problem = f"the history was damaged ({error}); set aside as {self.set_aside}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.path}-journal")
            return self._open_checked()

    def _open_checked(self) -> sqlite3.Connection:
        """Open it for writing, checked, and with the tables of this version."""
        new = not os.path.exists(self.path)
        if new:
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        elif not os.access(self.path, os.W_OK):
            # SQLite would open it all the same, and fail at the first write.
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            if self._needs_check():
                (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if state != "ok":
                    raise sqlite3.DatabaseError(state)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            script = _SCHEMA
            if version == 1:
                host = database.execute("SELECT quote(?)", (self._host,)).fetchone()[0]
                script = _FROM_VERSION_1.format(schema=_SCHEMA, host=host, columns=_COLUMNS)
            if version < VERSION:
                database.executescript(
                    f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {VERSION};COMMIT;"
                )
            elif version > VERSION:
                raise NewerVersionError(
                    f"a newer version wrote it ({version}; this program knows up to {VERSION})"
                )
        except (sqlite3.Error, NewerVersionError):
            database.close()
            if new:
                os.unlink(self.path)
            raise
        return database

    def _needs_check(self) -> bool:
        status = os.stat(self.path)
        return (
            status.st_size <= ALWAYS_CHECKED_BYTES or status.st_mtime // DAY != time.time() // DAY
        )

    def _mark_for_check(self, error: sqlite3.Error) -> None:
        """Set the time of change back, so that the next run checks the file (`_needs_check`)."""
        if self.writable and not isinstance(error, sqlite3.OperationalError):
            with contextlib.suppress(OSError):
                os.utime(self.path, (0, 0))

    def _open_readable(self, why: Exception | None) -> sqlite3.Connection:
        """Open it for reading; `why` says why it cannot be opened for writing."""
        # `immutable` ignores another program's lock: old rows are better than none, and the run has
        # waited for that lock once.
        immutable = "&immutable=1" if why and _is_locked(why) else ""
        address = f"file:{_quoted(self.path)}?mode=ro{immutable}"
        try:
            database = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
            database.execute(f"SELECT host, {_COLUMNS} FROM sample LIMIT 1").fetchall()
        except sqlite3.Error as error:
            if why is None:
                raise _unreadable(self.path, str(error)) from error
            raise ResilienceError(
                f"the history can be neither written nor read: {reason(why)}; {error}",
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy=_remedy(why),
            ) from error
        return database

    def close(self) -> None:
        """Close the file."""
        with _waiting():
            self._database.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: all of it is stored, or nothing."""
        if not self.writable:
            raise ResilienceError(str(self.problem), option="state_dir")
        try:
            with _waiting():
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            self._mark_for_check(error)
            problem = f"the history {self.path} cannot be written: {error}"
            if _is_locked(error):
                # A run waits only once for another program's lock.
                self.writable, self.problem = False, problem
                self._database.close()
                self._database = self._open_readable(error)
            raise ResilienceError(
                problem,
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy=_remedy(error),
            ) from error

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with _waiting():
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._mark_for_check(error)
            raise ResilienceError(
                f"the history {self.path} cannot be read: {error}",
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy="the next run sets a damaged file aside",
            ) from error

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Store measurements; of each target the newest `KEEP_SAMPLES` are kept.

        Raises:
            ResilienceError: they cannot be written.
        """
        if not samples:
            return
        with self._writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(self._host, *sample) for sample in samples],
            )
            database.executemany(
                "DELETE FROM sample WHERE host = ?1 AND target = ?2 AND time <="
                " (SELECT time FROM sample WHERE host = ?1 AND target = ?2"
                " ORDER BY time DESC LIMIT 1 OFFSET ?3)",
                [(self._host, name, KEEP_SAMPLES) for name in {one.target for one in samples}],
            )

    def samples(self, target: str, since: float = 0) -> list[Sample]:
        """Return the measurements of one target, the oldest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            f"SELECT {_COLUMNS} FROM sample WHERE host = ? AND target = ? AND time >= ?"
            " ORDER BY time"
        )
        return [Sample(*row) for row in self._rows(query, (self._host, target, since))]

    def amounts(
        self, target: str, since: float, until: float
    ) -> list[tuple[float, int | None, int | None]]:
        """Return time, bytes used and inodes used of one target's measurements, the oldest first.

        A month of twenty targets is thousands of rows, and a forecast needs no more of them.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT time, bytes_used, inodes_used FROM sample"
            " WHERE host = ? AND target = ? AND time >= ? AND time < ? ORDER BY time"
        )
        return self._rows(query, (self._host, target, since, until))

    def newest_samples(self) -> list[Sample]:
        """Return the newest measurement of each target of the last run that measured any.

        Raises:
            ResilienceError: they cannot be read.
        """
        # Each step jumps to the next target by the primary key: nothing else of it is read.
        targets = (
            "WITH RECURSIVE known(target) AS (SELECT min(target) FROM sample WHERE host = ?1"
            " UNION ALL SELECT (SELECT min(target) FROM sample WHERE host = ?1"
            " AND target > known.target) FROM known WHERE known.target IS NOT NULL)"
            " SELECT target FROM known WHERE target IS NOT NULL"
        )
        newest = (
            f"SELECT {_COLUMNS} FROM sample WHERE host = ? AND target = ?"
            " ORDER BY time DESC LIMIT 1"
        )
        found = [
            Sample(*row)
            for (target,) in self._rows(targets, (self._host,))
            for row in self._rows(newest, (self._host, target))
        ]
        last = max((sample.time for sample in found), default=0.0)
        return [sample for sample in found if sample.time == last]

    def most_used_by_day(self, target: str, now: float, days: int) -> list[int | None]:
        """Return the most bytes used on each of the last days, the oldest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT CAST((? - time) / ? AS INTEGER) AS age, max(bytes_used) FROM sample"
            " WHERE host = ? AND target = ? AND time > ? AND time <= ? GROUP BY age"
        )
        values = (now, DAY, self._host, target, now - days * DAY, now)
        by_age = dict(self._rows(query, values))
        return [by_age.get(age) for age in reversed(range(days))]

    def began(self) -> float | None:
        """Return when the oldest record of any stage was made; None where there is none.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = "SELECT min(time) FROM sample WHERE host = ?1 UNION ALL SELECT min(time) FROM event"
        known = [time for (time,) in self._rows(query, (self._host,)) if time is not None]
        return min(known, default=None)

    def add_event(self, event: Event) -> None:
        """Remember something that happened.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            database.execute(
                "INSERT INTO event (stage, kind, time, level, data) VALUES (?, ?, ?, ?, ?)",
                (event.stage, event.kind, event.time, event.level, mask(json.dumps(event.data))),
            )
            database.execute(
                "DELETE FROM event WHERE stage = ? AND kind = ? AND id <="
                " (SELECT id FROM event WHERE stage = ? AND kind = ?"
                " ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (event.stage, event.kind, event.stage, event.kind, KEEP_EVENTS),
            )

    def events(self, stage: str, kind: str, *, limit: int = 100) -> list[Event]:
        """Return the latest events of one kind, the newest first.

        Raises:
            ResilienceError: they cannot be read.
        """
        query = (
            "SELECT stage, kind, time, level, data FROM event WHERE stage = ? AND kind = ?"
            " ORDER BY time DESC, id DESC LIMIT ?"
        )
        return [
            Event(of_stage, of_kind, moment, level, json.loads(data))
            for of_stage, of_kind, moment, level, data in self._rows(query, (stage, kind, limit))
        ]

    def remove_stage(self, stage: str) -> bool:
        """Delete what is stored of a stage; return whether nothing at all is left.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            # Documents of alerts are named `stage@host`.
            database.execute(
                "DELETE FROM document WHERE stage = ? OR substr(stage, 1, ?) = ?",
                (stage, len(stage) + 1, f"{stage}@"),
            )
            database.execute("DELETE FROM event WHERE stage = ?", (stage,))
            if stage == "disk":
                database.execute("DELETE FROM sample")
        tables = ("sample", "event", "document")
        return not any(self._rows(f"SELECT 1 FROM {table} LIMIT 1", ()) for table in tables)

    def document(self, name: str) -> dict[str, Any]:
        """Return the stored document of this name (`stage@host`); empty where there is none yet.

        Raises:
            ResilienceError: it cannot be read.
        """
        rows = self._rows("SELECT content FROM document WHERE stage = ?", (name,))
        return dict(json.loads(rows[0][0])) if rows else {}

    def set_document(self, name: str, content: dict[str, Any]) -> None:
        """Store a document in place of the one that was there.

        Raises:
            ResilienceError: it cannot be written.
        """
        with self._writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO document VALUES (?, ?)", (name, mask(json.dumps(content)))
            )


def _waiting() -> contextlib.AbstractContextManager[None]:
    """Return the step of a run (`run_steps`) in which the file's lock may be waited for."""
    return run_steps.step("state_dir", 2 * PATIENCE)


def exists(folder: str) -> bool:
    """Return whether a folder holds a history.

    Raises:
        ResilienceError: this user may not look into the folder.
    """
    path = os.path.join(folder, FILE)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, reason(error)) from error
    return True


def _unreadable(path: str, why: str) -> ResilienceError:
    return ResilienceError(
        f"the history {path} cannot be read: {why}",
        option="state_dir",
        value=os.path.dirname(path),
        remedy="run as the user that the monitor runs as; its next run sets a damaged file aside",
    )


def delete_stage(folder: str, stage: str) -> bool:
    """Delete what is stored of a stage (the samples belong to `disk`).

    The file goes too when nothing of another stage is in it.

    Returns:
        Whether there was a file.

    Raises:
        ResilienceError: it cannot be written.
    """
    path = os.path.join(folder, FILE)
    with _waiting():
        if not os.path.exists(path):
            return False
        history = History(folder)
    with history:
        empty = history.remove_stage(stage)
    if empty:
        for name in (path, f"{path}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    return True


def _quoted(path: str) -> str:
    """Return a path as a part of a URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _is_locked(error: Exception) -> bool:
    """Return whether another program locks the file or its folder."""
    return isinstance(error, FolderLockedError) or "database is locked" in str(error)


def _remedy(error: Exception) -> str:
    if isinstance(error, NewerVersionError):
        return "run the stage's playbook, which puts the newest program there"
    if _is_locked(error):
        return "see which program holds it: fuser -v on the file"
    return "make room, or name a folder that can be written to"


@contextlib.contextmanager
def open_history(
    state_dir: str, problems: list[str], *, read_only: bool = False
) -> Iterator[History | None]:
    """Open the history for a run that goes on without it.

    Args:
        state_dir: the folder that holds it.
        problems: what is wrong with it is added here, as texts.
        read_only: whether to leave everything as it is; one that does not exist is no problem.

    Yields:
        The history, or None where it can be neither written nor read.
    """
    try:
        with _waiting():
            opened = History(state_dir, read_only=read_only)
    except ResilienceError as error:
        problems.append(str(error))
        yield None
        return
    with opened:
        if opened.problem and not read_only:
            problems.append(opened.problem)
        yield opened

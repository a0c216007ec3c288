# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQLite file of the history: opened, checked, brought to this version, read and written.

A run never fails for its history: a damaged file is set aside and a new one made, and a file that
cannot be written is still read. What is in the file: `history.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from ..common import run_steps
from ..common.errors import ResilienceError
from ..common.locks import lock_folder
from ..common.messages import Message, _, join
from ..common.system_errors import reason

Opened = TypeVar("Opened", bound="HistoryFile")

FILE = "history.sqlite3"
# Seconds to wait for another process that writes.
PATIENCE = 5.0
DAY = 86400.0
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
SAMPLE_COLUMNS = (
    "target, time, bytes_used, bytes_available, bytes_total, inodes_used, inodes_total, level"
)
# Of each table, what this program reads and writes.
_USED = (
    f"SELECT host, {SAMPLE_COLUMNS} FROM sample LIMIT 0",
    "SELECT id, stage, kind, time, level, data FROM event LIMIT 0",
    "SELECT stage, content FROM document LIMIT 0",
)


class FolderLockedError(OSError):
    """Another program has held the folder's lock for too long."""


class NewerVersionError(ResilienceError):
    """The file was written by a program that is newer than this one."""


class HistoryFile:
    """The file while it is open.

    Attributes:
        path: the file.
        host: the name of this host; hosts that share the folder read and write rows of their own.
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
        self.host = os.uname().nodename
        self.writable = True
        self.set_aside: str | None = None
        self.problem: str | None = None
        if read_only:
            self.writable = False
            self.problem = _("the history was opened for reading only")
            if exists(folder):
                self._database = self._open_readable(None)
            else:
                self.problem = _("there is no history in %(folder)s yet", folder=folder)
                self._database = sqlite3.connect(":memory:", isolation_level=None)
                self._database.executescript(_SCHEMA)
            return
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with lock_folder(folder, PATIENCE) as lock:
                if lock is None:
                    held = _("another program has held it for %(seconds)g s", seconds=PATIENCE)
                    raise FolderLockedError(0, held)
                self._database = self._open_writable()
        except (OSError, sqlite3.OperationalError, NewerVersionError) as error:
            self.writable = False
            self.problem = _write_problem(self.path, reason(error))
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
            self.problem = _(
                "the history was damaged (%(why)s); set aside as %(path)s",
                why=str(error),
                path=self.set_aside,
            )
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
                host = database.execute("SELECT quote(?)", (self.host,)).fetchone()[0]
                script = _FROM_VERSION_1.format(schema=_SCHEMA, host=host, columns=SAMPLE_COLUMNS)
            if version < VERSION:
                database.executescript(
                    f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {VERSION};COMMIT;"
                )
            elif version > VERSION:
                raise NewerVersionError(
                    _(
                        "a newer version wrote it (%(version)d; this program knows up to"
                        " %(known)d)",
                        version=version,
                        known=VERSION,
                    )
                )
            try:
                for query in _USED:
                    database.execute(query)
            except sqlite3.OperationalError as error:
                if _is_locked(error):
                    raise
                # A table or a column is not there: no later run would find it either.
                raise sqlite3.DatabaseError(str(error)) from error
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
            database.execute(f"SELECT host, {SAMPLE_COLUMNS} FROM sample LIMIT 1").fetchall()
        except sqlite3.Error as error:
            if why is None:
                raise _read_error(self.path, str(error)) from error
            raise ResilienceError(
                _(
                    "the history can be neither written nor read: %(why)s",
                    why=join([reason(why), str(error)], "; "),
                ),
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy=_remedy(why),
            ) from error
        return database

    def close(self) -> None:
        """Close the file."""
        with waiting():
            self._database.close()

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction: all of it is stored, or nothing."""
        if not self.writable:
            raise ResilienceError(self.problem or "", option="state_dir")
        try:
            with waiting():
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
            problem = _write_problem(self.path, str(error))
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

    def rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            ResilienceError: the file cannot be read.
        """
        try:
            with waiting():
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._mark_for_check(error)
            raise ResilienceError(
                _("the history %(path)s cannot be read: %(why)s", path=self.path, why=str(error)),
                option="state_dir",
                value=os.path.dirname(self.path),
                remedy=_("the next run sets a damaged file aside"),
            ) from error


def waiting() -> contextlib.AbstractContextManager[None]:
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
        raise _read_error(path, reason(error)) from error
    return True


def _write_problem(path: str, why: str) -> Message:
    return _("the history %(path)s cannot be written: %(why)s", path=path, why=why)


def _read_error(path: str, why: str) -> ResilienceError:
    return ResilienceError(
        _("the history %(path)s cannot be read: %(why)s", path=path, why=why),
        option="state_dir",
        value=os.path.dirname(path),
        remedy=_(
            "run as the user that the monitor runs as; its next run sets a damaged file aside"
        ),
    )


def _quoted(path: str) -> str:
    """Return a path as a part of a URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _is_locked(error: Exception) -> bool:
    """Return whether another program locks the file or its folder."""
    return isinstance(error, FolderLockedError) or "database is locked" in str(error)


def _remedy(error: Exception) -> str:
    if isinstance(error, NewerVersionError):
        return _("run the stage's playbook, which puts the newest program there")
    if _is_locked(error):
        return _("see which program holds it: fuser -v on the file")
    return _("make room, or name a folder that can be written to")

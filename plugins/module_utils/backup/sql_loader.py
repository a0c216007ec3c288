# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Execute a plain dump over libpq: no psql, so that no meta-command of a dump is ever obeyed.

Statements go to the server one by one, rows of COPY in blocks. As with `pg_restore`, what fails is
noted and the rest goes on. `sql_left_out` says what is not executed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ..common import interrupt
from ..common.safe_text import one_line
from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import database_settings, decompress, restore_errors, sql_encoding, sql_lexer, sql_words
from .plain_dump import Contents, PlainDump
from .sql_left_out import ACCESS, AS_ROLE, LeftOut, loss

Progress = Callable[[int, int], None]
# PostgreSQL takes no longer statement (MaxAllocSize in memutils.h).
LONGEST = (1 << 30) - 1
# Meta-commands that pg_dump and pg_dumpall write themselves, or that only concern psql's output.
EXPECTED = frozenset(
    f"\\{name}" for name in ("connect", "c", "restrict", "unrestrict", "echo", "qecho", "pset")
) | {"\\set", "\\unset", "\\timing", "\\encoding", "\\."}
# psycopg2.extensions.TRANSACTION_STATUS_IDLE.
IDLE = 0
# SQLSTATE of what is not there ("PostgreSQL Error Codes" in the manual): undefined table, column,
# function, object and schema.
NOT_THERE = ("42P01", "42703", "42883", "42704", "3F000")
UNDEFINED_OBJECT = "42704"
# Of a server that gave up: no room or memory, ended by its operator, its disk, its connection.
PLACE_CODES = ("53", "57P", "58030", "08")
# Bytes of statements that are sent at once. Each that makes or changes something counts for so many
# at least, as it locks that until all of them are done.
TOGETHER, MAKING = 1 << 16, 1300
# Seconds between two looks at the limit, and that a session has to end.
TICK, PATIENCE = 0.2, 10.0
_HEADER = re.compile(rb"-- (?:Data for )?Name: ")
_TARGET = re.compile(
    rb"(?:INSERT\s+INTO|CREATE\s+FOREIGN\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?)\s+"
    rb"(" + sql_words.NAME + rb"(?:\." + sql_words.NAME + rb")?)",
    re.IGNORECASE,
)
# As pg_dump writes what `archive_left_out.stands_last` names.
_LAST = re.compile(
    rb"(?:CREATE|ALTER|COMMENT ON) EVENT TRIGGER |ALTER TABLE (?:ONLY )?"
    + (sql_words.NAME + rb"(?:\." + sql_words.NAME + rb")?")
    + rb" (?:DISABLE|ENABLE(?: ALWAYS| REPLICA)?) TRIGGER (?!ALL\b|USER\b)",
    re.IGNORECASE,
)
# What can be sent beside others, in one transaction: the many that make and change relations, as
# pg_dump writes them. None of them does anything that its undoing would leave.
_PLAIN = re.compile(
    rb"(?:CREATE (?:TABLE|SEQUENCE|SCHEMA|(?:UNIQUE )?INDEX(?! CONCURRENTLY)) |"
    rb"ALTER (?:TABLE|SEQUENCE) |COMMENT ON (?!DATABASE)|SELECT pg_catalog\.setval\()"
)


@dataclasses.dataclass
class LoadResult:
    """What became of a dump.

    Attributes:
        errors: what failed, with its line and statement, in PostgreSQL's words.
        harmless: failed, and nothing is lost.
        left_out: what was not executed, by its name, and how often.
        statements: that were executed.
        contents: what the dump holds, where that was requested.
        access: statements on owners and privileges that were kept for afterwards, in their order.
    """

    errors: list[str] = dataclasses.field(default_factory=list)
    harmless: list[str] = dataclasses.field(default_factory=list)
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    statements: int = 0
    contents: PlainDump | None = None
    access: list[str] = dataclasses.field(default_factory=list)


class _Stopped(Exception):
    """The load was stopped from outside."""


class _Rows:
    """The rows of one COPY as psycopg2 reads them.

    Attributes:
        error: why they could not be read; psycopg2 only passes its text on to the server.
    """

    def __init__(self, blocks: Iterator[bytes], stopped: threading.Event) -> None:
        self._blocks, self._stopped = blocks, stopped
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Return the next block, whatever its size; nothing at the end."""
        if self._stopped.is_set():
            raise _Stopped
        try:
            return next(self._blocks, b"")
        except Exception as error:  # raised again where the COPY ends
            self.error = error
            raise

    def readline(self) -> bytes:
        """Return the next block; psycopg2 requires this method, but does not call it."""
        return self.read()


class _Loader:
    """One dump on its way into one database."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        connection: Any,
        left_out: LeftOut,
        noted_as: str,
    ) -> None:
        self.connection, self.cursor = connection, connection.cursor()
        self.descriptor: int = connection.fileno()
        self.lexer = sql_lexer.Lexer(read, keep=LONGEST, follow=False)
        self._contents = Contents(self.lexer, noted_as) if noted_as else None
        self.done = LoadResult()
        self.stopped = threading.Event()
        self._left_out = left_out
        # Before the first entry a dump made with --clean drops what is not there.
        self._cleaning = True
        self._foreign: set[bytes] = set()
        # What is to be sent at once.
        self._waiting: list[sql_lexer.Piece] = []
        self._waiting_size = 0
        # What would fire on what is still to come, or needs it.
        self._last: list[sql_lexer.Piece] = []

    def run(self) -> None:
        """Execute all of it.

        Raises:
            psycopg2.Error: the connection was lost.
            BackupError: the dump is damaged.
        """
        contents = self._contents
        for piece in self.lexer.pieces():
            if self.stopped.is_set():
                return
            if contents:
                contents.note(piece)
            if piece.kind == sql_lexer.STATEMENT:
                self._take(piece)
            elif piece.kind == sql_lexer.META:
                self._meta(piece)
            elif self._cleaning and piece.kind == sql_lexer.COMMENT and _HEADER.match(piece.text):
                self._send()
                self._cleaning = False
        self._send()
        last, self._last = self._last, []
        for piece in last:
            if not self._passed_over(piece):
                self._execute(piece)
        if contents:
            self.done.contents = contents.result()

    def _take(self, piece: sql_lexer.Piece) -> None:
        """Execute a statement, now or beside the next ones, unless it is left out."""
        text = piece.text
        if piece.whole and not piece.plain_insert and _LAST.match(text):
            self._last.append(piece)
            return
        if self._passed_over(piece):
            return
        if piece.plain_insert or (_PLAIN.match(text) and not piece.copy_in):
            # One trip to the server for each costs more than the row or the table.
            self._waiting.append(piece)
            self._waiting_size += piece.size if piece.plain_insert else max(piece.size, MAKING)
            if self._waiting_size >= TOGETHER:
                self._send()
            return
        self._send()
        self._execute(piece)

    def _send(self) -> None:
        """Execute the statements that wait.

        What is sent at once is one transaction: where one is refused, none of them took place, and
        each is sent by itself.
        """
        pieces, self._waiting, self._waiting_size = self._waiting, [], 0
        if len(pieces) > 1 and self.connection.info.transaction_status == IDLE:
            try:
                self.cursor.execute(b"".join(piece.text for piece in pieces))
                self.done.statements += len(pieces)
                return
            except driver().Error:
                if self.connection.closed or self.stopped.is_set():
                    raise
        for piece in pieces:
            self._execute(piece)

    def _meta(self, piece: sql_lexer.Piece) -> None:
        name = sql_words.meta_name(piece.text)
        self.done.left_out[name] += 1
        if name not in EXPECTED:
            self.done.errors.append(
                f"line {piece.line}: the meta-command {name} was not obeyed: pg_dump writes none"
            )

    def _passed_over(self, piece: sql_lexer.Piece) -> bool:
        """Return whether a statement is not executed; that is noted."""
        text = piece.text
        refused = self._refusal(piece)
        if refused:
            self.done.errors.append(_error(piece, refused))
            return True
        if text.strip() == b";":
            return True
        name = self._left_out.name(text) or self._foreign_rows(text)
        if self._left_out.later and self._is_access(name, text):
            self.done.access.append(sql_encoding.decoded(text, self.lexer.encoding))
            return True
        if name:
            self.done.left_out[name] += 1
            lost = loss(name, text)
            if lost:
                self.done.errors.append(_error(piece, lost))
        return bool(name)

    def _execute(self, piece: sql_lexer.Piece) -> None:
        text = piece.text
        try:
            if piece.copy_in:
                self._copy(piece)
            else:
                self.cursor.execute(text)
            self.done.statements += 1
        except driver().Error as error:
            broken = (error.pgcode or "").startswith(PLACE_CODES)
            if broken or self.connection.closed or self.stopped.is_set():
                raise
            self._failed(piece, error)
        self._follow()

    def _is_access(self, name: str, text: bytes) -> bool:
        """Return whether a statement is kept for the end, with the role that executes it."""
        if name == AS_ROLE or not name:
            words = sql_words.words(text, 3)
            return words[1:3] == ["SESSION", "AUTHORIZATION"] and words[0] in ("SET", "RESET")
        return name in ACCESS

    def _refusal(self, piece: sql_lexer.Piece) -> str:
        """Return why a statement cannot be executed; empty where it can."""
        if not piece.whole:
            return "it is cut off, or something follows on its line"
        if piece.size > len(piece.text):
            return f"it is longer than {LONGEST} bytes, which PostgreSQL does not take"
        return "it holds a zero byte" if b"\0" in piece.text else ""

    def _copy(self, piece: sql_lexer.Piece) -> None:
        rows = _Rows(self._blocks(), self.stopped)
        try:
            self.cursor.copy_expert(piece.text, rows, sql_lexer.BLOCK)
        except driver().Error:
            if rows.error is not None:
                raise rows.error from None
            raise
        if not self.lexer.complete:
            self.done.errors.append(_error(piece, "its rows have no end mark"))

    def _blocks(self) -> Iterator[bytes]:
        """Yield the rows of a COPY, counted."""
        for block in self.lexer.rows():
            if self._contents:
                self._contents.add_rows(block)
            yield block

    def _foreign_rows(self, text: bytes) -> str:
        """Return a name if these are rows of a foreign table, which another server would get."""
        if text[:14].upper() == b"CREATE FOREIGN":
            if found := _TARGET.match(text):
                self._foreign.add(found[1])
        elif self._foreign:
            target = sql_words.copy_target(text) if text[:4].upper() == b"COPY" else None
            found = _TARGET.match(text) if target is None else None
            if (target or (found and found[1])) in self._foreign:
                return "rows of foreign tables"
        return ""

    def _failed(self, piece: sql_lexer.Piece, error: Any) -> None:
        primary = (error.diag.message_primary or str(error)).strip()
        detail = error.diag.message_detail or ""
        message = _error(piece, f"{primary} {detail}".strip(), error.diag.severity or "ERROR")
        words = sql_words.words(piece.text, 3)
        first = words[0] if words else ""
        unknown_setting = first == "SET" and error.pgcode == UNDEFINED_OBJECT
        nothing_to_drop = error.pgcode in NOT_THERE and (first == "DROP" or self._cleaning)
        if unknown_setting:
            self.done.left_out[f"SET {words[1].lower()}"] += 1
        if unknown_setting or nothing_to_drop or restore_errors.is_harmless(message):
            self.done.harmless.append(message)
        else:
            self.done.errors.append(message)

    def _follow(self) -> None:
        """Read on as the server reads now."""
        status = self.connection.get_parameter_status
        self.lexer.standard_strings = status("standard_conforming_strings") != "off"
        self.lexer.encoding = status("client_encoding") or "UTF8"


def load(
    path: str,
    server: Server,
    database: str,
    *,
    left_out: LeftOut,
    time_limit: float,
    compression: str = "none",
    note: bool = False,
    watch: Callable[[], object] | None = None,
    progress: Progress | None = None,
) -> LoadResult:
    """Execute a plain dump in a database.

    Args:
        path: the dump.
        server: where the database is.
        database: its name.
        left_out: what is not executed.
        time_limit: seconds.
        compression: of the dump, which is unpacked meanwhile; `none` for one that is not packed.
        note: whether to note what the dump holds, and prove it whole, in the same walk.
        watch: called a few times a second; what it raises ends the load.
        progress: called with bytes read and bytes in all, a few times a second.

    Raises:
        BackupError: the dump is damaged.
        TimeoutError: it did not end in time; its session was ended.
        ResilienceError: the server failed meanwhile.
        KeyboardInterrupt: an interrupt came; its session was ended.
    """
    size = os.path.getsize(path)
    connection = open_connection(server.dsn(database), settings=database_settings.OVERRIDES)
    try:
        with contextlib.suppress(driver().Error), connection.cursor() as cursor:
            # Errors are judged by their English words.
            cursor.execute("SET lc_messages TO 'C'")
        with decompress.reading(path, compression, time_limit) as read:
            run = _Loader(read, connection, left_out, path if note else "")

            def look() -> None:
                if watch:
                    watch()
                if progress:
                    progress(run.lexer.position, size)

            _run_beside(run, server.dsn(database), time_limit, look)
        return run.done
    finally:
        connection.close()


def _run_beside(
    run: _Loader, dsn: dict[str, Any], time_limit: float, progress: Callable[[], None]
) -> None:
    """Run a load beside this thread, which stays able to hear interrupts."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run.run()
        except BaseException as error:  # handed to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=work, name="sql-loader", daemon=True)
    deadline = time.monotonic() + time_limit
    thread.start()
    try:
        while thread.is_alive():
            thread.join(TICK)
            interrupt.raise_pending()
            progress()
            if thread.is_alive() and time.monotonic() > deadline:
                raise TimeoutError
    except BaseException:
        _stop(run, dsn, thread)
        raise
    if not failed:
        return
    if isinstance(failed[0], driver().Error):
        raise restore_errors.environment_failure(one_line(failed[0])) from failed[0]
    raise failed[0]


def _stop(run: _Loader, dsn: dict[str, Any], thread: threading.Thread) -> None:
    """End what runs; a server that does not listen loses the connection."""
    run.stopped.set()
    end = [dsn, run.connection.info.backend_pid]
    threading.Thread(target=_terminate, args=end, daemon=True).start()
    thread.join(PATIENCE)
    if thread.is_alive():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(run.descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def _terminate(dsn: dict[str, Any], backend: int) -> None:
    """End a session over another one: psycopg2's own `cancel` waits with the interpreter locked."""
    with contextlib.suppress(driver().Error):
        other = open_connection(dsn)
        with contextlib.closing(other), other.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [backend])


def _error(piece: sql_lexer.Piece, why: str, severity: str = "ERROR") -> str:
    statement = one_line(piece.text[:400].decode("utf-8", "replace"), 200)
    return f"line {piece.line}: {severity}: {one_line(why, 1000)} STATEMENT: {statement}"

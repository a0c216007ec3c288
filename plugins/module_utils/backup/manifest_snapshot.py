# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a manifest holds of a database, in the snapshot of its dump and without any harm to it.

One session exports the snapshot and does nothing else until the dump has ended. What is read is
read in another session, in short transactions on that snapshot with few locks each. What cannot be
read is noted; nothing that happens here can end the dump.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError, explanation
from ..common.messages import _
from ..common.safe_text import one_line
from ..database import access, content_digest, structure
from ..database.alike_objects import Shape
from ..database.catalogue import LARGE_OBJECT_DIGESTS, ObjectName
from ..database.connection import driver, open_connection
from ..database.structure import Structure
from . import database_locale, database_settings

# The owner's settings of database and role must not end these sessions (pg_dump does the same, see
# setup_connection in pg_dump.c). Milliseconds; 0 is without a limit.
SESSION: dict[str, str | int] = {
    "statement_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
    "idle_session_timeout": 0,
    "transaction_timeout": 0,
    "lock_timeout": 5_000,
    "row_security": "off",
    # Operators and functions of the database's own may have the names of PostgreSQL's.
    "search_path": "pg_catalog",
}
# Sequences whose positions one transaction reads: each is locked until its end.
SEQUENCES = 50
# Milliseconds that one waits which could not be read among others; then it is noted.
SHORT_LOCK_TIMEOUT = 200
_ALL_SEQUENCES = """
SELECT oid::bigint FROM pg_catalog.pg_class WHERE relkind = 'S' AND relpersistence <> 't'
ORDER BY oid"""
# What the view pg_sequences shows of these alone: to find them there takes a look at all of them.
_POSITIONS = """
SELECT n.nspname, c.relname, CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')
 THEN pg_catalog.pg_sequence_last_value(c.oid) END, s.seqincrement
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid WHERE c.oid = ANY(%s::oid[])"""


@dataclasses.dataclass
class SnapshotContent:
    """Content of a database at a snapshot.

    Attributes:
        taken_at: of the snapshot, ISO 8601.
        server_version, database, encoding, locale: as of `manifest.Manifest`.
        tables: rows and content digest, by (schema, table).
        structure: the definitions of all objects.
        sequences: last value and step of each sequence, by (schema, name), read when the snapshot
            was taken: a dump reads them later, when they may have moved on.
        large_objects: digest by identifier; None where they cannot be read.
        unreadable: what could not be read, with the reason.
        settings: of the database's sessions, see `database_settings.MEANING`.
        access: owners and privileges of all objects; None where they could not be read.
        roles: those that objects of the database name, as `access.roles` has them.
    """

    taken_at: str
    server_version: str
    database: str
    encoding: str
    locale: dict[str, str]
    tables: dict[ObjectName, tuple[int, str]] = dataclasses.field(default_factory=dict)
    structure: structure.Structure = dataclasses.field(default_factory=structure.Structure)
    sequences: dict[ObjectName, tuple[int | None, int]] = dataclasses.field(default_factory=dict)
    large_objects: dict[str, str] | None = None
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    access: Structure | None = None
    roles: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


class Snapshot:
    """An exported snapshot, open as long as its session.

    Attributes:
        name: for `pg_dump --snapshot`.
        held: what is known of the database so far.
    """

    def __init__(
        self, parameters: Mapping[str, Any], connection: Any, name: str, held: SnapshotContent
    ):
        self._parameters, self._connection = parameters, connection
        self.name, self.held = name, held
        self._reader: Any = None

    def cancel(self) -> None:
        """End the query that reads, if there is one."""
        with contextlib.suppress(driver().Error):
            if self._reader is not None and not self._reader.closed:
                self._reader.cancel()

    def alive(self) -> bool:
        """Return whether the snapshot can still be imported."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return True
        except driver().Error:
            return False

    def read(self, stopped: Callable[[], bool] = lambda: False) -> SnapshotContent:
        """Read everything that a manifest holds.

        Args:
            stopped: whether to give up; looked at between transactions.

        Raises:
            ResilienceError: the database cannot be connected to, or the snapshot is gone.
        """
        psycopg2 = driver()
        try:
            with contextlib.closing(_session(self._parameters)) as connection:
                self._reader = connection
                _Reader(connection, self.name, self.held, stopped).read()
        except psycopg2.Error as error:
            raise unreadable(error) from error
        return self.held


class BackgroundReading:
    """A thread that reads a snapshot while the dump runs."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._stop, self._snapshot = threading.Event(), snapshot
        self._problem = ""
        self._held: SnapshotContent | None = None
        self._thread = threading.Thread(target=self._read_in_thread, args=[snapshot], daemon=True)
        self._thread.start()

    def _read_in_thread(self, snapshot: Snapshot) -> None:
        try:
            self._held = snapshot.read(self._stop.is_set)
        except Exception as error:  # the dump goes on, whatever happened here
            self._problem = explanation(error)

    def result(self) -> tuple[SnapshotContent | None, str]:
        """Wait for the end; return what was read, or None and the problem."""
        self._thread.join()
        return (None, self._problem) if self._problem else (self._held, "")

    def stop(self) -> None:
        """Give up."""
        self._stop.set()
        self._snapshot.cancel()
        self._thread.join()


@contextlib.contextmanager
def export(parameters: Mapping[str, Any]) -> Iterator[Snapshot]:
    """Hold a snapshot of a database open.

    Args:
        parameters: of the connection; libpq's environment has what they lack.

    Raises:
        ResilienceError: the database cannot be connected to, or exports no snapshot.
    """
    psycopg2 = driver()
    try:
        connection = _session(parameters)
    except psycopg2.Error as error:
        raise unreadable(error) from error
    try:
        with connection.cursor() as cursor:
            sequences, unreadable_ones = _positions(cursor)
            encoding, locale = _locale(cursor)
            settings = _settings(cursor)
            cursor.execute("SHOW server_version")
            version = str(cursor.fetchone()[0])
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_catalog.pg_export_snapshot(), now(), current_database()")
            name, moment, database = cursor.fetchone()
    except psycopg2.Error as error:
        connection.close()
        raise unreadable(error) from error
    taken_at = moment.astimezone().isoformat(timespec="seconds")
    held = SnapshotContent(
        *(taken_at, version, str(database), encoding, locale),
        sequences=sequences,
        unreadable=unreadable_ones,
        settings=settings,
    )
    try:
        yield Snapshot(parameters, connection, str(name), held)
    finally:
        connection.close()


class _Reader:
    """Reads in transactions of its own on an imported snapshot."""

    def __init__(
        self, connection: Any, name: str, held: SnapshotContent, stopped: Callable[[], bool]
    ) -> None:
        self._connection, self._name, self._held = connection, name, held
        self._stopped = stopped

    def read(self) -> None:
        held = self._held
        with self._connection.cursor() as cursor:
            structure.settings(cursor)
        together = self._transaction(structure.batches)
        for batch in together:
            self._definitions(batch)
        self._access(together)
        with self._connection.cursor() as cursor:
            content_digest.settings(cursor)
        tables = self._transaction(content_digest.columns)
        left: list[content_digest.Columns] = []
        for tables_batch in content_digest.batches(tables):
            if self._stopped():
                return
            left += self._tables(tables_batch)
        # A table that was locked for a moment may be free now.
        for one in left:
            if self._stopped():
                return
            self._tables([one])
        try:
            objects = self._transaction(_large_objects)
        except driver().Error as error:
            self._note(_("large objects"), error)
        else:
            held.large_objects = objects

    def _definitions(self, batch: list[str]) -> None:
        """Read the definitions in some schemas, one by one where it fails together."""
        objects: dict[str, Shape] = {}
        for schemas, kind, query in structure.queries(batch):
            if self._stopped():
                return
            try:
                self._transaction(
                    functools.partial(
                        structure.read, schemas=schemas, kind=kind, query=query, into=objects
                    )
                )
            except driver().Error as error:
                if len(batch) < 2:
                    self._note(batch[0] or _("objects outside of schemas"), error)
                for schema in batch if len(batch) > 1 else []:
                    self._definitions([schema])
                return
        for schema in batch:
            self._held.structure.add(schema, objects.get(schema, {}))

    def _access(self, together: Sequence[list[str]]) -> None:
        """Read owners and privileges, and the roles that have them."""
        made = structure.Structure(kinds=access.KINDS)
        try:
            for batch in together:
                if self._stopped():
                    return
                objects: dict[str, Shape] = {}
                self._transaction(functools.partial(access.read, batch=batch, into=objects))
                for schema in batch:
                    made.add(schema, objects.get(schema, {}))
            self._held.roles = self._transaction(access.roles)
        except driver().Error as error:
            self._note(_("owners and privileges"), error)
        else:
            self._held.access = made

    def _tables(self, batch: Sequence[content_digest.Columns]) -> list[content_digest.Columns]:
        """Read some tables, one by one where they cannot be read together; return what is left."""
        if self._stopped():
            return []
        try:
            read = self._transaction(lambda cursor: content_digest.read(cursor, batch))
        except driver().Error as error:
            if len(batch) > 1:
                return [left for one in batch for left in self._tables([one])]
            self._note(".".join(batch[0][0]), error)
            return list(batch)
        self._held.tables.update(read)
        for key in read:
            self._held.unreadable.pop(".".join(key), None)
        return []

    def _note(self, name: str, error: Exception) -> None:
        if self._connection.closed:
            raise error
        self._held.unreadable[name] = one_line(error, 200)

    def _transaction(self, query: Callable[[Any], Any]) -> Any:
        """Return the result of a query that runs in a transaction of its own."""
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                cursor.execute("SET TRANSACTION SNAPSHOT %s", [self._name])
                return query(cursor)
            finally:
                if not self._connection.closed:
                    cursor.execute("ROLLBACK")


def _session(parameters: Mapping[str, Any]) -> Any:
    return open_connection(parameters, private=False, settings=SESSION)


def _positions(cursor: Any) -> tuple[dict[ObjectName, tuple[int | None, int]], dict[str, str]]:
    """Return the positions of all sequences, and why some could not be read."""
    found: dict[ObjectName, tuple[int | None, int]] = {}
    locked: dict[str, str] = {}
    cursor.execute(_ALL_SEQUENCES)
    numbers = [number for (number,) in cursor.fetchall()]
    for start in range(0, len(numbers), SEQUENCES):
        batch = numbers[start : start + SEQUENCES]
        try:
            found.update(_positions_of(cursor, batch))
        except driver().Error:
            # One that some session is changing costs no other.
            cursor.execute("SET lock_timeout = %s", [SHORT_LOCK_TIMEOUT])
            for number in batch:
                try:
                    found.update(_positions_of(cursor, [number]))
                except driver().Error as error:
                    why = one_line(error, 200)
                    locked[_sequence_name(cursor, number)] = why
            cursor.execute("SET lock_timeout = %s", [SESSION["lock_timeout"]])
    return found, locked


def _positions_of(cursor: Any, numbers: Sequence[int]) -> dict[ObjectName, tuple[int | None, int]]:
    cursor.execute(_POSITIONS, [numbers])
    return {(schema, name): (value, step) for schema, name, value, step in cursor}


def _sequence_name(cursor: Any, number: int) -> str:
    cursor.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s",
        [number],
    )
    return ".".join(cursor.fetchone() or [str(number)])


def _large_objects(cursor: Any) -> dict[str, str]:
    cursor.execute(LARGE_OBJECT_DIGESTS)
    return dict(cursor.fetchall())


def _settings(cursor: Any) -> dict[str, str]:
    """Return the settings with which sessions begin, of the server, the database or the role."""
    cursor.execute(
        "SELECT name, reset_val FROM pg_catalog.pg_settings WHERE lower(name) = ANY(%s)",
        [list(database_settings.MEANING)],
    )
    return {str(name): str(value) for name, value in cursor.fetchall()}


def _locale(cursor: Any) -> tuple[str, dict[str, str]]:
    """Return the encoding of the database, and how it sorts text."""
    cursor.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d)"
        " FROM pg_catalog.pg_database d WHERE datname = current_database()"
    )
    encoding, collate, ctype, row = cursor.fetchone()
    return str(encoding), {"collate": collate, "ctype": ctype, **database_locale.of_catalogue(row)}


def unreadable(error: Exception) -> ResilienceError:
    """Return the error for a database that cannot be read for a manifest."""
    return ResilienceError(
        _("the database cannot be read for the manifest: %(why)s", why=one_line(error)),
        option="dsn",
        remedy=_("connect as a user who may read all rows of every table, as for pg_dump"),
    )

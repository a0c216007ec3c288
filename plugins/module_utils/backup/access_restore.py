# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore owners and privileges, when all else is there.

pg_restore does it object by object, and then builds indexes and refreshes materialized views as
their owners. In staging these may lack what production's roles have from elsewhere, so everything
is built by the superuser first.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import database_settings, restore_errors
from .archive_entry import Entry
from .archive_toc import WITH_ARGUMENTS

# Kinds that are known by schema and name, and those that lie in no schema, as in
# `_getObjectDescription` of pg_backup_archiver.c.
IN_SCHEMA = (
    *("TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "TYPE", "DOMAIN", "COLLATION"),
    *("CONVERSION", "STATISTICS", "TEXT SEARCH DICTIONARY", "TEXT SEARCH CONFIGURATION"),
)
_DB = "DATABASE"
IN_NONE = (
    *(_DB, "SCHEMA", "SERVER", "FOREIGN DATA WRAPPER", "EVENT TRIGGER", "PUBLICATION"),
    "PROCEDURAL LANGUAGE",
)
SEQUENCE = "SEQUENCE"
# Since PostgreSQL 17 an entry has many large objects, each on a line of its own, and its privileges
# are written for the first of them.
LARGE_OBJECT, LARGE_OBJECTS = "BLOB", "BLOB METADATA"
OF_LARGE_OBJECTS = "LARGE OBJECTS "
# Of the database itself, which has another name in staging.
OF_DATABASE = "DATABASE "
# Statements that are sent at once: each locks what it changes until all of them are done.
TOGETHER = 100
# What would fire, or apply, while owners are restored.
SESSION: dict[str, str | int] = {
    **database_settings.OVERRIDES,
    "session_replication_role": "replica",
    "event_triggers": "off",
    "lc_messages": "C",
}
_NAME = r'(?:"(?:[^"]|"")*"|[^\s";]+)'
# Only a superuser may own these.
_OF_SUPERUSER = re.compile(
    rf"\s*ALTER (?:EVENT TRIGGER|FOREIGN DATA WRAPPER) {_NAME} OWNER TO ({_NAME});?\s*\Z"
)
_ON_LARGE_OBJECT = re.compile(r"^((?:GRANT|REVOKE) [A-Z, ]*ON LARGE OBJECT )\d+(?= )", re.MULTILINE)
_ON_DATABASE = re.compile(rf"\bON DATABASE {_NAME} (?=TO |FROM |IS )")
_AS_ANOTHER = re.compile(r"\s*SET SESSION AUTHORIZATION (?!DEFAULT\b)", re.IGNORECASE)
_AS_BEFORE = re.compile(
    r"\s*(?:RESET SESSION AUTHORIZATION|SET SESSION AUTHORIZATION DEFAULT)", re.IGNORECASE
)


def of_archive(entries: Sequence[Entry], database: str, restorer: str) -> Iterator[str]:
    """Yield the SQL that gives a restored archive its owners and privileges.

    Args:
        entries: of its table of contents.
        database: the name of the restored one, which gets its comment, too.
        restorer: the role that owns everything so far.
    """
    on_database = f"ON DATABASE {_quoted(database)} ".replace("\\", r"\\")
    # A sequence of a column has its table's owner, and is given one only if it is no column's.
    for last in (False, True):
        for entry in entries:
            if entry.owner and entry.owner != restorer and (entry.kind == SEQUENCE) == last:
                here = entry._replace(name=database) if entry.kind == _DB else entry
                for what in filter(None, _described(here)):
                    yield f"ALTER {what} OWNER TO {_quoted(entry.owner)};"
    many = {one.dump_id: _numbers(one) for one in entries if one.kind == LARGE_OBJECTS}
    for entry in entries:
        if entry.kind in ("ACL", "COMMENT") and entry.name.startswith(OF_DATABASE):
            count = 1 if entry.kind == "COMMENT" else 0
            yield _ON_DATABASE.sub(on_database, entry.definition, count)
        elif entry.kind == "ACL" and entry.name.startswith(OF_LARGE_OBJECTS):
            for number in many.get(entry.depends_on[0] if entry.depends_on else 0, ()):
                yield _ON_LARGE_OBJECT.sub(rf"\g<1>{number}", entry.definition)
        elif entry.kind in ("DEFAULT ACL", "ACL"):
            yield entry.definition


def names_privileges(entries: Iterable[Entry]) -> bool:
    """Return whether a backup has any privileges; one that is made with --no-privileges has none.

    Args:
        entries: of its contents.
    """
    return any(entry.kind in ("ACL", "DEFAULT ACL") for entry in entries)


def is_nameless(entries: Iterable[Entry], statements: Iterable[str]) -> bool:
    """Return whether a dump in SQL has objects and names no owner of them.

    Those that are made with --no-owner or --use-set-session-authorization do not.

    Args:
        entries: of its contents.
        statements: on owners and privileges in it.
    """
    if any(" OWNER TO " in one for one in statements):
        return False
    return any(entry.kind in (*IN_SCHEMA, *WITH_ARGUMENTS, SEQUENCE) for entry in entries)


def _described(entry: Entry) -> Iterator[str]:
    """Yield the objects of an entry as ALTER names them; none where it has no owner of its own."""
    if entry.kind in WITH_ARGUMENTS:
        yield entry.removal.strip().rstrip(";").partition("DROP ")[2]
    elif entry.kind in IN_SCHEMA or entry.kind == SEQUENCE:
        yield f"{entry.kind} {_quoted(entry.schema)}.{_quoted(entry.name)}"
    elif entry.kind in IN_NONE:
        yield f"{entry.kind} {_quoted(entry.name)}"
    elif entry.kind in (LARGE_OBJECT, LARGE_OBJECTS):
        for number in _numbers(entry):
            yield f"LARGE OBJECT {number}"


def _numbers(entry: Entry) -> list[str]:
    """Return the numbers of an entry's large objects."""
    named = entry.name if entry.kind == LARGE_OBJECT else entry.definition
    return [number for number in named.split() if number.isdigit()]


def restore(
    server: Server,
    database: str,
    statements: Iterable[str],
    time_limit: float,
    *,
    nameless: bool = False,
) -> Message | str:
    """Restore owners and privileges; return why they were not, empty where they were.

    Args:
        server: throw-away, with all roles.
        database: the restored one.
        statements: in their order.
        time_limit: seconds.
        nameless: whether the dump names no owner, and nothing is restored.

    Raises:
        TimeoutError: it did not end in time.
        ResilienceError: the server failed.
    """
    if nameless:
        return _("the dump names no owners")
    try:
        errors = apply(server, database, statements, time_limit)
    except driver().Error as error:
        raise restore_errors.environment_failure(one_line(error)) from error
    if errors:
        return _("%(count)d statements failed, first %(error)s", count=len(errors), error=errors[0])
    return ""


def apply(server: Server, database: str, statements: Iterable[str], time_limit: float) -> list[str]:
    """Execute statements that change owners and privileges; return what failed.

    What fails is tried again when all others are done: it may need one of them.

    Args:
        server: throw-away, with all roles.
        database: the restored one.
        statements: in their order.
        time_limit: seconds.

    Raises:
        TimeoutError: it did not end in time.
        psycopg2.Error: the server failed.
    """
    deadline = time.monotonic() + time_limit
    connection = open_connection(server.dsn(database), settings=SESSION)
    try:
        with connection.cursor() as cursor, _no_event_triggers(cursor):
            failed: list[str] = []
            for batch in _batches(_units(statements, server.user)):
                if time.monotonic() > deadline:
                    raise TimeoutError
                if len(batch) > 1 and not _error(cursor, "\n".join(batch)):
                    continue
                failed += [one for one in batch if _error(cursor, one)]
            errors = [(one, _error(cursor, one)) for one in failed]
        return [f"{why} STATEMENT: {one_line(one, 200)}" for one, why in errors if why]
    finally:
        connection.close()


@contextlib.contextmanager
def _no_event_triggers(cursor: Any) -> Iterator[None]:
    """Switch off what fires in every session, which servers before 17 have no setting for."""
    states = {"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
    cursor.execute(
        # The database's own path of schemas applies, as statements of old dumps need it.
        "SELECT pg_catalog.quote_ident(evtname), evtenabled::pg_catalog.text"
        " FROM pg_catalog.pg_event_trigger"
        " WHERE evtenabled::pg_catalog.text OPERATOR(pg_catalog.=) ANY(%s)",
        [list(states)],
    )
    firing = cursor.fetchall()
    for name, _state in firing:
        cursor.execute(f"ALTER EVENT TRIGGER {name} DISABLE")
    try:
        yield
    finally:
        for name, state in firing:
            cursor.execute(f"ALTER EVENT TRIGGER {name} {states[state]}")


def _units(statements: Iterable[str], restorer: str) -> Iterator[str]:
    """Yield statements; those that are executed as another role together."""
    held: list[str] = []
    for statement in statements:
        if held or (_AS_ANOTHER.match(statement) and not _AS_BEFORE.search(statement)):
            held.append(statement)
            if not _AS_BEFORE.match(statement):
                continue
            statement, held = "\n".join(held), []
        found = _OF_SUPERUSER.match(statement)
        if found and found[1] not in (restorer, _quoted(restorer)):
            role = found[1]
            statement = f"ALTER ROLE {role} SUPERUSER; {statement} ALTER ROLE {role} NOSUPERUSER;"
        yield statement
    if held:
        yield "\n".join(held)


def _batches(units: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for unit in units:
        batch.append(unit)
        if len(batch) == TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


def _error(cursor: Any, statement: str) -> str:
    """Execute a statement; return why PostgreSQL refused it, else nothing."""
    psycopg2 = driver()
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        if cursor.connection.closed:
            raise
        return one_line(error.diag.message_primary or error, 300)
    return ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

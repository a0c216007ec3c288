# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disaster recovery: a backup is restored beside production, validated, then put in its place.

Production is not written to until the switch, and the switch renames: the old database is kept. A
database that may be switched to carries a comment: it was validated, or was production before. So
the way back is the same command with the name of the kept database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..backup import database_settings
from ..common.errors import ResilienceError
from ..common.messages import Message, _
from ..common.safe_text import one_line
from ..database import connection as database_connection
from ..database import marked_database, postgres
from ..database.connection import driver
from ..database.postgres import Server
from ..proof import proof_settings
from ..proof.restore_settings import RecoveryServer
from . import database_properties

# How the comment on a database or schema of a recovery begins, and what follows.
MARK = "chefwell.resilience: "
RESTORING, VALIDATED, BEFORE = "restoring", "validated", "production until"
# How the comment on a kept one ends where a switch was taken back.
BY_UNDO = " by --undo"
# PostgreSQL cuts longer names (NAMEDATALEN - 1), in bytes.
LONGEST_NAME = 63
# The time at the end of a name, as strftime(3) writes it.
MOMENT = "%Y%m%d_%H%M%S"
MOMENT_LENGTH = len("20251120_030000")
_MOMENT = re.compile(r"\d{8}_\d{6}")
# Of every session of a recovery: what production's database or its user is set to is for its
# application, and no function of production's schemas stands in for one of PostgreSQL's.
SESSION = {
    **database_settings.OVERRIDES,
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "search_path": "pg_catalog, pg_temp",
}
# Until an attempt to look into production's own database is given up, which may hang.
PRODUCTION_SECONDS = 5.0
DUMP_PROGRAMS = (*postgres.CLIENTS, "pg_dump")


@dataclasses.dataclass(frozen=True)
class RecoverySettings:
    """Settings of a recovery.

    Attributes:
        drill: the backups, the validation, the work folder.
        target: the server that is recovered.
    """

    drill: proof_settings.ProofSettings
    target: RecoveryServer


def host_name() -> str:
    """Return the name that a confirmation has to give."""
    return socket.gethostname()


def refuse_unconfirmed(confirm: str | None) -> None:
    """Refuse a missing confirmation, or one that names another host.

    Raises:
        ResilienceError: it is one of these.
    """
    if confirm is None:
        raise ResilienceError(
            _("the switch is not confirmed"),
            option="confirm",
            value=None,
            remedy=_("give --confirm and the host's name, %(host)s here", host=host_name()),
        )
    if confirm != host_name():
        raise ResilienceError(
            _("the switch is not confirmed: the confirmation does not name this host"),
            option="confirm",
            value=confirm,
            remedy=_(
                "give --confirm %(host)s if you mean this host; nothing was touched",
                host=host_name(),
            ),
        )


def connect(
    target: RecoveryServer,
    database: str | None = None,
    *,
    seconds: float = database_connection.CONNECT_TIMEOUT,
) -> Any:
    """Return an autocommit connection to the production server.

    Args:
        target: the server.
        database: its database; the maintenance database if left out.
        seconds: until the attempt is given up.

    Raises:
        ResilienceError: it cannot be connected to.
    """
    if not target.host:
        raise ResilienceError(
            _("no production server is named"),
            option="recovery.host",
            value="",
            remedy=_("give recovery its host, port, user and password"),
        )
    return database_connection.connect(
        database_connection.administrator(target, database or target.maintenance_db),
        what=_("the production server"),
        option="recovery.host",
        remedy=_("start it, or install one, and check its user and password"),
        settings=SESSION,
        connect_timeout=seconds,
    )


@contextlib.contextmanager
def production_cursor(target: RecoveryServer) -> Iterator[Any]:
    """Yield a cursor in production's database; None where it is gone or cannot be connected to.

    On the day of a recovery that database may be damaged, or closed to connections.
    """
    try:
        connection = connect(target, target.dbname, seconds=PRODUCTION_SECONDS)
    except ResilienceError:
        yield None
        return
    with contextlib.closing(connection), connection.cursor() as cursor:
        yield cursor


def refuse_standby(target: RecoveryServer) -> None:
    """Refuse a server that replays another one's changes: nothing can be written there.

    Raises:
        ResilienceError: it does, or it cannot be connected to.
    """
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        if not cursor.fetchone()[0]:
            return
    raise ResilienceError(
        _("the server is a standby, to which nothing can be written"),
        option="recovery.host",
        value=target.host,
        remedy=_(
            "name the primary server, or promote this one (SELECT pg_promote()); nothing was"
            " touched"
        ),
    )


def refuse_prepared_transactions(target: RecoveryServer, names: Iterable[str]) -> None:
    """Refuse databases with prepared transactions, which PostgreSQL does not rename.

    No session ends them: whoever prepared them, or the administrator, commits or rolls them back.

    Raises:
        ResilienceError: there are some.
    """
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT gid, database, owner, prepared::text FROM pg_catalog.pg_prepared_xacts"
            " WHERE database = ANY(%s) ORDER BY prepared, gid",
            [list(names)],
        )
        found = cursor.fetchall()
    if not found:
        return
    gid, database = found[0][:2]
    raise ResilienceError(
        _(
            "prepared transactions stand in the way of the switch: %(names)s",
            names="; ".join(f"{one[0]} ({', '.join(one[1:])})" for one in found),
        ),
        option="switch",
        value=database,
        remedy=_(
            "in the database %(database)s run COMMIT PREPARED %(gid)s or ROLLBACK PREPARED"
            " %(gid)s, then the same command again; production is as it was",
            database=database,
            gid="'" + gid.replace("'", "''") + "'",
        ),
    )


def left_behind(target: RecoveryServer, production: str, restored: str) -> list[Message]:
    """Return what belongs to production's database and is not in the other one.

    Args:
        target: the server.
        production: the name of production's database now.
        restored: the name of the one that takes, or took, its place.
    """
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        texts = database_properties.left_behind(cursor, production)
        if production == target.dbname:  # before the switch
            try:
                texts += database_properties.rehearse(cursor, production, restored)
            except driver().Error as error:
                texts.append(_("properties of the database: %(why)s", why=one_line(error)))
    publications = []
    for name in (production, restored):
        with production_cursor(dataclasses.replace(target, dbname=name)) as cursor:
            if cursor is None:
                return texts
            publications.append(database_properties.publications(cursor))
    lost = sorted(publications[0] - publications[1])
    return [*texts, *(_("publication %(name)s", name=name) for name in lost)]


def server_of(target: RecoveryServer, mark: str = "") -> Server:
    """Return the production server with client programs that fit it."""
    with contextlib.closing(connect(target)) as connection:
        major = int(connection.server_version) // 10000
    folder = target.bin_dir or _fitting(target.drills_bin_dir, major)
    binaries = postgres.find_binaries(folder or None, at_most=major, programs=DUMP_PROGRAMS)
    return Server(
        *(target.host, target.port, target.user, target.password),
        binaries,
        mark,
        target.maintenance_db,
    )


def _fitting(bin_dir: str, major: int) -> str:
    """Return a folder if it holds client programs that are not newer than a server, else ''."""
    if not bin_dir:
        return ""
    try:
        postgres.find_binaries(bin_dir, at_most=major, programs=DUMP_PROGRAMS)
    except ResilienceError:
        return ""
    return bin_dir


def unused_timestamp(taken: Iterable[str] = ()) -> str:
    """Return the local time for use in a new name, once no name that is taken ends with it.

    Two switches may follow each other within a second; the second one waits for the next second.
    """
    names = tuple(taken)
    while True:
        moment = datetime.datetime.now().strftime(MOMENT)
        if not any(name.endswith(moment) for name in names):
            return moment
        time.sleep(0.05)


def dated_name(name: str, purpose: str, moment: str) -> str:
    """Return a name with purpose and time, such as `restaurante_recovered_20251120_030000`.

    The first part is cut to PostgreSQL's limit, which counts bytes, and never within a character.
    """
    tail = f"_{purpose}_{moment}"
    room = LONGEST_NAME - len(tail.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + tail


def is_beside(production: str, name: str, *purposes: str) -> bool:
    """Return whether a name is one that a recovery of this database, or schema, gives.

    Several products may have their databases on one server, each with its own recoveries.

    Args:
        production: the name that is recovered.
        name: of another database, or schema.
        purposes: what it is for; `recovered` or `before` when left out.
    """
    moment = name[-MOMENT_LENGTH:]
    return bool(_MOMENT.fullmatch(moment)) and any(
        name == dated_name(production, purpose, moment)
        for purpose in purposes or ("recovered", "before")
    )


def comment_database(target: RecoveryServer, name: str, text: str | None) -> None:
    """Write the comment on a database, or remove it."""
    sql = driver().sql
    comment = sql.Literal(MARK + text) if text else sql.SQL("NULL")
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
        cursor.execute(statement.format(sql.Identifier(name), comment))


def drop_marked(target: RecoveryServer, name: str, mark: str) -> None:
    """Drop a database if it has this comment."""
    sql = driver().sql
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        if databases(connection).get(name) == mark:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            cursor.execute(drop.format(sql.Identifier(name)))


def remove_unfinished(target: RecoveryServer) -> None:
    """Remove the databases and schemas of a killed recovery. Only for the holder of the lock.

    A database is known as unfinished from the statement on that makes it, a schema from the moment
    that it holds anything.
    """
    sql = driver().sql
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        for name, text in databases(connection).items():
            mine = is_beside(target.dbname, name, "recovered", "tenant")
            if mine and text.startswith(MARK + RESTORING):
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                cursor.execute(drop.format(sql.Identifier(name)))
    with production_cursor(target) as cursor:
        for name, text in schemas(cursor).items() if cursor else ():
            if text.startswith(MARK + RESTORING):
                drop = sql.SQL("DROP SCHEMA {} CASCADE")
                cursor.execute(drop.format(sql.Identifier(name)))


def schemas(cursor: Any) -> dict[str, str]:
    """Return the comment of every schema of a database; empty where there is none."""
    cursor.execute(
        "SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '')"
        " FROM pg_catalog.pg_namespace"
    )
    found: dict[str, str] = dict(cursor.fetchall())
    return found


def names_in_use(target: RecoveryServer) -> list[str]:
    """Return the names of all databases, and of production's schemas where they can be read."""
    with contextlib.closing(connect(target)) as connection:
        names = list(databases(connection))
    with production_cursor(target) as cursor:
        if cursor:
            names += schemas(cursor)
    return names


def replaced_by(name: str, undo: bool) -> str:
    """Return what the comment on a kept database, or schema, says of the one in its place.

    Args:
        name: the one that took its place.
        undo: whether that took a switch back.
    """
    return f"replaced by {name}{BY_UNDO if undo else ''}"


def databases(connection: Any) -> dict[str, str]:
    """Return the comment of every database; empty where there is none."""
    with connection.cursor() as cursor:
        return marked_database.marks(cursor, f"{MARK}{RESTORING}, cut off at its very beginning")


def has_name(target: RecoveryServer, oid: int, *names: str) -> bool:
    """Return whether a database, known by its number, has one of these names now.

    Raises:
        ResilienceError: the server cannot be connected to.
    """
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_catalog.pg_database WHERE oid = %s AND datname = ANY(%s)",
            [oid, list(names)],
        )
        return bool(cursor.fetchone()[0])


def candidates(comments: Mapping[str, str], production: str) -> list[dict[str, str]]:
    """Return what may be switched to, with name and comment. Never production itself.

    Args:
        comments: by name of the database or schema.
        production: the name that is switched; empty for those of every schema.
    """
    return [
        {"name": name, "what": text.removeprefix(MARK)}
        for name, text in sorted(comments.items())
        if text.startswith((MARK + VALIDATED, MARK + BEFORE))
        and (not production or is_beside(production, name))
    ]


def refuse_unfit(production: str, name: str, comment: str | None) -> None:
    """Refuse production itself, what does not exist and what was never validated.

    Args:
        production: the name that is switched.
        name: what is to take its place.
        comment: on that; None if there is nothing of this name.

    Raises:
        ResilienceError: it is one of these.
    """
    if name == production:
        why = _("it is production itself")
    elif comment is None:
        why = _("there is nothing of this name")
    elif not comment.startswith((MARK + VALIDATED, MARK + BEFORE)):
        why = _("a recovery did not restore and validate it, nor was it production before")
    elif not is_beside(production, name):
        why = _("by its name it was not restored for %(production)s", production=production)
    else:
        return
    raise ResilienceError(
        _("it cannot take production's place: %(why)s", why=why),
        option="switch",
        value=name,
        remedy=_("look with --list; nothing was touched"),
    )


def switchable_databases(settings: RecoverySettings) -> list[dict[str, str]]:
    """Return the databases that may be switched to."""
    target = settings.target
    with contextlib.closing(connect(target)) as connection:
        return candidates(databases(connection), target.dbname)

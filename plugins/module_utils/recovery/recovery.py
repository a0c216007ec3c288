# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disaster recovery: a backup is restored beside what stands, questioned, then put in its place.

Nothing that stands is written to until the switch, and the switch renames: the old database is
kept. What may be switched to carries a comment of ours, which says that it was validated or was
production before; so the way back is the same command with the old one's name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..database import connection as database_connection
from ..database import marked_database, postgres
from ..database.postgres import Server
from ..proof import proof_settings
from ..proof.restore_settings import RecoveryServer

# How a comment of ours begins; what follows tells whether the thing may become production.
MARK = "chefwell.resilience: "
RESTORING, VALIDATED, BEFORE = "restoring", "validated", "production until"
# PostgreSQL cuts longer names (NAMEDATALEN - 1).
LONGEST_NAME = 63
DUMP_PROGRAMS = (*postgres.CLIENTS, "pg_dump")


@dataclasses.dataclass(frozen=True)
class RecoverySettings:
    """What a recovery needs to know.

    Attributes:
        drill: the backups, the questions, the work folder.
        target: what is recovered.
    """

    drill: proof_settings.ProofSettings
    target: RecoveryServer


def host_name() -> str:
    """What a confirmation has to name."""
    return socket.gethostname()


def refuse_unconfirmed(confirm: str) -> None:
    """Refuses a confirmation that names another host.

    Raises:
        ResilienceError: it does.
    """
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


def connect(target: RecoveryServer, database: str | None = None) -> Any:
    """An autocommit connection to the production server.

    Raises:
        ResilienceError: there is none.
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
        remedy=_("start it, or install one, and look at its user and password"),
    )


def server_of(target: RecoveryServer, mark: str = "") -> Server:
    """The production server with client programs that fit it."""
    with contextlib.closing(connect(target)) as connection:
        major = int(connection.server_version) // 10000
    binaries = postgres.find_binaries(target.bin_dir or None, at_most=major, programs=DUMP_PROGRAMS)
    return Server(target.host, target.port, target.user, target.password, binaries, mark)


def stamp(taken: Iterable[str] = ()) -> str:
    """The local time as it stands in names, of a second that none of the names taken carries.

    Two switches may follow each other within a second; the second one waits for its own.
    """
    names = tuple(taken)
    while True:
        moment = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
        if not any(name.endswith(moment) for name in names):
            return moment
        time.sleep(0.05)


def beside(name: str, word: str, moment: str) -> str:
    """A name beside another: `restaurante_recovered_20251120_030000`, not longer than may be."""
    tail = f"_{word}_{moment}"
    return name[: LONGEST_NAME - len(tail)] + tail


def comment_database(target: RecoveryServer, name: str, text: str | None) -> None:
    """Writes, or removes, the comment of ours on a database."""
    from psycopg2 import sql  # the engine imports without it

    said = sql.Literal(MARK + text) if text else sql.SQL("NULL")
    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), said))


def drop_own(target: RecoveryServer, name: str, mark: str) -> None:
    """Removes a database of this very attempt."""
    from psycopg2 import sql  # the engine imports without it

    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        if databases(connection).get(name) == mark:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            cursor.execute(drop.format(sql.Identifier(name)))


def remove_unfinished(target: RecoveryServer) -> None:
    """Removes what a recovery that was killed left; the caller holds the lock, so none runs.

    A database is known as unfinished from the statement on that makes it, a schema from the moment
    that it holds anything.
    """
    from psycopg2 import sql  # the engine imports without it

    with contextlib.closing(connect(target)) as connection, connection.cursor() as cursor:
        held = databases(connection)
        for name, text in held.items():
            if text.startswith(MARK + RESTORING):
                drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
                cursor.execute(drop.format(sql.Identifier(name)))
    if target.dbname not in held:
        return
    with (
        contextlib.closing(connect(target, target.dbname)) as connection,
        connection.cursor() as cursor,
    ):
        for name, text in schemas(connection).items():
            if text.startswith(MARK + RESTORING):
                drop = sql.SQL("DROP SCHEMA {} CASCADE")
                cursor.execute(drop.format(sql.Identifier(name)))


def schemas(connection: Any) -> dict[str, str]:
    """Comments by schema of a database; empty where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '')"
            " FROM pg_catalog.pg_namespace"
        )
        found: dict[str, str] = dict(cursor.fetchall())
        return found


def taken(target: RecoveryServer) -> list[str]:
    """The names that stand: databases, and the schemas of production where there is one."""
    with contextlib.closing(connect(target)) as connection:
        names = list(databases(connection))
    if target.dbname in names:
        with contextlib.closing(connect(target, target.dbname)) as connection:
            names += schemas(connection)
    return names


def databases(connection: Any) -> dict[str, str]:
    """Comments by database; empty where there is none."""
    with connection.cursor() as cursor:
        return marked_database.marks(cursor, f"{MARK}{RESTORING}, cut off at its very beginning")


def run_command(command: Sequence[str], option: str, seconds: float) -> None:
    """Runs what stops or starts the backend.

    Raises:
        ResilienceError: it failed.
    """
    if not command:
        return
    ended = process.run(list(command), time_limit=seconds)
    if ended.code != 0:
        raise ResilienceError(
            _(
                "%(program)s ended with %(ending)s: %(why)s",
                program=command[0],
                ending=ended.ending(),
                why=ended.errors.strip()[-300:],
            ),
            option=option,
            value=" ".join(command),
            remedy=_("run it by hand and mend what it says"),
        )


def serves(target: RecoveryServer) -> bool | None:
    """Whether production answers in time; None if nobody is to be asked."""
    if not target.health_url:
        return None
    context = ssl.create_default_context()
    if not target.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    deadline = time.monotonic() + target.seconds
    status: int | None = None
    while status != 200 and time.monotonic() < deadline:
        with contextlib.suppress(OSError), opener.open(target.health_url, timeout=5) as answer:
            status = answer.status
        if status != 200:
            time.sleep(0.2)
    return bool(status == 200)


def listed(settings: RecoverySettings) -> list[Mapping[str, str]]:
    """What could be switched to: name and what its comment says."""
    with contextlib.closing(connect(settings.target)) as connection:
        return [
            {"name": name, "what": text.removeprefix(MARK)}
            for name, text in sorted(databases(connection).items())
            if text.startswith(MARK) and not text.startswith(MARK + RESTORING)
        ]

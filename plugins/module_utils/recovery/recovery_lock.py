# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let one recovery of a database in at a time: on this host, and on its server.

Two hosts may have the commands for one server, each with a lock file of its own. So a recovery also
holds an advisory lock of PostgreSQL, which ends with its session, whatever ends that.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..proof.restore_settings import RecoveryServer
from ..staging import staging_state
from . import recovery
from .recovery import RecoverySettings

# The first half of the lock's key: the letters CHEF.
KEY = 0x43484546
# Until a lock that another session holds is given up: that of a killed command ends in a moment.
WAIT_SECONDS, POLL_SECONDS = 5.0, 0.1
# A host that is gone without a word holds its lock for no more than about a minute.
KEEPALIVES = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
# An advisory lock is of one database, and `pg_locks` shows those of all: the other host may name
# another maintenance database.
_OTHERS = """
    SELECT l.pid,
    CASE WHEN backend_start IS NULL THEN '?' ELSE host(client_addr) END,
    coalesce(to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS'), '?')
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
    AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY 1
"""


@contextlib.contextmanager
def locked(settings: RecoverySettings) -> Iterator[None]:
    """Keep other drills of this host, and other recoveries of this database, away meanwhile.

    Raises:
        ResilienceError: another one is at work, or the server cannot be connected to.
    """
    with (
        staging_state.locked(settings.drill.staging),
        contextlib.closing(recovery.connect(settings.target)) as connection,
    ):
        _take(connection, settings.target)
        yield


def number_of(dbname: str) -> int:
    """Return the second half of the lock's key, as `pg_locks` shows it."""
    return zlib.crc32(dbname.encode())


def key_of(dbname: str) -> tuple[int, int]:
    """Return the lock's key, as PostgreSQL's functions take it: signed numbers."""
    number = number_of(dbname)
    return KEY, number - (1 << 32 if number >> 31 else 0)


def _take(connection: Any, target: RecoveryServer) -> None:
    end = time.monotonic() + WAIT_SECONDS
    with connection.cursor() as cursor:
        for name, seconds in KEEPALIVES.items():
            cursor.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, str(seconds)])
        while True:
            # First taken, then looked: of two at once in two databases one sees the other.
            cursor.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", key_of(target.dbname))
            taken = cursor.fetchone()[0]
            cursor.execute(_OTHERS, [KEY, number_of(target.dbname)])
            others = cursor.fetchall()
            if taken and not others:
                return
            if time.monotonic() >= end:
                break
            if taken:
                cursor.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
            time.sleep(POLL_SECONDS)
    pid, host, since = others[0] if others else (0, "?", "?")
    raise ResilienceError(
        _(
            "another recovery of %(name)s is at work on its server, from %(host)s since %(since)s",
            name=target.dbname,
            host=_("the server's own host") if host is None else host,
            since=since,
        ),
        option="recovery.host",
        value=target.host,
        remedy=_(
            "wait until it has ended; if that host is gone for good, run SELECT"
            " pg_terminate_backend(%(pid)d); nothing was touched",
            pid=pid,
        ),
    )

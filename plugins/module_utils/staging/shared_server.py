# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads out of a server that staging shares with others, as far as it can be seen.

Where it runs on this host, its sessions in staging's database are processes whose connections can
be read. Where it does not, its catalogues say what it could do; its network stays unseen.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from ..common.libraries import load_psutil
from ..common.messages import Message, _, join
from ..database.connection import driver


def own_process(connection: Any) -> int | None:
    """Return the process of a connection's session on this host; None where it runs elsewhere.

    The other end of the connection is looked for among this host's sockets, and its number must be
    the one that the server gives: in a container it has another one.

    Args:
        connection: psycopg2, to the server.
    """
    number = int(connection.info.backend_pid)
    psutil = load_psutil()
    with contextlib.suppress(OSError, psutil.Error):
        process = psutil.Process(number)
        if "postgres" not in process.name():
            return None
        with socket.socket(fileno=connection.fileno()) as end:
            try:
                if end.family == socket.AF_UNIX:
                    held = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                    # Who listens: the session's parent.
                    return number if struct.unpack("3i", held)[0] == process.ppid() else None
                here, there = end.getsockname()[:2], end.getpeername()[:2]
            finally:
                end.detach()
        read = getattr(process, "net_connections", None) or process.connections
        for one in read(kind="tcp"):
            if one.raddr and (tuple(one.laddr), tuple(one.raddr)) == (there, here):
                return number
    return None


def sessions(parent: int, database: str) -> list[int]:
    """Return the processes of a server's sessions in a database, by the titles that they have.

    Args:
        parent: the server's first process.
        database: its name.
    """
    psutil = load_psutil()
    found = []
    with contextlib.suppress(OSError, psutil.Error):
        for child in psutil.Process(parent).children():
            with contextlib.suppress(OSError, psutil.Error):
                if f" {database} " in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


def abilities(connection: Any) -> Message:
    """Return what the server and staging's user could do, by the catalogues.

    Args:
        connection: psycopg2, in staging's database.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT pg_catalog.pg_has_role('pg_execute_server_program', 'USAGE'),"
                " (SELECT count(*) FROM pg_catalog.pg_foreign_server),"
                " (SELECT count(*) FROM pg_catalog.pg_stat_replication),"
                " pg_catalog.current_setting('archive_mode') <> 'off'"
            )
            programs, servers, standbys, archives = cursor.fetchone()
        except driver().Error:
            return _("what the server could do is not readable")
    could = [
        *([_("its user may run programs on it")] if programs else []),
        *([_("foreign servers in the database: %(count)d", count=servers)] if servers else []),
        *([_("standbys that receive all of it: %(count)d", count=standbys)] if standbys else []),
        *([_("it archives its log")] if archives else []),
    ]
    return join(could or [_("its user may run no programs on it, and it has no standby")], ", ")

# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private PostgreSQL for one drill: no network, no durability, gone afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from . import postgres, process
from .errors import ResilienceError

# Durability off: the cluster lives minutes and is thrown away (PostgreSQL manual, "Non-Durable
# Settings"). No listen address: nothing but its owner's socket folder leads to it.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1d",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "60",
    "max_locks_per_transaction": "256",
    "log_min_messages": "warning",
    "logging_collector": "off",
}
SUPERUSER = "postgres"
OWNER_FILE = "owner.json"
# A Unix socket's path may have 107 bytes (sockaddr_un, unix(7)); `/.s.PGSQL.5432` takes 14.
LONGEST_SOCKET_FOLDER = 93


@dataclasses.dataclass(frozen=True)
class Server:
    """A running staging server: how to reach it.

    Attributes:
        host: a socket folder, or a host name.
        port: of the server.
        user, password: of a superuser.
        binaries: the programs that match it.
    """

    host: str
    port: int
    user: str
    password: str
    binaries: postgres.Binaries

    def dsn(self, database: str) -> dict[str, Any]:
        """Keyword arguments for `psycopg2.connect`."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": database,
            "connect_timeout": 10,
        }


@contextlib.contextmanager
def cluster(
    base_dir: str, binaries: postgres.Binaries, *, time_limit: float = 60
) -> Iterator[Server]:
    """A throw-away PostgreSQL, gone with all its files when the block is left.

    Args:
        base_dir: where its folder is made; what earlier drills that were killed left there is
            removed first.
        binaries: PostgreSQL's programs.
        time_limit: seconds to be made and to answer.

    Raises:
        ResilienceError: it cannot be made or does not start; the message has the server's words.
    """
    os.makedirs(base_dir, mode=0o711, exist_ok=True)
    remove_leftovers(base_dir)
    folder = tempfile.mkdtemp(prefix="drill-", dir=base_dir)
    sockets = folder
    try:
        _claim(folder)
        if len(folder) > LONGEST_SOCKET_FOLDER:
            sockets = tempfile.mkdtemp(prefix="cwr-")
        yield from _run(folder, sockets, binaries, time_limit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if sockets != folder:
            shutil.rmtree(sockets, ignore_errors=True)


def _claim(folder: str) -> None:
    """Notes whose folder this is, so that whoever finds it later knows whether it is in use."""
    with open(os.path.join(folder, OWNER_FILE), "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "started": _start_time(os.getpid())}, file)


def _start_time(pid: int) -> str | None:
    """When a process began, in clock ticks (proc(5), field 22): tells reused numbers apart."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _run(
    folder: str, sockets: str, binaries: postgres.Binaries, time_limit: float
) -> Iterator[Server]:
    data = os.path.join(folder, "data")
    password = secrets.token_urlsafe(24)
    password_file = os.path.join(folder, "password")
    with open(password_file, "w", encoding="ascii", opener=_private) as file:
        file.write(password)
    if os.geteuid() == 0:
        for path in (folder, password_file, sockets):
            os.chown(path, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
    prefix = postgres.unprivileged([binaries.bin_dir, data, os.path.join(sockets, "socket")])
    made = process.run(
        [
            *prefix,
            binaries.path("initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ],
        time_limit=time_limit,
        cwd="/",
    )
    os.unlink(password_file)
    if made.code != 0:
        raise ResilienceError(
            f"initdb ended with {made.ending()}: {made.errors.strip()[-400:]}",
            option="staging_dir",
            value=os.path.dirname(folder),
            remedy="give a folder with room, on a filesystem that is writable",
        )
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    log_path = os.path.join(folder, "server.log")
    with (
        open(log_path, "wb") as log,
        process.started(
            [
                *prefix,
                binaries.path("postgres"),
                "-D",
                data,
                f"--unix_socket_directories={sockets}",
                *settings,
            ],
            stdout=log,
            stderr=log,
            cwd="/",
        ) as running,
    ):
        server = Server(sockets, 5432, SUPERUSER, password, binaries)
        try:
            _wait_until_ready(server, running.poll, log_path, time_limit)
            yield server
        finally:
            # Immediate shutdown: there is nothing to keep.
            running.send_signal(signal.SIGQUIT)
            with contextlib.suppress(Exception):
                running.wait(timeout=10)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _wait_until_ready(server: Server, ended: object, log_path: str, time_limit: float) -> None:
    import psycopg2  # noqa: PLC0415 - the engine imports without it

    deadline = time.monotonic() + time_limit
    while True:
        try:
            psycopg2.connect(**server.dsn("postgres")).close()
            return
        except psycopg2.OperationalError as error:
            if callable(ended) and ended() is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            with open(log_path, encoding="utf-8", errors="backslashreplace") as log:
                said = log.read()[-600:].strip()
            raise ResilienceError(
                f"the staging PostgreSQL did not start: {said or error}",
                option="bin_dir",
                value=server.binaries.bin_dir,
                remedy="mend what its words name",
            ) from error


def remove_leftovers(base_dir: str) -> list[str]:
    """Removes clusters whose drill was killed; those of running drills stay.

    Args:
        base_dir: the folder that was given to `cluster`.

    Returns:
        The folders that were removed.
    """
    removed = []
    for name in sorted(os.listdir(base_dir)) if os.path.isdir(base_dir) else []:
        folder = os.path.join(base_dir, name)
        try:
            with open(os.path.join(folder, OWNER_FILE), encoding="utf-8") as file:
                owner = json.load(file)
        except (OSError, ValueError):
            continue  # not made by `cluster`, or not claimed yet
        if _start_time(int(owner["pid"])) == owner["started"]:
            continue
        _end_server(os.path.join(folder, "data"))
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    return removed


def _end_server(data: str) -> None:
    """Ends the server of a data folder, if the process in its pid file is that server still."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8") as file:
            pid = int(file.readline())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            ours = os.fsencode(data) in file.read().split(b"\0")
    except (OSError, ValueError):
        return
    if ours:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
            for _attempt in range(100):
                time.sleep(0.05)
                os.kill(pid, 0)

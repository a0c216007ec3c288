# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private, throw-away PostgreSQL from installed programs: no network, no durability."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence

from ..common import detached, process
from ..common.detached import DetachedProcess
from ..common.errors import ResilienceError
from ..common.libraries import load_psutil
from ..common.messages import _
from ..database import postgres, scram
from ..database.connection import driver, environment_without_libpq, open_connection
from ..database.postgres import Server
from . import sandbox

# Durability off: the cluster lives minutes and is thrown away (PostgreSQL manual, "Non-Durable
# Settings"). No listen address: it is reached by its socket folder alone.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # With wal_level minimal, a table that is loaded in the transaction that created it needs no
    # WAL, whatever its size; without this setting small tables are still logged page by page.
    "wal_skip_threshold": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1d",
    "autovacuum": "off",
    "jit": "off",
    # PostgreSQL searches the whole pool for each table and index that is loaded, so it is kept
    # small; the operating system caches the rest.
    "shared_buffers": "128MB",
    "bgwriter_lru_maxpages": "0",
    "maintenance_work_mem": "128MB",
    "max_connections": "60",
    "max_locks_per_transaction": "256",
    "log_min_messages": "warning",
    "logging_collector": "off",
}
# Settings that PostgreSQL has since some version. A trigger on logins would run for each check, and
# might write or refuse.
SINCE = {"event_triggers": (17, "off")}
SUPERUSER = "postgres"
PORT = 5432
# A Unix socket's path may have 107 bytes (sockaddr_un, unix(7)); `/.s.PGSQL.5432` takes 14.
LONGEST_SOCKET_FOLDER = 93
SOCKETS_PREFIX = "chefwell-staging-"


class Cluster:
    """One cluster in a folder of its own. It keeps running when the program that started it ends.

    Args:
        folder: made by `create`, removed by `remove`.
        binaries: PostgreSQL's programs.
        sandboxed: whether the server runs in a sandbox, see `sandbox`.
    """

    def __init__(
        self, folder: str, binaries: postgres.Binaries, *, sandboxed: bool = False
    ) -> None:
        self.folder = folder
        self.binaries = binaries
        self.sandboxed = sandboxed
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "server.log")
        self._password = os.path.join(folder, "password")
        self._sockets = os.path.join(folder, "sockets")

    def create(self, *, time_limit: float = 60) -> None:
        """Make the cluster.

        Args:
            time_limit: seconds.

        Raises:
            ResilienceError: it cannot be made; the message has initdb's errors.
        """
        os.makedirs(self.folder, mode=0o711)
        os.chmod(self.folder, 0o711)
        password = secrets.token_urlsafe(24)
        secret = os.path.join(self.folder, "secret")
        for path, text in ((self._password, password), (secret, scram.secret(password))):
            with open(path, "w", encoding="ascii", opener=_open_private) as file:
                file.write(text)
        os.mkdir(self.data, mode=0o700)
        sockets = socket_folder(self.folder)
        os.mkdir(sockets)
        # The backend is not root and must reach the socket, so no closed state folder can hold it.
        os.chmod(sockets, 0o755)
        reachable = os.geteuid() != 0 or postgres.open_to_others(sockets + "/socket")
        if len(sockets) > LONGEST_SOCKET_FOLDER or not reachable:
            sockets = tempfile.mkdtemp(prefix=SOCKETS_PREFIX)
        with open(self._sockets, "w", encoding="utf-8") as file:
            file.write(sockets)
        if os.geteuid() == 0:
            for path in (self.data, secret, sockets):
                os.chown(path, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
        initdb = process.run(
            [
                *self._command(
                    sockets,
                    self.binaries.path("initdb"),
                    f"--pgdata={self.data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    reads=[secret],
                ),
            ],
            time_limit=time_limit,
            env=environment_without_libpq(),
            cwd="/",
        )
        os.unlink(secret)
        if initdb.code != 0:
            raise ResilienceError(
                _(
                    "%(program)s ended with %(ending)s: %(why)s",
                    program="initdb",
                    ending=initdb.ending(),
                    why=initdb.errors.strip()[-400:],
                ),
                option="work_dir",
                value=os.path.dirname(self.folder),
                remedy=_("give a folder with room, on a filesystem that is writable"),
            )

    def start(self, *, time_limit: float = 60) -> Server:
        """Start the server and wait until it accepts connections.

        Args:
            time_limit: seconds.

        Raises:
            ResilienceError: it does not start; the message has the end of its log.
        """
        sockets = self._read(self._sockets)
        if os.geteuid() == 0:
            os.chown(sockets, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
        # A server that ends cannot remove them from a folder of root's.
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(sockets, name))
        running = detached.start(
            [
                *self._command(
                    sockets,
                    self.binaries.path("postgres"),
                    "-D",
                    self.data,
                    f"--unix_socket_directories={sockets}",
                    f"--port={PORT}",
                    *(f"--{name}={value}" for name, value in SETTINGS.items()),
                    *(
                        f"--{name}={value}"
                        for name, (since, value) in SINCE.items()
                        if self.binaries.major >= since
                    ),
                ),
            ],
            log_path=self.log,
            # The server reads PGPORT and PGCLIENTENCODING, too.
            env=environment_without_libpq(),
        )
        server = self._server()
        try:
            self._wait(server, running, time_limit)
        except BaseException:
            self._stop(running)
            raise
        if os.geteuid() == 0:
            # What a backup runs there must not lay another server's socket under this name.
            os.chown(sockets, 0, 0)
            os.chmod(sockets, 0o755)
        return server

    def running_server(self) -> Server | None:
        """Return the running server; None if it does not run."""
        return self._server() if self.server_process() else None

    def remove(self) -> bool:
        """Stop the server and remove the folder; return whether there was anything to remove."""
        if not os.path.isdir(self.folder):
            return False
        running = self.server_process()
        if running:
            self._stop(running)
        with contextlib.suppress(OSError):
            sockets = self._read(self._sockets)
            if os.path.basename(sockets).startswith(SOCKETS_PREFIX):
                shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return True

    def _command(self, sockets: str, *arguments: str, reads: Sequence[str] = ()) -> list[str]:
        """Return the command that runs a program over the cluster, not as root.

        It writes to the data and the sockets alone. What this process reads beside them, the
        password and where the sockets are, is out of reach of what a backup runs.
        """
        if self.sandboxed:
            return sandbox.command(
                arguments,
                reads=[*sandbox.program_folders(self.binaries.bin_dir), *reads],
                writes=[self.data, sockets],
                outlives=True,
            )
        # The data folder is that user's own.
        ways = [os.path.join(folder, "file") for folder in (self.folder, sockets)]
        paths = [self.binaries.bin_dir, *ways]
        return [*postgres.unprivileged(paths), *arguments]

    def _server(self) -> Server:
        password = self._read(self._password)
        return Server(self._read(self._sockets), PORT, SUPERUSER, password, self.binaries)

    def server_process(self) -> DetachedProcess | None:
        """Return the process of this folder's server; None if it does not run.

        It is found by its arguments: in a sandbox the pid file has a number of the sandbox's own
        namespace. There the sandbox's process is returned, which has the same arguments.
        """
        found = [
            candidate
            for candidate in load_psutil().process_iter(["cmdline", "create_time"])
            if self.data in (candidate.info["cmdline"] or ())
        ]
        if not found:
            return None
        first = min(found, key=lambda candidate: (candidate.info["create_time"], candidate.pid))
        began = detached.start_ticks(first.pid)
        return DetachedProcess(first.pid, began) if began else None

    def _stop(self, running: DetachedProcess) -> None:
        """Stop the server at once: there is nothing to keep.

        PostgreSQL takes SIGQUIT for an immediate shutdown. A sandbox's first process does not pass
        signals on, and ignores SIGQUIT where this process was started so (`command &`): all of it
        is killed.
        """
        detached.stop(running, [] if self.sandboxed else [signal.SIGQUIT])

    def _wait(self, server: Server, running: DetachedProcess, time_limit: float) -> None:
        psycopg2 = driver()
        deadline = time.monotonic() + time_limit
        while True:
            try:
                open_connection(server.dsn("postgres")).close()
                break
            except psycopg2.OperationalError as error:
                if detached.is_running(running) and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                log = self._read(self.log)[-600:].strip()
                raise ResilienceError(
                    _("the staging PostgreSQL did not start: %(why)s", why=log or error),
                    option="bin_dir",
                    value=self.binaries.bin_dir,
                    remedy=_("correct what its log names"),
                ) from error

    @staticmethod
    def _read(path: str) -> str:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()


def socket_folder(folder: str) -> str:
    """Return where a cluster has its sockets, unless that is closed to other users."""
    return os.path.join(folder, "run")


def _open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read; for `open(opener=…)`."""
    return os.open(path, flags, 0o600)

# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging without Docker: a private PostgreSQL on a Unix socket, and the backend as a process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line
from ..database import postgres
from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import sandbox, sandbox_network
from .backend_process import ProcessBackedEngine
from .isolation import SandboxNetwork, judge_sandboxes
from .private_cluster import Cluster, socket_folder
from .sandbox import SandboxedBinaries
from .staging import StagingSettings

# How long a server that runs already may take to respond.
SLOW_SECONDS = 15


class EmbeddedEngine(ProcessBackedEngine):
    """The `embedded` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        super().__init__(settings, sandboxed=settings.sandbox)
        self.folder = os.path.join(settings.work_dir, "cluster")
        self._prepared = False

    def _cluster(self) -> Cluster:
        return Cluster(self.folder, self.binaries(), sandboxed=self.settings.sandbox)

    def binaries(self) -> postgres.Binaries:
        """Return the programs of the cluster itself."""
        found = postgres.find_binaries(self.settings.bin_dir or None)
        if not self.settings.sandbox:
            return found
        # The linker follows no link of this host's in the sandbox.
        bin_dir = os.path.realpath(found.bin_dir)
        sockets = socket_folder(self.folder)
        return SandboxedBinaries(bin_dir, found.major, found.version, sockets)

    def data_folder(self) -> str:
        """Return the cluster's folder."""
        return self.folder

    def check(self) -> None:
        """Make sure that the programs are installed and the backend's port is free."""
        self.binaries()
        if self.settings.sandbox:
            sandbox.check()
        self.backend.check()

    def prepare(self) -> None:
        """Make a cluster, unless one runs."""
        cluster = self._cluster()
        if cluster.running_server() is None:
            cluster.remove()
            cluster.create()
            self._prepared = True

    def up(self) -> Server:
        """Return the running cluster's server, or start a new one."""
        cluster = self._cluster()
        found = cluster.running_server()
        if found:
            self._await_response(found)
            return found
        if not self._prepared:
            cluster.remove()
            cluster.create()
        self._prepared = False
        return cluster.start()

    def _await_response(self, server: Server) -> None:
        """Wait until a server that runs responds: it may be slow, and is not removed for that.

        Raises:
            ResilienceError: it does not.
        """
        deadline = time.monotonic() + SLOW_SECONDS
        while True:
            try:
                open_connection({**server.dsn("postgres"), "connect_timeout": 2}).close()
                return
            except driver().OperationalError as error:
                if time.monotonic() > deadline:
                    raise ResilienceError(
                        _(
                            "the staging that is kept does not respond: %(why)s",
                            why=one_line(error),
                        ),
                        option="work_dir",
                        value=self.settings.work_dir,
                        remedy=_(
                            "let it go on and try again, or remove it with cleanup-staging;"
                            " nothing was touched"
                        ),
                    ) from error
            time.sleep(0.2)

    def find(self) -> Server | None:
        """Return the cluster's server, if it runs."""
        return self._cluster().running_server() if os.path.isdir(self.folder) else None

    def programs(self) -> list[int]:
        """Return the process numbers of the backend and the server."""
        running = self._cluster().server_process()
        return super().programs() + ([running.pid] if running else [])

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """Yield the check: of the sandboxes' networks, or of connections where there are none."""
        if self.settings.sandbox:
            yield self._isolation_evidence
            return
        with super().isolation(server) as evidence:
            yield evidence

    def _isolation_evidence(self) -> Evidence:
        found = {_("the server"): self._cluster().server_process()}
        if self.serves():
            found[_("the application")] = self.backend.running()
        networks = [
            sandbox_network.inspect(name, running.pid)
            if running
            else SandboxNetwork(name, running=False, open=False)
            for name, running in found.items()
        ]
        return judge_sandboxes(networks, self.settings.backend.env if self.serves() else ())

    def down(self) -> list[str]:
        """Remove backend and cluster."""
        removed = self.remove_backend()
        # Removing needs no programs: staging can be removed when PostgreSQL was uninstalled.
        none = postgres.Binaries("", 0, "")
        if Cluster(self.folder, none, sandboxed=self.settings.sandbox).remove():
            removed.append(f"PostgreSQL in {self.folder}")
        return removed


def engine(settings: StagingSettings) -> EmbeddedEngine:
    """Return this engine."""
    return EmbeddedEngine(settings)

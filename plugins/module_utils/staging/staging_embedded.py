# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging without Docker: a private PostgreSQL on a Unix socket, and the backend as a process."""

from __future__ import annotations

import contextlib
import os

from ..database import postgres
from ..database.postgres import Server
from .embedded import Cluster
from .staging import Settings
from .staging_backend import BackendProcess


class Embedded:
    """The `embedded` engine; see `staging.Engine`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = os.path.join(settings.work_dir, "cluster")
        self.backend = BackendProcess(settings.backend, settings.work_dir)

    def _cluster(self) -> Cluster:
        return Cluster(self.folder, self.binaries())

    def binaries(self) -> postgres.Binaries:
        """Those of the cluster itself."""
        return postgres.find_binaries(self.settings.bin_dir or None)

    def serves(self) -> bool:
        """Whether a command starts the backend."""
        return bool(self.settings.backend.command)

    def data_folder(self) -> str:
        """The cluster's own."""
        return self.folder

    def check(self) -> None:
        """Programs are there, and the backend's port is free."""
        self.binaries()
        self.backend.check()

    def up(self) -> Server:
        """The cluster that stands, or a new one."""
        cluster = self._cluster()
        found = cluster.find()
        if found:
            return found
        cluster.remove()
        cluster.create()
        return cluster.start()

    def find(self) -> Server | None:
        """The cluster's server, if it runs."""
        return self._cluster().find() if os.path.isdir(self.folder) else None

    def start_backend(self, server: Server) -> str:
        """The backend over the restored database."""
        return self.backend.start(server, self.settings.database)

    def backend_url(self) -> str | None:
        """The backend's address, if it runs."""
        return self.settings.backend.url if self.backend.running() else None

    def last_words(self) -> str:
        """The end of the backend's log."""
        return self.backend.last_words()

    def stop_backend(self) -> None:
        """Ends the backend."""
        self.backend.stop()

    def down(self) -> list[str]:
        """Removes backend and cluster."""
        removed = []
        if self.backend.stop():
            removed.append(f"backend on port {self.settings.backend.port}")
        # Removing needs no programs: a staging must go away even when PostgreSQL was uninstalled.
        if Cluster(self.folder, postgres.Binaries("", 0, "")).remove():
            removed.append(f"PostgreSQL in {self.folder}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.backend.log)
        return removed


def engine(settings: Settings) -> Embedded:
    """This engine."""
    return Embedded(settings)

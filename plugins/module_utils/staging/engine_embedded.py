# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging without Docker: a private PostgreSQL on a Unix socket, and the backend as a process."""

from __future__ import annotations

import os

from ..database import postgres
from ..database.postgres import Server
from .backend_process import ServedByProcess
from .private_cluster import Cluster
from .staging import StagingSettings


class EmbeddedEngine(ServedByProcess):
    """The `embedded` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        super().__init__(settings)
        self.folder = os.path.join(settings.work_dir, "cluster")
        self._prepared = False

    def _cluster(self) -> Cluster:
        return Cluster(self.folder, self.binaries())

    def binaries(self) -> postgres.Binaries:
        """Those of the cluster itself."""
        return postgres.find_binaries(self.settings.bin_dir or None)

    def data_folder(self) -> str:
        """The cluster's own."""
        return self.folder

    def check(self) -> None:
        """Programs are there, and the backend's port is free."""
        self.binaries()
        self.backend.check()

    def prepare(self) -> None:
        """A cluster that does not run, unless one stands."""
        cluster = self._cluster()
        if cluster.find() is None:
            cluster.remove()
            cluster.create()
            self._prepared = True

    def up(self) -> Server:
        """The cluster that stands, or a new one."""
        cluster = self._cluster()
        found = cluster.find()
        if found:
            return found
        if not self._prepared:
            cluster.remove()
            cluster.create()
        self._prepared = False
        return cluster.start()

    def find(self) -> Server | None:
        """The cluster's server, if it runs."""
        return self._cluster().find() if os.path.isdir(self.folder) else None

    def programs(self) -> list[int]:
        """The backend, and the cluster's server."""
        running = self._cluster().running()
        return super().programs() + ([running.pid] if running else [])

    def down(self) -> list[str]:
        """Removes backend and cluster."""
        removed = self.remove_backend()
        # Removing needs no programs: a staging must go away even when PostgreSQL was uninstalled.
        if Cluster(self.folder, postgres.Binaries("", 0, "")).remove():
            removed.append(f"PostgreSQL in {self.folder}")
        return removed


def engine(settings: StagingSettings) -> EmbeddedEngine:
    """This engine."""
    return EmbeddedEngine(settings)

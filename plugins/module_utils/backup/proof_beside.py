# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a backup in a thread of its own, while it is restored.

Only where the restore is thrown away: nothing is at risk there, and a core that waits for
PostgreSQL decodes meanwhile. A damaged backup ends the restore.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType

from ..common import interrupt, process
from ..common.errors import BackupError
from ..common.stop import Stop
from ..database.postgres import Binaries
from . import archive as archives
from .kind import Archive, Proving

# The lowest priority of nice(2).
LEAST = 19


class ProofBeside:
    """The proof of a backup that is being restored within the block.

    A damaged backup is raised in place of what the restore itself complained of: it is the cause.

    Args:
        archive: not proved yet. One of a kind that is read at once is proved by its restore.
        binaries: of the server.
        time_limit: seconds for each of the programs that are needed.
        proved: called with the proved archive as soon as it is there, from `look`; what it raises
            ends the restore.
    """

    def __init__(
        self,
        archive: Archive,
        binaries: Binaries,
        time_limit: float,
        proved: Callable[[Archive], object] | None = None,
    ) -> None:
        self._archive = archive
        self._failed: BaseException | None = None
        self._stop = Stop()
        self._proved = proved
        self._proving = Proving.beside(binaries, time_limit, self._stop)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> ProofBeside:
        if not self._archive.proved and not self._archive.kind.read_at_once:
            self._thread = threading.Thread(target=self._work, name="proof", daemon=True)
            self._thread.start()
        return self

    def _work(self) -> None:
        try:
            # It takes what the restore leaves of the processors; on Linux a thread has a nice value
            # of its own (sched(7)), and those that it starts have the same.
            with contextlib.suppress(OSError):  # forbidden here: it is proved all the same
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST)
            self._archive = archives.prove(self._archive, self._proving)
        except BaseException as error:  # handed to the thread that restores
            self._failed = error

    def look(self) -> None:
        """Look how far it is: to be called a few times a second.

        Raises:
            BackupError: the backup is damaged.
            ResilienceError: it cannot be read.
        """
        thread = self._thread
        if thread is None or thread.is_alive():
            return
        self._thread = None
        if self._failed:
            raise self._failed
        if self._proved:
            self._proved(self._archive)

    def result(self) -> Archive:
        """Wait for the end, and return the proved archive.

        Raises:
            BackupError: the backup is damaged.
            ResilienceError: it cannot be read.
        """
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(process.TICK)
            interrupt.raise_pending()
        self._thread = None
        if self._failed:
            raise self._failed
        return self._archive

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, BackupError):
            self.result()
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

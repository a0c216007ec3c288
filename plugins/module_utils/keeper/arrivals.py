# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the digests of what arrives while the client still sends, so that not all of it has to be
read at the end.

rsync writes to a temporary name and renames: what has a backup's name in `incoming` is whole, and
nothing writes to that inode any more. A digest counts for the inode, size and time of change that
it was taken of.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import IO

from ..inventory import inventory
from .keeper_store import Store

# Between two looks, seconds.
LOOK_SECONDS = 0.5
Identity = tuple[int, int, int]


class Arrivals:
    """What has arrived so far.

    Args:
        store: the copy.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[Identity, str] = {}

    def watch(self, stream: IO[bytes]) -> None:
        """Looks again and again, until there is something to read from `stream` or it has ended."""
        while not select.select([stream], [], [], LOOK_SECONDS)[0]:
            for path in self._new():
                with contextlib.suppress(OSError):
                    self.digest(os.path.join(self.store.incoming, path))
                if select.select([stream], [], [], 0)[0]:
                    return

    def digest(self, path: str) -> str:
        """The SHA-256 of a file that has arrived: as it was taken before, or taken now.

        Raises:
            OSError: it cannot be read.
        """
        identity = _identity(os.lstat(path))
        if identity not in self._known:
            digest = inventory.sha256(path)
            if _identity(os.lstat(path)) != identity:
                return digest
            self._known[identity] = digest
        return self._known[identity]

    def _new(self) -> list[str]:
        try:
            arrived = self.store.arrived()
        except OSError:
            return []  # whoever settles meets it, and says so
        return [path for path, seen in arrived.items() if _identity(seen) not in self._known]


def _identity(seen: os.stat_result) -> Identity:
    return seen.st_ino, seen.st_size, seen.st_mtime_ns

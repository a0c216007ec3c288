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
import re
import select
import stat
from typing import IO

from ..inventory import inventory, open_files
from .server_store import Store

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
        os.nice(5)  # the rsync that receives comes first
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


def adopt(store: Store) -> None:
    """Has the next rsync go on from what one has left behind that was killed.

    An rsync that is told of the end puts what has come into its folder of partial files; one that
    is killed, or loses power, leaves it under its temporary name, `.NAME.` and six characters. What
    some process still writes is left alone. rsync proves what it makes of a part by its checksum.
    """
    found = {}
    for tier in store.tiers:
        folder = os.path.join(store.incoming, tier)
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                known = re.fullmatch(r"\.(.+)\.[A-Za-z0-9]{6}", name, re.DOTALL)
                if known and store.accepts(f"{tier}/{known[1]}"):
                    partial = os.path.join(folder, ".rsync-partial", known[1])
                    found[os.path.join(folder, name)] = partial
    if not found:
        return
    for path in found.keys() - open_files.being_written(found):
        with contextlib.suppress(OSError):
            seen, partial = os.lstat(path), found[path]
            held = os.lstat(partial).st_size if os.path.lexists(partial) else -1
            if not stat.S_ISREG(seen.st_mode):
                continue
            if seen.st_size <= held:
                os.unlink(path)
                continue
            os.makedirs(os.path.dirname(partial), mode=0o700, exist_ok=True)
            os.replace(path, partial)


def _identity(seen: os.stat_result) -> Identity:
    return seen.st_ino, seen.st_size, seen.st_mtime_ns

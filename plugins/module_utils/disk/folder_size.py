# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a folder holds, as `du` counts it.

`du` is called rather than imitated: it reads 100,000 files faster than any loop in Python, and a
program can be ended when a filesystem no longer answers.
"""

from __future__ import annotations

import dataclasses
import os

from ..common import process


@dataclasses.dataclass(frozen=True)
class FolderSize:
    """Bytes that a folder takes up on its filesystem.

    Attributes:
        total: of everything in it.
        folders: of each folder directly in it, by name.
    """

    total: int
    folders: dict[str, int]


def measure(path: str, time_limit: float = 300) -> FolderSize:
    """Sizes a folder: allocated bytes (a sparse file takes little, a small one a block), a file
    with several names once; links are not followed and other filesystems not entered.

    Args:
        path: the folder; a link to one is followed.
        time_limit: seconds.

    Raises:
        OSError: it is no folder, something in it cannot be read, or it takes too long. A sum that
            leaves something out would be too small, so it is not told.
    """
    arguments = ["du", "-x", "-D", "-0", "-B1", "--max-depth=1", "--", path]
    if not os.path.isdir(path):
        os.stat(path)
        raise NotADirectoryError(20, "not a folder", path)
    outcome = process.run(arguments, time_limit=time_limit, env={**os.environ, "LC_ALL": "C"})
    if outcome.timed_out:
        raise OSError(0, f"not sized within {time_limit:g} s", path)
    if outcome.code != 0:
        told = outcome.errors.strip().splitlines() or [f"du: {outcome.ending()}"]
        raise OSError(0, told[0].removeprefix("du: "), path)
    entries = [entry.partition("\t") for entry in outcome.output.split("\0") if entry]
    # `du` tells the folder itself last.
    folders = {os.path.basename(name.rstrip("/")): int(size) for size, _tab, name in entries[:-1]}
    return FolderSize(int(entries[-1][0]), folders)

# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync sends, and where what it replaces is kept. Pure."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping

from ..inventory import packed_stream
from ..inventory.inventory import Inventory
from ..inventory.path_table import SIZES, PathTable, total_bytes


def next_old_folder(last: str) -> str:
    """Return the folder that takes what this attempt replaces: `old_<date>_<time>` in UTC.

    No two attempts of a destination use the same one, so that neither overwrites what the other
    has kept, whatever the clock does.

    Args:
        last: the folder of the attempt before.
    """
    moment = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    with contextlib.suppress(ValueError):
        before = datetime.datetime.strptime(f"{last}+0000", "old_%Y%m%d_%H%M%S%z")
        moment = max(moment, before + datetime.timedelta(seconds=1))
    return f"old_{moment:%Y%m%d_%H%M%S}"


def to_send(tree: Inventory, remote: Inventory, *, times: bool = True) -> PathTable[int]:
    """Return bytes by path of what rsync will send: size or time (in seconds) differs."""
    held, found = remote.states, PathTable(SIZES)
    if not held:
        return tree.states.view(SIZES, 0)
    for path, (size, mtime_ns) in tree.states.items():
        there = held.get(path)
        if there is None or there[0] != size or times and there[1] // 10**9 != mtime_ns // 10**9:
            found.add(path, (size,))
    return found


def are_large(sizes: Mapping[str, int]) -> bool:
    """Return whether reading these files takes some time; digests of small ones come by sending."""
    return total_bytes(sizes) > packed_stream.MOST_BYTES * len(sizes)

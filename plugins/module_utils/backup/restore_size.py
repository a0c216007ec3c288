# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimate the room that a restore needs, from the decoded backup before staging is built.

A row costs its text, 28 bytes of its own (23 of heap tuple header, aligned to 24, and a line
pointer of 4, "Database Page Layout" in the manual) and some padding; an index entry costs 8 bytes
of header (`IndexTupleData`), 4 of line pointer and its key, on pages filled to 90 % (btree's
fillfactor).
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter

from ..common.errors import ResilienceError
from ..common.messages import _
from . import decompress
from .expectation import Expectation
from .kind import Archive

ROW_BYTES = 36
INDEX_ENTRY_BYTES = 32
# What a new cluster and its catalogues take, and write-ahead log up to its first recycling.
CLUSTER_BYTES = 128 << 20
# Each table and each index has at least a page, and most a free space map of three.
RELATION_BYTES = 4 * 8192
ON_TABLE = re.compile(r"\bON (?:ONLY )?(.+?) USING ", re.DOTALL)
# What is written beside the data: write-ahead log, sort files of the indexes being built.
MARGIN = 1.2


def estimate(archive: Archive, expected: Expectation | None) -> int:
    """Return the bytes that the restored database will take, cluster included.

    Args:
        archive: the backup.
        expected: what its table of contents demands; None where it is not decoded yet. Then this
            is what it takes at least.
    """
    if expected is None:
        return archive.data_bytes + CLUSTER_BYTES
    indexes = Counter(
        (schema, table)
        for schema, table, _name in expected.primary_keys
        | expected.unique_constraints
        | expected.exclusions
    )
    for entry in archive.toc.entries:
        if entry.kind == "INDEX" and (found := ON_TABLE.search(entry.definition)):
            indexes[entry.schema, found[1].rpartition(".")[2].strip('"')] += 1
    counted = {key: count or 0 for key, count in archive.rows.items()}
    rows = sum(counted.values())
    entries = sum(counted.get(key, 0) * number for key, number in indexes.items())
    relations = len(expected.tables) + sum(indexes.values())
    data = archive.data_bytes + rows * ROW_BYTES + entries * INDEX_ENTRY_BYTES
    return int((data + relations * RELATION_BYTES) * MARGIN) + CLUSTER_BYTES


class Room:
    """The room that a restore has, on the filesystem of a folder.

    Args:
        folder: it, or one that is made in it later.
    """

    def __init__(self, folder: str) -> None:
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        self._folder = folder
        self._free = shutil.disk_usage(folder).free

    def check(self, needed: int) -> None:
        """Refuse a restore that would fill the disk.

        Args:
            needed: bytes, from `estimate`. They are compared with what was free at first: part of
                it may be taken by this restore.

        Raises:
            ResilienceError: there is too little room.
        """
        free = self._free - decompress.HEADROOM
        if free < needed:
            raise ResilienceError(
                _(
                    "restored, the backup needs about %(needed)d MiB, of which %(free)d MiB are"
                    " here",
                    needed=needed >> 20,
                    free=max(free, 0) >> 20,
                ),
                option="work_dir",
                value=self._folder,
                remedy=_("make room there, or name a folder on another filesystem"),
            )

    def watch(self) -> None:
        """End a restore before it fills the disk: before a backup is decoded no size is known.

        Raises:
            ResilienceError: too little is left.
        """
        free = shutil.disk_usage(self._folder).free
        if free < decompress.HEADROOM // 2:
            raise ResilienceError(
                _("while restoring, the disk became full: %(free)d MiB are left", free=free >> 20),
                option="work_dir",
                value=self._folder,
                remedy=_("make room there, or name a folder on another filesystem"),
            )

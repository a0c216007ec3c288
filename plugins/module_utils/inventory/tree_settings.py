# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a backup tree, which every stage reads."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from .inventory import TIERS

# The file that shows that a folder is the backup tree, not the empty folder that it is mounted on.
MARKER = ".chefwell-backups"

# All backups lie in one flat folder, which counts as the only tier of its parent.
FLAT = (".",)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BackupTreeSettings:
    """Where backups lie.

    Attributes:
        backup_path: the folder that holds the tiers.
        backup_tiers: the folders in it; `.` alone is the folder itself. Empty for `TIERS`, or for
            the folder itself where `backup_pattern` is given.
        backup_pattern: names of backups, see `backup_names.compiled`.
    """

    backup_path: str = "/root/backups"
    backup_tiers: tuple[str, ...] = ()
    backup_pattern: str = ""

    @property
    def is_flat(self) -> bool:
        """Whether all backups lie in `backup_path` itself."""
        return is_flat(self.backup_tiers, self.backup_pattern)

    @property
    def tree_root(self) -> str:
        """The folder whose folders are the tiers."""
        path = os.path.normpath(self.backup_path) if self.backup_path else ""
        return os.path.dirname(path) if self.is_flat else path

    @property
    def tiers(self) -> tuple[str, ...]:
        """The names of the tiers in `tree_root`."""
        return tier_names(self.backup_path, self.backup_tiers, self.backup_pattern)

    @property
    def inner_folder(self) -> str:
        """The flat folder's name in `tree_root`; empty where there are tiers."""
        return self.tiers[0] if self.is_flat else ""


def is_flat(backup_tiers: Sequence[str], backup_pattern: str) -> bool:
    """Return whether a tree is one flat folder; the arguments are those of the settings."""
    return tuple(backup_tiers) == FLAT or not backup_tiers and bool(backup_pattern)


def tier_names(
    backup_path: str, backup_tiers: Sequence[str], backup_pattern: str
) -> tuple[str, ...]:
    """Return the names of the tiers of a tree, also of a flat one."""
    if is_flat(backup_tiers, backup_pattern):
        return (os.path.basename(os.path.normpath(backup_path)),)
    return tuple(backup_tiers) or TIERS

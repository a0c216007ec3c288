# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a backup tree, which every stage reads."""

from __future__ import annotations

import dataclasses

from .inventory import TIERS


@dataclasses.dataclass(frozen=True)
class BackupTreeSettings:
    """Where backups lie.

    Attributes:
        backup_path: the folder that holds the tiers.
        backup_tiers: the folders in it; `.` is the folder itself.
        backup_pattern: names of backups, see `backup_names.compiled`.
    """

    backup_path: str = "/root/backups"
    backup_tiers: tuple[str, ...] = TIERS
    backup_pattern: str = ""

# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the disk monitor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Optional, Union

from ..common.levels import DEFAULTS
from ..common.settings import option
from ..inventory.tree_settings import BackupTreeSettings
from ..notifications.notification_settings import StageSettings

# Percent used, or the space or inodes left (`20GB`, `50000 left`).
Threshold = Union[float, str]
# Percentage points below a threshold at which a level that was reached is left again.
HYSTERESIS = 2.0
# How many backups each tier keeps, by the plan.
RETENTION = {"daily": 7, "weekly": 4, "monthly": 3}
# A restored database takes about ten times its compressed dump (measured: 538 MB from 53 MB with
# 100 tenants), and a fifth more while its indexes are built.
DRILL_FACTOR = 12.0


@dataclasses.dataclass(frozen=True, repr=False)
class TargetSettings:
    """One target with settings of its own; None stands for the setting of all targets.

    Attributes:
        path: mount point or folder.
        name: shown to people in place of the path.
        folder: whether the folder's own contents are measured, not its filesystem.
        warning, critical, emergency: thresholds of bytes.
        inodes_warning, inodes_critical, inodes_emergency: thresholds of inodes.
        hysteresis: percentage points below a threshold at which an alert ends.
        must_be_mount: whether it is unknown when nothing is mounted there; None as fstab says.
        may_be_read_only: whether a read-only mount is expected; None as fstab says.
        time_limit: seconds that a filesystem has to answer.
        silence_until: no alerts before that date, ISO 8601.
    """

    path: str = option(required=True)
    name: Optional[str] = None
    folder: Optional[bool] = None
    warning: Optional[Threshold] = None
    critical: Optional[Threshold] = None
    emergency: Optional[Threshold] = None
    inodes_warning: Optional[Threshold] = None
    inodes_critical: Optional[Threshold] = None
    inodes_emergency: Optional[Threshold] = None
    hysteresis: Optional[float] = None
    must_be_mount: Optional[bool] = None
    may_be_read_only: Optional[bool] = None
    time_limit: Optional[float] = None
    silence_until: Optional[str] = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MonitorSettings(BackupTreeSettings):
    """What is measured, and what it is compared with.

    Attributes:
        paths: mount points.
        discover: whether every other filesystem that can fill is measured too.
        targets: mount points and folders with settings of their own.
        warning, critical, emergency: thresholds of bytes.
        inodes_warning, inodes_critical, inodes_emergency: thresholds of inodes.
        hysteresis: percentage points below a threshold at which an alert ends.
        time_limit: seconds that a filesystem has to answer.
        forecast_days: an alert is due when the emergency threshold is that many days away.
        retention: how many backups each tier keeps.
        drill_path: folder in which drills restore; empty for the backups' own filesystem.
        drill_factor: how many times its dump a restored database takes.
    """

    paths: tuple[str, ...] = ("/",)
    discover: bool = True
    targets: tuple[TargetSettings, ...] = ()
    warning: Threshold = DEFAULTS["warning"]
    critical: Threshold = DEFAULTS["critical"]
    emergency: Threshold = DEFAULTS["emergency"]
    inodes_warning: Threshold = DEFAULTS["warning"]
    inodes_critical: Threshold = DEFAULTS["critical"]
    inodes_emergency: Threshold = DEFAULTS["emergency"]
    hysteresis: float = HYSTERESIS
    time_limit: float = 10
    forecast_days: float = 7
    retention: Mapping[str, int] = option(RETENTION)
    drill_path: str = "/var/lib/docker"
    drill_factor: float = DRILL_FACTOR


@dataclasses.dataclass(frozen=True, repr=False)
class DiskSettings(MonitorSettings, StageSettings):
    """Stage 1 on a host.

    Attributes:
        log_file: each run appends a line for each target to it.
        run_time_limit: seconds that a whole run may take, even if filesystems do not respond.
    """

    log_file: str = "/var/log/chefwell-disk-monitor.log"
    run_time_limit: float = option(900, minimum=1)

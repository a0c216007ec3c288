# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full filesystems and folders are, and how bad that is.

Percent used is what `df` says: used / (used + available), so that blocks reserved for root count
as used up for everybody else (psutil's `disk_usage` follows the same rule).
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from . import process
from .errors import ResilienceError

OK, WARNING, CRITICAL, EMERGENCY, UNKNOWN = "ok", "warning", "critical", "emergency", "unknown"
# From best to worst. Unknown is worse than ok and never hides a level that is known to be bad.
LEVELS = (OK, UNKNOWN, WARNING, CRITICAL, EMERGENCY)
# Monitoring Plugins development guidelines, "Plugin Return Codes".
EXIT_CODES = {OK: 0, WARNING: 1, CRITICAL: 2, EMERGENCY: 2, UNKNOWN: 3}
# A server that is gone makes calls on these hang, so another process makes them.
NETWORK_TYPES = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "ncpfs"}


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Percent used from which each level begins; the plan's 70, 80 and 90 by default.

    Raises:
        ResilienceError: one is no number within 0 to 100, or they are not in rising order.
    """

    warning: float = 70
    critical: float = 80
    emergency: float = 90

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value <= 100:
                raise ResilienceError(
                    "a threshold is no percentage above 0 and up to 100",
                    option=field.name,
                    value=value,
                    remedy="give a number such as 70",
                )
        for lower, upper in (("warning", "critical"), ("critical", "emergency")):
            if getattr(self, lower) >= getattr(self, upper):
                raise ResilienceError(
                    f"the threshold {lower} is not below {upper} ({getattr(self, upper)})",
                    option=lower,
                    value=getattr(self, lower),
                    remedy="give warning < critical < emergency",
                )


@dataclasses.dataclass(frozen=True)
class Target:
    """Something to watch.

    Attributes:
        path: a mount point, or any path on a filesystem.
        thresholds: its own.
        folder: judge what the folder itself holds, as a share of its filesystem.
        time_limit: seconds that a network filesystem has to answer.
    """

    path: str
    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)
    folder: bool = False
    time_limit: float = 10


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a filesystem says of itself; bytes and inodes.

    `available` is what is left for users other than root.
    """

    total: int
    used: int
    available: int
    inodes_total: int
    inodes_free: int

    @property
    def percent_used(self) -> float:
        """Percent of the bytes that users may have; 100 where there are none."""
        usable = self.used + self.available
        return 100 * self.used / usable if usable else 100.0

    @property
    def inodes_percent_used(self) -> float | None:
        """Percent of the inodes; None on filesystems that do not count them (btrfs)."""
        if not self.inodes_total:
            return None
        return 100 * (self.inodes_total - self.inodes_free) / self.inodes_total


@dataclasses.dataclass(frozen=True)
class TargetResult:
    """One target, measured and judged. What could not be measured is None, its level `unknown`."""

    path: str
    folder: bool
    level: str
    reason: str
    percent_used: float | None = None
    bytes_total: int | None = None
    bytes_used: int | None = None
    bytes_available: int | None = None
    inodes_percent_used: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return dataclasses.asdict(self)


def measure(path: str, time_limit: float = 10) -> Usage:
    """What the filesystem that holds `path` says of itself.

    Args:
        path: anything on the filesystem.
        time_limit: seconds that a network filesystem has to answer.

    Raises:
        OSError: the path is gone, or the filesystem does not answer.
    """
    if _filesystem_type(path) in NETWORK_TYPES:
        return _measure_elsewhere(path, time_limit)
    return _measure_here(path)


def _measure_here(path: str) -> Usage:
    import psutil  # noqa: PLC0415 - the engine imports without it

    space = psutil.disk_usage(path)
    inodes = os.statvfs(path)
    return Usage(space.total, space.used, space.free, inodes.f_files, inodes.f_ffree)


def _measure_elsewhere(path: str, time_limit: float) -> Usage:
    script = (
        "import json, os, sys; s = os.statvfs(sys.argv[1]); f = s.f_frsize; print(json.dumps(["
        "s.f_blocks*f, (s.f_blocks-s.f_bfree)*f, s.f_bavail*f, s.f_files, s.f_ffree]))"
    )
    outcome = process.run([sys.executable, "-I", "-c", script, path], time_limit=time_limit)
    if outcome.timed_out:
        raise OSError(0, f"no answer within {time_limit:g} s")
    if outcome.code != 0:
        raise OSError(0, (outcome.errors.strip().splitlines() or [outcome.ending()])[-1])
    return Usage(*json.loads(outcome.output))


def _filesystem_type(path: str) -> str:
    """The type of the filesystem that holds `path`, found without touching it."""
    import psutil  # noqa: PLC0415 - the engine imports without it

    best = ("", "")
    absolute = os.path.abspath(path)
    for mount in psutil.disk_partitions(all=True):
        inside = absolute == mount.mountpoint or absolute.startswith(
            mount.mountpoint.rstrip("/") + "/"
        )
        if inside and len(mount.mountpoint) >= len(best[0]):
            best = (mount.mountpoint, mount.fstype)
    return best[1]


def folder_size(path: str) -> int:
    """Bytes in the files under a folder, as `du --apparent-size`: a file with several names counts
    once; links are not followed and other filesystems are not entered.

    Raises:
        OSError: the folder or one below it cannot be read.
    """
    top = os.stat(path)
    if not stat.S_ISDIR(top.st_mode):
        raise NotADirectoryError(20, "not a folder", path)
    size, seen, folders = 0, set(), [path]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.stat(follow_symlinks=False).st_dev == top.st_dev:
                        folders.append(entry.path)
                    continue
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1:
                    if status.st_ino in seen:
                        continue
                    seen.add(status.st_ino)
                if stat.S_ISREG(status.st_mode):
                    size += status.st_size
    return size


def judge(percent: float, thresholds: Thresholds) -> str:
    """The level of a percentage: each begins at its threshold."""
    for level in (EMERGENCY, CRITICAL, WARNING):
        if percent >= getattr(thresholds, level):
            return level
    return OK


def worst(levels: Iterable[str]) -> str:
    """The worst of several levels; `unknown` for none at all, for nothing was looked at."""
    return max(levels, key=LEVELS.index, default=UNKNOWN)


def exit_code(level: str) -> int:
    """The exit code for a level, by the monitoring-plugins convention."""
    return EXIT_CODES[level]


def check(targets: Sequence[Target]) -> list[TargetResult]:
    """Measures and judges every target; one that cannot be measured is `unknown` with the reason.

    Args:
        targets: at least one.

    Raises:
        ResilienceError: there are no targets.
    """
    if not targets:
        raise ResilienceError(
            "there is nothing to watch", option="paths", value=[], remedy="name a mount point"
        )
    return [_check_one(target) for target in targets]


def _check_one(target: Target) -> TargetResult:
    try:
        usage = measure(target.path, target.time_limit)
        own_size = folder_size(target.path) if target.folder else None
    except OSError as error:
        reason = f"cannot be measured: {error.strerror}"
        return TargetResult(target.path, target.folder, UNKNOWN, reason)
    inodes = usage.inodes_percent_used
    if own_size is None:
        percent, used = usage.percent_used, usage.used
    else:
        percent, used = (100 * own_size / usage.total if usage.total else 100.0), own_size
        inodes = None
    shares = {"space": percent} if inodes is None else {"space": percent, "inodes": inodes}
    # The worse of both: a filesystem without a free inode is as full as one without a free byte.
    what = max(shares, key=lambda name: LEVELS.index(judge(shares[name], target.thresholds)))
    level = judge(shares[what], target.thresholds)
    reason = f"{what} {shares[what]:.1f}% used"
    if level != OK:
        reason += f", {level} from {getattr(target.thresholds, level):g}%"
    return TargetResult(
        target.path,
        target.folder,
        level,
        reason,
        round(percent, 2),
        usage.total,
        used,
        usage.available,
        None if inodes is None else round(inodes, 2),
    )
